"""Who owns a run: a process on a machine, told apart from a later one with the same number."""

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROC = Path("/proc")
ENDED = ("Z", "X", "x")  # states of a process that runs no more


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """One process. `machine` and `born` are empty where the system does not tell them."""

    host: str
    pid: int
    machine: str  # boot and process namespace: numbers of processes mean the same within one
    born: str  # when the process began, in the machine's ticks
    since: str  # when it said so, for people

    @classmethod
    def here(cls) -> "Owner":
        """Return this process."""
        return cls(
            host=socket.gethostname(),
            pid=os.getpid(),
            machine=_machine(),
            born=_born(os.getpid()),
            since=time.strftime("%Y-%m-%d %H:%M:%S %z"),
        )

    @classmethod
    def told(cls, body: Mapping[str, Any]) -> "Owner":
        """Return the owner that a record names."""
        return cls(**{name: body[name] for name in cls.__dataclass_fields__})

    def is_gone(self) -> bool:
        """Say whether this process surely runs no more; an owner elsewhere is never sure."""
        if not self.machine or self.machine != _machine():
            return False
        born = _born(self.pid)
        return born != self.born and not (born == "" and _hidden(self.pid))

    def words(self) -> str:
        """Return who it is, for people."""
        return f"pid {self.pid} on {self.host} since {self.since}"


def steady_s() -> float:
    """Return seconds of a clock that nobody sets and that goes on while this machine sleeps."""
    number = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if number is None else time.clock_gettime(number)


def _machine() -> str:
    boot = PROC / "sys/kernel/random/boot_id"
    space = PROC / "self/ns/pid"
    if not boot.is_file() or not space.is_symlink():
        return ""
    return f"{boot.read_text().strip()}/{os.readlink(space)}"


def _hidden(pid: int) -> bool:
    """Say whether a process of another user runs that this system does not show."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def _born(pid: int) -> str:
    """Return when a process began; empty where none of that number runs."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    state, *rest = text.rpartition(")")[2].split()
    return "" if state in ENDED else rest[18]
