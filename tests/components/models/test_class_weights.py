"""Exported classes answer as the scorer that they were made of."""

import pytest
import torch

from components.models.class_weights import (
    ClassGroup,
    ClassWeights,
    ClassWeightsError,
    ExportedScorer,
)
from components.models.scores import DecoupledScorer, LinearScorer
from components.transfer.adapters import Adapter, Shape
from components.vocab.classes import Vocabulary

BOXED = Vocabulary.of(["fine:a", "fine:b", "fine:c"])
LABELLED = Vocabulary.of(["fine:b", "fine:d"])


def _scorer() -> DecoupledScorer:
    torch.manual_seed(0)
    scorer = DecoupledScorer(features=5, boxed=3, labelled=2)
    for parameter in scorer.parameters():
        torch.nn.init.normal_(parameter)
    return scorer


def _group(scorer: LinearScorer, known: Vocabulary, **how) -> ClassGroup:
    given = {"rule": "softmax"} | how
    return ClassGroup(
        vocabulary=known, weight=scorer.weight.detach(), bias=scorer.bias.detach(), **given
    )


def _weights(scorer: DecoupledScorer, **how) -> ClassWeights:
    return ClassWeights(
        boxed=_group(scorer.boxed, BOXED, **how), labelled=_group(scorer.labelled, LABELLED)
    )


def test_two_softmax_groups_answer_as_the_decoupled_scorer() -> None:
    scorer, x = _scorer(), torch.randn(7, 5)
    exported = ExportedScorer(_weights(scorer), foreground=scorer.foreground)
    for mine, theirs in zip(exported.probabilities(x), scorer.probabilities(x), strict=True):
        assert torch.equal(mine, theirs)
    assert torch.equal(exported.labelled(x), scorer.labelled(x))


def test_some_classes_keep_their_scores_and_their_rows() -> None:
    scorer, x = _scorer(), torch.randn(7, 5)
    whole = _group(scorer.boxed, BOXED)
    some = whole.only(["fine:c", "fine:elsewhere", "fine:a"])
    assert some is not None
    assert some.vocabulary.ids == ("fine:c", "fine:a")
    assert (some.rivals, some.rival_ids) == (1, ("fine:b",))
    fewer = some.only(["fine:a"])
    assert fewer is not None
    assert fewer.rival_ids == ("fine:b", "fine:c")
    assert torch.equal(fewer.weight, whole.weight[[0, 1, 2]])
    assert torch.equal(some.weight, whole.weight[[2, 0, 1]])
    exported = ExportedScorer(ClassWeights(boxed=some), foreground=scorer.foreground)
    _, boxed, labelled = exported.probabilities(x)
    torch.testing.assert_close(boxed, scorer.probabilities(x)[1][:, [2, 0]], rtol=0, atol=1e-6)
    assert labelled.shape == (7, 0)
    assert whole.only(["fine:elsewhere"]) is None


def test_a_sigmoid_stands_alone_and_a_softmax_beside_it_keeps_the_foreground() -> None:
    scorer, x = _scorer(), torch.randn(7, 5)
    f, _, s = scorer.probabilities(x)
    alone = ClassWeights(boxed=_group(scorer.boxed, BOXED, rule="sigmoid"))
    exported = ExportedScorer(alone, foreground=scorer.foreground)
    fg, boxed, _ = exported.probabilities(x)
    assert fg.tolist() == [1.0] * 7
    assert torch.equal(boxed, scorer.boxed(x).sigmoid())
    assert not [name for name, _ in exported.named_parameters() if "foreground" in name]
    mixed = ExportedScorer(_weights(scorer, rule="sigmoid"), foreground=scorer.foreground)
    fg, boxed, labelled = mixed.probabilities(x)
    assert fg.tolist() == [1.0] * 7
    assert torch.equal(boxed, scorer.boxed(x).sigmoid())
    torch.testing.assert_close(labelled, f[:, None] * s)


def test_each_group_reads_its_own_feature_through_its_own_adapter() -> None:
    torch.manual_seed(1)
    adapter = Adapter(Shape(kind="cosine", features=6, layers=(4,), outputs=3)).eval()
    group = ClassGroup(
        vocabulary=LABELLED, weight=torch.randn(2, 3), bias=torch.randn(2), rule="sigmoid",
        feature="trunk", adapter=adapter,
    )  # fmt: skip
    assert group.features == 6
    scorer = _scorer()
    weights = ClassWeights(boxed=_group(scorer.boxed, BOXED), labelled=group)
    exported = ExportedScorer(weights, foreground=scorer.foreground)
    x, trunk = torch.randn(7, 5), torch.randn(7, 6)
    _, boxed, labelled = exported.probabilities(x, trunk)
    wanted = (adapter(trunk) @ group.weight.T + group.bias).sigmoid()
    torch.testing.assert_close(labelled, wanted)
    torch.testing.assert_close(
        boxed, scorer.probabilities(x)[1] * scorer.probabilities(x)[0][:, None]
    )
    with pytest.raises(ClassWeightsError, match="a group reads features of the trunk; got none"):
        exported.probabilities(x)


def test_context_mixes_the_picture_into_its_regions() -> None:
    torch.manual_seed(1)
    scorer, x = _scorer(), torch.randn(7, 5)
    known = {"vocabulary": LABELLED, "weight": torch.randn(2, 6), "bias": torch.randn(2)}
    group = ClassGroup(**known, rule="softmax", feature="trunk", context=0.25)
    exported = ExportedScorer(ClassWeights(labelled=group), foreground=scorer.foreground)
    trunk, whole = torch.randn(7, 6), torch.randn(7, 6)
    near, far = (y @ group.weight.T + group.bias for y in (trunk, whole))
    wanted = near.softmax(1) ** 0.75 * far.softmax(1) ** 0.25
    torch.testing.assert_close(exported.probabilities(x, trunk, whole)[2], wanted)
    with pytest.raises(ClassWeightsError, match="Give `trunk` and `whole`"):
        exported.probabilities(x, trunk)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"context": 0.5}, r"context is a share in \[0, 1\] of the trunk's feature; got 0.5 of"),
        ({"context": 1.5, "feature": "trunk"}, "got 1.5 of the trunk's"),
        ({"context": float("nan"), "feature": "trunk"}, "got nan of the trunk's"),
        ({"rule": "relu"}, "rule is one of softmax, sigmoid; got 'relu'"),
        ({"feature": "pixels"}, "feature is one of head, trunk; got 'pixels'"),
        ({"bias": torch.zeros(2)}, r"got \[3, 5\] and \[2\]"),
        ({"vocabulary": Vocabulary.of("abcd")}, "one row a class; got 3 rows and 4 class ids"),
        ({"rule": "sigmoid", "vocabulary": LABELLED}, "a sigmoid has no rivals; got 3 rows for 2"),
        (
            {"adapter": Adapter(Shape(kind="cosine", features=6, outputs=3))},
            "rows of the adapter's width; got 5 for 3",
        ),
    ],
)
def test_what_does_not_belong_together_is_refused(how, said) -> None:
    good = {
        "vocabulary": BOXED, "weight": torch.zeros(3, 5), "bias": torch.zeros(3), "rule": "softmax",
    }  # fmt: skip
    assert ClassGroup(**good).features == 5
    with pytest.raises(ClassWeightsError, match=said):
        ClassGroup(**good | how)
    with pytest.raises(ClassWeightsError, match="no group of classes"):
        ClassWeights()
