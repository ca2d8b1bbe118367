"""A classifier's own rows on a detector's regions: on the features that they were made for."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from components.models.choices import Lite0, Resnet
from components.models.two_stage import build
from components.train.checkpoint import (
    STAGE1_PARTS,
    load_model,
    read_record,
)
from components.train.class_file import read_classes
from components.train.export_model import export_model
from components.train.source_file import open_source
from components.train.source_folder import load_source, save_source
from components.train.weights_file import WeightsError
from components.transfer.source import SourceError
from components.vocab.classes import Vocabulary
from tests.components.train.rectangles import batch
from tests.components.train.small_exports import BOXED, LABELLED, SOURCE, model, source


def test_rows_of_a_source_on_the_head_stand_for_the_labelled_classes(tmp_path: Path) -> None:
    before = model(tmp_path / "a")
    given = source(256)
    made = export_model(before, out=tmp_path / "b", source=given)
    assert made.groups == {"boxed": 3, "labelled": 3}
    assert made.left_out == ("coarse:x", "fine:a")
    detector, record = load_model(tmp_path / "b")
    assert record.labelled == SOURCE
    (found,) = detector.regions(batch([0], size=64, objects=2))
    old, _ = load_model(before)
    (wanted,) = old.regions(batch([0], size=64, objects=2))
    torch.testing.assert_close(found.boxed, wanted.boxed)
    torch.testing.assert_close(found.foreground, wanted.foreground)
    with torch.no_grad():
        maps = old.maps(batch([0], size=64, objects=2))
        x = old.features(maps, old.propose(maps, batch([0], size=64, objects=2)).boxes)
        logits = x @ given.weights.weight.T + given.weights.bias
    torch.testing.assert_close(found.labelled, logits.softmax(1))
    export_model(before, out=tmp_path / "c", source=given, ids=["fine:n2", "fine:e", "fine:n1"])
    detector, record = load_model(tmp_path / "c")
    assert (record.boxed.ids, record.labelled.ids) == (("fine:e",), ("fine:n2", "fine:n1"))
    (found,) = detector.regions(batch([0], size=64, objects=2))
    torch.testing.assert_close(found.labelled, logits[:, [2, 1]].softmax(1))


def test_our_own_classifier_is_a_source(tmp_path: Path) -> None:
    before = model(tmp_path / "a")
    stage1 = model(tmp_path / "s", parts=STAGE1_PARTS, labelled=SOURCE)
    opened = open_source(stage1)
    assert opened.feature == "head"
    assert opened.weights.vocabulary == SOURCE
    export_model(before, out=tmp_path / "b", source=opened)
    assert read_record(tmp_path / "b").labelled.ids == SOURCE.ids


def test_a_classifier_reads_the_head_it_was_trained_with(tmp_path: Path) -> None:
    before = model(tmp_path / "a")
    stage1 = model(tmp_path / "s", parts=STAGE1_PARTS, labelled=SOURCE, seed=4)
    with pytest.raises(SourceError, match=r"another region head .* got \d+ of \d+ tensors"):
        export_model(before, out=tmp_path / "b", source=open_source(stage1))
    assert not (tmp_path / "b").exists()
    (tmp_path / "rows").mkdir()
    save_source(tmp_path / "rows", open_source(stage1))
    with pytest.raises(SourceError, match=r"another region head"):
        export_model(before, out=tmp_path / "b", source=open_source(tmp_path / "rows"))


def test_a_class_under_two_ids_is_found_by_both_and_told(tmp_path: Path) -> None:
    before = model(tmp_path / "a")
    two = Vocabulary(ids=("net:7", "net:8", "fine:b"), names=("c", "e", "b"))
    weights = replace(source(256).weights, vocabulary=two)
    given = replace(source(256), weights=weights)
    made = export_model(before, out=tmp_path / "b", source=given)
    assert made.two_ids == (("fine:c", "net:7"), ("fine:e", "net:8"))
    made = export_model(before, out=tmp_path / "b", source=given, ids=["fine:c", "net:8", "fine:b"])
    assert made.two_ids == ()
    assert export_model(before, out=tmp_path / "b", source=source(256)).two_ids == ()


def test_a_classifier_reads_the_trunk_it_was_made_for(tmp_path: Path) -> None:
    before = model(tmp_path / "a", backbone=Resnet(weights="file"))
    trunk = build(Resnet(weights="file"), boxed=BOXED, labelled=LABELLED, seed=3).trunk.body
    tensors = {k: v.clone() for k, v in trunk.state_dict().items()}
    export_model(before, out=tmp_path / "b", source=source(512, feature="trunk", tensors=tensors))
    detector, _ = load_model(tmp_path / "b")
    assert detector.trunk_feature is not None
    pictures = batch([0], size=64, objects=2)
    (found,) = detector.regions(pictures)
    rows = source(512).weights
    with torch.no_grad():
        maps = detector.trunk(detector.pixels(pictures))
        x = detector.trunk_features(maps, [found.boxes])
    torch.testing.assert_close(found.labelled, (x @ rows.weight.T + rows.bias).softmax(1))
    trunk = source(512, feature="trunk", tensors=tensors)
    export_model(before, out=tmp_path / "m", source=trunk, context=0.5)
    mixed, _ = load_model(tmp_path / "m")
    with torch.no_grad():
        whole = detector.trunk_feature.whole(maps, pictures.image_size)
    (found,) = mixed.regions(pictures)
    near, far = ((y @ rows.weight.T + rows.bias).softmax(1) for y in (x, whole))
    torch.testing.assert_close(found.labelled, (near * far).sqrt())
    more = replace(trunk, weights=replace(rows, vocabulary=Vocabulary.of(["x:1", "x:2", "x:3"])))
    export_model(tmp_path / "m", out=tmp_path / "more", source=more)  # its share is the model's
    kept = read_classes(tmp_path / "more" / "classes.safetensors").labelled
    assert kept is not None
    assert (kept.context, len(kept.vocabulary)) == (0.5, 6)
    with pytest.raises(SourceError, match=r"got context 0.25, and the model has 0.5"):
        export_model(tmp_path / "m", out=tmp_path / "c", source=more, context=0.25)
    head = replace(
        source(512), feature="head"
    )  # nobody named a share, and none is named in the error
    with pytest.raises(SourceError, match=r"got feature head, and the model has trunk"):
        export_model(tmp_path / "m", out=tmp_path / "c", source=head)
    tensors["layer4.1.conv2.weight"] += 1e-3
    with pytest.raises(WeightsError, match=r"got 1 of 1\d\d tensors that differ: layer4.1.conv2"):
        export_model(
            before, out=tmp_path / "c", source=source(512, feature="trunk", tensors=tensors)
        )
    assert not (tmp_path / "c").exists()


def test_rows_of_no_network_are_taken_for_the_features_of_their_width(tmp_path: Path) -> None:
    """The head's, the trunk's; the trunk's where both fit; else both widths are told."""
    model(tmp_path / "small")
    model(tmp_path / "large", backbone=Resnet(weights="file"))
    for name, width, feature in (("small", 256, "head"), ("large", 512, "trunk")):
        same_width = source(width, feature=None)
        made = export_model(tmp_path / name, out=tmp_path / "b", source=same_width)
        assert made.groups["labelled"] == 3
        group = read_classes(tmp_path / "b" / "classes.safetensors").labelled
        assert group is not None
        assert group.feature == feature
        export_model(tmp_path / name, out=tmp_path / "c", source=source(width, feature=feature))
        for file in (tmp_path / "b").iterdir():
            assert file.read_bytes() == (tmp_path / "c" / file.name).read_bytes()
    for name, told in (("small", "its trunk none"), ("large", "its trunk 512")):
        with pytest.raises(SourceError, match=rf"got 9 numbers a class, .* head has .* {told}"):
            export_model(tmp_path / name, out=tmp_path / "d", source=source(9, feature=None))
    with pytest.raises(SourceError, match=r"context: .* trunk's features; got 0.5"):
        export_model(
            tmp_path / "small", out=tmp_path / "d", source=source(256, feature=None), context=0.5
        )


def test_lite0_has_two_widths(tmp_path: Path) -> None:
    model(tmp_path / "a", backbone=Lite0(weights="file"))
    export_model(tmp_path / "a", out=tmp_path / "b", source=source(512, feature=None))
    group = read_classes(tmp_path / "b" / "classes.safetensors").labelled
    assert group is not None
    assert group.feature == "head"
    assert load_model(tmp_path / "b")[0].trunk_feature is None


@pytest.mark.parametrize("feature", ["head", "trunk", None])
def test_a_folder_of_rows_keeps_what_they_read(tmp_path: Path, feature) -> None:
    save_source(tmp_path, source(4, feature=feature))
    assert load_source(tmp_path).feature == feature
