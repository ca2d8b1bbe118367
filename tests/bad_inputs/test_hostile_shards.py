"""Shards made by somebody who means harm: refused, nothing runs, memory stays small."""

import ast
import gzip
import hashlib
import io
import json
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data.index_schema import SCHEMA
from tests.bad_inputs.bad_pictures import PHOTO, Evil, coded
from tests.bad_inputs.probes import ROOT, Told, probe, probe_each
from tests.components.data.small_sets import jpeg, known, packed
from tests.pipelines.cli.small import call

MB = 2**20
JPEG = coded(PHOTO, "JPEG")


class Set:
    """A set of one picture, and what a stranger may change in it: all digests fit afterwards."""

    def __init__(self, folder: Path) -> None:
        packed(folder / "set", [known(jpeg(folder / "a.jpg"), present=("fine:x",))])
        self.place, self.flag = folder / "set", folder / "executed"
        self.record = json.loads((self.place / "record.json").read_text())
        (self.row,) = pq.read_table(self.place / "index.parquet").to_pylist()

    def write(self) -> Path:
        """Write index and record as they now are."""
        pq.write_table(pa.Table.from_pylist([self.row], schema=SCHEMA), self._index)
        return self.seal()

    def seal(self) -> Path:
        digest = hashlib.sha256(self._index.read_bytes()).hexdigest()
        self.record["index"]["sha256"] = digest
        (self.place / "record.json").write_text(json.dumps(self.record))
        return self.place

    @property
    def _index(self) -> Path:
        return self.place / "index.parquet"

    def member(self, name: str, data: bytes = b"", *, key: str = "", **header: Any) -> Path:
        """Replace the shard by one with this member, which the index names."""
        member = tarfile.TarInfo(name)
        member.size = len(data)
        for field, value in header.items():
            setattr(member, field, value)
        memory = io.BytesIO()
        with tarfile.open(fileobj=memory, mode="w") as tar:
            tar.addfile(member, io.BytesIO(data))
        return self.bytes(memory.getvalue(), data=data, key=key or name.partition(".")[0])

    def bytes(self, tar: bytes, *, data: bytes, offset: int = 512, key: str = "00000000") -> Path:
        """Replace the shard by these bytes, of which the index names `data`."""
        (self.place / "000000.tar").write_bytes(tar)
        self.row |= {"key": key, "offset": offset, "size": len(data)}
        self.row["sha256"] = hashlib.sha256(data).digest()
        return self.write()

    def named(self, file: str) -> Path:
        """Let the record name another shard."""
        self.record["shards"][0]["file"] = file
        return self.write()

    def index(self, **cells: Any) -> Path:
        """Change cells of the index."""
        self.row |= cells
        return self.write()

    def boxed(self, **fields: float) -> Path:
        """Write a box with these fields."""
        box = {"category": 0, "x1": 1, "y1": 1, "x2": 9, "y2": 9, "flags": 0, "weight": 1}
        return self.index(boxes=[box | fields])

    def rows(self, count: int) -> Path:
        """Write an index of many rows of nothing in few bytes."""
        some = pa.table([pa.nulls(MB, field.type) for field in SCHEMA], schema=SCHEMA)
        with pq.ParquetWriter(self._index, SCHEMA, compression="zstd") as file:
            for _ in range(count // MB):
                file.write_table(some, row_group_size=MB)
        self.record["samples"] = count // MB * MB
        return self.seal()

    def labels(self, count: int) -> Path:
        """Write an index of one row with many labels in few bytes."""
        self.row["present"] = []
        table = pa.Table.from_pylist([self.row], schema=SCHEMA)
        values = pa.Array.from_buffers(pa.int32(), count, [None, pa.py_buffer(bytes(4 * count))])
        zeros = pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), values)
        at = SCHEMA.get_field_index("present")
        table = table.set_column(at, "present", zeros)
        pq.write_table(table, self._index, compression="zstd", write_statistics=False)
        return self.seal()

    def pipe(self, name: str) -> Path:
        """Put a pipe where a file is due."""
        (self.place / name).unlink()
        os.mkfifo(self.place / name)
        return self.place

    def text(self, name: str, text: str) -> Path:
        """Write another text."""
        (self.place / name).write_text(text)
        return self.place

    def without(self, column: str) -> Path:
        """Write an index that lacks a column."""
        table = pa.Table.from_pylist([self.row], schema=SCHEMA)
        pq.write_table(table.drop_columns([column]), self._index)
        return self.seal()


