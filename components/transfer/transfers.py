"""The table of ways from a classifier's rows to a detector's: paper 4, Tables 1 to 3, and our own.

What is ours: the residual forms. Differs: the paper's AdamW has a weight decay of 1e-4; its code
.1, which times the rate of 1e-3 is that. Ours is .1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import nn

from components.transfer.adapters import Kind, Shape
from components.transfer.mappings import (
    FixedRows,
    NearestRows,
    NetworkRows,
    ShiftedRows,
    Sizes,
)
from components.transfer.methods import Method, Transfer
from components.transfer.networks import Net
from components.transfer.source import SourceError

Rule = Literal["sigmoid", "softmax"]
MORE_DECAY, ACTIVITY, DROPOUT, HALF = 5.0, 0.01, 0.3, 2  # of the regularised rows (section 5.2)


@dataclass(frozen=True, kw_only=True, slots=True)
class TransferRow:
    """One way: where rows come from, how features meet them, and how it is fitted."""

    mapping: Callable[[Sizes], nn.Module]  # a RowMapping
    adapter: Kind = "identity"
    rule: Rule = "sigmoid"  # softmax: over the classes asked for, times the detector's foreground
    decay: float = 1.0  # times the settings' weight decay
    activity: float = 0.0  # times the mean squared length of the shared classes' rows
    needs: Literal["shared", "all"] = "shared"  # all: every row of the source, at each step
    width: Literal["any", "source"] = "any"  # source: features are as wide as the source's rows


def _network(
    net: Net = Net(),  # noqa: B008 - frozen
    *,
    takes: Literal["raw", "standard"] = "standard",
    adds: Literal["nothing", "row"] = "nothing",
    mirror: Literal["none", "decoder"] = "none",
) -> Callable[[Sizes], nn.Module]:
    return partial(NetworkRows, net=net, takes=takes, adds=adds, mirror=mirror)


def _fixed(form: Literal["raw", "unit"]) -> Callable[[Sizes], nn.Module]:
    def build(sizes: Sizes) -> nn.Module:
        del sizes
        return FixedRows(form=form)

    return build


TRANSFERS: dict[Method, TransferRow] = {
    "wtn": TransferRow(mapping=_network(Net(norm="none"), takes="raw")),
    "wtn_plus": TransferRow(mapping=_network()),
    "ae_wtn": TransferRow(mapping=_network(mirror="decoder"), needs="all"),
    "wtn_plus_decay": TransferRow(mapping=_network(), decay=MORE_DECAY),
    "wtn_plus_activity": TransferRow(mapping=_network(), activity=ACTIVITY),
    "wtn_plus_dropout": TransferRow(mapping=_network(Net(dropout=DROPOUT))),
    "wtn_plus_half": TransferRow(mapping=_network(Net(half=HALF))),
    "wtn_plus_batch_norm": TransferRow(mapping=_network(Net(norm="batch")), needs="all"),
    "wtn_input_norm": TransferRow(mapping=_network(Net(norm="none"))),
    "wtn_group_norm": TransferRow(mapping=_network(takes="raw")),
    "nearest": TransferRow(mapping=NearestRows),
    "lsda": TransferRow(mapping=partial(ShiftedRows, weights="equal")),
    "lsda_visual": TransferRow(mapping=partial(ShiftedRows, weights="visual")),
    "zsd": TransferRow(mapping=_fixed("unit"), adapter="cosine"),
    "direct": TransferRow(mapping=_fixed("raw"), rule="softmax", width="source"),
    "residual_feature": TransferRow(
        mapping=_fixed("raw"), adapter="residual", rule="softmax", width="source"
    ),
    "residual_weight": TransferRow(mapping=_network(adds="row"), rule="softmax", width="source"),
    "residual_weight_ae": TransferRow(
        mapping=_network(adds="row", mirror="decoder"),
        rule="softmax",
        width="source",
        needs="all",
    ),
}


def shape_of(row: TransferRow, cfg: Transfer, *, inputs: int, features: int) -> Shape:
    """Return what an adapter is built from, for a method and its numbers.

    Raises:
        SourceError: the features are not as wide as the source's rows and the method adds them.
    """
    width = cfg.layers[-1] if cfg.layers else features
    if row.width == "source" and width != inputs:
        raise SourceError(
            f"{cfg.method}: features as wide as the source's rows; got features of {width} and "
            f"rows of {inputs}. Give the features that the classifier's last layer was fed, or "
            "take a method that learns a mapping, as ae_wtn."
        )
    outputs = inputs if row.adapter == "cosine" else width
    return Shape(kind=row.adapter, features=features, layers=cfg.layers, outputs=outputs)
