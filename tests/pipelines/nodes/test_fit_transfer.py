"""The node `fit_transfer`: rows of classes that region features and their classes tell apart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from components.models.choices import Small
from components.models.two_stage import build
from components.train.checkpoint import ALL_PARTS, Record, save_model
from components.train.region_features import RegionFeatures
from components.train.source_folder import OpenedSource, save_source
from components.train.transfer_file import load_transfer
from components.transfer.methods import FitRows, Transfer
from components.transfer.source import SourceWeights
from components.vocab.classes import Vocabulary
from pipelines.graph.node import RunOn, Task
from pipelines.nodes.fit_transfer import FitTransfer, fit_transfer

BOXED = Vocabulary.of([f"fine:{name}" for name in "abcd"])
KNOWN = Vocabulary(ids=tuple(f"fine:{name}" for name in "hdagcfbe"), names=tuple("hdagcfbe"))
BACKGROUND = 40
Change = Callable[[Tensor], Tensor]


def regions(change: Change) -> tuple[RegionFeatures, Tensor, Tensor]:
    """Return separable regions with labels that are changed, and regions with the true ones."""
    width = build(Small(), boxed=BOXED, labelled=Vocabulary(ids=(), names=())).row.head
    drawn = torch.Generator().manual_seed(0)
    centres = torch.randn(len(BOXED), width, generator=drawn)
    true = torch.arange(160) % len(BOXED)
    x = centres[true] + 0.3 * torch.randn(len(true), width, generator=drawn)
    empty = 0.3 * torch.randn(BACKGROUND, width, generator=drawn)
    labels = torch.cat([change(true), torch.full((BACKGROUND,), -1)])
    return RegionFeatures(boxed=BOXED, features=torch.cat([x, empty]), labels=labels), x, true


def right_after(folder: Path, change: Change) -> tuple[float, list[Any]]:
    """Return how often rows fitted by the node name the class of a region, and what was said."""
    found, x, true = regions(change)
    places = {name: folder / name for name in ("model", "rows", "regions", "out")}
    for place in places.values():
        place.mkdir(parents=True)
    nothing = Vocabulary(ids=(), names=())
    record = Record(backbone=Small(), boxed=BOXED, labelled=nothing, size=64, parts=ALL_PARTS)
    save_model(places["model"], build(Small(), boxed=BOXED, labelled=nothing), record)
    source = torch.randn(len(KNOWN), 16, generator=torch.Generator().manual_seed(1))
    weights = SourceWeights(vocabulary=KNOWN, weight=source)
    save_source(places["rows"], OpenedSource(weights=weights, feature="head", where="rows"))
    found.write(places["regions"])
    said: list[Any] = []
    cfg = FitTransfer(
        transfer=Transfer(method="ae_wtn", lr=0.01), feature="head",
        fit=FitRows(steps=120, regions=64, lr=0.02),
    )  # fmt: skip
    task = Task(
        cfg=cfg, inputs={name: places[name] for name in ("model", "rows", "regions")}, parts={},
        out=places["out"], work=lambda: folder, run_on=RunOn(),
        say=lambda *a, **k: said.append(a), note=said.append, set_aside=str,
    )  # fmt: skip
    made = fit_transfer(task)
    assert made["units"] == {"steps": 120}
    fitted = load_transfer(places["out"])
    assert fitted.record.boxed == BOXED.ids
    assert [KNOWN.ids[k] for k in fitted.record.shared] == [*BOXED.ids]
    with torch.no_grad():
        named = fitted.rows.eval().logits(x).argmax(1)
        apart = fitted.rows.rows(source[[*fitted.record.shared]])
    assert apart.shape == (len(BOXED), x.shape[1])
    return float((named == true).double().mean()), said


def test_the_fit_names_the_boxed_classes(tmp_path: Path) -> None:
    right, said = right_after(tmp_path, lambda true: true)
    assert right > 0.95
    assert said[-1][:2] == (120, 120)


def test_labels_that_are_another_regions_teach_nothing(tmp_path: Path) -> None:
    """What the test above can see: a fit that takes a label for a region it is not of."""
    drawn = torch.Generator().manual_seed(0)
    right, _ = right_after(tmp_path, lambda true: true[torch.randperm(len(true), generator=drawn)])
    assert right < 0.6
