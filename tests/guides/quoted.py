"""The fenced blocks of the guides, and whether what they quote is what a command said."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDES = (
    ROOT / "README.md",
    *(page for room in ("configs", "cluster", "dashboards") for page in (ROOT / room).glob("*.md")),
)
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`(vocabox \w[^`]*)`(?!`)")


@dataclass(frozen=True, slots=True)
class Block:
    language: str
    text: str
    section: str  # the head it stands under


def blocks(guide: Path, language: str) -> Iterator[Block]:
    """Yield the fenced blocks of a language, in order."""
    text = guide.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        heads = re.findall(r"^#+ (.+)$", text[: found.start()], re.MULTILINE)
        if found[1] == language:
            yield Block(language, found[2], heads[-1])


def section(guide: Path, head: str) -> str:
    """Return what stands under a head, up to the next."""
    text = guide.read_text(encoding="utf-8")
    return re.split(rf"^#+ {re.escape(head)}$", text, flags=re.MULTILINE)[1].partition("\n#")[0]


def first_column(text: str) -> list[str]:
    """Return the words in `code` of the first column of a table."""
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def commands(guide: Path) -> Iterator[list[str]]:
    """Yield the arguments of each vocabox command that a guide tells, in blocks and in lines."""
    lines = [line for block in blocks(guide, "bash") for line in block.text.splitlines()]
    lines += INLINE.findall(guide.read_text(encoding="utf-8"))
    for line in lines:
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            if words[:1] == ["vocabox"]:
                yield words[1:]


def unsaid(quoted: str, said: str) -> list[str]:
    """Return the quoted lines that no line of what was said holds.

    Numbers count as equal; three dots in a quoted line stand for anything.
    """
    lines = [_loose(line) for line in said.splitlines()]
    return [quote for quote in quoted.splitlines() if not any(_holds(quote, at) for at in lines)]


def _holds(quote: str, line: str) -> bool:
    at = 0
    for piece in map(str.strip, _loose(quote).split("...")):
        found = line.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def _loose(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"\d+(\.\d+)?", "#", text)).strip()
