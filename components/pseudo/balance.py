"""A threshold and a loss weight for each class, from how sure a teacher is of it.

Dissertation (paper 2), section 3.3.3, Eq. 3.6. A teacher is less sure of a rare class, and finds
it less often: its threshold is lowered, and what is kept of it counts for more. No torch.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Interval

from components.pseudo.certainty import LedgerError, Totals

Share = Annotated[float, Interval(gt=0, lt=1)]
LEAST = 1e-3  # of a class's certainty over the mean count: no threshold of a class is 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """How thresholds and weights follow the classes."""

    threshold: Share = 0.7  # tau: least score of a pseudo label of a class of mean certainty
    gamma1: Annotated[float, Interval(ge=0, le=2)] = 0.05  # of thresholds; 0: tau for every class
    gamma2: Annotated[float, Interval(ge=0, le=2)] = 0.6  # of loss weights; 0: every class is 1
    lowest: Share = 0.4  # thresholds stay in [lowest, highest]
    highest: Share = 0.9
    heaviest: Annotated[float, Ge(1)] = 10.0  # most that a class weighs


def thresholds(totals: Totals, cfg: Balance) -> np.ndarray:
    """Return the least score of each class, float64 [C]; tau itself where gamma1 is 0.

    Raises:
        LedgerError: nothing was found of any class.
    """
    if not cfg.gamma1:
        return np.full(len(totals.certainty), cfg.threshold)
    raised = np.maximum(_ratio(totals), LEAST) ** cfg.gamma1 * cfg.threshold
    return np.clip(raised, cfg.lowest, cfg.highest)


def weights(totals: Totals, cfg: Balance) -> np.ndarray:
    """Return what the loss of each class's objects is multiplied with, float64 [C].

    Differs: `heaviest` bounds it, which the text does not; a class of which nothing was found
    would weigh infinitely much.

    Raises:
        LedgerError: nothing was found of any class.
    """
    if not cfg.gamma2:
        return np.ones(len(totals.certainty))
    ratio = _ratio(totals)
    with np.errstate(divide="ignore", over="ignore"):  # infinite, and then bounded
        return np.minimum((1 / ratio) ** cfg.gamma2, cfg.heaviest)


def _ratio(totals: Totals) -> np.ndarray:
    """Return each class's certainty over the mean number of candidates of a class."""
    mean = totals.count.mean() if len(totals.count) else 0.0
    if not mean:
        raise LedgerError(
            f"pseudo labels: thresholds follow what a teacher found; got no candidate of "
            f"{len(totals.count)} classes. Train the teacher longer, or set gamma1 and gamma2 to 0."
        )
    return totals.certainty / mean
