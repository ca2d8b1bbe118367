"""Small pictures and sets of shards for the tests of this room."""

from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from components.data.labelled import Labelled, Supervision
from components.data.pack_shards import pack
from components.data.shards import Shards


def jpeg(path: Path, *, width: int = 40, height: int = 30, shade: int = 90) -> Path:
    """Write a smooth picture, different for each shade."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.linspace(0, 100, width * height).reshape(height, width)
    pixels = (np.stack([ramp, ramp[::-1], ramp[:, ::-1]], 2) + shade).clip(0, 255)
    path.write_bytes(simplejpeg.encode_jpeg(pixels.astype(np.uint8), quality=95))
    return path


def known(path: Path, *boxes: tuple[float, ...], **facts: Any) -> Labelled:
    """Return what is known of one picture: boxes of classes a, b, c, ... or image labels."""
    classes = tuple(f"coarse:{'abcdef'[i]}" for i in range(len(boxes)))
    given: dict[str, Any] = {
        "source_name": path.name, "source_id": path.stem, "path": path, "classes": classes,
        "supervision": Supervision.BOXED, "boxes": np.array(boxes, np.float32).reshape(-1, 4),
        "flags": np.zeros(len(boxes), np.uint8),
    }  # fmt: skip
    return Labelled(**given | facts)


def photos(folder: Path, count: int) -> list[Labelled]:
    """Return pictures with image labels: picture i shows class i % 3."""
    return [
        known(
            jpeg(folder / f"{i}.jpg", width=30 + i % 7, height=24 + i % 5, shade=i % 150),
            supervision=Supervision.LABELLED,
            present=(f"fine:{'xyz'[i % 3]}",),
        )
        for i in range(count)
    ]


def packed(out: Path, samples: list[Labelled], **settings: Any) -> Shards:
    """Pack pictures and open the set."""
    out.mkdir()
    given = {"vocabulary": None, "name": "set", "seed": 1, "shuffle": True, "say": lambda _: None}
    pack(samples, out=out, **given | settings)
    return Shards.open(out)
