"""A page that takes less than a minute: both stages, one of them a Ray Train job of two."""

from pathlib import Path

EVERY = 8  # steps between two checkpoints

PAGE = f"""\
recipe: joint
draw: {{seed: 5, kinds: 2, photos_per_class: 12, train_scenes: 60, tune_scenes: 6, test_scenes: 24,
       test_photos_per_class: 1, photo_size: 40, scene_size: 64}}
sources:
  boxes: [{{kind: drawn, part: train_scenes}}]
  labels: [{{kind: drawn, part: train_photos}}]
  test:
    - {{name: scenes, size: 64, source: {{kind: drawn, part: test_scenes}}}}
stage1: {{steps: 120, batch: 8, warmup: 1, view: {{sizes: [24, 32]}}}}
stage2: {{steps: 120, scenes: 4, photos: 4, warmup: 1, world: 2, scene_view: {{size: 64}},
         photo_view: {{sizes: [24, 32]}}}}
evaluate: {{pictures: 2}}
run_on:
  stage1: {{local: true, checkpoint_every: {EVERY}}}
  stage2: {{workers: 2, checkpoint_every: {EVERY}}}
  draw: {{cpus: 1}}
tracking: {{kind: none}}
"""
ALONE = ("stage2.world=1", "run_on.stage2.workers=1", "run_on.stage2.local=true")  # without Ray


def write(folder: Path) -> Path:
    """Write the page and return its place."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / "killed.yaml"
    place.write_text(PAGE)
    return place
