"""Somebody's file -> tensors: .safetensors, or a pickle, which a child opens."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from components.train import unpickle
from components.train.checkpoint import read_tensors
from components.train.weights_file import WeightsError, is_pickle, read_header

LONGEST_S = 300.0  # for a child that opens a pickle
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """The tensors of a foreign file in its order, and what else it said."""

    tensors: dict[str, Tensor]
    classes: tuple[str, ...] | None = None  # that the file itself names
    left_out: tuple[str, ...] = ()  # what was no tensor


def open_foreign(path: Path, *, scratch: Path) -> Opened:
    """Return the tensors of somebody's file: .safetensors, or a pickle, opened in a child.

    Args:
        path: the file.
        scratch: a folder of the caller's, for a file that is removed again.

    Raises:
        WeightsError: it is neither, damaged, holds more than tensors, or wants too much.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; got {path.absolute()}. Check the path.")
    if not is_pickle(path):
        header = read_header(path)
        return Opened(tensors=read_tensors(path), classes=_named(header.metadata))
    out = scratch / "unpickled.safetensors"
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        done = subprocess.run(
            [sys.executable, "-m", unpickle.main.__module__, str(path.absolute()), str(out)],
            capture_output=True,
            timeout=LONGEST_S,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        said = json.loads(done.stdout or b"{}")
        if done.returncode:
            how = said.get("error") or f"the process that opened it ended with {done.returncode}"
            raise _unusable(path, how)
        tensors = read_tensors(out)
    except subprocess.TimeoutExpired as error:
        raise _unusable(path, f"it took longer than {LONGEST_S:.0f} s to open") from error
    finally:
        out.unlink(missing_ok=True)
    return Opened(
        tensors={name: tensors[name] for name in said["order"]},
        classes=None if said["classes"] is None else tuple(said["classes"]),
        left_out=tuple(said["left_out"]),
    )


def _named(said: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the class names that the metadata of a .safetensors file lists as JSON."""
    try:
        names = json.loads(said.get("classes", "null"))
    except (ValueError, RecursionError):
        return None
    listing = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if listing and names else None


def _unusable(path: Path, how: str) -> WeightsError:
    return WeightsError(
        f"{path}: cannot be converted; got a pickle, and {how}. "
        "Ask its publisher for a .safetensors file, or save a plain state_dict again."
    )
