"""Features and classes of a detector's regions, against a plain loop over one picture at a time."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou

from components.data.sample import Batch
from components.data.shards import Shards
from components.data.stream import plain_batches
from components.data.views import PlainView
from components.models.choices import Resnet, Small
from components.models.two_stage import Detector, build, inference
from components.train.job import taught
from components.train.region_features import RegionFeatures, region_features
from tests.components.train.rectangles import pack_rectangles

SIZE, KEPT = 64, 7  # px; regions a picture beside the true boxes


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    """Scenes of five classes, one of them crowds only, in three shards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.data.pack_shards.SHARD_SAMPLES", 2)
        return Shards.open(pack_rectangles(tmp_path_factory.mktemp("scenes"))["boxes"])


def detector(shards: Shards, feature: str) -> Detector:
    """Return one with fresh weights, whose boxes are not its proposals."""
    boxed, _ = taught(shards, by="boxes")
    backbone = Small() if feature == "head" else Resnet(weights="file")
    made = build(backbone, boxed=boxed, labelled=boxed, seed=0)
    torch.manual_seed(0)
    torch.nn.init.normal_(made.refine.weight, std=0.05)
    if feature == "trunk":
        made.add_trunk_feature()
    return made.eval()


def best(boxes: Tensor, scores: Tensor) -> Tensor:
    """Return the best boxes, none of which overlaps a better one by more than .7."""
    kept: list[int] = []
    iou = box_iou(boxes, boxes)
    for i in scores.argsort(descending=True, stable=True).tolist():
        if all(iou[i, k] <= 0.7 for k in kept):
            kept.append(i)
    return torch.tensor(kept[:KEPT])


def slow(made: Detector, shards: Shards, feature: str) -> RegionFeatures:
    boxed, _ = taught(shards, by="boxes")
    rows: list[Tensor] = []
    labels: list[int] = []
    view = PlainView(size=SIZE, pad_to=made.row.pad_to)
    for picture in plain_batches(shards, view=view, size=1):
        x, regions, names = of_one(made, picture, shards, feature)
        for row, box in zip(x, regions, strict=True):
            label = class_of(box, picture, [*names], boxed.ids)
            if label is not None:
                rows.append(row)
                labels.append(label)
    return RegionFeatures(boxed=boxed, features=torch.stack(rows), labels=torch.tensor(labels))


def of_one(
    made: Detector, picture: Batch, shards: Shards, feature: str
) -> tuple[Tensor, Tensor, list[str]]:
    """Return the features and boxes of a picture's regions, and the ids of its true boxes."""
    names = [shards.vocabulary.ids[k] for k in picture.labels.tolist()]
    true = picture.boxes[picture.flags == 0]
    (scored,) = made.regions(picture)
    with inference(made):
        trunk = made.trunk(made.pixels(picture))
        maps = made.pyramid(trunk)
        (proposals,) = made.propose(maps, picture).boxes
        seen = scored.boxes if feature == "trunk" else proposals
        regions = torch.cat([seen[best(scored.boxes, scored.foreground.flatten())], true])
        read = made.trunk_features if feature == "trunk" else made.features
        return read(trunk if feature == "trunk" else maps, [regions]), regions, names


def class_of(box: Tensor, picture: Batch, names: list[str], known: tuple[str, ...]) -> int | None:
    """Return the class of the object that a region shows, -1 for none; None where it is unclear."""
    iou = box_iou(box[None], picture.boxes)[0]
    objects = [i for i, flag in enumerate(picture.flags.tolist()) if not flag]
    top = max(objects, key=lambda i: float(iou[i]), default=None)
    overlap = 0.0 if top is None else float(iou[top])
    if top is not None and overlap >= 0.5:
        return known.index(names[top])
    if overlap >= 0.4:
        return None
    for i in set(range(len(names))) - set(objects):
        x1, y1, x2, y2 = picture.boxes[i].tolist()
        a, b, c, d = box.tolist()
        inside = max(min(c, x2) - max(a, x1), 0) * max(min(d, y2) - max(b, y1), 0)
        if inside > 0.5 * (c - a) * (d - b):
            return None
    return -1


@pytest.mark.parametrize("feature", ["head", "trunk"])
def test_features_and_classes_are_those_of_a_plain_loop(shards: Shards, feature: str) -> None:
    made, told = detector(shards, feature), list[int]()
    found = region_features(
        made, shards, size=SIZE, batch=4, per_picture=KEPT, feature=feature, say=told.append
    )
    wanted = slow(made, shards, feature)
    assert len([*shards.path.glob("*.tar")]) == 3
    assert told == [4, 6]
    assert found.boxed == wanted.boxed
    assert found.labels.tolist() == wanted.labels.tolist()
    torch.testing.assert_close(found.features, wanted.features, rtol=1e-4, atol=1e-5)
    shown = set(found.labels.tolist())
    assert -1 in shown
    assert len(shown) >= 4
    apart = torch.cdist(wanted.features, wanted.features).fill_diagonal_(1)
    assert apart.min() > 1e-3  # so that no two rows could change places unseen


def test_what_is_written_is_read(shards: Shards, tmp_path: Path) -> None:
    made = detector(shards, "head")
    found = region_features(
        made, shards, size=SIZE, batch=4, per_picture=2, feature="head", say=lambda done: None
    )
    found.write(tmp_path)
    again = RegionFeatures.read(tmp_path)
    assert again.boxed == found.boxed
    assert torch.equal(again.features, found.features)
    assert torch.equal(again.labels, found.labels)
