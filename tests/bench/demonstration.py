"""Boxes of a few kinds + a packaged classifier = a detector of a thousand names, on a laptop.

    python -m tests.bench.demonstration --boxes coco355 --photos imagenet_samples [--store DIR]
    python -m tests.bench.demonstration ... --draw DIR       twelve pictures to look at

--boxes is a folder with annotations/instances_{train2017,val2017}.json and images/; --photos one
with labels.csv (image, wnid) and images/. It is configs/thousand_names.yaml with these paths: the
detector learns boxes alone, on a trunk that stays as ImageNet left it, and the packaged
classifier's rows are added as they are. Measured: the name of the best box of each photo, by all
1,000 names at once (predict --level imagenet), with the half of a score that is the whole photo's,
as the page has it, and without; seconds a photo; pairs of boxes of one class, one of
them a part of the other; recall of the boxes at 50, for names alone could be had from a box round
the whole picture. Exit code 1 when a claim does not hold.
"""

import argparse
import csv
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from torchvision.ops import box_iou, nms

from components.data.augment import carry
from components.data.shards import Shards
from components.data.stream import plain_batches
from components.data.views import PlainView
from components.eval.infer import truth_of
from components.train.checkpoint import load_model
from components.vocab.classes import Vocabulary
from pipelines.nodes.predict import predict
from tests.bench.measured import artifact_of

PAGE = Path(__file__).parents[2] / "configs" / "thousand_names.yaml"
LEVEL = "imagenet"
SIZE, PARTS, THREADS = 320, 0.6, 2
NAMES, SECONDS, RECALL, AT = 0.80, 0.30, 0.28, 50
DRAWN, SURE = 12, 0.15


@dataclass(frozen=True, kw_only=True)
class Named:
    """What was found on the photos."""

    top1: float
    top5: float
    seconds: float  # a photo
    parts: int  # pairs of one class
    boxes: float  # a photo, with a score of SURE or more


def page_settings(boxes: Path, *, seed: int) -> list[str]:
    """Return what is written over the page: the paths, and no Ray."""

    def source(part: str) -> str:
        file = boxes / "annotations" / f"instances_{part}.json"
        images = boxes / "images" / part
        return f"{{kind: coco, annotations: {file}, images: {images}, level: coarse}}"

    test = f"{{name: boxed, size: {SIZE}, source: {source('val2017')}}}"
    return [f"sources.boxes=[{source('train2017')}]", f"sources.test=[{test}]",
            f"detector.seed={seed}", "run_on.detector.local=true"]  # fmt: skip


