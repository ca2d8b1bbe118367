"""A page that trains for seconds: two kinds, a few steps, one worker without Ray."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.graph.cuts import Cuts
from pipelines.runs.drive import Finished, drive
from pipelines.runs.loading import load

PAGE = """\
recipe: joint
draw: {seed: 3, kinds: 2, photos_per_class: 4, train_scenes: 12, tune_scenes: 6, test_scenes: 6,
       test_photos_per_class: 1, photo_size: 40, scene_size: 64}
sources:
  boxes: [{kind: drawn, part: train_scenes}]
  labels: [{kind: drawn, part: train_photos}]
  tune: [{name: tune, size: 64, source: {kind: drawn, part: tune_scenes}}]
  test:
    - {name: scenes, size: 64, source: {kind: drawn, part: test_scenes}}
    - {name: photos, size: 40, task: localization, source: {kind: drawn, part: test_photos}}
stage1: {steps: 4, batch: 6, warmup: 1, view: {sizes: [24, 32]}}
stage2: {steps: 4, scenes: 3, photos: 4, warmup: 1, scene_view: {size: 64},
         photo_view: {sizes: [24, 32]}}
evaluate: {pictures: 2}
run_on: {stage1: {local: true}, stage2: {local: true}, draw: {cpus: 1}}
tracking: {kind: none}
"""


def page(folder: Path) -> Path:
    place = folder / "tiny.yaml"
    place.write_text(PAGE)
    return place


def run(
    config: Path, *settings: str, store: Path, cuts: Cuts | None = None, **rules: Any
) -> tuple[Finished, list[Mapping[str, Any]]]:
    """Run in this process; return how it ended and the events that were shown."""
    events: list[Mapping[str, Any]] = []
    loaded, where = load(config, settings), str(store)
    ended = drive(loaded, store=where, emit=events.append, cuts=cuts, executor="inline", **rules)
    return ended, events