def _gzip(made: Set) -> Path:
    member = tarfile.TarInfo("00000000.jpg")
    member.size = 256 * MB
    packed_tar = gzip.compress(member.tobuf() + bytes(256 * MB + 1024), 1, mtime=0)
    return made.bytes(packed_tar, data=packed_tar[512:1024])


def _sparse(made: Set) -> Path:
    """Write a header of 512 bytes that says 3 GiB, most of it holes."""
    member = tarfile.TarInfo("00000000.jpg")
    member.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"%011o\0" % 0 * 2
    header[482], header[483:495] = 0, b"%011o\0" % (3 << 30)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return made.bytes(bytes(header) + bytes(1024), data=b"")


HOSTILE: dict[str, tuple[Callable[[Set], Path], str]] = {
    "a pickle": (
        lambda made: made.member("00000000.pkl", pickle.dumps(Evil(made.flag))),
        "DamagedError: 000000.tar, byte 0: sample 0 is not the picture that the index names; "
        "got a member named '00000000.pkl'",
    ),
    "a pickle named as a picture": (
        lambda made: made.member("00000000.jpg", pickle.dumps(Evil(made.flag))),
        "PictureError: not one of JPEG, PNG, WEBP, BMP; begins with",
    ),
    "a compressed text": (
        lambda made: made.member("00000000.txt.gz", gzip.compress(bytes(MB)), key="00000000.txt"),
        "got a member named '00000000.txt.gz'",
    ),
    "a path upwards": (
        lambda made: made.member("../../etc/x.jpg", JPEG, key="../../etc/x"),
        "got a member named '../../etc/x.jpg'",
    ),
    "an absolute path": (
        lambda made: made.member("/etc/x.jpg", JPEG, key="/etc/x"),
        "got a member named '/etc/x.jpg'",
    ),
    "a link": (
        lambda made: made.member("00000000.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        "got a member of type b'2'",
    ),
    "a hard link": (
        lambda made: made.member("00000000.jpg", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        "got a member of type b'1'",
    ),
    "a device": (
        lambda made: made.member("00000000.jpg", type=tarfile.CHRTYPE),
        "got a member of type b'3'",
    ),
    "holes": (_sparse, "got a member of type b'S'"),
    "gzip named tar": (_gzip, "got no tar header ("),
    "a page named tar": (
        lambda made: made.bytes(b"<html>" * 300, data=JPEG),
        "sample 0 is damaged; got",
    ),
    "a command": (
        lambda made: made.named(f"pipe:touch {made.flag}"),
        "a shard is a tar file beside its record; got 'pipe:touch",
    ),
    "an address": (
        lambda made: made.named("http://127.0.0.1/000000.tar"), "got 'http://127.0.0.1",
    ),
    "another folder": (lambda made: made.named("../a.tar"), "got '../a.tar'"),
    "another place": (lambda made: made.named("/etc/passwd"), "got '/etc/passwd'"),
    "a pipe": (
        lambda made: made.pipe("000000.tar"), "000000.tar: cannot be read; got 000000.tar is not",
    ),
    "a pipe as index": (lambda made: made.pipe("index.parquet"), "got it is not a file"),
    "a pipe as record": (lambda made: made.pipe("record.json"), "got OSError('record.json is not"),
    "a pipe as classes": (lambda made: made.pipe("vocabulary.json"), "vocabulary.json is not a"),
    "a long record": (
        lambda made: made.text("record.json", "[]," * 6 * MB), "got OSError('record.json has",
    ),
    "a deep record": (lambda made: made.text("record.json", "[" * MB), "got RecursionError("),
    "deep classes": (lambda made: made.text("vocabulary.json", "[" * MB), "got RecursionError("),
    "no such version": (
        lambda made: made.text("record.json", '{"version": 1e999}'), "got OverflowError(",
    ),
    "a lost column": (
        lambda made: made.without("size"), "got none, or others, for size. Pack the set again.",
    ),
    "nothing in a cell": (
        lambda made: made.index(width=None), "width cannot be; got nothing where there is always",
    ),
    "nothing in a list": (lambda made: made.index(present=[None]), "present cannot be; got noth"),
    "no such class": (lambda made: made.index(present=[1]), "present cannot be; got 1"),
    "no such class of a box": (lambda made: made.boxed(category=1), "category cannot be; got 1"),
    "a box of no numbers": (lambda made: made.boxed(x1=float("nan")), "x1 cannot be; got nan"),
    "no such supervision": (
        lambda made: made.index(supervision=9), "supervision cannot be; got 9",
    ),
    "two gigabytes": (lambda made: made.index(size=2**31 - 1), "size cannot be; got 2147483647"),
    "less than nothing": (lambda made: made.index(size=-1), "size cannot be; got -1"),
    "no such shard": (lambda made: made.index(shard=7), "shard cannot be; got 7"),
    "before the file": (lambda made: made.index(offset=-512), "offset cannot be; got -512"),
    "many rows": (lambda made: made.rows(4 * MB), "says more than its bytes can hold"),
    "many labels": (lambda made: made.labels(40 * MB), "says more than its bytes can hold"),
}  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Set, Told]]:
    """Return each set with what a reader says of it."""
    made: dict[str, tuple[Set, Path]] = {}
    for case, (spoil, _) in HOSTILE.items():
        one = Set(tmp_path_factory.mktemp("hostile"))
        made[case] = one, spoil(one)
    found = probe_each("shards", [place for _, place in made.values()])
    return {case: (one, found[place]) for case, (one, place) in made.items()}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_shards_are_refused(told: dict[str, tuple[Set, Told]], case: str) -> None:
    made, found = told[case]
    assert HOSTILE[case][1] in found.said, found.said
    assert not made.flag.exists()
    assert found.peak < 60 * MB, f"{found.peak / MB:.0f} MB"


