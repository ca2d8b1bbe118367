"""Any AP over named sets of classes: seen (boxes to train on), novel (labels only), yours."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from components.eval.coco_ap import ClassScore, mean_over
from components.eval.metric_names import check_name


def over_groups(
    scores: Mapping[str, ClassScore],
    *,
    prefix: str,
    groups: Mapping[str, Sequence[str]],
) -> Iterator[tuple[str, float]]:
    """Yield (name, mean) of every metric over all classes, then over each group's classes.

    Args:
        scores: by class id.
        prefix: the group of the metric's name: coco, coarse, fine, val.
        groups: name -> class ids; one without a class of the scores is left out, one whose classes
            have no truth is NaN.
    """
    table = dict(scores)
    for metric, value in mean_over(table).items():
        yield check_name(f"{prefix}/{metric}"), value
    for name, ids in groups.items():
        if table.keys().isdisjoint(ids):
            continue  # of another level
        for metric, value in mean_over(table, ids).items():
            yield check_name(f"{prefix}/{metric}@{name}"), value


def seen_and_novel(
    scores: Mapping[str, ClassScore], *, boxed: Collection[str], labelled: Collection[str]
) -> Iterator[tuple[str, float]]:
    """Yield AP over the classes that had boxes in training, and over those that had only labels."""
    table = dict(scores)
    for half in ("seen", "novel"):
        ids = [i for i in table if half_of(i, boxed=boxed, labelled=labelled) == half]
        for metric, value in mean_over(table, ids).items():
            yield check_name(f"{half}/{metric}"), value


def half_of(class_id: str, *, boxed: Collection[str], labelled: Collection[str]) -> str:
    """Return seen, novel, or unknown: a class of the test set that training never met."""
    if class_id in boxed:
        return "seen"
    return "novel" if class_id in labelled else "unknown"
