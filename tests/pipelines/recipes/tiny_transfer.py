"""A page of paper 4 that trains for seconds."""

from pathlib import Path

PAGE = """\
recipe: weight_transfer
draw: {seed: 3, kinds: 2, photos_per_class: 4, train_scenes: 12, tune_scenes: 6, test_scenes: 6,
       test_photos_per_class: 1, photo_size: 40, scene_size: 64}
sources:
  boxes: [{kind: drawn, part: train_scenes}]
  labels: [{kind: drawn, part: train_photos}]
  test:
    - {name: scenes, size: 64, source: {kind: drawn, part: test_scenes}}
    - {name: photos, size: 40, task: localization, source: {kind: drawn, part: test_photos}}
stage1: {steps: 4, batch: 6, warmup: 1, view: {sizes: [24, 32]}}
rows: {kind: stage1, seed: 7}
detector: {steps: 4, scenes: 3, warmup: 1, scene_view: {size: 64}, transfer: {method: ae_wtn}}
evaluate: {pictures: 1}
run_on: {stage1: {local: true}, classifier: {local: true}, detector: {local: true},
         draw: {cpus: 1}}
tracking: {kind: none}
"""


def page(folder: Path) -> Path:
    """Write the page and return its place."""
    place = folder / "tiny_transfer.yaml"
    place.write_text(PAGE)
    return place
