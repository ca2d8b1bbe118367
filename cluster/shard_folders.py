"""Results of shards that survive their process: a folder takes its name only when it is whole.

A function that makes files for a shard fills a draft and names it last; whoever runs again, after
a kill or on a second actor, finds the folder there and makes nothing twice.
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.actors import Shard
from cluster.disk import Disk


@dataclass(frozen=True, slots=True)
class ShardFolders:
    """One folder a shard below a root that all actors see, such as a node's scratch."""

    root: Path

    def done(self, name: str) -> Path | None:
        """Return the folder of a shard that is whole, or None."""
        place = self.root / name
        return place if place.is_dir() else None

    def missing(self, shards: Sequence[Shard]) -> list[Shard]:
        """Return the shards that have no folder yet, in their order."""
        return [shard for shard in shards if self.done(shard.name) is None]

    @contextlib.contextmanager
    def filling(self, name: str) -> Generator[Path]:
        """Give an empty draft; at the end its bytes are flushed and it gets the shard's name.

        Where another actor was first its folder stays, and the draft is dropped. A body that
        raises leaves nothing.
        """
        disk, draft = Disk(), self.root / f".{name}-{uuid.uuid4().hex[:8]}"
        draft.mkdir(parents=True)
        try:
            yield draft
            for folder, _, files in os.walk(draft, topdown=False):
                for file in files:
                    disk.fsync(Path(folder) / file)
                disk.fsync(Path(folder))
            with contextlib.suppress(OSError):  # not empty: somebody was first
                draft.rename(self.root / name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        if self.done(name) is None:
            raise OSError(f"{self.root / name}: could not be named; look at the disk.")
        disk.fsync(self.root)

    def clear_drafts(self) -> None:
        """Remove what killed actors left half; only while no actor runs."""
        for draft in self.root.glob(".*"):
            shutil.rmtree(draft, ignore_errors=True)

    def gather(self, shards: Sequence[Shard], *, out: Path) -> None:
        """Link the files of all shards into folders of `out`; the scratch keeps its own names."""
        for shard in shards:
            for file in sorted((self.root / shard.name).rglob("*")):
                if file.is_file():
                    place = out / shard.name / file.relative_to(self.root / shard.name)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    _same(file, place)


def _same(file: Path, place: Path) -> None:
    """Give a file a second name, or copy it where the disk has no links."""
    try:
        os.link(file, place)
    except OSError:
        shutil.copyfile(file, place)
