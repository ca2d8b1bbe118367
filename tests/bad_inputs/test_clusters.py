"""An address where no cluster is, or one that cannot be used: refused before anything starts."""

import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from cluster.call import InProcessExecutor
from cluster.reach import ClusterError, Versions, check_private
from cluster.storage import open_store
from pipelines.graph.node import Graph
from pipelines.graph.outcome import Outcome
from pipelines.graph.run import walk
from tests.bad_inputs.pretended_head import Head, pretended_head
from tests.pipelines.cli.small import call
from tests.pipelines.graph import bodies
from tests.pipelines.runs import tiny
from tests.pipelines.settings.golden import same

TOKEN = "7" * 64
Refused = Callable[..., None]


@pytest.fixture
def refused(tmp_path: Path, write_golden: bool, monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Return a check: both doors of a head end with 2 and these words, and write nothing."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    tiny.page(tmp_path)
    monkeypatch.chdir(tmp_path)

    def check(head: Head, *, golden: str, **environment: str) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        said: list[str] = []
        for line in (
            f"run tiny.yaml --address 127.0.0.1:{head.port}",
            f"submit tiny.yaml --address {head.url}",
            f"stop joint-1 --address {head.url}",
        ):
            result = call(*line.split())
            assert (result.exit_code, result.stdout) == (2, ""), result.output
            said.append(f"$ vocabox {line}\n{result.stderr}")
        assert not (tmp_path / ".vocabox").exists()
        text = _plain("".join(said))
        assert TOKEN not in text
        same(text, as_file=f"errors/{golden}.txt", folder=tmp_path, write=write_golden)

    return check


def _plain(text: str) -> str:
    """Leave out what differs from run to run: ports and seconds."""
    return re.sub(r"after \d+\.\d s", "after S s", re.sub(r"127.0.0.1:\d+", "127.0.0.1:PORT", text))


def test_B105_nothing_listens_at_the_address(refused: Refused) -> None:
    with socket.socket() as spot:
        spot.bind(("127.0.0.1", 0))
        port = spot.getsockname()[1]
    refused(Head(port, f"http://127.0.0.1:{port}"), golden="B105_nothing_listens")


def test_B105_what_listens_is_no_head(refused: Refused) -> None:
    with pretended_head(token=None) as head:  # each at the other's port
        port = int(head.url.rpartition(":")[2])
        refused(Head(port, f"http://127.0.0.1:{head.port}"), golden="B105_no_head")


@pytest.mark.parametrize(("ray", "python"), [("2.59.1", "3.11.7"), ("2.60.0", "3.12.4")])
def test_B106_another_version(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, ray: str, python: str
) -> None:
    monkeypatch.setattr("cluster.reach.ours", lambda: Versions("2.60.0", "3.11.9"))
    with pretended_head(token=TOKEN, ray=ray, python=python) as head:
        golden = f"B106_{'ray' if ray != '2.60.0' else 'python'}"
        refused(head, golden=golden, RAY_AUTH_TOKEN=TOKEN)


def test_B107_the_token_is_missing(refused: Refused) -> None:
    with pretended_head(token=TOKEN) as head:
        refused(head, golden="B107_no_token")


def test_B107_the_token_is_wrong(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("8" * 64)
    with pretended_head(token=TOKEN) as head:
        refused(head, golden="B107_wrong_token", RAY_AUTH_TOKEN_PATH=str(tmp_path / "token"))


def test_B108_a_cluster_that_lets_anyone_in(refused: Refused) -> None:
    with pretended_head(token=None) as head:
        refused(head, golden="B108_open")


def test_a_token_does_not_cross_the_internet_in_the_clear() -> None:
    with pytest.raises(ClusterError, match=r"in the clear; got the public address 8\.8\.8\.8"):
        check_private("http://8.8.8.8:8265")
    check_private("https://8.8.8.8:8265")
    check_private("http://10.1.2.3:8265")
    check_private("http://127.0.0.1:8265")


class _Small(InProcessExecutor):  # type: ignore[misc]
    """Two machines of one CPU; a third comes when it was asked for often enough."""

    def __init__(self, comes_after: int) -> None:
        super().__init__()
        self.asked, self.comes_after = 0, comes_after

    @property
    def capacity(self) -> Mapping[str, float]:
        self.asked += 1
        return {"cpus": 3.0 if self.asked > self.comes_after else 2.0, "most_cpus": 1.0}


def test_B109_more_than_there_will_ever_be(tmp_path: Path) -> None:
    three = bodies.RunOn(workers=3, local=True)
    gang = bodies.node("gang", fn=bodies.train, cfg=bodies.Trained(world=3), run_on=three)
    events: list[Mapping[str, object]] = []

    def walked(node: bodies.Node, comes_after: int) -> Outcome:
        graph = Graph(recipe="toy", nodes=(node, bodies.node("easy")))
        store = open_store(str(tmp_path / f"{node.name}{comes_after}"))
        how = {"executor": _Small(comes_after), "emit": events.append, "wait_for_nodes_s": 0.2}
        return walk(graph, store=store, **how)  # type: ignore[arg-type]

    ended = walked(gang, 10**6)
    assert (ended.status, ended.code) == ("failed", 7)
    notes = [str(e["text"]) for e in events if e["event"] == "note"]
    assert [text[:30] for text in notes] == ["waits up to 0.2 s for machines"]
    error = ended.nodes["gang"].error
    assert error is not None
    assert error.text == (
        "run_on.gang: needs 3 CPUs and 0 GPUs at once; got 2 and 0 in all. Lower workers or what "
        "each takes, or use a larger cluster. (waited 0.2 s)"
    )
    large = bodies.node("large", run_on=bodies.RunOn(cpus=2))
    error = walked(large, 10**6).nodes["large"].error
    assert error is not None
    assert "needs 2 CPUs and 0 GPUs on one machine; got 1 and 0 at most on any" in error.text
