"""Where a training stands: all that the next step depends on, to a folder and back, bit for bit.

Weights, optimizer, step (of the data order and of the rate, which are functions of it), random
states of every rank, and what was measured since the last report. Tensors in safetensors, the rest
in JSON; never a pickle.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor, nn

from components.shapes import NotFiniteError
from components.train.checkpoint import read_tensors
from components.train.optimizer import Optimizers
from components.train.snapshot_folders import draft_of, finish
from components.train.tensors import WeightsError, fit_tensors

STATE, PLACE = "state.safetensors", "state.json"
VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshots:
    """Where a training is kept, and who of how many keeps it."""

    root: Path  # a folder that all ranks see
    plan: str  # digest of the data order; a snapshot of another order is refused
    rank: int = 0
    world: int = 1
    of_world: Literal["same", "any"] = "same"  # what it may go on from; any: other bits

    def save(
        self, step: int, model: nn.Module, optimizer: Optimizers, window: dict[str, Any]
    ) -> Path | None:
        """Keep the training as it is after `step` steps; every rank calls it. Rank 0: its place.

        Args:
            step: how many steps are done.
            model: the trained module itself, not its data-parallel wrapper.
            optimizer: over the model's parameters.
            window: plain numbers of the loop.

        Raises:
            NotFiniteError: a weight is infinite or no number; nothing was written.
        """
        tensors = dict(_named(model, optimizer))
        wrong = [n for n, t in tensors.items() if t.is_floating_point() and not _finite(t)]
        if wrong:
            raise NotFiniteError(
                f"training, after step {step - 1}: not finite; got {', '.join(wrong[:5])}. "
                "Lower lr; the last checkpoint is kept as it was."
            )
        draft = draft_of(self.root, step)
        draft.mkdir(parents=True, exist_ok=True)
        save_file(_random_states(), draft / _rank_file(self.rank))
        if self.world > 1:
            dist.barrier()
        if self.rank != 0:
            return None
        save_file(tensors, draft / STATE)
        place = {"version": VERSION, "step": step, "plan": self.plan, "world": self.world}
        (draft / PLACE).write_text(json.dumps({**place, "window": window}, sort_keys=True))
        return finish(self.root, step)

    def load(self, folder: Path, model: nn.Module) -> "Loaded":
        """Copy a snapshot's weights and random states back; the optimizer follows by `Loaded`.

        Raises:
            WeightsError: it is not of this training.
        """
        place = json.loads((folder / PLACE).read_text())
        wanted = {"version": VERSION, "plan": self.plan}
        if self.of_world == "same":
            wanted["world"] = self.world
        wrong = [f"{k} {place.get(k)!r}, not {v!r}" for k, v in wanted.items() if place.get(k) != v]
        if wrong:
            raise WeightsError(
                f"{folder}: a checkpoint of another training; got {'; '.join(wrong)}. Remove it."
            )
        tensors = read_tensors(folder / STATE)
        weights = {
            k.removeprefix("model/"): t for k, t in tensors.items() if k.startswith("model/")
        }
        fit_tensors(model, weights, where=str(folder / STATE))
        _set_random_states(read_tensors(folder / _rank_file(self.rank % int(place["world"]))))
        return Loaded(step=int(place["step"]), window=place["window"], tensors=tensors)


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """A snapshot that was read."""

    step: int  # steps done
    window: dict[str, Any]
    tensors: dict[str, Tensor]

    def fill(self, optimizer: Optimizers) -> None:
        """Give an optimizer its state back; its parameters are where they will be trained."""
        for i, parameter in enumerate(optimizer.parameters()):
            prefix = f"optimizer/{i}/"
            own = {
                k.removeprefix(prefix): t for k, t in self.tensors.items() if k.startswith(prefix)
            }
            for name, tensor in own.items():
                there = tensor.to(parameter.device)
                if there.shape == parameter.shape:
                    # The fused kernel walks raw memory: a state must lie as its parameter does.
                    there = torch.empty_like(parameter, dtype=there.dtype).copy_(there)
                optimizer.state_of(parameter)[name] = there


def _named(model: nn.Module, optimizer: Optimizers) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in model.state_dict().items():
        yield f"model/{name}", _plain(tensor)
    for i, parameter in enumerate(optimizer.parameters()):
        for name, value in optimizer.state_of(parameter).items():
            if isinstance(value, Tensor):  # SGD keeps None where a parameter had no gradient yet
                yield f"optimizer/{i}/{name}", _plain(value)


def _plain(tensor: Tensor) -> Tensor:
    """Return a copy in memory of its own, in rows, on the CPU."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())


def _rank_file(rank: int) -> str:
    return f"rank{rank:05d}.safetensors"


def _random_states() -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _set_random_states(states: dict[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
