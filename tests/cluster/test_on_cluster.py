"""A real cluster of three raylets behind a token: jobs, and every way in that it refuses."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.journal import read_events
from tests.cluster.small_cluster import ROOT, SmallCluster
from tests.pipelines.runs import tiny

pytestmark = [pytest.mark.ray, pytest.mark.long]
CLI = [sys.executable, "-m", "pipelines.cli.entry"]
SOON = ("stage1.steps=2", "stage2.steps=2", "evaluate.pictures=0")


class Client:
    """Somebody who has the cluster's address and its token."""

    def __init__(self, cluster: SmallCluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        self.page, self.store = tiny.page(folder), folder / "store"

    def submit(self) -> list[str]:
        return ["submit", str(self.page), *SOON, "--address", self.cluster.url,
                "--store", str(self.store)]  # fmt: skip

    def start(self, *line: str, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*CLI, *line], env={**self.cluster.environment, **environment}, cwd=self.folder,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def call(self, *line: str, **environment: str) -> tuple[int, str, str]:
        process = self.start(*line, **environment)
        said, wrong = process.communicate(timeout=400)
        return process.returncode, said, wrong


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with tempfile.TemporaryDirectory(prefix="vbx", ignore_cleanup_errors=True) as logs:
        cluster = SmallCluster.start(Path(logs))
        yield Client(cluster, tmp_path_factory.mktemp("client"))
        cluster.close()


@pytest.fixture(scope="module")
def survived(client: Client) -> tuple[list[str], tuple[int, str, str]]:
    """One job whose client was killed at the first node that was done, and followed again."""
    first = client.start(*client.submit())
    assert first.stdout is not None
    lines: list[str] = []
    for line in first.stdout:
        lines.append(line)
        if ": done in " in line:
            break
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    return lines, client.call(*client.submit())


def test_a_job_outlives_its_client_and_is_followed_by_its_run(
    client: Client, survived: tuple[list[str], tuple[int, str, str]]
) -> None:
    lines, (code, said, wrong) = survived
    assert ": done in " in lines[-1], lines
    assert code == 0, wrong
    run = lines[0].partition(":")[0]
    assert f"{run}: already running" in said
    assert "joint-1: done; 12 done;" in said
    assert f"{run}: done after" in said
    again = client.call("logs", run, "--address", client.cluster.url, "-f")
    assert again[0] == 0
    assert "evaluate: done in" in again[1]


def test_submitting_twice_runs_once(
    client: Client, survived: tuple[list[str], tuple[int, str, str]]
) -> None:
    run = survived[0][0].partition(":")[0]
    code, said, _ = client.call(*client.submit())
    assert code == 0
    assert f"{run}: already done" in said
    code, said, _ = client.call("status", "--address", client.cluster.url, "--json")
    told = [json.loads(line) for line in said.splitlines()]
    assert [(one["run"], one["status"], one["attempt"]) for one in told] == [(run, "done", 1)]
    [place] = (client.store / "runs").iterdir()
    events, _ = read_events(place / "events.jsonl")
    begun = [e["node"] for e in events if e.get("state") == "running"]
    assert len(begun) == len(set(begun)) == 12
    assert not (place / "stop").exists()
    assert [p.name for p in place.glob("seen-*")] == []


@pytest.mark.parametrize("door", ["dashboard", "head"])
@pytest.mark.parametrize("token", ["f" * 64, ""], ids=["wrong", "none"])
def test_a_client_without_the_token_is_refused(client: Client, door: str, token: str) -> None:
    line = ["status", "--address", client.cluster.url]
    if door == "head":
        line = ["run", str(client.page), "--address", client.cluster.gcs, "--store", "elsewhere"]
    code, said, wrong = client.call(*line, RAY_AUTH_TOKEN=token, HOME=str(client.folder))
    assert (code, said) == (2, "")
    assert ("refuses the token; got the one of RAY_AUTH_TOKEN" if token else "got none") in wrong
    shown = client.cluster.environment["RAY_AUTH_TOKEN"]
    assert shown not in wrong
    assert not token or token not in wrong


OTHER = """
import json, sys
from ray._raylet import GcsClient
gcs = GcsClient(address=sys.argv[1])
known = json.loads(gcs.internal_kv_get(b"CLUSTER_METADATA", b"cluster"))
known |= json.loads(sys.argv[2])
gcs.internal_kv_put(b"CLUSTER_METADATA", json.dumps(known).encode(), True, b"cluster")
"""


@pytest.mark.parametrize(
    ("other", "said"),
    [({"ray_version": "2.59.1"}, "Ray 2.59.1"), ({"python_version": "3.12.4"}, "Python 3.12.4")],
)
def test_B106_another_version_there(client: Client, other: dict[str, str], said: str) -> None:
    true = {"ray_version": "2.60.0", "python_version": ".".join(map(str, sys.version_info[:3]))}
    line = ("run", str(client.page), "--address", client.cluster.gcs, "--store", "elsewhere")
    change = [sys.executable, "-c", OTHER, client.cluster.gcs]
    environment = dict(client.cluster.environment)
    subprocess.run([*change, json.dumps(other)], check=True, env=environment)
    try:
        code, _, wrong = client.call(*line)
    finally:
        subprocess.run([*change, json.dumps(true)], check=True, env=environment)
    assert code == 2
    assert said in wrong.partition(" there, ")[0]
    assert not (client.folder / "elsewhere").exists()


def test_a_store_that_a_node_does_not_see_is_refused(client: Client) -> None:
    """The folder a process stands in is not the same for the driver and for a worker."""
    line = ["run", str(client.page), *SOON, "--address", client.cluster.gcs]
    code, _, wrong = client.call(*line, "--store", "/proc/self/cwd/mine")
    assert code == 2
    assert wrong.count("cannot read what this driver wrote to /proc/self/cwd/mine") == 3
    assert "Name a folder that every node has at this path" in wrong
    left = [p.name for p in (client.folder / "mine" / "runs" / "joint-1").iterdir()]
    assert not [name for name in left if name.startswith("seen-")]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("99", "needs 99 CPUs and 0 GPUs at once; got 2 and 0 in all"),
        ("2", "needs 2 CPUs and 0 GPUs on one machine; got 1 and 0 at most on any"),
    ],
)
def test_B109_more_than_there_will_ever_be(client: Client, wanted: str, words: str) -> None:
    line = ["run", str(client.page), *SOON, f"run_on.evaluate.cpus={wanted}", "--json"]
    place = ["--address", client.cluster.gcs, "--store", str(client.folder / f"wants{wanted}")]
    code, said, wrong = client.call(*line, *place, "--wait-for-nodes", "2")
    assert code == 7, wrong
    assert f"run_on.evaluate: {words}" in wrong, "told while it waits"
    ended = json.loads(said.splitlines()[-1])
    assert f"run_on.evaluate: {words}" in ended["reason"]
    assert "(waited 2 s)" in ended["reason"]
    assert (ended["event"], ended["status"], ended["code"]) == ("finished", "failed", 7)


