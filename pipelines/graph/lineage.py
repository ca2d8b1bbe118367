"""From a result to all that it was made from, up to the user's own files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.storage import Store
from cluster.store_files import digest_of
from pipelines.graph.outside import files_digest
from pipelines.graph.record import Record, read_record
from pipelines.graph.show import ago, size_of, spoken
from pipelines.graph.stored import is_unit, stored, within

HEX = re.compile(r"[0-9a-f]{4,64}")
INSIDE = re.compile(r"nodes/[0-9a-f]{2}/([0-9a-f]{64})(/|$)")


class UnknownResultError(ValueError):
    """Nothing in a store is meant by a name, or more than one thing (exit 2)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outer:
    """A user's file or folder that something was made from."""

    role: str
    path: str  # where it was; empty where the record does not say
    digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One input of a result: another result, or files of a user."""

    name: str  # of the input
    key: str | None
    record: Record | None  # None: collected since, or a user's files
    outers: tuple[Outer, ...] = ()
    files: tuple[str, ...] = ()  # the parts of the other result that were read; none: all


def sources(store: Store, record: Record) -> list[Source]:
    """Return what a result was made from, in the order of its inputs."""
    places = record.body.get("places", {})
    found: list[Source] = []
    for name, (digest, key) in record.body["inputs"].items():
        roles: dict[str, str] = digest if isinstance(digest, dict) else {}
        where: dict[str, str] = places.get(name, {})
        outers = () if key else tuple(
            Outer(role=role, path=where.get(role, ""), digest=own) for role, own in roles.items()
        )  # fmt: skip
        known = read_record(store, key) if key else None
        files = tuple(where.values()) if key else ()
        found.append(Source(name=name, key=key, record=known, outers=outers, files=files))
    return found


def above(store: Store, record: Record) -> Iterator[Record]:
    """Yield a result and all that are there of what it was made from, each once."""
    todo, seen = [record], set[str]()
    while todo:
        one = todo.pop()
        if one.key not in seen:
            seen.add(one.key)
            yield one
            todo += [s.record for s in reversed(sources(store, one)) if s.record]


def tree(store: Store, record: Record) -> list[str]:
    """Return the lineage as lines, each result in full where it comes first."""
    seen: set[str] = set()
    lines = [_line(record)]
    _below(store, record, "", lines, seen)
    every = list(above(store, record))
    took = spoken(sum(r.seconds for r in every))
    cpu = spoken(sum(float(r.body.get("cpu_s", 0.0)) for r in every))
    gpu = sum(float(r.body.get("gpu_s", 0.0)) for r in every)
    gpus = f", {spoken(gpu)} of GPUs" if gpu else ""
    size = size_of(sum(r.size for r in every))
    count = f"{len(every)} result{'s' if len(every) > 1 else ''}"
    return [*lines, f"{count}, {size}; made in {took}, {cpu} of CPUs{gpus}."]


def _below(store: Store, record: Record, indent: str, lines: list[str], seen: set[str]) -> None:
    seen.add(record.key)
    entries = _entries(store, record)
    for i, (text, source) in enumerate(entries):
        last = i == len(entries) - 1
        again = source is not None and source.key in seen
        lines.append(f"{indent}{'└─' if last else '├─'} {text}{' (as above)' if again else ''}")
        if source is not None and not again:
            _below(store, source, f"{indent}{'   ' if last else '│  '}", lines, seen)


def _entries(store: Store, record: Record) -> list[tuple[str, Record | None]]:
    out: list[tuple[str, Record | None]] = []
    for source in sources(store, record):
        for outer in source.outers:
            place = outer.path or "a user's files, of an unknown place"
            out.append((f"{source.name}: {outer.role} {place} ({outer.digest[:12]})", None))
        if source.key:
            part = f"{', '.join(source.files)} of " if source.files else ""
            what = (
                _line(source.record) if source.record else f"{source.key[:12]}, not there any more"
            )
            out.append((f"{source.name}: {part}{what}", source.record))
    return out


def _line(record: Record) -> str:
    body = record.body
    by = f"by {body['run']}, " if body["run"] else ""
    torch = body["versions"].get("torch")
    at = (
        f" at {body['git']['commit'][:12]}{'+' if body['git']['dirty'] else ''}"
        if body["git"]
        else ""
    )
    return (
        f"{body['node']} {record.key[:12]}: {size_of(record.size)}, {by}{ago(record)} in "
        f"{spoken(record.seconds)} on {body['host']}, torch {torch}{at}"
    )


def events(store: Store, record: Record) -> Iterator[dict[str, Any]]:
    """Yield each result of a lineage as a program reads it."""
    names = ("recipe", "node", "fn", "settings", "parts", "run", "host", "started", "seconds")
    more = ("cpu_s", "gpu_s", "rss_max", "versions", "git")
    for one in above(store, record):
        inputs: dict[str, Any] = {}
        for source in sources(store, one):
            there = {"key": source.key, "there": source.record is not None}
            files = {o.role: {"path": o.path or None, "digest": o.digest} for o in source.outers}
            inputs[source.name] = there if source.key else {"files": files}
        facts = {name: one.body.get(name) for name in (*names, *more)}
        sizes = {"key": one.key, "digest": one.digest, "bytes": one.size}
        yield {"event": "result", **sizes, **facts, "inputs": inputs}


def named(store: Store, name: str) -> list[Record]:
    """Return the result that is meant: by key, by folder or file, or the newest of a node.

    Raises:
        UnknownResultError: nothing is, or several are.
    """
    place = Path(name)
    if (inside := INSIDE.search(name)) and (record := read_record(store, inside[1])):
        return [record]
    if place.exists():
        if found := _of_bytes(store, place):
            return found
        raise UnknownResultError(
            f"ARTIFACT: no result of this store has these bytes; got {place.absolute()}. "
            "Name the store it was made in: --store."
        )
    found = within(store, name) if HEX.fullmatch(name) else []
    if len(found) == 1:
        return found
    if found:
        listed = ", ".join(f"{r.key[:16]} ({r.body['node']})" for r in found[:5])
        raise UnknownResultError(
            f"ARTIFACT: {len(found)} keys begin so; got '{name}'. Say more of it: {listed}."
        )
    latest = [one.record for one in stored(store) if one.record and one.record.body["node"] == name]
    return sorted(latest, key=lambda r: (is_unit(r), -r.body["started"]))[:1]


def _of_bytes(store: Store, place: Path) -> list[Record]:
    """Return the newest result that is this folder, or that holds this file."""
    records = [one.record for one in stored(store) if one.record]
    if place.is_dir():
        paths = {str(p.relative_to(place)): p for p in sorted(place.rglob("*")) if p.is_file()}
        sizes = {name: path.stat().st_size for name, path in paths.items()}
        records = [r for r in records if {n: s for n, (s, _) in r.files.items()} == sizes]
        if records:  # only then are bytes read
            digest = files_digest([(n, sizes[n], digest_of(p)) for n, p in paths.items()])
            records = [r for r in records if r.digest == digest]
    else:
        size = place.stat().st_size
        records = [r for r in records if any(s == size for s, _ in r.files.values())]
        if records:
            entry = (size, digest_of(place))
            records = [r for r in records if entry in r.files.values()]
    return sorted(records, key=lambda r: -r.body["started"])[:1]
