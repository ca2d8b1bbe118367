"""A worker runs a node only with the source that its key was made from."""

from collections.abc import Callable, Mapping
from typing import Any

from pipelines.graph.closure import Code, CodeError, Definition, code_digest
from pipelines.graph.key import classes_in, sha256

_same: set[str] = set()  # digests of code found equal in this process


class OtherCodeError(RuntimeError):
    """The worker's source gives another digest than the driver's."""


def starts_of(
    fn: Callable[..., Any], *, cfg: object, parts: Mapping[str, Callable[..., Any]]
) -> tuple[Definition, ...]:
    """Return where the closure of a node starts: function, settings classes, parts."""
    things = [fn, *classes_in(cfg), *parts.values()]
    return tuple(dict.fromkeys((t.__module__, t.__qualname__) for t in things))


def code_for(
    fn: Callable[..., Any],
    *,
    cfg: object,
    parts: Mapping[str, Callable[..., Any]],
    code: Code,
) -> dict[str, str]:
    """Return the closure of a node.

    Raises:
        CodeError: reached code hides what it calls, or a start has no source.
    """
    for thing in (fn, *parts.values()):
        code.adopt(thing)
    starts = starts_of(fn, cfg=cfg, parts=parts)
    ours = [start for start in starts if start[0].split(".")[0] in code.roots]
    return code.closure(ours)


def source_digests(code: Code, closure: Mapping[str, str]) -> dict[str, str]:
    """Return the sha256 of each file a closure was read from, by module."""
    return {name: sha256(path.read_bytes()) for name, path in code.files(closure).items()}


def check_same(
    fn: Callable[..., Any],
    *,
    cfg: object,
    parts: Mapping[str, Callable[..., Any]],
    digest: str,
    sources: Mapping[str, str],
) -> None:
    """Compare this process's source with what a key was made from, once a process.

    Equal files are enough; else the closure is read, so that a comment stops nobody.

    Raises:
        OtherCodeError: the closure differs.
    """
    if digest in _same:
        return
    code = Code()
    for thing in (fn, *parts.values()):
        code.adopt(thing)
    if not _equal_files(code, sources):
        try:
            here = code_digest(code_for(fn, cfg=cfg, parts=parts, code=code))
        except CodeError as error:
            here = str(error)
        if here != digest:
            raise OtherCodeError(
                f"{fn.__module__}:{fn.__qualname__}: the worker has other code than the driver; "
                f"got {here[:12]}, wanted {digest[:12]}. Install the same source on every machine."
            )
    _same.add(digest)


def _equal_files(code: Code, sources: Mapping[str, str]) -> bool:
    return all(_digest(code, name) == digest for name, digest in sources.items())


def _digest(code: Code, name: str) -> str | None:
    for path in code.places(name):
        if path.is_file():
            return sha256(path.read_bytes())
    return None
