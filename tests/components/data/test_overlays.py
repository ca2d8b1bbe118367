"""Overlays: a stack is what would be done to a list of pictures by hand; refused elsewhere."""

import hashlib
import json
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from components.data.index_schema import SCHEMA
from components.data.overlay_files import RECORD, TABLE, Named, read_overlay, write_overlay
from components.data.overlays import LABELS, Mode, Overlay, OverlayError, resolved, stack_digest
from components.data.read_index import DamagedError
from components.data.shards import Shards
from tests.components.data.small_sets import jpeg, known, packed

PICTURES = 6
Box = dict[str, Any]
Plain = list[tuple[str, list[Box], int]]  # key, boxes, supervision


def a_set(folder: Path) -> tuple[Shards, pa.Table, Named]:
    """Pack six pictures with none to two boxes each."""
    samples = [
        known(jpeg(folder / f"{i}.jpg", shade=9 * i), *((1, 2, 9 + k, 9) for k in range(i % 3)))
        for i in range(PICTURES)
    ]
    shards = packed(folder / "set", samples)
    table = pq.read_table(folder / "set" / "index.parquet", schema=SCHEMA)
    return shards, table, Named(digest=shards.digest, key=table["key"], sha256=table["sha256"])


def box(category: int, at: float, **other: Any) -> Box:
    corners = {"x1": at, "y1": 0.0, "x2": at + 4, "y2": 6.0}
    return {"category": category, **corners, "flags": 0, "weight": 1.0, "score": 0.5,
            "quality": 0.25, **other}  # fmt: skip


def boxes(lists: list[list[Box]]) -> pa.Array:
    return pa.array(lists, LABELS["boxes"])


def overlay(folder: Path, mode: Mode, of: Named, rows: list[int], **labels: pa.Array) -> Overlay:
    folder.mkdir(parents=True)
    write_overlay(folder, mode=mode, of=of, rows=np.array(rows, np.int64), labels=labels)
    return read_overlay(folder, classes=2, pictures=PICTURES)[0]


def plain(table: pa.Table) -> Plain:
    names = ("key", "boxes", "supervision")
    return [tuple(row[n] for n in names) for row in table.to_pylist()]  # pyright: ignore[reportReturnType]


steps = st.lists(
    st.tuples(
        st.sampled_from(["replace", "add", "keep", "again"]),
        st.lists(st.integers(0, PICTURES - 1), unique=True, max_size=PICTURES),
        st.lists(st.integers(0, 2), min_size=PICTURES, max_size=PICTURES),
    ),
    max_size=4,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps)
def test_a_stack_is_each_overlay_by_hand(
    tmp_path_factory: pytest.TempPathFactory, stack: list[tuple[str, list[int], list[int]]]
) -> None:
    folder = tmp_path_factory.mktemp("stack")
    _, table, of = a_set(folder)
    wanted, laid = plain(table), list[Overlay]()
    keys = [key for key, _, _ in wanted]
    for i, (mode, listed, counts) in enumerate(stack):
        here = {key for key, _, _ in wanted}
        rows = sorted(r for r in listed if keys[r] in here)
        if mode == "again":
            laid += laid[:1] if laid and laid[0].mode != "keep" else []
            continue
        found = [[box(i % 2, float(k), score=0.1 * i) for k in range(counts[r])] for r in rows]
        new = {keys[r]: found[j] for j, r in enumerate(rows)}
        bare = {
            k: [{n: v for n, v in b.items() if n not in ("score", "quality")} for b in v]
            for k, v in new.items()
        }
        labels = {} if mode == "keep" else {"boxes": boxes(found)}
        if mode == "replace":
            labels["supervision"] = pa.array([3] * len(rows), pa.uint8())
            wanted = [(k, bare.get(k, b), 3 if k in bare else s) for k, b, s in wanted]
        elif mode == "add":
            wanted = [(k, b + bare.get(k, []), s) for k, b, s in wanted]
        else:
            wanted = [row for row in wanted if row[0] in new]
        laid.append(overlay(folder / f"o{i}", mode, of, rows, **labels))  # pyright: ignore[reportArgumentType]
    assert plain(resolved(table, laid, of=of.digest)) == wanted
    assert resolved(table, laid, of=of.digest).schema.equals(SCHEMA)


