"""Candidates <-> truths: who is an object, who is not, who is left out; and balanced sampling.

Ren et al., Faster R-CNN, 2015, sections 3.1.2-3.1.3. Shapes: P candidates, T truths.
Differs: draws depend on (seed, step, row) only, so that workers that share a batch out agree
with one worker that holds all of it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from components.boxes.geometry import covered, overlap

NEGATIVE, LEFT_OUT = -1, -2
_MASK = (1 << 64) - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """From which overlap a candidate is an object, below which it is not."""

    positive: float  # IoU, in (0, 1]
    negative: float  # IoU, at most `positive`
    best_counts: bool = False  # a truth without a candidate takes the best it has
    ignored: float = 0.5  # share of a candidate inside an ignored region that leaves it out


def match(
    boxes_P4: Tensor, truths_T4: Tensor, *, rule: Rule, ignored_I4: Tensor | None = None
) -> Tensor:
    """Return the truth of each candidate, int64 [P]: an index, NEGATIVE or LEFT_OUT."""
    matched = torch.full((len(boxes_P4),), NEGATIVE, dtype=torch.int64, device=boxes_P4.device)
    if len(truths_T4) and len(boxes_P4):
        iou_PT = overlap(boxes_P4, truths_T4)
        best_P, truth_P = iou_PT.max(1)
        matched = torch.where(best_P >= rule.positive, truth_P, LEFT_OUT)
        matched[best_P < rule.negative] = NEGATIVE
        if rule.best_counts:
            top_T = iou_PT.max(0).values
            chosen = ((iou_PT == top_T) & (top_T > 0)).any(1)
            matched = torch.where(chosen, truth_P, matched)
    if ignored_I4 is not None and len(ignored_I4) and len(boxes_P4):
        hidden = covered(boxes_P4, ignored_I4).max(1).values > rule.ignored
        matched[hidden & (matched == NEGATIVE)] = LEFT_OUT
    return matched


def match_nearest(
    boxes_P4: Tensor, truths_T4: Tensor, *, most: int, ignored_I4: Tensor | None = None
) -> Tensor:
    """Return the truth of each candidate, as `match`: the `most` best by overlap of each truth.

    Dissertation (paper 2), Algorithm 1, lines 2-6: no band is left out beside what is ignored.
    Differs: a candidate that several truths choose belongs to the one it overlaps most, the first
    of equal ones, and counts once; one that overlaps nothing is nobody's, however few there are.

    Args:
        boxes_P4: candidates, before they are refined.
        truths_T4: boxes of objects.
        most: N, candidates of a truth.
        ignored_I4: regions in which nothing is negative.
    """
    nothing = Rule(positive=1.0, negative=1.0)
    free = match(boxes_P4, truths_T4[:0], rule=nothing, ignored_I4=ignored_I4)
    if not len(truths_T4) or not len(boxes_P4):
        return free
    iou_TP = overlap(truths_T4, boxes_P4)
    best = iou_TP.topk(min(most, len(boxes_P4)), dim=1)
    chosen_TP = torch.zeros_like(iou_TP).scatter_(1, best.indices, best.values)
    top_P, truth_P = chosen_TP.max(0)
    return torch.where(top_P > 0, truth_P, free)


def key(seed: int, step: int, row: int, *, purpose: int = 0) -> int:
    """Mix four numbers into a seed of 63 bits (splitmix64, applied to each in turn)."""
    state = 0
    for number in (seed, step, row, purpose):
        state = (state + (number & _MASK) + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1


def sample(matched_P: Tensor, *, size: int, positive: float, seed: int) -> tuple[Tensor, Tensor]:
    """Draw at most `size` candidates, at most a share `positive` of them objects.

    Args:
        matched_P: what `match` returned.
        size: of the draw; fewer where there are fewer candidates.
        positive: largest share of objects, in [0, 1].
        seed: see `key`; torch's global generator is neither read nor moved.

    Returns:
        Indices of the objects and of the others, each in the order drawn.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(mask: Tensor, most: int) -> Tensor:
        found = torch.nonzero(mask).flatten()
        order = torch.randperm(len(found), generator=generator)[: max(most, 0)]
        return found[order.to(found.device)]

    objects = draw(matched_P >= 0, int(size * positive))
    return objects, draw(matched_P == NEGATIVE, size - len(objects))