def test_the_set_itself_is_read(tmp_path: Path) -> None:
    """Else the refusals above say nothing; extra members are never looked at."""
    made = Set(tmp_path)
    with tarfile.open(made.place / "000000.tar", "a") as tar:
        for name in ("1.pkl", "../../x.jpg"):
            data = pickle.dumps(Evil(made.flag))
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    assert probe("shards", made.write()).said == [[30, 40, 3]]
    assert not made.flag.exists()


def test_the_command_says_damaged(tmp_path: Path) -> None:
    made = Set(tmp_path)
    place = made.member("00000000.pkl", pickle.dumps(Evil(made.flag)))
    ended = call("data", "show", str(place), "--out", str(tmp_path / "sheet.png"))
    assert ended.exit_code == 3
    assert "got a member named '00000000.pkl'" in ended.stderr
    assert not made.flag.exists()


DOORS = {
    "simplejpeg.decode_jpeg": {"components/data/decode.py"},
    "simplejpeg.decode_jpeg_header": set[str](),
    "tarfile.open": {"components/data/pack_shards.py"},
    "tarfile.TarInfo.frombuf": {"components/data/shards.py"},
    "webdataset": set[str](),
}


def test_hostile_bytes_pass_one_door_a_kind() -> None:
    """What decodes pictures and opens tars is called in one place; webdataset's reader nowhere."""
    found: dict[str, set[str]] = {name: set() for name in (*DOORS, "Image.open")}
    for room in ("components", "pipelines", "cluster"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                name = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""
                if isinstance(node, ast.Import | ast.ImportFrom):
                    name = getattr(node, "module", None) or node.names[0].name
                if name in found:
                    found[name].add(str(path.relative_to(ROOT)))
    assert found.pop("Image.open") <= {"components/data/decode.py"}
    assert found == DOORS
