"""A control: every fine class is taken for its parent, so what is known of it is the parent's box.

    python -m tests.bench.parent_only RUN_DIR/model NODE_DIR_OF_THE_PACKED_TEST test_fine.json

The parents are the `supercategory` of each category of the COCO file that the test was packed from.
A detector that knows more of the fine classes than their parents must score more than this.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from components.data.shards import Shards
from components.eval.coco_ap import mean_over, score_classes
from components.eval.detections import Detections
from components.eval.infer import infer, truth_of
from components.train.checkpoint import load_model


def main() -> None:
    """Print AP50 of the fine classes when each has the score and the box of its parent."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("shards", type=Path)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("--levels", nargs=2, default=("coarse", "fine"))
    given = parser.parse_args()
    detector, record = load_model(given.model)
    shards = Shards.open(given.shards)
    coarse, fine = given.levels
    categories = json.loads(given.annotations.read_text())["categories"]
    ids = tuple(f"{fine}:{c['name']}" for c in categories)
    parents = [f"{coarse}:{c['supercategory']}" for c in categories]
    known = tuple(dict.fromkeys(parents))
    found = infer(
        detector, shards, ids=known, size=record.size, batch=16, top=100, floor=1e-4,
        task="scenes", classes="regions", say=lambda done: None,
    ).detections  # fmt: skip
    children = [_of(found, known.index(parent), child) for child, parent in enumerate(parents)]
    scores = score_classes(truth_of(shards, ids=ids), Detections.join(children), ids=ids)
    means = mean_over(scores)
    counted = sum(one.truths > 0 for one in scores.values())
    print(f"parent only: AP50 {means['AP50']:.3f}, AP {means['AP']:.3f} over {counted} classes")


def _of(found: Detections, parent: int, child: int) -> Detections:
    """Return the detections of a parent as those of a child."""
    of_parent = found.where(found.category == parent)
    return replace(of_parent, category=np.full_like(of_parent.category, child))


if __name__ == "__main__":
    main()
