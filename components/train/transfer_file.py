"""The door of a fitted transfer: transfer.safetensors and transfer.json. Rows to come, no code.

They lie in a model directory, or in a folder of their own beside the detector they were fitted for.
Where they were fitted on features of the trunk, the layers of those features are in the file too.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from components.models.class_weights import FEATURES, Feature
from components.train.tensors import check_shapes, fit_tensors, not_finite, read_tensors
from components.train.weights_file import (
    DamagedError,
    WeightsError,
    compare_digests,
    listed,
    read_header,
    read_record_file,
)
from components.transfer.methods import WIDEST, Transfer
from components.transfer.rows import ClassRows, make
from components.vocab.classes import Vocabulary

TRANSFER, TRANSFER_RECORD = "transfer.safetensors", "transfer.json"
VERSION = 1
MOST_CLASSES = 2**31  # of a source
ROWS, FEATURE = "rows.", "trunk_feature."


@dataclass(frozen=True, kw_only=True, slots=True)
class TransferRecord:
    """What transfer.json says beside the weights."""

    settings: Transfer
    boxed: tuple[str, ...]  # class ids, in the order of the detector's boxed classes
    shared: tuple[int, ...]  # row of each boxed class in the source it was fitted with, or -1
    inputs: int  # D, channels of a source's row
    features: int  # F, of a region
    feature: Feature  # which features those are


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FittedTransfer:
    """A transfer that was fitted for one detector."""

    rows: ClassRows
    record: TransferRecord
    trunk_feature: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    # state of the TrunkFeature it was fitted on; empty: it reads the head, or has no layers


def record_of(rows: ClassRows, *, boxed: Vocabulary, feature: Feature) -> TransferRecord:
    """Return the record of rows that were made for these boxed classes."""
    shared = torch.full((len(rows.order),), -1, dtype=torch.int64)
    given = rows.order < len(rows.shared_at)
    shared[given] = rows.shared_at[rows.order[given]]
    return TransferRecord(
        settings=rows.cfg,
        boxed=boxed.ids,
        shared=tuple(shared.tolist()),
        inputs=rows.inputs,
        features=rows.adapter.shape.features,
        feature=feature,
    )


def save_transfer(folder: Path, fitted: FittedTransfer) -> None:
    """Write a fitted transfer; `folder` exists. Equal weights and record give equal bytes.

    Raises:
        WeightsError: a number is not finite.
    """
    path, record = folder / TRANSFER, fitted.record
    every = {f"{ROWS}{k}": v for k, v in fitted.rows.state_dict().items()}
    every |= {f"{FEATURE}{k}": v for k, v in fitted.trunk_feature.items()}
    tensors = {k: v.detach().cpu().contiguous() for k, v in every.items()}
    _check_numbers(path, tensors)
    save_file(tensors, path, metadata={"format": "pt"})
    body = {
        "version": VERSION,
        **asdict(record),
        "digests": {TRANSFER: hashlib.sha256(path.read_bytes()).hexdigest()},
    }
    (folder / TRANSFER_RECORD).write_text(json.dumps(body, indent=1, sort_keys=True) + "\n")
    shutil.copymode(folder / TRANSFER_RECORD, path)


def has_transfer(folder: Path) -> bool:
    """Say whether a fitted transfer lies in a folder."""
    return (folder / TRANSFER_RECORD).is_file()


def load_transfer(folder: Path) -> FittedTransfer:
    """Return the fitted transfer of a folder, in evaluation; it takes the memory of its tensors.

    Its network is built without memory first, and held against the header of its tensors.

    Raises:
        DamagedError: a file changed since it was written.
        WeightsError: the record is of another version, or the tensors are not those of its rows.
    """
    body = read_record_file(folder / TRANSFER_RECORD)
    if body.get("version") != VERSION:
        raise WeightsError(
            f"{folder / TRANSFER_RECORD}: version {VERSION} is read here; got "
            f"{body.get('version')!r:.20}. Use the vocabox that wrote it."
        )
    try:
        compare_digests(folder, {TRANSFER: body["digests"][TRANSFER]})
        record = _record(body)
        _check_network(folder / TRANSFER, record)
        rows = _network(record)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, WeightsError):
            raise
        raise DamagedError(
            f"{folder / TRANSFER_RECORD}: changed since it was written; got no usable "
            f"{error!s:.80}. Restore the file, or fit again."
        ) from error
    tensors = read_tensors(folder / TRANSFER)
    _check_numbers(folder / TRANSFER, tensors)
    own = {k.removeprefix(ROWS): v for k, v in tensors.items() if not k.startswith(FEATURE)}
    fit_tensors(rows, own, where=str(folder / TRANSFER))
    below = {k.removeprefix(FEATURE): v for k, v in tensors.items() if k.startswith(FEATURE)}
    return FittedTransfer(rows=rows.eval(), record=record, trunk_feature=below)


def _check_network(path: Path, record: TransferRecord) -> None:
    """Refuse a record whose network has other tensors than the file."""
    header = read_header(path).tensors
    with torch.device("meta"):
        like = _network(record)
    shapes = {k.removeprefix(ROWS): e.shape for k, e in header.items() if not k.startswith(FEATURE)}
    check_shapes(like, shapes, where=str(path))


def _network(record: TransferRecord) -> ClassRows:
    return make(
        record.settings,
        source_KD=None,
        inputs=record.inputs,
        shared_C=torch.tensor(record.shared, dtype=torch.int64, device="cpu"),
        features=record.features,
        seed=0,
    )


def _record(body: Mapping[str, Any]) -> TransferRecord:
    if body["feature"] not in FEATURES:
        raise ValueError(f"feature {body['feature']!r}")
    settings = dict(body["settings"])
    settings["layers"] = tuple(settings["layers"])
    _whole("neighbors", settings["neighbors"], most=None)
    boxed, shared = tuple(map(str, body["boxed"])), tuple(body["shared"])
    if len(boxed) != len(shared):
        raise ValueError("shared, one number a boxed class")
    if len(set(boxed)) != len(boxed):
        raise ValueError("boxed, each class once")
    return TransferRecord(
        settings=Transfer(**settings),
        boxed=boxed,
        shared=tuple(_whole("shared", row, least=-1, most=MOST_CLASSES) for row in shared),
        inputs=_whole("inputs", body["inputs"], most=WIDEST),
        features=_whole("features", body["features"], most=WIDEST),
        feature=body["feature"],
    )


def _whole(name: str, value: Any, *, most: int | None, least: int = 1) -> int:
    if type(value) is not int or value < least or (most is not None and value > most):
        raise ValueError(f"{name} {value!r:.20}")
    return value


def _check_numbers(path: Path, tensors: Mapping[str, Tensor]) -> None:
    if wrong := not_finite(tensors):
        raise WeightsError(
            f"{path}: holds NaN or infinity; got {len(wrong)} such tensors: {listed(wrong)}. "
            "Fit again, with a lower rate."
        )
