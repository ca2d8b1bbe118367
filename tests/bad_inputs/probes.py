"""Probes of hostile bytes, each in a process of its own with limits on memory and time.

Run them as `python -m tests.bad_inputs.probes PROBE PLACE...`: one process imports what is needed,
and every place is looked at by a fork of it.
"""

import json
import os
import resource
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, TiffImagePlugin

from components.data.check_table import Findings
from components.data.decode import PictureError, decode, picture_bytes
from components.data.labelled import Labelled, Supervision
from components.data.pack_shards import pack
from components.data.readers import SOURCES, CocoReader, CsvReader
from components.data.shards import Shards, ShardsError
from tests.components.data.small_sets import known
from tests.pipelines.settings.nobody import NOBODY

ROOT = Path(__file__).parents[2]
ROOM = 2 * 2**30  # bytes of address space beyond the imports
SECONDS = 10


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a probe said, and how much own memory it took beyond the imports, bytes."""

    said: Any
    peak: int


def probe(name: str, place: Path, *, seconds: float = SECONDS) -> Told:
    """Run a probe of one place; see `probe_each`."""
    return probe_each(name, [place], seconds=seconds)[place]


def probe_each(name: str, places: Sequence[Path], *, seconds: float = SECONDS) -> dict[Path, Told]:
    """Run a probe of each place; fail where one is killed or too slow."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bad_inputs.probes", name, *map(str, places)],
        capture_output=True, text=True, timeout=10 * seconds * len(places), check=False, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, f"{name}: {done.returncode} {done.stderr[-2000:]}"
    found: dict[Path, Told] = {}
    for line in map(json.loads, done.stdout.splitlines()):
        assert line["cpu"] <= seconds, f"{name} {line['place']}: {line['cpu']:.1f} s of CPU"
        found[Path(line["place"])] = Told(said=line["said"], peak=line["peak"])
    return found


def _picture(place: Path) -> Any:
    try:
        return list(decode(picture_bytes(place)).shape)
    except PictureError as error:
        return error.check


def _folder(place: Path) -> Any:
    """Pack every picture that `place`/names.json lists; what cannot be used is left out."""
    out, photos = place / "out", place / "photos"
    out.mkdir()
    out.chmod(0o777)
    Image.init()
    assert TiffImagePlugin  # Pillow imports it for the first EXIF tag; nobody may not read it
    if os.geteuid() == 0:
        os.seteuid(NOBODY)  # root may read everything
    samples: list[Labelled] = [
        known(photos / name, supervision=Supervision.LABELLED, present=("fine:x",))
        for name in json.loads((place / "names.json").read_text())
    ]
    pack(samples, out=out, vocabulary=None, name="set", seed=0, shuffle=False,
         say=lambda done: None, max_bad_fraction=1.0)  # fmt: skip
    return json.loads((out / "record.json").read_text())


def _shards(place: Path) -> Any:
    """Open a set, read and decode all of it."""
    try:
        shards = Shards.open(place)
        return [list(decode(shards.read(row)).shape) for row in range(len(shards))]
    except (ShardsError, PictureError) as error:
        return f"{type(error).__name__}: {error}"


def _labels(place: Path) -> Any:
    """Read a label file; return the ids of the checks that it fails."""
    found = Findings()
    if place.suffix == ".csv":
        SOURCES["csv"](CsvReader(level="fine"), {"table": place, "images": place.parent}, found)
    else:
        files = {"annotations": place, "images": place.parent}
        SOURCES["coco"](CocoReader(level="fine"), files, found)
    return [check for _, check in found.kinds]


def _table(place: Path) -> Any:
    """Read a table of embeddings; return the size of its rows, or what is wrong."""
    from components.train.source_file import open_source
    from components.transfer.source import SourceError

    try:
        return list(open_source(place).weights.weight.shape)
    except SourceError as error:
        return str(error)


def _transfer(place: Path) -> Any:
    """Load a fitted transfer; return what is wrong with it."""
    from components.train.transfer_file import load_transfer
    from components.train.weights_file import WeightsError

    try:
        return load_transfer(place).record.inputs
    except WeightsError as error:
        return str(error)


def _edges(place: Path) -> Any:
    """Read a table of edges; return how many classes it has, or what is wrong."""
    from components.data.hierarchies import EdgesReader, graph_of
    from components.data.sources.label_problems import DataError

    try:
        return len(graph_of(EdgesReader(), {"table": place}))
    except DataError as error:
        return str(error)


PROBES: dict[str, Callable[[Path], Any]] = {
    "labels": _labels,
    "picture": _picture,
    "folder": _folder,
    "shards": _shards,
    "table": _table,
    "transfer": _transfer,
    "edges": _edges,
}


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _main(name: str, places: list[Path]) -> None:
    if name == "shards":  # what reading an index imports late; each fork would, for 0.2 s and 50 MB
        import pandas  # noqa: F401
        import pyarrow.dataset
        import pyarrow.pandas_compat  # noqa: F401
    if name in ("table", "transfer"):
        import components.train.source_file
        import components.train.transfer_file
    if name == "edges":
        import components.data.sources.edge_table  # noqa: F401
    for place in places:
        if os.fork() == 0:
            try:
                _look(name, place)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        if status := os.wait()[1]:
            sys.exit(f"{place}: ended with {status}")


def _look(name: str, place: Path) -> None:
    most = _memory("VmSize") + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here, not with the imports
    before, began = _memory("VmRSS"), sum(os.times()[:2])
    said = PROBES[name](place)
    told = {"place": str(place), "said": said, "cpu": sum(os.times()[:2]) - began}
    print(json.dumps({**told, "peak": _memory("VmHWM") - before}), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1], [Path(place) for place in sys.argv[2:]])
