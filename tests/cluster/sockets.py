"""Which addresses the processes of a run listen on, read from /proc."""

import os
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

PAUSE_S = 0.05  # between two looks
MARK = "VOCABOX_TEST_MARK"
LISTENS = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}  # state, by table of /proc/net
LOOPBACK = {
    "0100007F",  # 127.0.0.1
    "00000000000000000000000001000000",  # ::1
    "0000000000000000FFFF00000100007F",  # 127.0.0.1 in a socket of the new family
}


def family(root: int) -> list[int]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for pid in _processes():
        children.setdefault(_parent(pid), []).append(pid)
    found, todo = [], [root]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def listening(root: int) -> dict[str, list[int]]:
    """Return address -> ports of every listening TCP socket of a process and its descendants."""
    ours = {inode for pid in family(root) for inode in _sockets(pid)}
    found: dict[str, list[int]] = {}
    for inode, (table, address, port) in _open().items():
        if inode in ours and table.startswith("tcp"):
            found.setdefault(address, []).append(port)
    return found


class Watched:
    """A command that runs, and every address that it and what it starts ever listen on.

    A process is the run's when its parent is, or when its environment carries the run's mark: a
    child that outlives its parent is found by that. A socket is looked up when it is first seen.
    """

    def __init__(self, command: list[str], **how: Any) -> None:
        self.mark = f"{MARK}={uuid.uuid4().hex}"
        environment = {**os.environ, **how.pop("env", {}), MARK: self.mark.partition("=")[2]}
        self.process = subprocess.Popen(command, env=environment, **how)
        self.processes: dict[int, str] = {}  # pid -> its first words
        self.seen: dict[tuple[str, str, int], str] = {}  # table, address, port -> who
        self.looks = 0
        self._others: set[int] = set()  # processes
        self._known: set[str] = set()  # inodes of sockets whose owner is known
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def communicate(self, *, timeout: float) -> tuple[Any, Any]:
        """Wait for the end of the command; look once more, then no more."""
        try:
            return self.process.communicate(timeout=timeout)
        finally:
            self._over.set()
            self._thread.join()

    def beyond(self) -> dict[tuple[str, str, int], str]:
        """Return what was seen of sockets that somebody else could reach."""
        return {at: who for at, who in self.seen.items() if at[1] not in LOOPBACK}

    def _watch(self) -> None:
        while not self._over.is_set():
            self._look()
            time.sleep(PAUSE_S)
        self._look()

    def _look(self) -> None:
        there = set(_processes())
        self._others &= there
        for pid in sorted(there - self._others - self.processes.keys()):
            if pid == self.process.pid or _parent(pid) in self.processes or self._marked(pid):
                self.processes[pid] = ""
            else:
                self._others.add(pid)
        ours = [pid for pid in self.processes if pid in there]
        for pid in ours:
            self.processes[pid] = _words(pid) or self.processes[pid]
        new = {inode: at for inode, at in _open().items() if inode not in self._known}
        owners = {i: pid for pid in ours for i in (_sockets(pid) if new else ()) if i in new}
        for inode, pid in owners.items():
            self.seen.setdefault(new[inode], f"{pid} {self.processes[pid]}")
        strangers = {i for pid in self._others for i in (_sockets(pid) if new else ())}
        self._known |= owners.keys() | (strangers & new.keys())
        self.looks += 1

    def _marked(self, pid: int) -> bool:
        try:
            return self.mark.encode() in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def _words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()[:160]
    except OSError:
        return ""


def _sockets(pid: int) -> set[str]:
    """Return the inodes of a process's sockets."""
    found: set[str] = set()
    try:
        for entry in os.scandir(f"/proc/{pid}/fd"):
            link = os.readlink(entry.path)
            if link.startswith("socket:["):
                found.add(link[8:-1])
    except OSError:  # it ended, or closed a file, while it was looked at
        return found
    return found


def _open() -> dict[str, tuple[str, str, int]]:
    """Return inode -> (table, address, port) of every socket here that takes what comes."""
    found: dict[str, tuple[str, str, int]] = {}
    for table, state in LISTENS.items():
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == state:
                address, port = fields[1].split(":")
                found[fields[9]] = (table, address, int(port, 16))
    return found


if __name__ == "__main__":  # watch a command: python -m tests.cluster.sockets COMMAND...
    watched = Watched(sys.argv[1:])
    watched.communicate(timeout=3600)
    for at, who in sorted(watched.seen.items()):
        print(*at, "" if at[1] in LOOPBACK else "BEYOND", who)
    print(
        f"{watched.looks} looks at {len(watched.processes)} processes: {len(watched.seen)} "
        f"sockets listened, {len(watched.beyond())} beyond loopback"
    )
