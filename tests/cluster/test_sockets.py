"""The counter of sockets sees what others could reach; a local group shows them nothing."""

import subprocess
import sys
from pathlib import Path

from tests.cluster.sockets import LOOPBACK, Watched

ROOT = Path(__file__).parents[2]

OPEN = """
import os, socket, sys, time
if os.fork():  # the parent ends at once: the child is nobody's, and has a session of its own
    time.sleep(0.5)
    sys.exit()
os.setsid()
kept = []
for family, kind, address in (
    (socket.AF_INET, socket.SOCK_STREAM, "0.0.0.0"),
    (socket.AF_INET6, socket.SOCK_STREAM, "::"),
    (socket.AF_INET, socket.SOCK_DGRAM, "0.0.0.0"),
    (socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"),
    (socket.AF_INET6, socket.SOCK_STREAM, "::1"),
):
    kept.append(socket.socket(family, kind))
    kept[-1].bind((address, 0))
    if kind == socket.SOCK_STREAM:
        kept[-1].listen()
time.sleep(float(sys.argv[1]))
"""

GROUP = """
import sys
from pathlib import Path
from cluster.workers import run_group
from tests.cluster import bodies
run_group(bodies.fit, {"sleep_s": 0.2}, workers=2, local=True, scratch=Path(sys.argv[1]),
          name="stage2", say=lambda *values, **metrics: None)
"""


def test_an_open_socket_of_a_child_that_was_left_is_seen() -> None:
    watched = Watched([sys.executable, "-c", OPEN, "0.4"], stdout=subprocess.PIPE)
    watched.communicate(timeout=60)
    assert watched.process.returncode == 0
    found = sorted((table, address) for table, address, _ in watched.seen)
    assert found == [
        ("tcp", "00000000"),
        ("tcp", "0100007F"),
        ("tcp6", "0" * 32),
        ("tcp6", "00000000000000000000000001000000"),
        ("udp", "00000000"),
    ]
    assert sorted((table, address) for table, address, _ in watched.beyond()) == [
        ("tcp", "00000000"), ("tcp6", "0" * 32), ("udp", "00000000"),
    ]  # fmt: skip


def test_two_workers_without_ray_meet_on_loopback_only(tmp_path: Path) -> None:
    command = [sys.executable, "-c", GROUP, str(tmp_path / "scratch")]
    watched = Watched(command, stdout=subprocess.PIPE, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
    watched.communicate(timeout=120)
    assert watched.process.returncode == 0
    assert len(watched.seen) >= 2, "the sockets of gloo must be seen, else this test sees nothing"
    assert {address for _, address, _ in watched.seen} <= LOOPBACK
