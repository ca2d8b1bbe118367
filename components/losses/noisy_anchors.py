"""Settings of training with noisy anchors. Free of torch: `--help` reads them.

Dissertation (paper 2), chapter 2. FORMS are two: the equations as printed, and what the published
code does, which differs in the soft label, the weights, their scale and the cross-entropy.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Interval

Form = Literal["paper", "released"]
SoftLoss = Literal["bce", "focal_released", "focal_quality"]


@dataclass(frozen=True, kw_only=True, slots=True)
class NoisyAnchors:
    """Which anchors are objects, and how much each of them is believed and counts."""

    form: Form = "paper"
    nearest: Annotated[int, Ge(1)] = 40  # N, anchors of each object: the best by overlap
    alpha: Annotated[float, Interval(ge=0, le=1)] = 0.75  # of place against class in cleanliness
    gamma: Annotated[float, Interval(ge=0, le=4)] = 1.0  # spreads weights; form paper only
    soft_labels: bool = True  # false: an object's label is 1
    reweight: bool = True  # false: every object counts 1
    loss: SoftLoss = "bce"  # of a class score against a soft label
