"""Features + rows -> a transfer, fitted on what a finished detector sees: minutes, no pictures."""

from dataclasses import dataclass
from typing import Any, Literal

from components.transfer.methods import FitRows, Transfer
from pipelines.graph.node import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class FitTransfer:
    """Which transfer, of which features, and how it is fitted."""

    transfer: Transfer
    feature: Literal["head", "trunk"]
    fit: FitRows


def fit_transfer(task: Task) -> dict[str, Any]:
    """Fit rows of the boxed classes; write what makes rows of any class."""
    from components.train.checkpoint import load_model
    from components.train.fit_rows import fit_rows
    from components.train.foreign import load_trunk_feature
    from components.train.region_features import RegionFeatures
    from components.train.source_folder import load_source
    from components.train.tensors import read_tensors
    from components.train.transfer_file import FittedTransfer, record_of, save_transfer
    from components.transfer.rows import make
    from components.transfer.source import shared

    cfg: FitTransfer = task.cfg
    detector, record = load_model(task.path("model"))
    width, layers = detector.row.head, {}
    if cfg.feature == "trunk":
        file = task.files("weights")["file"]
        load_trunk_feature(detector, read_tensors(file), where=str(file))
        trunk = (
            detector.add_trunk_feature()
            if detector.trunk_feature is None
            else detector.trunk_feature
        )
        width, layers = trunk.width, trunk.layers.state_dict()
    source = load_source(task.path("rows")).weights
    rows = make(
        cfg.transfer, source_KD=source.weight, source_bias_K=source.bias,
        inputs=source.weight.shape[1], shared_C=shared(source.vocabulary, record.boxed),
        features=width, seed=cfg.fit.seed,
    )  # fmt: skip
    found = RegionFeatures.read(task.path("regions"))
    said = fit_rows(
        rows, features_RF=found.features, labels_R=found.labels, cfg=cfg.fit,
        say=lambda step, values: task.say(step, cfg.fit.steps, "steps", **values),
    )  # fmt: skip
    fitted = FittedTransfer(
        rows=rows,
        record=record_of(rows, boxed=record.boxed, feature=cfg.feature),
        trunk_feature=layers,
    )
    save_transfer(task.out, fitted)
    return {"units": {"steps": cfg.fit.steps}, "metrics": said}
