"""Texts that users read, kept beside the tests: a changed word shows in the diff."""

from pathlib import Path

GOLDEN = Path(__file__).parents[2] / "golden"


def same(text: str, *, as_file: str, folder: Path, write: bool) -> None:
    """Compare a text with its file; `folder`, which differs from run to run, reads DIR."""
    text = text.replace(str(folder), "DIR").rstrip() + "\n"
    place = GOLDEN / as_file
    if write:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    assert place.is_file(), f"{place}: no such golden; run pytest --write-golden and look at it."
    assert text == place.read_text()