def name(model: Path, photos: Path, *, out: Path, draw: Path | None, every: int) -> Named:
    """Find boxes on the photos as `vocabox predict` does, and compare the best one's name."""
    with (photos / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[::every]
    pictures = [photos / "images" / row["image"] for row in rows]
    known = Vocabulary.read(model / "vocabulary.json").ids
    find = partial(predict, model, level=LEVEL, parts=PARTS, score=SURE)
    torch.set_num_threads(THREADS)
    told: list[float] = []  # before each photo, and after the last
    find(pictures=pictures, out=out, draw=None, top=100,
         say=lambda done, total: told.append(time.perf_counter()))  # fmt: skip
    seconds = (told[-1] - told[1]) / (len(pictures) - 1)  # the first one warms the kernels up
    if draw is not None:
        some = pictures[:: max(1, len(pictures) // DRAWN)][:DRAWN]
        draw.mkdir(exist_ok=True)
        find(pictures=some, out=draw / "detections.json", draw=draw, top=4,
             say=lambda done, total: None)  # fmt: skip
    found: dict[int, list[dict[str, Any]]] = {}
    for row in json.loads(out.read_text()):
        found.setdefault(row["image_id"], []).append(row)
    hits = {1: 0, 5: 0}
    for i, row in enumerate(rows, 1):
        wanted = f"imagenet:{row['wnid']}"
        best = list(dict.fromkeys(known[d["category_id"] - 1] for d in found.get(i, [])))
        for k in hits:
            hits[k] += wanted in best[:k]
    every_pair = (pair for ds in found.values() for pair in combinations(ds, 2))
    return Named(
        top1=hits[1] / len(rows),
        top5=hits[5] / len(rows),
        seconds=seconds,
        parts=sum(a["category_id"] == b["category_id"] and _share(a, b) > PARTS + 1e-3
                  for a, b in every_pair),
        boxes=sum(d["score"] >= SURE for ds in found.values() for d in ds) / len(rows),
    )  # fmt: skip


def recall(model: Path, shards: Shards) -> float:
    """Return the share of true boxes that one of a picture's 50 best boxes meets, of any class."""
    detector, _ = load_model(model)
    truth = truth_of(shards, ids=shards.vocabulary.ids)
    hit = total = 0
    for pictures in plain_batches(shards, view=PlainView(size=SIZE), size=1):
        row, view = int(pictures.row[0]), pictures.view[0].numpy()
        (found,) = detector.regions(pictures)
        kept = nms(found.boxes, found.foreground, 0.6)[:AT]
        mine = (truth.image == row) & (truth.flags == 0)
        boxes = torch.from_numpy(carry(truth.boxes[mine], view)).float()
        if len(boxes):
            total += len(boxes)
            hit += int((box_iou(boxes, found.boxes[kept]).amax(1) > 0.5).sum())
    return hit / total


def _share(a: dict[str, Any], b: dict[str, Any]) -> float:
    """Return the intersection over the smaller area, from the definition."""
    sides = []
    for k in (0, 1):
        low, high = (
            max(a["bbox"][k], b["bbox"][k]),
            min(a["bbox"][k] + a["bbox"][k + 2], b["bbox"][k] + b["bbox"][k + 2]),
        )
        sides.append(max(high - low, 0.0))
    smaller = min(x["bbox"][2] * x["bbox"][3] for x in (a, b))
    return sides[0] * sides[1] / max(smaller, 1e-9)


def claims(named: Named, found: float) -> Iterator[tuple[str, bool]]:
    """Yield each claim with its figure, and whether it holds; `found` is the boxes' recall."""
    yield f"the best box has the right name, >= {NAMES}: {named.top1:.3f}", named.top1 >= NAMES
    yield f"seconds a photo, <= {SECONDS}: {named.seconds:.3f}", named.seconds <= SECONDS
    yield f"parts beside their whole, none: {named.parts}", named.parts == 0
    yield f"recall of boxes at {AT}, >= {RECALL}: {found:.3f}", found >= RECALL


def main(argv: Sequence[str] | None = None) -> int:
    """Train or take a detector, add a thousand names, measure; 1 when a claim does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--boxes", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--store", type=Path, help="where what is made stays; default: nowhere")
    parser.add_argument("--draw", type=Path, help="where twelve pictures with boxes go")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="of the photos, each such one")
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        store = asked.store or Path(scratch) / "store"
        settings = page_settings(asked.boxes.resolve(), seed=asked.seed)
        start = time.process_time()
        model = artifact_of(PAGE, settings, node="model", store=store)
        print(f"the page: {time.process_time() - start:.0f} CPU s, nothing where it was there")
        measured = partial(name, photos=asked.photos, out=Path(scratch) / "d", every=asked.every)
        named = measured(model, draw=asked.draw)
        regions = artifact_of(PAGE, [*settings, "fit.context=0"], node="model", store=store)
        by_regions = measured(regions, draw=None)
        test = artifact_of(PAGE, settings, node="pack_boxed", store=store)
        found = recall(model, Shards.open(test))
    print(f"names: top-1 {named.top1:.3f}, top-5 {named.top5:.3f}; {named.boxes:.1f} boxes a photo")
    print(f"by regions alone (fit.context=0): top-1 {by_regions.top1:.3f}")
    told = list(claims(named, found))
    for text, holds in told:
        print(f"{'holds' if holds else 'DOES NOT HOLD'}: {text}")
    return 0 if all(holds for _, holds in told) else 1


if __name__ == "__main__":
    sys.exit(main())
