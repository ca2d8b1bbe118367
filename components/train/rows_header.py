"""What is known of a classifier's rows before anything is trained. No torch.

Of a package it is known by its name; of a file by reading it (`source_file.open_source`).
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from components.models.choices import NETWORKS, PACKAGED, trunk_width
from components.vocab.classes import Vocabulary

CLASSIFIERS = ("classifier.weight", "fc.weight", "head.weight", "head.fc.weight")
BARE = "weight"  # of a file that holds a classifier's last layer and nothing else
ABOVE = ("conv_head.", "bn2.")  # begin the names of layers between a trunk and its classifier
LEVEL = "imagenet"  # of the classes of a packaged classifier: imagenet:n01440764
TABLES = (".parquet", ".pq")


@dataclass(frozen=True, kw_only=True, slots=True)
class RowsHeader:
    """What is known of rows; None: nothing yet."""

    width: int | None = None  # D, numbers a class
    classes: Vocabulary | None = None
    feature: Literal["head", "trunk"] | None = "trunk"  # that they read, taken as they are; None:
    # those of a detector that are as wide, of a table
    layers: bool | None = None  # there are layers between trunk and classifier beside them


def packaged_header(name: str) -> RowsHeader:
    """Return what is known of a packaged classifier's rows, by name in PACKAGED."""
    width = trunk_width(NETWORKS[PACKAGED[name].backbone])
    return RowsHeader(width=width, classes=_imagenet(), layers=True)


def _imagenet() -> Vocabulary | None:
    """Return ImageNet's 1,000 classes from timm's tables, beside its code, which imports torch."""
    spec = find_spec("timm")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    folder = Path(*places[:1], "data", "_info")
    try:
        wnids = (folder / "imagenet_synsets.txt").read_text("utf-8").splitlines()
        lines = (folder / "imagenet_synset_to_lemma.txt").read_text("utf-8").splitlines()
    except OSError:
        return None  # another timm, or none: whoever runs has it
    lemmas = dict(line.split("\t", 1) for line in lines if "\t" in line)
    names = [lemmas.get(wnid, wnid).split(",")[0].strip() for wnid in wnids]
    return Vocabulary(ids=tuple(f"{LEVEL}:{wnid}" for wnid in wnids), names=tuple(names))
