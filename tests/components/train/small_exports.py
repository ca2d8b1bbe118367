"""A small detector in a folder, rows of a classifier, and what a folder answers."""

from pathlib import Path

import torch

from components.models.choices import Small
from components.models.scores import fuse
from components.models.two_stage import build
from components.train.checkpoint import (
    ALL_PARTS,
    Record,
    load_model,
    save_model,
)
from components.train.source_file import OpenedSource
from components.transfer.source import SourceWeights
from components.vocab.classes import Vocabulary
from tests.components.train.rectangles import batch

BOXED = Vocabulary.of(["fine:b", "fine:c", "fine:e"])
LABELLED = Vocabulary.of(["coarse:x", "fine:a", "fine:b"])
SOURCE = Vocabulary(ids=("fine:b", "fine:n1", "fine:n2"), names=("b", "one", "two"))
EXPORTED = ["classes.safetensors", "model.json", "model.safetensors", "vocabulary.json"]


def model(
    folder: Path, *, backbone=None, parts=ALL_PARTS, dtype="float32", labelled=LABELLED, seed=3
) -> Path:
    folder.mkdir()
    backbone = backbone or Small()
    detector = build(backbone, boxed=BOXED, labelled=labelled, seed=seed).to(getattr(torch, dtype))
    torch.manual_seed(1)
    for scorer in (detector.scores.boxed, detector.scores.labelled, detector.refine):
        torch.nn.init.normal_(scorer.weight, std=0.1)
    record = Record(
        backbone=backbone, boxed=BOXED, labelled=labelled, size=64, parts=parts, dtype=dtype,
        training={"steps": 7},
    )  # fmt: skip
    save_model(folder, detector, record)
    return folder


def source(width: int, *, feature="head", tensors=None) -> OpenedSource:
    torch.manual_seed(2)
    weights = SourceWeights(vocabulary=SOURCE, weight=torch.randn(3, width), bias=torch.randn(3))
    return OpenedSource(weights=weights, feature=feature, where="src", tensors=tensors or {})


def scores(folder: Path, ids) -> tuple[torch.Tensor, torch.Tensor]:
    """Return boxes and scores of the classes asked for, of two pictures."""
    detector, _ = load_model(folder)
    found = detector.regions(batch([0, 1], size=64, objects=2))
    asked = [fuse(r, boxed=detector.boxed, labelled=detector.labelled, ids=ids) for r in found]
    return torch.cat([r.boxes for r in found]), torch.cat(asked)
