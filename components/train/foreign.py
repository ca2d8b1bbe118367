"""The door for weights that are not ours: known packages, and .safetensors files.

A packaged checkpoint is a pickle. It is opened only after its SHA-256 was found to be the one that
was examined, and then as every pickle is: by `unpickle`, in a child.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from components.models.backbone import row_of
from components.models.choices import PACKAGED, Backbone, Packaged
from components.models.pretrained_trunks import MissingExtraError
from components.models.two_stage import Detector
from components.train.checkpoint import read_tensors
from components.train.foreign_file import open_foreign
from components.train.tensors import check_shapes, fit_tensors, not_finite
from components.train.weights_file import (
    ABOUT,
    COUNTER,
    WeightsError,
    check_digest,
    listed,
    read_header,
    wrong_types,
)
from components.train.weights_file import CONVERTED as FILE
from components.transfer.source import SourceError

V = TypeVar("V")
OURS = "trunk."  # begins a trunk's names in a model directory
HEAD = "region_head."  # begins a region head's
IN_FEATURE = "layers."  # begins the names in the state of a trunk's feature


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
    opened = open_foreign(source, scratch=out)
    tensors = pair(opened.tensors, timm_tensors(), where=str(source))
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

    The file may be the weights of a model directory: its trunk is taken.

    Raises:
        WeightsError: the file does not fit the trunk.
    """
    tensors = read_tensors(file)
    target, left_out = _entrance(detector.trunk, tensors)
    fit_tensors(target, _of_trunk(tensors), where=str(file), left_out=left_out)


def load_trunk_feature(detector: Detector, tensors: Mapping[str, Tensor], *, where: str) -> None:
    """Fill the trunk's feature of a detector from the file that its trunk started from.

    Args:
        detector: with a trunk feature; one without layers of its own takes nothing.
        tensors: of the file; of another model directory, under its names.
        where: the file, for the error.

    Raises:
        WeightsError: the layers are not in it, or do not fit.
    """
    feature = detector.trunk_feature or detector.add_trunk_feature()
    wanted = feature.layers.state_dict()
    given = {k.removeprefix(IN_FEATURE): v for k, v in tensors.items()}
    own = {name: given[name] for name in wanted if name in given}
    fit_tensors(feature.layers, own, where=f"{where}: what the classifier reads")


def check_same_trunk(detector: Detector, tensors: Mapping[str, Tensor], *, where: str) -> None:
    """Refuse a classifier whose trunk is not, or is no more, the detector's, to the bit.

    Its rows read features that a trunk trained on since does not give any more. A file without a
    trunk says nothing, and passes.

    Raises:
        WeightsError: tensors of the trunk differ.
    """
    target, _ = detector.trunk.entrance()
    both, other = _compared(target.state_dict(), tensors)
    if other:
        raise WeightsError(
            f"{where}: its classifier reads another trunk than the detector's; got {len(other)} "
            f"of {len(both)} tensors that differ: {listed(other)}. It must be the network "
            "that the detector started from, every stage fixed (backbone.frozen_stages); else "
            "fit a transfer."
        )


def check_same_head(detector: Detector, tensors: Mapping[str, Tensor], *, where: str) -> None:
    """Refuse rows of a classifier whose region head is not, or is no more, the detector's.

    Args:
        detector: whose regions the rows are to score.
        tensors: of the classifier's model, `region_head.*`; without them nothing is compared.
        where: they come from, for the error.

    Raises:
        SourceError: tensors of the region head differ.
    """
    mine = {f"{HEAD}{name}": value for name, value in detector.region_head.state_dict().items()}
    both, other = _compared(mine, tensors)
    if other:
        raise SourceError(
            f"{where}: its classes read another region head than the detector's; got {len(other)} "
            f"of {len(both)} tensors that differ: {listed(other)}. Fit a transfer (recipe "
            "weight_transfer), or give the classes of this very model."
        )


def _compared(
    mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor]
) -> tuple[list[str], list[str]]:
    """Return the tensors that are in both, but for counters, and those of them that differ."""
    both = [name for name in mine if name in theirs and not name.endswith(COUNTER)]
    return both, [n for n in both if not torch.equal(mine[n].float(), theirs[n].float())]


def check_trunk(file: Path, backbone: Backbone, *, where: Path | None = None) -> None:
    """Say whether a file can be a trunk's weights, before anything starts.

    Args:
        file: .safetensors; with a record of ours beside it, its digest is compared.
        backbone: the network that is to start from it.
        where: the file to name in errors; default: this one.

    Raises:
        WeightsError: a pickle, damaged, other names or shapes, other types, NaN or infinity.
        DamagedError: weights of ours that changed.
        MissingExtraError: timm is not installed.
    """
    name = where or file
    check_digest(file)
    header = read_header(file)
    check_types(header.tensors, wrong_types(header), where=name)
    with torch.device("meta"):
        trunk = row_of(backbone).trunk(backbone)
    shapes = {key: entry.shape for key, entry in header.tensors.items()}
    target, left_out = _entrance(trunk, shapes)
    check_shapes(target, _of_trunk(shapes), where=str(name), left_out=left_out)
    check_numbers(read_tensors(file), where=name)


def check_types(names: Mapping[str, object], wrong: list[str], *, where: Path) -> None:
    """Raise WeightsError where tensors are no floating-point numbers."""
    if wrong:
        raise WeightsError(
            f"{where}: weights are floating-point numbers; got {len(wrong)} of {len(names)} "
            f"tensors of another type: {listed(wrong)}. Give weights that are not quantised."
        )


def check_numbers(tensors: Mapping[str, Tensor], *, where: Path) -> None:
    """Raise WeightsError where a tensor holds NaN or infinity."""
    if wrong := not_finite(tensors):
        raise WeightsError(
            f"{where}: holds NaN or infinity; got {len(wrong)} such tensors: {listed(wrong)}. "
            "Take a checkpoint from before it went wrong."
        )


def timm_tensors() -> dict[str, Tensor]:
    """Return the tensors of timm's EfficientNet-Lite0 with fresh weights, in its order.

    Raises:
        MissingExtraError: timm is not installed.
    """
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError(
            "backbone.weights: timm is not installed. Run `pip install 'vocabox[pretrained]'`."
        ) from error
    return timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()


def _entrance(trunk: Any, names: Mapping[str, object]) -> tuple[nn.Module, tuple[str, ...]]:
    """Return where a file's tensors go; ours have the names of the whole trunk."""
    return (trunk, ()) if _is_ours(names) else trunk.entrance()


def _is_ours(names: Mapping[str, object]) -> bool:
    return any(name.startswith(OURS) for name in names)


def _of_trunk(values: Mapping[str, V]) -> dict[str, V]:
    if not _is_ours(values):
        return dict(values)
    return {k.removeprefix(OURS): v for k, v in values.items() if k.startswith(OURS)}
