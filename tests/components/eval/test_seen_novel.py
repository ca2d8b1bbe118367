import math

import pytest

from components.eval.coco_ap import ClassScore
from components.eval.metric_names import MetricNameError
from components.eval.seen_novel import half_of, over_groups, seen_and_novel


def score(ap: float) -> ClassScore:
    return ClassScore(truths=3, AP=ap, AP50=ap * 2, AP75=ap / 2)


SCORES = {
    "fine:boxed": score(0.4),
    "fine:both": score(0.2),
    "fine:labelled": score(0.1),
    "fine:never": score(0.0),
    "fine:absent": ClassScore(truths=0, AP=math.nan, AP50=math.nan, AP75=math.nan),
}
BOXED, LABELLED = {"fine:boxed", "fine:both"}, {"fine:both", "fine:labelled", "fine:absent"}


def test_a_class_with_boxes_is_seen_and_one_training_never_met_is_in_neither_half() -> None:
    halves = [half_of(i, boxed=BOXED, labelled=LABELLED) for i in SCORES]
    assert halves == ["seen", "seen", "novel", "unknown", "novel"]
    made = dict(seen_and_novel(SCORES, boxed=BOXED, labelled=LABELLED))
    wanted = {"seen/AP": 0.3, "seen/AP50": 0.6, "seen/AP75": 0.15}
    wanted |= {"novel/AP": 0.1, "novel/AP50": 0.2, "novel/AP75": 0.05}
    assert made == pytest.approx(wanted)


@pytest.mark.parametrize("empty", ["seen", "novel"])
def test_a_mean_over_an_empty_half_is_no_number(empty: str) -> None:
    everything = {"boxed": set(SCORES), "labelled": set(SCORES)}
    everything["boxed" if empty == "seen" else "labelled"] = set()
    made = dict(seen_and_novel(SCORES, **everything))
    assert len(made) == 6
    assert all(math.isnan(value) == name.startswith(empty) for name, value in made.items())


def test_groups_are_named_after_the_at_sign() -> None:
    groups = {"mine": ["fine:boxed", "fine:labelled"], "empty": ["fine:absent", "fine:other"]}
    groups["strange"] = ["coarse:other"]
    made = dict(over_groups(SCORES, prefix="fine", groups=groups))
    assert made["fine/AP"] == pytest.approx((0.4 + 0.2 + 0.1) / 4)
    assert made["fine/AP@mine"] == pytest.approx(0.25)
    assert math.isnan(made["fine/AP@empty"])
    assert not any("strange" in name for name in made)
    with pytest.raises(MetricNameError, match="fine/AP@a-b"):
        dict(over_groups(SCORES, prefix="fine", groups={"a-b": ["fine:both"]}))
