"""The door of classes.safetensors: what goes in comes out, and nothing else does."""

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from components.models.class_weights import ClassGroup, ClassWeights, ExportedScorer
from components.models.scores import LinearScorer
from components.train.class_file import read_classes, write_classes
from components.train.weights_file import WeightsError, read_header
from components.transfer.adapters import Adapter, Shape
from components.vocab.classes import Vocabulary

KNOWN = Vocabulary(ids=("fine:n1", "fine:n2"), names=("cat", "Hündin"))


def weights() -> ClassWeights:
    torch.manual_seed(0)
    adapter = Adapter(Shape(kind="residual", features=6, layers=(4,), outputs=4)).eval()
    boxed = ClassGroup(
        vocabulary=KNOWN, weight=torch.randn(3, 5), bias=torch.randn(3), rule="softmax"
    )
    labelled = ClassGroup(
        vocabulary=KNOWN, weight=torch.randn(2, 4), bias=torch.randn(2), rule="sigmoid",
        feature="trunk", adapter=adapter,
    )  # fmt: skip
    return ClassWeights(boxed=boxed, labelled=labelled)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "classes.safetensors"
    write_classes(path, weights())
    return path


def test_what_was_written_is_read(path: Path) -> None:
    wanted, found = weights(), read_classes(path)
    for name, group in wanted.groups().items():
        other = found.groups()[name]
        assert other.vocabulary == group.vocabulary
        assert (other.rule, other.feature, other.rivals) == (
            group.rule, group.feature, group.rivals,
        )  # fmt: skip
        assert torch.equal(other.weight, group.weight)
    head = LinearScorer(5, 1)
    x, trunk = torch.randn(3, 5), torch.randn(3, 6)
    scorers = [ExportedScorer(w, foreground=head).eval() for w in (wanted, found)]
    for a, b in zip(*(s.probabilities(x, trunk) for s in scorers), strict=True):
        assert torch.equal(a, b)
    assert found.labelled is not None
    assert found.labelled.adapter is not None
    assert not found.labelled.adapter.training


def test_rivals_keep_their_ids_and_may_have_none(path: Path) -> None:
    """A file of an earlier vocabox names no rival, and has the bytes that it had."""
    assert read_classes(path).groups()["boxed"].rival_ids == ()
    assert "rival_ids" not in read_header(path).metadata["classes"]
    good = weights()
    assert good.boxed is not None
    write_classes(path, replace(good, boxed=replace(good.boxed, rival_ids=("fine:gone",))))
    found = read_classes(path).groups()["boxed"]
    assert (found.rivals, found.rival_ids) == (1, ("fine:gone",))


def test_equal_classes_give_equal_bytes_without_a_place(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    for _ in range(3):
        write_classes(other, weights())
        assert other.read_bytes() == path.read_bytes()
    assert str(tmp_path).encode() not in path.read_bytes()
    names = set(load_file(path))
    assert {"boxed.weight", "boxed.bias", "labelled.adapter.layers.0.weight"} <= names


def changed(path: Path, **how: Any) -> Path:
    """Write the file anew with other groups' text, or other tensors."""
    said = json.loads(read_header(path).metadata["classes"])
    tensors = load_file(path)
    for key, value in how.get("text", {}).items():
        place, last = said["groups"]["boxed"], key
        if key in said:
            place = said
        place[last] = value
    tensors |= how.get("tensors", {})
    save_file(tensors, path, metadata={how.get("key", "classes"): json.dumps(said)})
    return path


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"key": "other"}, "holds no exported classes"),
        ({"text": {"version": 2}}, "version 1 is read here; got 2"),
        ({"text": {"groups": {"strange": {}}}}, "groups are boxed and labelled"),
        ({"text": {"ids": ["a", "b"], "rivals": 2}}, "got 3 rows for 2 class ids and 2 rivals"),
        ({"text": {"ids": list("abcd"), "names": list("abcd")}}, "got 3 rows and 4 class ids"),
        ({"text": {"ids": ["a", "a"]}}, "each class id once; got 'a' twice"),
        ({"text": {"names": ["a"]}}, "one name a class"),
        ({"text": {"rival_ids": ["a", "b"]}}, "got 2 ids of rivals for 1 rows"),
        ({"text": {"rival_ids": ["fine:n1"]}}, "none is its own rival; got 'fine:n1'"),
        ({"text": {"rival_ids": None}}, "do not belong together"),
        ({"text": {"rule": "argmax"}}, "rule is one of softmax, sigmoid; got 'argmax'"),
        ({"text": {"feature": "pixels"}}, "feature is one of head, trunk; got 'pixels'"),
        ({"text": {"adapter": {"kind": "eval"}}}, "do not belong together"),
        (
            {"text": {"adapter": {"kind": "cosine", "features": 10**9, "layers": [],
                                  "outputs": 10**9}}},
            "16 layers of 1 to 65536 channels at most; got 1000000000",
        ),
        (
            {"text": {"adapter": {"kind": "cosine", "features": 2**16, "layers": [2**16],
                                  "outputs": 2**16}}},  # 34 GB, were it built
            r"boxed\.adapter: the tensors do not fit the network; got \d missing",
        ),
        ({"tensors": {"boxed.bias": torch.tensor([0, 1, float("nan")])}}, r"boxed.bias \(1 of 3\)"),
        ({"tensors": {"boxed.bias": torch.zeros(3, dtype=torch.int8)}}, "got boxed.bias I8"),
        ({"tensors": {"boxed.weight": torch.zeros(5)}}, "weights .C, D. and a bias .C.; got .5."),
        ({"tensors": {"third.weight": torch.zeros(5)}}, "groups are boxed and labelled; got third"),
    ],
)  # fmt: skip
def test_a_file_whose_parts_do_not_belong_together_is_refused(
    path: Path, how: dict[str, Any], said: str
) -> None:
    with pytest.raises(WeightsError, match=said):
        read_classes(changed(path, **how))


def test_pickles_bombs_and_cut_files_are_refused_before_they_are_read(path: Path) -> None:
    data = path.read_bytes()
    torch.save({"w": torch.ones(2)}, path)
    with pytest.raises(WeightsError, match=r"a pickle .* which can run code"):
        read_classes(path)
    path.write_bytes(struct.pack("<Q", 2**60) + data[8:])
    with pytest.raises(WeightsError, match="its header says it is"):
        read_classes(path)
    path.write_bytes(data[:-10])
    with pytest.raises(WeightsError, match="cut short"):
        read_classes(path)


def test_what_cannot_be_read_is_not_written(path: Path) -> None:
    before = path.read_bytes()
    good = weights()
    assert good.boxed is not None
    bad = replace(good.boxed, bias=torch.tensor([0.0, float("inf"), 0]))
    with pytest.raises(WeightsError, match="hold NaN or infinity"):
        write_classes(path, replace(good, boxed=bad))
    long = Vocabulary(ids=("a", "b"), names=("x" * 6_000_000, "y"))
    with pytest.raises(WeightsError, match="Export fewer classes"):
        write_classes(path, replace(good, boxed=replace(good.boxed, vocabulary=long)))
    assert path.read_bytes() == before
