"""A tiny run on pictures whose classes, files and messages bear the names of an attacker."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.pipelines.runs.tiny import run

NAMES = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "\"'><svg onload=alert(1)>",
    "a\u2028b\u2029c",
    "bell\x07 red\x1b[31m nul\x00 back\x08",
    "long " + "n" * 5000,
    "=HYPERLINK(1)",
    "{{ 7 * 7 }}{% raw %}",
    "turned\u202etxt.exe",
    "../../etc/passwd",
)
PICTURE = "<img src=x onerror=alert(2)>.png"
PAGE = """\
recipe: joint
sources:
  boxes: [{kind: coco, annotations: boxes.json, images: pictures, level: fine}]
  labels: [{kind: csv, table: labels.csv, images: pictures, level: fine,
            columns: {image: image, labels: labels}, separator: "|"}]
  max_bad_fraction: .5
  allow_overlap: true
  test:
    - {name: scenes, size: 64,
       source: {kind: coco, annotations: boxes.json, images: pictures, level: fine}}
stage1: {steps: 2, batch: 4, warmup: 1, view: {sizes: [24, 32]}}
stage2: {steps: 2, scenes: 3, photos: 3, warmup: 1, scene_view: {size: 64},
         photo_view: {sizes: [24, 32]}}
evaluate: {pictures: 2}
run_on: {stage1: {local: true}, stage2: {local: true}}
tracking: {kind: none}
"""


def hostile_run(folder: Path) -> tuple[Any, list[Mapping[str, Any]], Path]:
    """Return how the run ended, its events, and its store."""
    (folder / "pictures").mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [PICTURE, *(f"{i}.png" for i in range(7))]
    for name in names:
        pixels = rng.integers(0, 255, (6, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((80, 60)).save(folder / "pictures" / name)
    (folder / "pictures" / "<b>broken.png").write_bytes(b"\x89PNG <script>alert(3)</script>")
    truth = {
        "images": [
            {"id": i, "file_name": name, "width": 80, "height": 60}
            for i, name in enumerate([*names, "<b>broken.png"])
        ],
        "categories": [{"id": k, "name": name} for k, name in enumerate(NAMES)],
        "annotations": [
            {"id": 100 * i + k, "image_id": i, "category_id": (3 * i + k) % len(NAMES),
             "bbox": [4 + 20 * k, 6, 18, 40], "area": 720, "iscrowd": 0}
            for i in range(len(names))
            for k in range(3)
        ],
    }  # fmt: skip
    (folder / "boxes.json").write_text(json.dumps(truth))
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "labels"])
        rows.writerows([name, NAMES[i]] for i, name in enumerate(names))
    config = folder / "hostile.yaml"
    config.write_text(PAGE)
    ended, events = run(config, store=folder / "store")
    return ended, events, folder / "store"
