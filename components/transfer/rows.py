"""Rows of a detector's classes, fitted from a classifier's: for boxed classes and for any other.

Paper 4, sections 3 and 4. Shapes: R regions, F features of a region, G features scored, C boxed
classes, S of them shared with the source, O others, K classes of the source, D channels, M any.
Differs: a residual form scores by softmax over the classes asked for, with the source's biases;
the paper has one bias for all classes, and so have all its methods here.
"""

import math
from dataclasses import dataclass
from typing import Any, cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.shapes import expect
from components.transfer.adapters import Adapter, Residual
from components.transfer.blocks import in_blocks, same_rows
from components.transfer.mappings import ROW_STD, Given, NetworkRows, RowMapping, Sizes
from components.transfer.methods import Transfer
from components.transfer.source import SourceError, Standard, standardise
from components.transfer.transfers import TRANSFERS, TransferRow, shape_of

BIAS = -math.log(99)  # every class has a score of .01 where its row is 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """What one training step wants of the rows; an autoencoder makes both in one pass."""

    logits: Tensor  # [R, C]
    penalty: Tensor  # scalar; 0 where the method has none


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearRows:
    """A plain linear layer over adapted features."""

    weight: Tensor  # [M, G]
    bias: Tensor  # [M]


@final
class ClassRows(nn.Module):
    """Scores of classes by rows made of a source's; built by `make`.

    Nothing of the source is a parameter. Its channels' means and deviations and the rows of the
    shared classes are buffers and saved with the rest; all K rows, which a reconstruction needs at
    each step, are a buffer that is not saved.
    """

    mean: Tensor  # [D], of the source's channels
    std: Tensor  # [D]
    shared_source: Tensor  # [S, D]
    bias: Tensor  # scalar; 0 for rule softmax
    source_bias: Tensor  # [S]; 0 for rule sigmoid
    other_rows: Tensor  # [O, G]
    other_bias: Tensor  # [O]; 0 for rule sigmoid
    order: Tensor  # [C], each boxed class's place among the shared, then the others
    shared_at: Tensor  # [S], the source's row of each shared class

    def __init__(self, cfg: Transfer, *, inputs: int, shared_C: Tensor, features: int) -> None:
        super().__init__()
        self.cfg, self.inputs = cfg, inputs
        self.row: TransferRow = TRANSFERS[cfg.method]
        shape = shape_of(self.row, cfg, inputs=inputs, features=features)
        is_shared = shared_C >= 0
        shared, others = int(is_shared.sum()), int((~is_shared).sum())
        self.adapter = Adapter(shape)
        self.mapping = self.row.mapping(
            Sizes(inputs=inputs, outputs=shape.outputs, shared=shared, neighbors=cfg.neighbors)
        )
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))
        self.register_buffer("shared_source", torch.zeros(shared, inputs))
        self.register_buffer("source_bias", torch.zeros(shared))
        self.all_source: Tensor | None
        self.register_buffer("all_source", None, persistent=False)
        self.register_buffer("shared_at", shared_C[is_shared], persistent=False)
        place = torch.where(is_shared, is_shared.cumsum(0), shared + (~is_shared).cumsum(0)) - 1
        self.register_buffer("order", place, persistent=False)
        sigmoid = self.row.rule == "sigmoid"
        self._hold("bias", torch.tensor(BIAS if sigmoid else 0.0), learned=sigmoid)
        self._hold("other_rows", torch.randn(others, shape.outputs) * ROW_STD, learned=others > 0)
        self._hold("other_bias", torch.zeros(others), learned=others > 0 and not sigmoid)

    def forward(self, x_RF: Tensor) -> Scored:
        """Return the boxed classes' logits and the penalty, for a step of training."""
        if self.row.needs == "shared":
            shared_SG = self._shared_rows()
            return Scored(logits=self._score(x_RF, shared_SG), penalty=self._activity(shared_SG))
        if self.all_source is None:
            raise SourceError(
                f"{self.cfg.method}: fitted with all rows of the source; got none of them. Give "
                "the source to `make`, or only export."
            )
        given, network = self._given(self.all_source), cast("NetworkRows", self.mapping)
        encoded_KG = network.encode(given)
        penalty = torch.zeros((), device=x_RF.device)
        if network.decoder is not None:
            again_KD = network.decoder(encoded_KG)
            penalty = self.cfg.alpha * functional.smooth_l1_loss(again_KD, given.standard)
        shared_SG = network.added(encoded_KG, given)[self.shared_at]
        return Scored(
            logits=self._score(x_RF, shared_SG), penalty=penalty + self._activity(shared_SG)
        )

    def adapt(self, x_RF: Tensor) -> Tensor:
        """Return features [R, G] as they are scored."""
        return self.adapter(x_RF)

    def logits(self, x_RF: Tensor) -> Tensor:
        """Return logits [R, C] of the boxed classes, in their order; without a penalty's cost."""
        return self._score(x_RF, self._shared_rows())

    def penalty(self) -> Tensor:
        """Return what is added to the loss: alpha times Eq. 1 over all K classes, or activity."""
        nothing = torch.zeros(0, self.adapter.shape.features, device=self.mean.device)
        return self(nothing).penalty

    @property
    def has_network(self) -> bool:
        """Tell whether rows come out of a network, whose activations can be looked at."""
        return isinstance(self.mapping, NetworkRows)

    @property
    def has_penalty(self) -> bool:
        """Tell whether the penalty can be other than 0."""
        mapping = self.mapping
        mirrored = isinstance(mapping, NetworkRows) and mapping.decoder is not None
        return self.row.activity > 0 or mirrored

    @torch.no_grad()
    def rows(self, source_MD: Tensor, *, shared_M: Tensor | None = None) -> Tensor:
        """Return rows [M, G] of any classes from their source rows, raw, also of ones never met.

        A class has the same bits whatever else is exported with it. Dropout is off.

        Args:
            source_MD: their source rows.
            shared_M: int64, which of the shared classes each one is, or -1: NN and LSDA learn
                those a row of their own. None: a shared class is known again by its source row,
                bit for bit.

        Raises:
            ShapeError: not rows of the source's width, or not one number a row.
            SourceError: two shared classes have one source row, and `shared_M` does not tell them
                apart.
        """
        expect("source_MD", source_MD, "M D", D=self.inputs)
        if shared_M is None:
            shared_M = same_rows(source_MD, self.shared_source, where=self.cfg.method)
        expect("shared_M", shared_M, "M", M=len(source_MD))
        mapping, was_training = cast("RowMapping", self.mapping), self.training
        shared = self._given(self.shared_source)

        def made(raw_BD: Tensor, same_B: Tensor) -> Tensor:
            given, same_M = self._given(raw_BD.to(self.mean)), same_B.to(self.mean.device)
            return mapping.of_any(given, shared=shared, same_M=same_M)

        self.eval()
        try:
            return in_blocks(made, source_MD, same_M=shared_M, outputs=self.outputs)
        finally:
            self.train(was_training)

    @torch.no_grad()
    def linear(
        self,
        source_MD: Tensor,
        *,
        bias_M: Tensor | None = None,
        shared_M: Tensor | None = None,
    ) -> LinearRows:
        """Return rows and biases of any classes.

        Args:
            source_MD: their source rows.
            bias_M: their biases in the source; used by rule softmax alone, as the fit used them.
            shared_M: which shared class each one is, or -1; see `rows`.

        Raises:
            SourceError: the fit had the source's biases and none are given; and as `rows`.
        """
        if self.row.rule == "sigmoid":
            bias_M = self.bias.expand(len(source_MD)).clone()
        elif bias_M is None:
            if bool((self.source_bias != 0).any()):
                raise SourceError(
                    f"{self.cfg.method}: fitted with the source's biases; got rows without. Give "
                    "the biases of the classes too."
                )
            bias_M = torch.zeros(len(source_MD))
        weight = self.rows(source_MD, shared_M=shared_M)
        return LinearRows(weight=weight, bias=bias_M.to(source_MD))

    @torch.no_grad()
    def other(self) -> LinearRows:
        """Return the ordinary rows of boxed classes that the source lacks, in the boxed order."""
        bias = self.bias + self.other_bias
        return LinearRows(weight=self.other_rows.detach().clone(), bias=bias.detach().clone())

    @property
    def outputs(self) -> int:
        """Return G."""
        return self.adapter.shape.outputs

    def own_parameters(self) -> list[nn.Parameter]:
        """Return the transfer network's own parameters, which AdamW fits."""
        last = self.adapter.last
        parts = [m for m in (self.mapping, last) if isinstance(m, NetworkRows | Residual)]
        return [p for part in parts for p in part.parameters()]

    def rest_parameters(self) -> list[nn.Parameter]:
        """Return the others: ordinary rows, bias, learned layers; fitted as the detector is."""
        own = {id(p) for p in self.own_parameters()}
        return [p for p in self.parameters() if id(p) not in own]

    def own_groups(self) -> list[dict[str, Any]]:
        """Return AdamW's groups over the own parameters: norms and biases without decay."""
        cfg, decay = self.cfg, self.cfg.weight_decay * self.row.decay
        halves = split_decay(self.own_parameters(), decay)
        return [{"lr": cfg.lr, "peak": cfg.lr, **half} for half in halves]

    def _hold(self, name: str, value: Tensor, *, learned: bool) -> None:
        if learned:
            self.register_parameter(name, nn.Parameter(value))
        else:
            self.register_buffer(name, value)

    def _given(self, raw_MD: Tensor) -> Given:
        return Given(raw=raw_MD, by=Standard(mean=self.mean, std=self.std))

    def _shared_rows(self) -> Tensor:
        return cast("RowMapping", self.mapping).of_shared(self._given(self.shared_source))

    def _activity(self, shared_atG: Tensor) -> Tensor:
        if not self.row.activity:
            return torch.zeros((), device=shared_atG.device)
        return self.row.activity * shared_atG.square().sum(1).mean()

    def _score(self, x_RF: Tensor, shared_SG: Tensor) -> Tensor:
        rows_CG = torch.cat([shared_SG, self.other_rows])[self.order]
        bias_C = self.bias + torch.cat([self.source_bias, self.other_bias])[self.order]
        return functional.linear(self.adapt(x_RF), rows_CG, bias_C)


