"""Which addresses a process and its children listen on, read from /proc."""

import os
import re
from pathlib import Path


def family(root: int) -> list[int]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1]
        except OSError:
            continue
        children.setdefault(int(parent), []).append(int(pid))
    found, todo = [], [root]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def listening(root: int) -> dict[str, list[int]]:
    """Return address -> ports of every listening TCP socket of a process and its descendants."""
    ours = set()
    for pid in family(root):
        for entry in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                match = re.match(r"socket:\[(\d+)\]", os.readlink(entry))
            except OSError:
                continue
            if match:
                ours.add(match[1])
    found: dict[str, list[int]] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in ours:
                address, port = fields[1].split(":")
                found.setdefault(address, []).append(int(port, 16))
    return found


LOOPBACK = {
    "0100007F",  # 127.0.0.1
    "00000000000000000000000001000000",  # ::1
    "0000000000000000FFFF00000100007F",  # 127.0.0.1 in a socket of the new family
}
