"""Features that somebody's classifier reads, of regions: equal to the classifier's own network."""

import pytest
import torch
from torchvision.models import resnet18
from torchvision.ops import roi_align

from components.data.sample import Batch
from components.models.choices import Lite0, Resnet, Small
from components.models.class_weights import ClassGroup, ClassWeights
from components.models.two_stage import Detector, NoTrunkFeatureError, build
from components.train.foreign import load_trunk_feature, timm_tensors
from components.train.tensors import fit_tensors
from components.vocab.classes import Vocabulary

NONE = Vocabulary(ids=(), names=())
CLASSES = Vocabulary.of(["fine:a", "fine:b"])


def _lite0() -> tuple[Detector, torch.nn.Module]:
    """Return a detector and timm's whole network, with the same weights."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    for module in whole.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    tensors = whole.state_dict()
    detector = build(Lite0(weights="file"), boxed=CLASSES, labelled=NONE)
    target, left_out = detector.trunk.entrance()
    fit_tensors(target, tensors, where="timm", left_out=left_out)
    load_trunk_feature(detector, tensors, where="timm")
    return detector.eval(), whole


def test_lite0_gives_what_its_classifier_reads() -> None:
    detector, whole = _lite0()
    assert set(timm_tensors()) == set(whole.state_dict())
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps = detector.trunk(x)
        feature = detector.trunk_feature
        assert feature is not None
        got = feature.whole(maps, torch.tensor([[64, 96]]))
        wanted = whole.forward_head(whole.forward_features(x), pre_logits=True)
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
        boxes = torch.tensor([[3.0, 5, 60, 50], [0, 0, 96, 64]])
        rois = torch.cat([torch.zeros(2, 1), boxes], 1)
        cells = roi_align(maps["32"], rois, 4, 1 / 32, 2, aligned=True)
        wanted = whole.bn2(whole.conv_head(cells)).mean((2, 3))  # timm's bn2 activates
        torch.testing.assert_close(feature(maps, [boxes]), wanted, rtol=1e-4, atol=1e-5)
    assert feature.width == 1280
    assert not any(p.requires_grad for p in feature.parameters())
    before = {k: v.clone() for k, v in feature.state_dict().items()}
    detector.train()
    feature(maps, [boxes])
    assert all(torch.equal(v, before[k]) for k, v in feature.state_dict().items())


def test_the_mean_comes_after_the_layers() -> None:
    """Pooling first is another number: the layer is not linear."""
    detector, _ = _lite0()
    maps = {"32": torch.randn(1, 320, 3, 3) * 5}
    boxes = [torch.tensor([[0.0, 0, 96, 96]])]
    assert detector.trunk_feature is not None
    with torch.no_grad():
        right = detector.trunk_feature(maps, boxes)
        cells = roi_align(
            maps["32"], torch.tensor([[0, 0.0, 0, 96, 96]]), 4, 1 / 32, 2, aligned=True
        )
        wrong = detector.trunk_feature.layers(cells.mean((2, 3), keepdim=True)).mean((2, 3))
    assert float((right - wrong).abs().max()) > 0.1


def test_resnet_gives_what_its_fc_reads() -> None:
    torch.manual_seed(0)
    whole = resnet18(weights=None).eval()
    detector = build(Resnet(weights="file"), boxed=CLASSES, labelled=NONE)
    target, left_out = detector.trunk.entrance()
    fit_tensors(target, whole.state_dict(), where="r18", left_out=left_out)
    load_trunk_feature(detector, whole.state_dict(), where="r18")
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        got = detector.trunk_feature.whole(detector.eval().trunk(x), torch.tensor([[64, 64]] * 2))
        torch.testing.assert_close(whole.fc(got), whole(x), rtol=1e-4, atol=1e-4)
    assert detector.trunk_feature.width == 512


def test_the_padding_is_left_out() -> None:
    detector = build(Resnet(weights="file"), boxed=CLASSES, labelled=NONE)
    feature = detector.add_trunk_feature()
    maps = {"32": torch.ones(1, 512, 2, 3)}
    maps["32"][:, :, :, 2] = 99
    assert feature.whole(maps, torch.tensor([[64, 64]])).unique().tolist() == [1.0]


def test_a_trunk_without_a_classifier_says_so() -> None:
    detector = build(Small(), boxed=CLASSES, labelled=NONE)
    with pytest.raises(NoTrunkFeatureError, match="no features that somebody's classifier reads"):
        detector.add_trunk_feature()
    with pytest.raises(NoTrunkFeatureError, match="Call add_trunk_feature"):
        detector.trunk_features({}, [])


def test_a_detector_scores_the_boxes_it_found_by_the_trunk() -> None:
    """Rows that read the trunk see the refined boxes, not the proposals."""
    detector = build(Resnet(), boxed=CLASSES, labelled=NONE, seed=1).eval()
    names = set(detector.state_dict())
    torch.nn.init.normal_(detector.refine.bias, std=0.5)
    feature = detector.add_trunk_feature()
    assert set(detector.state_dict()) == names  # no layers of its own
    group = ClassGroup(
        vocabulary=CLASSES, weight=torch.randn(2, 512), bias=torch.randn(2), rule="softmax",
        feature="trunk",
    )  # fmt: skip
    foreground = detector.scores.foreground
    detector.score_by(ClassWeights(labelled=group))
    assert detector.labelled == CLASSES
    assert not len(detector.boxed)
    batch = Batch.of_pictures(torch.randint(0, 255, (2, 64, 64, 3), dtype=torch.uint8))
    found = detector.regions(batch)
    with torch.no_grad():
        trunk = detector.trunk(detector.pixels(batch))
        x = feature(trunk, [r.boxes for r in found])
        wanted = (x @ group.weight.T + group.bias).softmax(1)
        logits = detector.classify(batch)
        whole = feature.whole(trunk, batch.image_size)
    torch.testing.assert_close(torch.cat([r.labelled for r in found]), wanted)
    torch.testing.assert_close(logits, whole @ group.weight.T + group.bias)
    assert found[0].boxed.shape[1] == 0
    assert detector.scores.foreground is foreground
    assert len({float(f) for f in found[0].foreground}) > 1
