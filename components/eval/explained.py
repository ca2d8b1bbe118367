"""Why a score is what it is: halves with counts, curves, what is said of each class, pictures.

Plain values that a table, a page or a program can show; every number is of one test set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.data.class_counts import ClassCounts
from components.eval.coco_ap import METRICS, ClassScore, Truth, mean_over
from components.eval.confusion import Said, called, shares, table
from components.eval.detections import Detections
from components.eval.precision_recall import few_classes, mean_curve
from components.eval.verdicts import Verdicts, judge, picture_scores, worst_and_best

CURVES = 5  # classes that have a curve of their own
HALVES = ("seen", "novel", "unknown")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassRow:
    """One class of one test set: what training had of it, and what came of its truths."""

    id: str
    half: str  # of HALVES
    truths: int
    train_boxes: int
    train_labels: int
    AP: float
    AP50: float
    AP75: float
    right: int  # truths whose best fitting detection says their class
    confused: int  # ... says another
    missed: int  # truths that no detection fits


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranked:
    """A picture that is drawn because it is among the worst, or the best."""

    row: int
    place: str  # worst or best
    score: float  # average precision of the picture, IoU .50


@dataclass(frozen=True, kw_only=True, slots=True)
class Explained:
    """What is known of one test set beyond its metrics."""

    classes: tuple[ClassRow, ...]  # those with truth
    halves: tuple[dict[str, float | str], ...]
    curves: dict[str, tuple[float, ...]]  # all, seen, novel -> precision at 101 recalls
    class_curves: dict[str, tuple[float, ...]]  # the same of a few classes
    said: tuple[Said, ...]
    shares: dict[str, int]
    pictures: tuple[Ranked, ...]
    verdicts: Verdicts


def explain(
    truth: Truth,
    found: Detections,
    scores: Mapping[str, ClassScore],
    *,
    halves: Mapping[str, str],
    kinds: Mapping[str, str],
    train: ClassCounts,
    pictures: int,
) -> Explained:
    """Explain the scores of one test set.

    Args:
        truth: with categories as positions in the keys of `scores`.
        found: likewise.
        scores: by class id, of all classes asked for.
        halves: class id -> one of HALVES.
        kinds: class id -> its kind, where it is known.
        train: how often training met each class.
        pictures: most of the worst, and most of the best.
    """
    said = table(truth, called(truth, found), ids=tuple(scores))
    rows = tuple(_rows(scores, halves, train, said))
    verdicts = judge(truth, found)
    ranks = picture_scores(truth, found, verdicts)
    worst, best = worst_and_best(ranks, truth, most=pictures)
    by_half = {half: [i for i in scores if halves[i] == half] for half in HALVES}
    curves = {"all": mean_curve(scores)}
    curves |= {half: mean_curve(scores, ids) for half, ids in by_half.items()}
    return Explained(
        classes=rows,
        halves=tuple(_halves(scores, rows)),
        curves={name: curve for name, curve in curves.items() if curve},
        class_curves={i: scores[i].precision50 for i in few_classes(scores, most=CURVES)},
        said=tuple(said),
        shares=shares(said, kinds=kinds),
        pictures=tuple(
            Ranked(row=row, place=place, score=float(ranks[row]))
            for place, listed in (("worst", worst), ("best", best))
            for row in listed
        ),
        verdicts=verdicts,
    )


def _rows(
    scores: Mapping[str, ClassScore],
    halves: Mapping[str, str],
    train: ClassCounts,
    said: Sequence[Said],
) -> list[ClassRow]:
    of: dict[str, dict[str, int]] = {i: {"right": 0, "confused": 0, "missed": 0} for i in scores}
    for row in said:
        how = "missed" if row.said is None else "right" if row.said == row.true else "confused"
        of[row.true][how] += row.count
    return [
        ClassRow(
            id=i,
            half=halves[i],
            truths=score.truths,
            train_boxes=train.boxes.get(i, 0),
            train_labels=train.labels.get(i, 0),
            AP=score.AP,
            AP50=score.AP50,
            AP75=score.AP75,
            **of[i],
        )
        for i, score in scores.items()
        if score.truths
    ]


def _halves(
    scores: Mapping[str, ClassScore], rows: Sequence[ClassRow]
) -> list[dict[str, float | str]]:
    """Return counts and means over the classes of each half that has truth, and over all."""
    out: list[dict[str, float | str]] = []
    for half in ("all", *HALVES):
        of_half = [row for row in rows if half in ("all", row.half)]
        if not of_half:
            continue
        counted = {
            name: sum(getattr(row, name) for row in of_half)
            for name in ("truths", "train_boxes", "train_labels", "right", "confused", "missed")
        }
        means = mean_over(dict(scores), [row.id for row in of_half])
        out.append({"half": half, "classes": len(of_half), **counted,
                    **{name: means[name] for name in METRICS}})  # fmt: skip
    return out
