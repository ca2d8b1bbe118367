"""A tiny detector without training, a tiny set of shards: what it finds is noise, but its own."""

from pathlib import Path

import numpy as np
from PIL import Image

from components.data.labelled import Labelled, Supervision
from components.data.pack_shards import pack
from components.data.shards import Shards
from components.models.choices import Small
from components.models.two_stage import Detector, build
from components.train.checkpoint import ALL_PARTS, Record, save_model
from components.vocab.classes import Vocabulary

BOXED = Vocabulary.of(["coarse:animal", "fine:cat", "fine:dog"])
LABELLED = Vocabulary.of(["fine:dog", "fine:owl"])
SIZE = 64  # px


def detector() -> Detector:
    return build(Small(), boxed=BOXED, labelled=LABELLED, seed=3).eval()


def model(folder: Path, *, parts: tuple[str, ...] = ALL_PARTS) -> Path:
    folder.mkdir()
    record = Record(backbone=Small(), boxed=BOXED, labelled=LABELLED, size=SIZE, parts=parts)
    save_model(folder, detector(), record)
    return folder


def picture(path: Path, *, width: int = 50, height: int = 40, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 255, (5, 5, 3), np.uint8)
    Image.fromarray(blocks).resize((width, height)).save(path)
    return path


def shards(folder: Path, classes: tuple[tuple[str, ...], ...]) -> Shards:
    """One picture an entry, of different sides, with one box a class."""
    samples = []
    for i, names in enumerate(classes):
        width, height = 40 + 7 * i, 66 - 5 * i
        path = picture(folder / "pictures" / f"{i}.jpg", width=width, height=height, seed=i)
        corners = [[2.0 + k, 3.0, width - 4.0, height - 5.0] for k in range(len(names))]
        samples.append(
            Labelled(
                source_name=path.name,
                source_id=str(i),
                path=path,
                supervision=Supervision.BOXED,
                boxes=np.array(corners, np.float32).reshape(-1, 4),
                classes=names,
                flags=np.zeros(len(names), np.uint8),
                present=tuple(dict.fromkeys(names)),
            )
        )
    out = folder / "shards"
    out.mkdir()
    pack(samples, out=out, vocabulary=None, name="t", seed=0, shuffle=False, say=lambda n: None)
    return Shards.open(out)
