"""One thing wrong with a graph, and the error that holds all of them."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing wrong with a graph."""

    where: str
    what: str
    got: str
    do: str

    def __str__(self) -> str:
        """Return the sentence for people."""
        return f"{self.where}: {self.what}; got {self.got}. {self.do}"


class GraphError(ValueError):
    """A graph that cannot run; nothing was started."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        """Return all problems, one a line."""
        return "\n".join(str(problem) for problem in self.problems)


Problems = Iterator[Problem]
