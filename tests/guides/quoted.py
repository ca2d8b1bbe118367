"""The fenced blocks of a guide, and whether what it quotes is what was really said."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    language: str
    text: str
    section: str  # the head it stands under


def blocks(guide: Path, *languages: str) -> Iterator[Block]:
    """Yield the fenced blocks of these languages, in order."""
    text = guide.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        heads = re.findall(r"^#+ (.+)$", text[: found.start()], re.MULTILINE)
        if found[1] in languages:
            yield Block(found[1], found[2], heads[-1])


def unsaid(quoted: str, said: str, *, folder: Path) -> list[str]:
    """Return the quoted lines that no line of what was said holds.

    Numbers, digests and the folder differ from run to run and count as equal; three dots in a
    quoted line stand for anything.
    """
    lines = [_loose(line, folder) for line in said.splitlines()]
    return [
        quote for quote in quoted.splitlines() if not any(_holds(quote, line) for line in lines)
    ]


def _holds(quote: str, line: str) -> bool:
    at = 0
    for piece in _loose(quote, Path("/nowhere")).split("..."):
        at = line.find(piece.strip(), at)
        if at < 0:
            return False
    return True


def _loose(text: str, folder: Path) -> str:
    text = text.replace(str(folder), "...")
    text = re.sub(r"\b[0-9a-f]{8,}\b", "#", text)
    text = re.sub(r"\d+(\.\d+)?", "#", text)
    return re.sub(r"\s+", " ", text).strip()
