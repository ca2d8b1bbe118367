"""Ways from a classifier's rows to a detector's, by name, and how each is fitted. Free of torch.

Paper 4 (Kuen et al.), section 3 and Table 1. A name of METHODS is a row of TRANSFERS.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval, MaxLen

Method = Literal[
    "wtn",
    "wtn_plus",
    "ae_wtn",
    "wtn_plus_decay",  # 5 x weight decay
    "wtn_plus_activity",  # penalty on the detector's rows
    "wtn_plus_dropout",  # .3 after the activation
    "wtn_plus_half",  # half the hidden channels
    "wtn_plus_batch_norm",  # Table 3: BatchNorm in place of GroupNorm
    "wtn_input_norm",  # Table 2: standardised input only
    "wtn_group_norm",  # Table 2: GroupNorm only
    "nearest",  # NN: the row of the nearest class with boxes
    "lsda",
    "lsda_visual",
    "zsd",  # cosine with fixed rows: of the classifier, or word vectors
    "direct",  # the classifier's own rows
    "residual_feature",  # x + T(x)
    "residual_weight",  # W + T(W)
    "residual_weight_ae",  # the same with reconstruction
]

WIDEST = 2**16  # channels of a layer, or of a classifier's row
MOST_LAYERS = 16
Width = Annotated[int, Interval(ge=1, le=WIDEST)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Transfer:
    """How a detector's rows are made of a classifier's, and how that is fitted."""

    method: Method = "ae_wtn"  # of the paper, a baseline, or a residual form
    alpha: Annotated[float, Interval(ge=0, le=1e4)] = 20.0  # weight of the reconstruction loss
    lr: Annotated[float, Interval(gt=0, le=10)] = 1e-3  # of AdamW, over the transfer's own weights
    weight_decay: Annotated[float, Interval(ge=0, le=10)] = 0.1  # of AdamW; 0 for norms and biases
    neighbors: Annotated[int, Ge(1)] = 10  # classes with boxes that lsda averages over
    layers: Annotated[tuple[Width, ...], MaxLen(MOST_LAYERS)] = ()  # widths of learned layers
    # before the rows, for a fit on features


@dataclass(frozen=True, kw_only=True, slots=True)
class FitRows:
    """How long and how fast rows are fitted on features."""

    steps: Annotated[int, Ge(1)] = 1000  # updates of the rows
    regions: Annotated[int, Ge(1)] = 256  # a step
    objects: Annotated[float, Interval(gt=0, le=1)] = 0.5  # share of them that show an object
    lr: Annotated[float, Gt(0)] = 0.05  # of SGD: ordinary rows, bias, learned layers
    weight_decay: Annotated[float, Ge(0)] = 1e-4  # of SGD; 0 for biases
    warmup: Annotated[int, Ge(0)] = 0  # steps
    clip: Annotated[float, Gt(0)] = 5.0  # largest norm of a gradient, of each optimizer
    smoothing: Annotated[float, Interval(ge=0, lt=1)] = 0.1  # of labels, for rule softmax
    seed: Annotated[int, Ge(0)] = 0  # of new rows, and of the regions drawn


ON_FEATURES: tuple[Method, ...] = (
    "direct", "residual_feature", "residual_weight", "residual_weight_ae",
)  # fmt: skip
"""Methods that score by softmax beside a finished detector's foreground: not learnt jointly."""
