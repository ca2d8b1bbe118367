"""Settings in; a text for a terminal, or a page of Markdown, out."""

import textwrap
from collections.abc import Callable, Sequence

from pipelines.settings.reference import ENTRY, NAMED, OWN, REQUIRED, Setting

INSIDE = "inside"  # a section that was told of already
INDENT = "    "
WIDTH = 96  # characters of a line on a terminal
HEAD = f"""\
# Every setting

Made from the code by `vocabox settings --format markdown`, and a test holds this page to it. What
to choose, and why, is in [README.md](README.md).

A name is what you write on the page, section by section, or on the command line:
`stage2.steps=500`. `{ENTRY}` is a place in a list, from 0; `{NAMED}` is a name of yours.
"{REQUIRED}" has no default; a section whose default is "{OWN}" has those of the settings below it.
"""
FOOT = f"{ENTRY} is a place in a list, from 0; {NAMED} is a name of yours."


def as_text(rows: Sequence[Setting]) -> str:
    """Return two lines a setting; what an earlier section says too is named, not repeated."""
    lines: list[str] = []
    for row in rows:
        if folded := _folded(row, rows):
            if folded != INSIDE:
                lines.append(f"{folded}  as {row.like}")
            continue
        kind = f" (kind {row.kind})" if row.kind else ""
        default = f"; {_default(row)}" if _default(row) else ""
        lines += _wrapped(f"{row.name}{kind}  {row.takes}{default}", first="")
        lines += _wrapped(row.means, first=INDENT)
    words = {word for row in rows for word in row.name.split(".")}
    if words & {ENTRY, NAMED}:
        lines += ["", FOOT]
    return "\n".join(lines) + "\n"


def _wrapped(text: str, *, first: str) -> list[str]:
    form = textwrap.TextWrapper(WIDTH, first, INDENT, break_on_hyphens=False)
    return form.wrap(text)


def as_markdown(rows: Sequence[Setting]) -> str:
    """Return a page with a table a section of the config's page."""
    made = [HEAD]
    sections = list(dict.fromkeys(row.name.partition(".")[0] for row in rows))
    for section in sections:
        inside = [row for row in rows if row.name.partition(".")[0] == section]
        made.append(f"## {section}\n")
        if inside[0].name == section:
            head = inside.pop(0)
            default = f"; {_default(head)}" if _default(head) else ""
            made.append(f"{_sentence(head.means)} Takes {head.takes}{default}.\n")
        if table := list(filter(None, (_markdown_row(row, rows) for row in inside))):
            titles = "| setting | takes | default | meaning |\n|---|---|---|---|"
            made.append("\n".join([titles, *table]) + "\n")
    return "\n".join(made)


FORMS: dict[str, Callable[[Sequence[Setting]], str]] = {"text": as_text, "markdown": as_markdown}


def _markdown_row(row: Setting, rows: Sequence[Setting]) -> str:
    folded = _folded(row, rows)
    if folded == INSIDE:
        return ""
    if folded:
        return f"| `{folded}` | as `{row.like}` | | |"
    kind = f" ({row.kind})" if row.kind else ""
    cells = [_cell(text) for text in (row.takes, row.default, row.means)]
    return f"| `{row.name}`{kind} | {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """Return a text that neither ends a cell of a table nor begins a tag."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def _folded(row: Setting, rows: Sequence[Setting]) -> str:
    """Return what stands for a section that says what one before says: its name once, else INSIDE.

    Empty for a setting that is to be told in full: its own, or the one before is not among `rows`.
    """
    if not row.like or not any(other.name.startswith(f"{row.like}.") for other in rows):
        return ""
    first = next(other for other in rows if other.name.startswith(f"{row.again}."))
    return f"{row.again}.*" if first is row else INSIDE


def _default(row: Setting) -> str:
    if row.default in (REQUIRED, OWN):
        return row.default if row.default == REQUIRED else ""
    return f"default {row.default}"


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith('.') else '.'}" if words else ""