def test_digests_of_stacks(tmp_path: Path) -> None:
    _, _, of = a_set(tmp_path)
    one = overlay(tmp_path / "1", "keep", of, [0, 2])
    same = overlay(tmp_path / "2", "keep", of, [0, 2])
    other = overlay(tmp_path / "3", "keep", of, [0])
    assert one.digest == same.digest != other.digest
    assert (tmp_path / "1" / TABLE).read_bytes() == (tmp_path / "2" / TABLE).read_bytes()
    assert stack_digest("d", []) == "d"
    assert stack_digest("d", [one]) == stack_digest("d", [one, same]) != "d"
    assert stack_digest("d", [one, other]) != stack_digest("d", [other, one])


def test_an_overlay_lies_on_no_other_set(tmp_path: Path) -> None:
    _, table, of = a_set(tmp_path / "a")
    keep = overlay(tmp_path / "k", "keep", of, [1])
    with pytest.raises(OverlayError, match="made for another set; got one of"):
        resolved(table, [keep], of="0" * 64)
    lost = overlay(tmp_path / "l", "keep", of, [0])
    with pytest.raises(OverlayError, match="got 1 that are not in it, or were left out"):
        resolved(table, [keep, lost], of=of.digest)
    changed = table["sha256"].to_pylist()
    changed[1] = b"x" * 32
    at = table.schema.get_field_index("sha256")
    other = table.set_column(at, SCHEMA.field("sha256"), pa.array(changed, pa.binary(32)))
    with pytest.raises(OverlayError, match="by its bytes; got 1 with other bytes"):
        resolved(other, [keep], of=of.digest)


def test_a_mode_has_its_columns_only(tmp_path: Path) -> None:
    _, _, of = a_set(tmp_path)
    with pytest.raises(OverlayError, match="mode keep has the columns none; got supervision"):
        write_overlay(tmp_path, mode="keep", of=of, rows=np.array([0]),
                      labels={"supervision": pa.array([1], pa.uint8())})  # fmt: skip


def test_what_its_maker_says_comes_back(tmp_path: Path) -> None:
    _, _, of = a_set(tmp_path)
    (tmp_path / "o").mkdir()
    about = {"teacher": "abc", "thresholds": {"coarse:a": 0.7}}
    write_overlay(tmp_path / "o", mode="keep", of=of, rows=np.array([2]), about=about)
    assert read_overlay(tmp_path / "o", classes=2, pictures=PICTURES)[1] == about


RECORDS = [
    ("{", "not an overlay; got JSONDecodeError"),
    ("[" * 100_000, "not an overlay; got RecursionError"),
    ({"kind": "shards"}, "kind 'shards'"),
    ({"mode": "erase"}, "mode 'erase'"),
    ({"version": 2}, "a newer overlay"),
    ({"version": 10**400}, "a newer overlay"),
    ({"overlay": 3}, "not an overlay; got TypeError"),
]


@pytest.mark.parametrize(("record", "said"), RECORDS)
def test_records_that_are_none(tmp_path: Path, record: Any, said: str) -> None:
    _, _, of = a_set(tmp_path)
    overlay(tmp_path / "o", "keep", of, [0])
    place = tmp_path / "o" / RECORD
    whole = json.loads(place.read_text())
    place.write_text(record if isinstance(record, str) else json.dumps(whole | record))
    with pytest.raises(OverlayError) as found:
        read_overlay(tmp_path / "o", classes=2, pictures=PICTURES)
    assert said in str(found.value)


