"""Tensors of a file, read and fitted to a module: names and shapes agree, or none is loaded."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from components.train.weights_file import COUNTER, WeightsError, listed, read_header

Shapes = Mapping[str, tuple[int, ...]]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors file.

    Raises:
        WeightsError: the file is not in that format, or cut.
    """
    read_header(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}: not a readable .safetensors file; got {error}. "
            "Give a file written by safetensors."
        ) from error


def fit_tensors(
    target: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    where: str,
    left_out: tuple[str, ...] = (),
    assign: bool = False,
) -> None:
    """Copy tensors into a module by name.

    Args:
        target: every one of its tensors must be given.
        tensors: by the module's names.
        where: the file, for the error.
        left_out: beginnings of names that may be given and are not taken.
        assign: take the tensors themselves, for a target without memory of its own.

    Raises:
        WeightsError: names or shapes differ; the first ten of each kind are listed.
    """
    wanted = target.state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    check_shapes(target, shapes, where=where, left_out=left_out)
    taken = {name: tensor.to(wanted[name].dtype) for name, tensor in tensors.items()
             if name in wanted}  # fmt: skip
    target.load_state_dict(taken, strict=False, assign=assign)


def check_shapes(
    target: nn.Module, shapes: Shapes, *, where: str, left_out: tuple[str, ...] = ()
) -> None:
    """Compare names and shapes of a file with those of a module; see `fit_tensors`.

    Raises:
        WeightsError: with the first ten that are missing, unexpected, of another shape.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in target.state_dict().items()}
    missing = [n for n in wanted if n not in shapes and not n.endswith(COUNTER)]
    strange = [
        name
        for name in shapes
        if name not in wanted and not name.startswith(left_out) and not name.endswith(COUNTER)
    ]
    other = [
        f"{name} {list(shape)} for {list(wanted[name])}"
        for name, shape in shapes.items()
        if name in wanted and shape != wanted[name]
    ]
    kinds = (("missing", missing), ("unexpected", strange), ("of another shape", other))
    said = [f"{len(names)} {kind}: {listed(names)}" for kind, names in kinds if names]
    if said:
        raise WeightsError(
            f"{where}: the tensors do not fit the network; got {'; '.join(said)}. "
            "Use the backbone they were made for."
        )


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """List the tensors that hold NaN or infinity, with how many."""
    found: list[str] = []
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            wrong = int((~torch.isfinite(tensor)).sum())
            if wrong:
                found.append(f"{name} ({wrong} of {tensor.numel()})")
    return found


def constant_channels(tensors: Mapping[str, Tensor]) -> list[str]:
    """List the weights of which an output channel holds one number only: it sees nothing.

    A channel of fewer than two numbers is left out of this.
    """
    found: list[str] = []
    for name, tensor in tensors.items():
        if tensor.ndim >= 2 and tensor.numel() > len(tensor) > 0 and tensor.is_floating_point():
            rows = tensor.flatten(1)
            flat = int((rows == rows[:, :1]).all(1).sum())
            if flat:
                found.append(f"{name} ({flat} of {len(tensor)})")
    return found