ABROAD = """
import sys, types
from cluster.on_nodes import on_each_node
from cluster.session import open_session
from pipelines.runs.on_cluster import _problems, look_here
from tests.cluster import bodies
here = types.ModuleType("only_here")
exec("def fn(): return 1", here.__dict__)
sys.modules["only_here"] = here
with open_session(sys.argv[1]):
    for said in on_each_node(here.fn):
        print(*_problems(said, "store"))
    digest = ("0" * 64, {"tests.cluster.bodies": "0" * 64})
    wrong = [(bodies.double, None, {}, *digest)]
    for said in on_each_node(look_here, sys.argv[2], "runs/x/seen", b"", wrong):
        print(*_problems(said, "store"))
"""


def test_a_node_without_our_code_is_named(client: Client) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ABROAD, client.cluster.gcs, str(client.store)],
        env=dict(client.cluster.environment), cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert len(lines) == 6, done.stderr
    assert all("cannot run our code; got 'ModuleNotFoundError" in line for line in lines[:3])
    assert all("has other code than this driver; got " in line for line in lines[3:])
    assert len({line.split()[2] for line in lines}) == 3, "each node by its own name"


def test_a_job_is_stopped_by_its_run_from_anywhere(client: Client) -> None:
    line = ["submit", str(client.page), "stage1.steps=100000", "--address", client.cluster.url]
    first = client.start(*line, "--store", str(client.folder / "long"))
    assert first.stdout is not None
    run = next(first.stdout).partition(":")[0]
    lines: list[str] = []
    for said in first.stdout:
        lines.append(said)
        if "stage1: running" in said:
            break
    assert "stage1: running" in lines[-1], lines
    code, said, _ = client.call("stop", run, "--address", client.cluster.url)
    assert (code, said) == (0, f"{run}: asked to stop.\n")
    rest, wrong = first.communicate(timeout=200)
    assert first.returncode == 75, rest + wrong
    assert "What is finished is kept." in rest
    assert f"{run}: stopped" in wrong


def test_a_cluster_without_a_token_is_refused(client: Client) -> None:
    with tempfile.TemporaryDirectory(prefix="vbx", ignore_cleanup_errors=True) as logs:
        cluster = SmallCluster.start(Path(logs), token=None, workers=0)
        try:
            told = Client(cluster, client.folder)
            for line in (
                ["status", "--address", cluster.url],
                ["run", str(client.page), "--address", cluster.gcs, "--store", "elsewhere"],
            ):
                code, _, wrong = told.call(*line)
                assert code == 2
                assert "this cluster lets anyone run code; start it with RAY_AUTH_MODE" in wrong
            code, _, _ = told.call("status", "--address", cluster.url, "--insecure-cluster")
            assert code == 0
        finally:
            cluster.close()