def make(
    cfg: Transfer,
    *,
    source_KD: Tensor | None,
    source_bias_K: Tensor | None = None,
    inputs: int,
    shared_C: Tensor,
    features: int,
    seed: int,
) -> ClassRows:
    """Return rows to be fitted, or to be filled from a file.

    Args:
        cfg: the method and its numbers.
        source_KD: the source's rows, raw; None where a state is loaded, which holds what an export
            needs.
        source_bias_K: the source's biases; rule softmax scores with them.
        inputs: D, channels of a source's row.
        shared_C: int64, the source's row of each boxed class, or -1; see `source.shared`.
        features: F, of a region.
        seed: of the start; torch's own generator is neither read nor moved.

    Raises:
        SourceError: the features are not as wide as the source's rows and the method adds them.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = ClassRows(cfg, inputs=inputs, shared_C=shared_C, features=features)
    if source_KD is not None:
        expect("source_KD", source_KD, "K D", D=inputs)
        standard = standardise(source_KD)
        made.mean.copy_(standard.mean)
        made.std.copy_(standard.std)
        made.shared_source.copy_(source_KD[made.shared_at])
        if made.row.needs == "all":
            made.all_source = source_KD.detach().clone()
    if source_bias_K is not None and made.row.rule == "softmax":
        made.source_bias.copy_(source_bias_K[made.shared_at])
    return made


def split_decay(parameters: list[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Return an optimizer's groups: matrices with weight decay, norms and biases without."""
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    groups = ((matrices, weight_decay), (vectors, 0.0))
    return [{"params": params, "weight_decay": decay} for params, decay in groups if params]
