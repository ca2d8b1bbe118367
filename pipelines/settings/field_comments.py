"""The source of a dataclass in; what its author wrote beside each field out."""

import ast
import inspect
import io
import textwrap
import tokenize
from functools import cache
from typing import Any

NOT_FOR_PEOPLE = ("noqa", "pyright:", "type:")


@cache
def field_comments(cls: type[Any]) -> dict[str, str]:
    """Return field -> its comment, in one line; a field without one is left out.

    A comment of a field stands on its lines, or on lines of their own directly below them.
    """
    source = textwrap.dedent(inspect.getsource(cls))
    body = ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - a type is a class
    beside, below = _comments(source)
    found: dict[str, str] = {}
    for node in body.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        last = node.end_lineno or node.lineno
        words = [beside[line] for line in range(node.lineno, last + 1) if line in beside]
        while words and (last := last + 1) in below:
            words.append(below[last])
        if words:
            found[node.target.id] = " ".join(words)
    return found


def first_line(cls: type[Any]) -> str:
    """Return the first line of a class's docstring, without its full stop."""
    return (inspect.getdoc(cls) or "").partition("\n")[0].removesuffix(".")


def _comments(source: str) -> tuple[dict[int, str], dict[int, str]]:
    """Return line -> comment, of comments beside code and of those on lines of their own."""
    beside: dict[int, str] = {}
    below: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        words = token.string.lstrip("#").strip()
        if token.type == tokenize.COMMENT and not words.startswith(NOT_FOR_PEOPLE):
            alone = not token.line[: token.start[1]].strip()
            (below if alone else beside)[token.start[0]] = words
    return beside, below
