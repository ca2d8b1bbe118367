"""Addresses, the way to a cluster, and what listens."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.reach import ClusterError
from cluster.session import (
    EVERYWHERE,
    LAPTOP,
    PRIVATE,
    AddressError,
    Session,
    open_session,
    parse_address,
    prepare,
)
from tests.cluster.sockets import LOOPBACK, family, listening


@pytest.mark.parametrize("text", ["local", "auto"])
def test_words_are_addresses(text: str) -> None:
    assert parse_address(text).kind == text


@given(st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True), st.integers(1, 65535))
@settings(max_examples=30, deadline=None)
def test_host_and_port_are_an_address(host: str, port: int) -> None:
    found = parse_address(f"{host}:{port}")
    assert (found.kind, found.host, found.port) == ("cluster", host, port)


@pytest.mark.parametrize(
    "text",
    ["", "Local", "head", "head:", ":6379", "head:0", "head:65536", "a b:1", "ray://h:10001"],
)
def test_a_malformed_address_is_refused_before_anything(text: str) -> None:
    with pytest.raises(AddressError, match=r"^address: .*; got .* Give local, auto, or host:port"):
        parse_address(text)


def test_nothing_listens_there_and_ray_is_not_even_imported() -> None:
    with socket.socket() as spot:
        spot.bind(("127.0.0.1", 0))
        port = spot.getsockname()[1]
    with (
        pytest.raises(ClusterError, match=rf"nothing listens at 127.0.0.1:{port}; got .* after "),
        open_session(f"127.0.0.1:{port}"),
    ):
        pass


@pytest.mark.parametrize("room", ["session", "call", "workers", "track", "journal", "ray_faults"])
def test_importing_costs_nothing(room: str) -> None:
    heavy = "{'ray', 'torch', 'mlflow', 'numpy'} & set(sys.modules)"
    code = f"import sys, cluster.{room}; assert not {heavy}, {heavy}"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.ray
def test_a_local_session_knows_its_size_and_hides(ray_session: Session) -> None:
    assert (ray_session.cpus, ray_session.machines) == (2, 1)
    found = listening(os.getpid())
    assert found, "Ray's own sockets must be seen, else this test sees nothing"
    assert set(found) <= LOOPBACK
    token = os.environ["RAY_AUTH_TOKEN"]
    assert len(token) == 64
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in family(os.getpid())]
    assert not any(token.encode() in line for line in lines), "others may read a command line"
    from ray._common.usage.usage_lib import usage_stats_enabled

    assert not usage_stats_enabled()


STRANGER = """
import sys
from ray._raylet import GcsClient
print(len(GcsClient(address=sys.argv[1]).get_all_node_info(timeout=10)))
"""


@pytest.mark.ray
@pytest.mark.parametrize(
    ("token", "said"),
    [
        ({"RAY_AUTH_MODE": "disabled"}, "AuthenticationError"),
        ({"RAY_AUTH_TOKEN": "0" * 64}, "AuthenticationError"),
        ({}, ""),
    ],
    ids=["none", "wrong", "ours"],
)
def test_who_has_no_token_is_sent_away(
    ray_session: Session, token: dict[str, str], said: str
) -> None:
    import ray

    patience = {"RAY_gcs_rpc_server_connect_timeout_s": "1"}  # it would try again for 20 s
    stranger = subprocess.run(
        [sys.executable, "-c", STRANGER, ray.get_runtime_context().gcs_address],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **patience, **token},
    )
    assert stranger.stdout == ("" if said else f"{ray_session.machines}\n")
    assert (said or "") in stranger.stderr
    assert bool(stranger.returncode) == bool(said)


DRIVER = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job begins without it
from pathlib import Path
from cluster.call import RayExecutor
from cluster.session import open_session
from tests.cluster import bodies
with open_session("local", cpus=1) as session:
    executor = RayExecutor()
    executor.submit("long", bodies.sleep, (600, sys.argv[1]), cpus=1, gpus=0)
    try:
        while True:
            executor.wait(0.5)
    except KeyboardInterrupt:
        executor.cancel(grace_s=1)
        print([f.error.kind for f in executor.wait(5)], flush=True)
sys.exit(130)
"""


@pytest.mark.ray
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    flag, root = tmp_path / "started", Path(__file__).parents[2]
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(flag)],
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    until = time.monotonic() + 90
    while not flag.exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert flag.exists()
    begun = time.monotonic()
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does: to all of the group
    said, _ = driver.communicate(timeout=60)
    assert time.monotonic() - begun < 15
    assert driver.returncode == 130
    assert said == b"['cancelled']\n"
    groups = {_group(p) for p in Path("/proc").iterdir() if p.name.isdigit()}
    assert driver.pid not in groups


def _group(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rsplit(")", 1)[1].split()[3])  # session
    except OSError:
        return 0


FAILED_START = """
import sys
from pathlib import Path
from cluster.session import SessionError, _start, parse_address, prepare
prepare(parse_address("local"))
said = []
try:
    _start(Path(sys.argv[1]), cpus=1, say=said.append)
except SessionError as error:
    print(len(said), said[0][:19], "|", error)
"""


@pytest.mark.ray
def test_a_start_that_fails_is_tried_once_more_and_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder can be made in here")
    command = [sys.executable, "-c", FAILED_START, str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("1 Ray did not start w | address: Ray did not start in two")
    assert "NotADirectoryError" in done.stdout
    assert "Try again when the machine is quieter" in done.stdout


def test_preparing_keeps_what_the_user_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "7")
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "1")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    for name in {**EVERYWHERE, **LAPTOP, **PRIVATE, "RAY_AUTH_TOKEN": "", "PYTHONPATH": ""}:
        monkeypatch.setenv(name, os.environ.get(name, ""))  # put back at the end
        if name not in ("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", *PRIVATE):
            monkeypatch.delenv(name)
    prepare(parse_address("cluster:6379"))
    assert {name: os.environ.get(name) for name in EVERYWHERE} == EVERYWHERE
    assert "RAY_AUTH_TOKEN" not in os.environ
    assert os.environ["RAY_AUTH_MODE"] == "disabled", "somebody else's cluster"
    prepare(parse_address("local"))
    kept = {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "7"}
    assert {name: os.environ.get(name) for name in LAPTOP} == {**LAPTOP, **kept}
    assert {name: os.environ.get(name) for name in PRIVATE} == PRIVATE
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert str(Path(__file__).parents[2]) in os.environ["PYTHONPATH"]
