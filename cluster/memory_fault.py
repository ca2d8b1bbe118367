"""What Ray says when it stops a worker for memory: who filled the machine, and whether it was us.

Ray's monitor looks at the whole machine, so a neighbour's memory may cost us a worker. Its message
lists what its own workers used; less than half of all that is used makes it the neighbour's.
"""

import re
from dataclasses import dataclass

USED = re.compile(r"\(IP: ([^,]+),.*?\) was ([\d.]+)GB used / ([\d.]+)GB limit", re.DOTALL)
WORKER = re.compile(r"actual memory used=([\d.]+)GB")
IDLE = re.compile(r"idle workers USS bytes: ([\d.]+)GB")
PROCESS = re.compile(r"^\d+\t([\d.]+)\t(.+)$", re.MULTILINE)
LARGEST = 3
OURS = 0.5  # of what is used
COMMAND = 60  # characters of a command that are shown


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """The memory of one machine at that moment, in GB."""

    machine: str
    used: float
    limit: float
    ours: float
    largest: tuple[tuple[float, str], ...]

    @property
    def is_ours(self) -> bool:
        """Say whether our workers held at least half of what was used."""
        return self.ours >= OURS * self.used

    def __str__(self) -> str:
        """Return where, how much, and the largest processes."""
        most = ", ".join(f"{command} {size:g} GB" for size, command in self.largest)
        return (
            f"{self.machine} used {self.used:g} of {self.limit:g} GB, our workers "
            f"{self.ours:.2g} GB; the largest are {most or 'not known'}"
        )


def memory_of(text: str) -> Memory | None:
    """Read the message of Ray's OutOfMemoryError; None where it says nothing of the kind."""
    found = USED.search(text)
    if found is None:
        return None
    ours = sum(map(float, [*WORKER.findall(text), *IDLE.findall(text)]))
    largest = [(float(size), command[:COMMAND]) for size, command in PROCESS.findall(text)]
    return Memory(
        machine=found[1],
        used=float(found[2]),
        limit=float(found[3]),
        ours=ours,
        largest=tuple(largest[:LARGEST]),
    )
