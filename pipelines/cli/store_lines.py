"""What `vocabox store` says: tables for people, and the same as events for programs."""

from collections.abc import Sequence
from typing import Any

from pipelines.graph.garbage import WORDS, Doomed, sums
from pipelines.graph.record import Record
from pipelines.graph.show import ago, size_of

HEAD = ("recipe", "node", "key", "bytes", "age", "run")
RIGHT = (3, 4)  # columns of numbers


def table(records: Sequence[Record]) -> list[str]:
    """Return one line a result, below a head; nothing where there is none."""
    if not records:
        return []
    rows = [HEAD, *(_row(record) for record in records)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    return ["  ".join(_cells(row, widths)).rstrip() for row in rows]


def _cells(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    pairs = enumerate(zip(row, widths, strict=True))
    return [text.rjust(w) if i in RIGHT else text.ljust(w) for i, (text, w) in pairs]


def _row(record: Record) -> tuple[str, ...]:
    body = record.body
    name = (body["recipe"], body["node"], record.key[:12])
    return (*name, size_of(record.size), ago(record), str(body["run"] or "-"))


def listed(records: Sequence[Record]) -> str:
    """Return the sum of a list."""
    nodes = len({(r.body["recipe"], r.body["node"]) for r in records})
    return f"{_many(len(records), 'result', 'results')} of {_many(nodes, 'node', 'nodes')}, " + (
        f"{size_of(sum(r.size for r in records))}."
    )


def result_event(record: Record) -> dict[str, Any]:
    """Return one result for a program."""
    body = record.body
    names = ("recipe", "node", "key", "run", "started", "seconds", "host")
    more = {"digest": record.digest, "bytes": record.size, "files": len(record.files)}
    return {"event": "result", **{name: body[name] for name in names}, **more}


def doomed_event(one: Doomed) -> dict[str, Any]:
    """Return one thing to go for a program."""
    key = one.record.key if one.record else None
    return {"event": "garbage", "kind": one.kind, "name": one.name, "key": key, "bytes": one.size}


def gone(found: Any, *, deleted: bool) -> list[str]:
    """Return what went or would go: results by name, the rest by number."""
    lines = table([one.record for one in found.doomed if one.record])
    counts = sums(found.doomed)
    parts = [
        f"{_many(counts[kind][0], *words)} ({size_of(counts[kind][1])})"
        for kind, words in WORDS.items()
        if kind in counts and kind != "name"  # which is of no size
    ]
    verb = "Deleted" if deleted else "Would go"
    whole = size_of(sum(size for _, size in counts.values()))
    lines.append(f"{verb}: {', '.join(parts)}; {whole} in all." if parts else "Nothing to delete.")
    live = f", of which {', '.join(found.live)} being worked on" if found.live else ""
    runs = _many(found.runs, "run is", "runs are")
    lines.append(f"{_many(found.kept, 'result stays', 'results stay')}; {runs} kept{live}.")
    return lines


def verdict_line(
    looked: int, size: int, *, damaged: int, other: int, deep: bool, repair: bool
) -> list[str]:
    """Return how a check of a store ended, and what to do."""
    how = "every byte read" if deep else "names and sizes"
    lines = [
        f"{_many(looked, 'result', 'results')} looked at, {how}, {size_of(size)}; "
        + (f"{damaged} damaged." if damaged else "all are whole.")
    ]
    if other:
        lines.append(f"{other} of another version of vocabox: not looked into, and kept.")
    if damaged and not repair:
        lines.append("Nothing was changed. Pass --repair to move what is damaged to quarantine/.")
    if damaged and repair:
        lines.append("What was moved is made anew by the next run that needs it.")
    return lines


def _many(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"
