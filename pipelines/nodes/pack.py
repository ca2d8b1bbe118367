"""Label files and pictures -> Shards: tar shards, a Parquet index, a vocabulary, a record."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Interval

from components.data.readers import CocoReader, CsvReader, FoldersReader, pictures_of
from pipelines.graph.node import Task

if TYPE_CHECKING:
    from components.data.labelled import Labelled

Reader = CocoReader | CsvReader | FoldersReader


@dataclass(frozen=True, kw_only=True, slots=True)
class Pack:
    """The sources of one set, in order; inputs `files0`, `files1` ... hold their files."""

    name: str
    readers: tuple[Reader, ...]
    seed: int = 0
    order: str = "shuffled"  # shuffled | as_given
    max_bad_fraction: Annotated[float, Interval(ge=0, le=1)] = 0.001  # of the pictures


def pack(task: Task) -> dict[str, Any]:
    """Read every source, write one set of shards, and say how many pictures are in.

    The notes of the node, and the set's own record.json, hold the same two counts by check id:
    `quarantined` (pictures left out; quarantine.jsonl has a line for each with source_name, check
    and text) and `noted` (odd pictures and boxes that were taken; record.json's `noted_first`
    names up to five pictures of each).

    Raises:
        DataError: too many pictures cannot be used, or what the labels say cannot be.
    """
    from components.data.pack_shards import pack as pack_samples

    cfg: Pack = task.cfg
    record = pack_samples(
        _samples(cfg.readers, task.inputs),
        out=task.out,
        vocabulary=None,
        name=cfg.name,
        seed=cfg.seed,
        shuffle=cfg.order == "shuffled",
        say=lambda done: task.say(done, 0, "pictures"),
        max_bad_fraction=cfg.max_bad_fraction,
    )
    return {
        "units": {"images": record.samples},
        "quarantined": dict(record.quarantined),
        "noted": dict(record.noted),
    }


def _samples(
    readers: tuple[Reader, ...], inputs: Mapping[str, Path | Mapping[str, Path]]
) -> "Iterator[Labelled]":
    for i, reader in enumerate(readers):
        files = inputs[f"files{i}"]
        assert isinstance(files, Mapping), f"files{i} is an artifact, not a set of files"  # noqa: S101
        yield from pictures_of(reader, files)
