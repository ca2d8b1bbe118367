"""What is wrong with what a user gave: one value a problem, one error for all of them."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Where, what is wrong, what was got, and what to do; `got` is empty where nothing was."""

    where: str
    what: str
    do: str
    got: str = ""
    grave: bool = True  # false: a warning, which stops nothing

    def __str__(self) -> str:
        """Return "where: what; got X. Do."; control characters are shown, never sent."""
        got = f"; got {self.got}" if self.got else ""
        where = f"{self.where}: " if self.where else ""
        return visible(f"{where}{self.what}{got}. {self.do}".rstrip())

    @classmethod
    def told(cls, text: str) -> "Problem":
        """Return the problem that a text of the form "where: what; got X. Do." tells."""
        where, colon, rest = text.partition(": ")
        what, _, do = (rest if colon else text).partition(". ")
        what, _, got = what.rstrip(".").partition("; got ")
        return cls(where=where if colon else "", what=what, got=got, do=do)

    def event(self) -> dict[str, str]:
        """Return the fields a program reads."""
        words = {"where": self.where, "what": self.what, "do": self.do, "got": self.got}
        return {"event": "problem" if self.grave else "warning", **words}


class SettingsError(ValueError):
    """Every problem found in what one command was given, one a line."""

    def __init__(self, problems: Iterable[Problem], *, file: str = "") -> None:
        self.problems = tuple(problems)
        self.file = file
        super().__init__(self._text())

    def _text(self) -> str:
        count = len(self.problems)
        head = f"{count} problem" + ("s" if count != 1 else "")
        place = f"{visible(self.file)}: " if self.file else ""
        return "\n".join([f"{place}{head}:", *(f"  {problem}" for problem in self.problems)])

    def __reduce__(self) -> tuple[object, ...]:
        """Cross a process boundary whole."""
        return _remake, (self.problems, self.file)


def _remake(problems: tuple[Problem, ...], file: str) -> SettingsError:
    return SettingsError(problems, file=file)


def visible(text: str) -> str:
    r"""Return `text` with control characters written out: an escape becomes \x1b."""
    return "".join(
        char
        if char.isprintable() or char == "\n"
        else char.encode("unicode_escape", "backslashreplace").decode()
        for char in text
    )


def shown(value: object) -> str:
    """Return a value the way a YAML page would show it, at most 60 characters."""
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        text = f"[{', '.join(shown(item) for item in value[:60])}]"
        return text if len(text) <= 60 else f"a list of {len(value)}"
    text = repr(value) if type(value) is str else str(value)
    return text if len(text) <= 60 else f"{text[:56]}...{text[-1]}"


def nearest(name: str, known: Sequence[str], *, noun: str = "Known", otherwise: str = "") -> str:
    """Return "Did you mean 'x'?", or where nothing is near `otherwise` or the list of names."""
    near = difflib.get_close_matches(name[:200], known, n=1)
    if near:
        return f"Did you mean {near[0]!r}?"
    shown = ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
    return otherwise or f"{noun}: {shown or 'none'}."