def retold(folder: Path, table: pa.Table | None, **how: Any) -> None:
    """Write another table into an overlay, with a record that stands by it."""
    if table is not None:
        settings: dict[str, Any] = {"use_dictionary": False, **how}
        pq.write_table(table, folder / TABLE, **settings)
    record = json.loads((folder / RECORD).read_text())
    record["overlay"]["sha256"] = hashlib.sha256((folder / TABLE).read_bytes()).hexdigest()
    record["samples"] = pq.read_metadata(folder / TABLE).num_rows
    (folder / RECORD).write_text(json.dumps(record))


def test_tables_that_cannot_have_been_written(tmp_path: Path) -> None:
    _, _, of = a_set(tmp_path)
    lists = [[box(0, 1.0)], []]
    good = overlay(tmp_path / "o", "replace", of, [0, 1], boxes=boxes(lists),
                   supervision=pa.array([0, 0], pa.uint8())).table  # fmt: skip

    def changed(**columns: pa.Array) -> pa.Table:
        table = good
        for name, column in columns.items():
            table = table.set_column(table.schema.get_field_index(name), name, column)
        return table

    wrong: list[tuple[pa.Table, str]] = [
        (changed(boxes=boxes([[box(2, 1.0)], []])), "boxes.category cannot be 2"),
        (changed(boxes=boxes([[box(0, -1.0)], []])), "boxes.x1 cannot be -1.0"),
        (changed(boxes=boxes([[box(0, float("nan"))], []])), "boxes.x1 cannot be nan"),
        (changed(boxes=boxes([[box(0, 1.0, score=1.5)], []])), "boxes.score cannot be 1.5"),
        (changed(boxes=boxes([[box(0, 1.0, quality=None)], []])), "boxes.quality has 1 empty"),
        (changed(boxes=pa.array([[None], []], LABELS["boxes"])), "boxes has 1 empty"),
        (changed(boxes=pa.array([None, []], LABELS["boxes"])), "boxes has 1 empty"),
        (changed(supervision=pa.array([9, 0], pa.uint8())), "supervision cannot be 9"),
        (changed(key=pa.array(["a", None])), "key has 1 empty"),
        (good.append_column("licence", pa.array([1, 1])), "columns key, sha256, boxes"),
        (good.drop_columns(["key"]), "columns key, sha256, boxes"),
        (good.slice(0, 1).take([0] * 7), "7 rows are due, of 6 pictures; got 7"),
        (changed(boxes=boxes([[box(0, 1.0)] * 2001, []])), "more labels than pictures have"),
    ]
    for table, said in wrong:
        retold(tmp_path / "o", table)
        with pytest.raises(DamagedError) as found:
            read_overlay(tmp_path / "o", classes=2, pictures=PICTURES)
        assert said in str(found.value), said
    for encoding in ({"use_dictionary": ["key"]}, {"column_encoding": {"key": "DELTA_BYTE_ARRAY"}}):
        retold(tmp_path / "o", good, **encoding)
        with pytest.raises(DamagedError, match="keys are plain text; got the encodings"):
            read_overlay(tmp_path / "o", classes=2, pictures=PICTURES)


def test_a_table_that_is_damaged_or_gone(tmp_path: Path) -> None:
    _, _, of = a_set(tmp_path)
    overlay(tmp_path / "o", "keep", of, [0])
    place = tmp_path / "o" / TABLE
    data = place.read_bytes()
    place.write_bytes(data[:-20] + b"x" * 20)
    with pytest.raises(DamagedError, match="got another digest"):
        read_overlay(tmp_path / "o", classes=2, pictures=PICTURES)
    retold(tmp_path / "o", pa.table({"key": ["a"]}))
    place.write_bytes(b"PAR1")
    record = json.loads((tmp_path / "o" / RECORD).read_text())
    record["overlay"]["sha256"] = hashlib.sha256(b"PAR1").hexdigest()
    (tmp_path / "o" / RECORD).write_text(json.dumps(record))
    with pytest.raises(DamagedError, match=r"overlay\.parquet: "):
        read_overlay(tmp_path / "o", classes=2, pictures=PICTURES)
    place.unlink()
    with pytest.raises(DamagedError, match="there is no such file"):
        read_overlay(tmp_path / "o", classes=2, pictures=PICTURES)
