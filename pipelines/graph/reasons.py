"""Why a node runs: what differs from the last result of that name, in words."""

import difflib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, cast

from cluster.storage import StorageError, Store
from pipelines.graph.closure import Code, changes
from pipelines.graph.key import label, sha256
from pipelines.graph.lookup import Identified, Lookup
from pipelines.graph.node import Node
from pipelines.graph.record import Record, read_record
from pipelines.graph.same_code import code_for

AT_ONCE = 8  # texts written
DIFF_LINES = 12  # shown of one definition
TOO_LONG = 60  # characters of a value


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason, and the lines of code that show it."""

    text: str
    diff: tuple[str, ...] = ()
    of: Literal["code", "versions", ""] = ""  # what --frozen refuses


@dataclass(frozen=True, slots=True)
class Past:
    """The records that a node's name has had in a recipe, newest first."""

    records: tuple[Record, ...]


def past(store: Store, *, recipe: str, node: str) -> Past:
    """Read the records under names/<recipe>/<node>."""
    found = [read_record(store, key) for key in store.list(f"names/{recipe}/{node}")]
    records = [record for record in found if record is not None]
    return Past(tuple(sorted(records, key=lambda r: -r.body["started"])))


def why(known: Identified, before: Past, *, lookup: Lookup) -> tuple[Reason, ...]:
    """Compare a node with its latest record: code, settings, parts, inputs; all differences."""
    if known.damage:
        return (Reason(f"result damaged: {known.damage[0]}"),)
    if not before.records:
        return (Reason("never run under this name"),)
    out = [
        *own_changes(known.node, before, settings=known.settings, lookup=lookup),
        *_inputs(before.records[0].body["inputs"], known),
    ]
    return tuple(out) or (Reason("result collected, or recorded by another version"),)


def own_changes(node: Node, before: Past, *, settings: Any, lookup: Lookup) -> list[Reason]:
    """Compare a node with its latest record in all but its inputs, which need not be known."""
    if not before.records:
        return []
    old = before.records[0].body
    code = lookup.code
    closure = code_for(node.fn, cfg=node.cfg, parts=node.parts, code=code)
    out = [
        *_code(old["code"], closure, store=lookup.store, code=code),
        *_settings(old["settings"], settings, keys=node.keys),
        *_parts(old, node),
    ]
    if old["fn"] != label(node.fn):
        out.insert(0, Reason(f"code: {old['fn']} -> {label(node.fn)}", of="code"))
    if old["makes"] != [node.makes.name, node.makes.version]:
        text = "makes: another kind of artifact, or a newer format of it"
        out.append(Reason(text, of="code"))
    return [*out, *_versions(old.get("keyed", {}), lookup.keyed)]


def keep_texts(store: Store, closure: Mapping[str, str], *, code: Code) -> None:
    """Write the text of each definition under code/, so that a later run can show what changed."""

    def keep(digest: str) -> None:
        if not store.exists(_place(digest)):
            store.put_new(_place(digest), code.texts[digest].encode(), sync="fast")

    with ThreadPoolExecutor(AT_ONCE) as pool:  # hundreds of requests where the store is a bucket
        list(pool.map(keep, [digest for digest in closure.values() if digest in code.texts]))


def _place(digest: str) -> str:
    return f"code/{digest[:2]}/{digest}"


def _code(
    old: Mapping[str, str], new: Mapping[str, str], *, store: Store, code: Code
) -> Iterable[Reason]:
    for name, how in changes(old, new):
        if how != "changed":
            yield Reason(f"code: {name} ({how})", of="code")
            continue
        before, after = _text(old[name], store=store, code=code), code.texts.get(new[name])
        if before is None or after is None:
            text = f"code: {name} (changed; the earlier text is not kept)"
            yield Reason(text, of="code")
            continue
        lines = [
            line
            for line in difflib.unified_diff(before.splitlines(), after.splitlines(), n=0)
            if line[:3] not in ("---", "+++") and line[:2] != "@@"
        ]
        less = sum(line.startswith("-") for line in lines)
        more = len(lines) - less
        plural = "line" if more == 1 else "lines"
        cut = [*lines[:DIFF_LINES], *(["..."] if len(lines) > DIFF_LINES else [])]
        yield Reason(f"code: {name} (-{less} +{more} {plural})", tuple(cut), of="code")


def _text(digest: str, *, store: Store, code: Code) -> str | None:
    if digest in code.texts:
        return code.texts[digest]
    try:
        data = store.read(_place(digest)) if len(digest) == 64 else None
    except StorageError:
        data = None
    return data.decode() if data is not None and sha256(data) == digest else None


def _settings(old: Any, new: Any, *, keys: Mapping[str, str]) -> Iterable[Reason]:
    before, after = dict(flat(old)), dict(flat(new))
    for path in dict.fromkeys([*after, *before]):
        name = _written(path, keys)
        if path not in before:
            yield Reason(f"settings: {name} added, {_short(after[path])}")
        elif path not in after:
            yield Reason(f"settings: {name} taken away, was {_short(before[path])}")
        elif before[path] != after[path] or type(before[path]) is not type(after[path]):
            yield Reason(f"settings: {name} {_short(before[path])} -> {_short(after[path])}")


def _written(path: str, keys: Mapping[str, str]) -> str:
    """Return the key by which a setting of a node is written: by the longest path that leads."""
    above = path
    while above and above not in keys:
        above = above.rpartition(".")[0]
    return keys[above] + path[len(above) :] if above else path


def flat(value: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    """Yield (dotted path, value) of nested settings; a list of plain values stays whole."""
    if isinstance(value, dict):
        for name, item in cast("dict[str, Any]", value).items():
            yield from flat(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(
        isinstance(item, dict | list) for item in cast("list[Any]", value)
    ):
        for i, item in enumerate(cast("list[Any]", value)):
            yield from flat(item, f"{path}.{i}")
    else:
        yield path, value


def _parts(old: Mapping[str, Any], node: Node) -> Iterable[Reason]:
    before: Mapping[str, str] = old["parts"]
    after = {name: label(part) for name, part in node.parts.items()}
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            text = f"part {name}: {before.get(name, 'none')} -> {after.get(name, 'none')}"
            yield Reason(text, of="code")


def _versions(old: Mapping[str, str], new: Mapping[str, str]) -> Iterable[Reason]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            then, now = (v.get(name, "not in the key") for v in (old, new))
            yield Reason(f"version of {name}: {then} -> {now}", of="versions")


def _inputs(old: Mapping[str, Any], known: Identified) -> Iterable[Reason]:
    after = {name: digest for name, (digest, _) in known.inputs.items()}
    for name in dict.fromkeys([*after, *old]):
        if name not in old:
            yield Reason(f"input {name}: new")
        elif name not in after:
            yield Reason(f"input {name}: taken away")
        elif old[name][0] != after[name]:
            yield Reason(f"input {name}: {_differs(old[name][0], after[name])}")


def _differs(old: Any, new: Any) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = cast("dict[str, str]", old), cast("dict[str, str]", new)
        roles = [r for r in {**pairs[0], **pairs[1]} if pairs[0].get(r) != pairs[1].get(r)]
        return "; ".join(
            f"{r} {_digest(pairs[0].get(r))} -> {_digest(pairs[1].get(r))}" for r in roles
        )
    return f"{_digest(old)} -> {_digest(new)}"


def _digest(value: Any) -> str:
    return f"{value[:4]}.." if isinstance(value, str) else "none" if value is None else "files"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= TOO_LONG else f"{text[: TOO_LONG - 4]} ..."
