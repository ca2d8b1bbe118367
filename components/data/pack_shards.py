"""Labelled pictures -> tar shards, a Parquet index, a vocabulary and a record.

The bytes are a function of the input alone: no time, host, path or process is in them. Shards are
plain WebDataset tars: KEY.jpg beside KEY.json with the same facts, for readers that are not ours.
"""

import hashlib
import json
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.data.decode import SUFFIXES, picture_bytes
from components.data.index_schema import RECORD_VERSION, ROW_GROUP, SCHEMA
from components.data.labelled import Labelled, Supervision
from components.data.quarantine import SAY_EVERY, Looked, Usable, look_at_all, refuse
from components.data.sources.label_problems import DataError
from components.vocab.classes import Vocabulary

SHARD_SAMPLES, SHARD_BYTES = 1000, 256 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedRecord:
    """What was packed."""

    samples: int
    boxes: int
    quarantined: Counter[str]  # check id -> pictures left out
    noted: Counter[str]  # check id -> odd boxes and pictures that were taken


@dataclass(kw_only=True, slots=True)
class _Shards:
    """The shards being written: members in order, each with its place."""

    out: Path
    files: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    tar: tarfile.TarFile | None = None
    samples: int = 0

    def add(self, key: str, suffix: str, data: bytes, facts: bytes) -> tuple[int, int]:
        """Add one sample; return (shard, offset of the picture's bytes)."""
        at = self.tar.offset if self.tar else 0
        if self.tar is None or self.samples >= SHARD_SAMPLES or at > SHARD_BYTES:
            self.close()
            place = self.out / f"{len(self.files):06d}.tar"
            self.tar = tarfile.open(place, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
            self.files.append({"file": place.name, "samples": 0})
            self.samples = 0
        offset = self.tar.offset + tarfile.BLOCKSIZE
        for name, content in ((f"{key}.{suffix}", data), (f"{key}.json", facts)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o644
            self.tar.addfile(member, BytesIO(content))
        self.samples += 1
        self.files[-1]["samples"] = self.samples
        return len(self.files) - 1, offset

    def close(self) -> None:
        """End the shard that is open and note its digest."""
        if self.tar is not None:
            self.tar.close()
            self.files[-1] |= _digest(self.out / self.files[-1]["file"])
            self.tar = None


def pack(
    samples: Iterable[Labelled],
    *,
    out: Path,
    vocabulary: Vocabulary | None,
    name: str,
    seed: int,
    shuffle: bool,
    say: Callable[[int], None],
    max_bad_fraction: float = 0.001,
) -> PackedRecord:
    """Write one set of shards into the folder `out`.

    Args:
        samples: pictures on disk and what is known of them.
        out: an empty folder.
        vocabulary: classes and their order; None takes those that occur, sorted.
        name: of the set.
        seed: of the order of packing.
        shuffle: pack in the order of a hash, so that a set sorted by class is not read so.
        say: told how many pictures are looked at.
        max_bad_fraction: share of pictures that may be left out, in [0, 1].

    Raises:
        DataError: too many pictures cannot be used, none is left, or a box is outside its own.
        VocabularyError: a label's class is not in the vocabulary given.
    """
    found = look_at_all(samples, quarantine=out / "quarantine.jsonl", say=say)
    refuse(found, name=name, most=max_bad_fraction)
    good = found.usable
    if shuffle:
        good.sort(key=lambda g: hashlib.sha256(f"{seed}/{g.key}".encode()).digest())
    used = {c for g in good for c in (*g.sample.classes, *g.sample.present, *g.sample.absent)}
    classes = Vocabulary.of(used) if vocabulary is None else vocabulary
    place = {class_id: classes.index(class_id) for class_id in sorted(used)}
    rows = [_row(g, place) for g in good]
    shards, boxes = _Shards(out=out), sum(len(row["boxes"]) for row in rows)
    with closing(shards):
        for done, (g, row) in enumerate(zip(good, rows, strict=True)):
            data = picture_bytes(g.sample.path)
            if hashlib.sha256(data).digest() != g.sha256:
                raise DataError(
                    [f"{g.sample.source_name}: the picture changed while it was packed; got other "
                     "bytes the second time. Pack again."]
                )  # fmt: skip
            suffix, facts = SUFFIXES[g.header.format], _facts(row, classes)
            row["shard"], row["offset"] = shards.add(g.key, suffix, data, facts)
            row["size"] = len(data)
            if done % SAY_EVERY == 0:
                say(found.seen + done)
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    pq.write_table(
        table, out / "index.parquet", compression="zstd", row_group_size=ROW_GROUP,
        use_dictionary=["format"],  # pyright: ignore[reportArgumentType]  its stub is wrong
        store_schema=False,
    )  # fmt: skip
    classes.write(out / "vocabulary.json")
    order = {"shuffled": shuffle, "seed": seed}
    _record(out, found, name=name, order=order, shards=shards.files, boxes=boxes)
    return PackedRecord(samples=len(good), boxes=boxes, quarantined=found.bad, noted=found.noted)


def _row(good: Usable, place: dict[str, int]) -> dict[str, Any]:
    sample, header = good.sample, good.header
    listed = zip(sample.boxes.tolist(), sample.classes, sample.flags.tolist(), strict=True)
    return {
        "sha256": good.sha256,
        "key": good.key,
        "source_name": sample.source_name,
        "source_id": sample.source_id,
        "width": header.width,
        "height": header.height,
        "format": header.format,
        "boxes": [
            {"category": place[c], "x1": b[0], "y1": b[1], "x2": b[2], "y2": b[3], "flags": f,
             "weight": 1.0}
            for b, c, f in listed
        ],
        "present": sorted(place[c] for c in sample.present),
        "absent": sorted(place[c] for c in sample.absent),
        "supervision": int(sample.supervision),
    }  # fmt: skip


def _facts(row: dict[str, Any], classes: Vocabulary) -> bytes:
    names = classes.ids
    facts = {
        "width": row["width"],
        "height": row["height"],
        "supervision": Supervision(row["supervision"]).name.lower(),
        "boxes": [[b["x1"], b["y1"], b["x2"], b["y2"]] for b in row["boxes"]],
        "classes": [names[b["category"]] for b in row["boxes"]],
        "present": [names[c] for c in row["present"]],
        "absent": [names[c] for c in row["absent"]],
    }
    return json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()


def _record(
    out: Path,
    found: Looked,
    *,
    name: str,
    order: dict[str, Any],
    shards: list[dict[str, Any]],
    boxes: int,
) -> None:
    by = Counter(Supervision(g.sample.supervision).name.lower() for g in found.usable)
    vocabulary = {"file": "vocabulary.json", **_digest(out / "vocabulary.json")}
    record = {
        "version": RECORD_VERSION,
        "kind": "shards",
        "name": name,
        "vocabulary": vocabulary,
        "samples": len(found.usable),
        "boxes": boxes,
        "images_by_supervision": dict(by),
        "shards": shards,
        "index": {"file": "index.parquet", **_digest(out / "index.parquet")},
        "quarantined": dict(found.bad),
        "noted": dict(found.noted),
        "noted_first": found.noted_first,
        "order": order,
    }
    text = json.dumps(record, sort_keys=True, ensure_ascii=False, indent=1)
    (out / "record.json").write_text(text, encoding="utf-8")


def _digest(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}
