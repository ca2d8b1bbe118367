"""What a node makes: a directory, its kind, and the files that must be in it."""

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactKind:
    """A kind of directory on the edges of a graph."""

    name: str
    version: int = 1  # of the files' format; keyed, so that a reader never meets old bytes
    stage: str = "data"  # of a pipeline, in the words of tracking: data, train, eval
    needs: tuple[str, ...] = ()  # relative names, or patterns of which at least one file must match


FILES = ArtifactKind(name="files")
LISTING = ArtifactKind(name="listing", needs=("list.json",))  # a JSON list: elements of a map
SHARDS = ArtifactKind(name="shards", needs=("record.json", "index.parquet", "vocabulary.json"))
HIERARCHY = ArtifactKind(name="hierarchy", needs=("hierarchy.parquet",))
WEIGHTS = ArtifactKind(
    name="weights", stage="train", needs=("model.safetensors", "model.json", "vocabulary.json")
)
ROWS = ArtifactKind(name="rows", needs=("source.safetensors", "vocabulary.json"))
FEATURES = ArtifactKind(name="features", needs=("features.safetensors", "vocabulary.json"))
TRANSFER = ArtifactKind(
    name="transfer", stage="train", needs=("transfer.safetensors", "transfer.json")
)
DETECTIONS = ArtifactKind(name="detections", stage="eval", needs=("*.parquet",))
REPORT = ArtifactKind(name="report", stage="eval", needs=("*",))
ALL = (
    FILES, LISTING, SHARDS, HIERARCHY, WEIGHTS, ROWS, FEATURES, TRANSFER, DETECTIONS, REPORT,
)  # fmt: skip
KINDS = {kind.name: kind for kind in ALL}


def missing(kind: ArtifactKind, names: tuple[str, ...]) -> list[str]:
    """List what an artifact of this kind needs and these relative file names do not give."""
    return [want for want in kind.needs if not any(fnmatchcase(name, want) for name in names)]
