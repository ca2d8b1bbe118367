"""The one door for weights that are not ours: known packages, and .safetensors files.

A packaged checkpoint is a pickle. It is opened with `weights_only=True`, so that no code of it
runs, and only after its SHA-256 was found to be the one that was examined.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from components.models.choices import PACKAGED, Packaged
from components.models.pretrained_trunks import MissingExtraError
from components.models.two_stage import Detector
from components.train.checkpoint import read_tensors
from components.train.tensors import WeightsError, fit_tensors

FILE, ABOUT = "backbone.safetensors", "backbone.json"


def convert_packaged(name: str, *, out: Path) -> Path:
    """Turn a package's checkpoint into a .safetensors file under the network's own names.

    Args:
        name: a row of PACKAGED.
        out: a folder; `backbone.safetensors` and `backbone.json` are written there.

    Returns:
        The .safetensors file.

    Raises:
        MissingExtraError: the package, or timm, is not installed.
        WeightsError: the file is not the one examined, or its tensors do not fit.
    """
    packaged = PACKAGED[name]
    source = packaged_file(packaged)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    if digest != packaged.sha256:
        raise WeightsError(
            f"{source}: not the file that was examined; got sha256 {digest}. "
            "Install the version named in extra pretrained."
        )
    state = torch.load(source, map_location="cpu", weights_only=True)  # noqa: TID251 (this door)
    if not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{source}: not a flat mapping of tensors. Install another version.")
    tensors = pair(state, _timm_model(), where=str(source))
    path = out / FILE
    save_file(tensors, path, metadata={"format": "pt"})
    about = {"version": 1, "name": name, "package": packaged.package, "sha256": packaged.sha256}
    (out / ABOUT).write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
    return path


def packaged_file(packaged: Packaged) -> Path:
    """Return where an installed package keeps its checkpoint."""
    try:
        files = metadata.distribution(packaged.package).files or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if str(file) == packaged.file:
            return Path(str(file.locate()))
    raise MissingExtraError(
        f"backbone.weights: package {packaged.package} is not installed, or has no "
        f"{Path(packaged.file).name}. Run `pip install 'vocabox[pretrained]'`."
    )


def pair(
    source: Mapping[str, Tensor], target: Mapping[str, Tensor], *, where: str
) -> dict[str, Tensor]:
    """Pair two lists of tensors by position, and give the first one's values the second's names.

    The names differ, the order does not: shape and role (`weight`, `running_var`, ...) of every
    pair are compared.

    Raises:
        WeightsError: a pair does not fit, or the numbers of tensors differ.
    """
    if len(source) != len(target):
        raise WeightsError(
            f"{where}: {len(target)} tensors are wanted; got {len(source)}. "
            "Install the versions named in extra pretrained."
        )
    paired: dict[str, Tensor] = {}
    for (old, tensor), (new, like) in zip(source.items(), target.items(), strict=True):
        same_role = old.rsplit(".", 1)[-1] == new.rsplit(".", 1)[-1]
        if tensor.shape != like.shape or not same_role:
            raise WeightsError(
                f"{where}: tensor {len(paired)} does not fit {new} {list(like.shape)}; "
                f"got {old} {list(tensor.shape)}. Install the versions named in extra pretrained."
            )
        paired[new] = tensor.to(like.dtype).contiguous()
    return paired


def load_trunk(detector: Detector, file: Path) -> None:
    """Load a trunk's weights from a .safetensors file; a classifier in it is left out.

    Raises:
        WeightsError: the file does not fit the trunk.
    """
    target, left_out = detector.trunk.entrance()
    fit_tensors(target, read_tensors(file), where=str(file), left_out=left_out)


def _timm_model() -> dict[str, Tensor]:
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError(
            "backbone.weights: timm is not installed. Run `pip install 'vocabox[pretrained]'`."
        ) from error
    return timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
