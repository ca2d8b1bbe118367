"""The node `analyse` on rows that two boxed classes share, as word vectors do."""

import json
from pathlib import Path

import pytest
import torch

from components.train.source_folder import OpenedSource, save_source
from components.train.transfer_file import FittedTransfer, record_of, save_transfer
from components.transfer.methods import Method, Transfer
from components.transfer.rows import make
from components.transfer.source import SourceWeights
from components.vocab.classes import Vocabulary
from pipelines.graph.node import RunOn, Task
from pipelines.nodes.analyse import FILE, Analyse, analyse

SOURCE = Vocabulary.of([f"{i:02}" for i in range(30)])
BOXED = Vocabulary.of(["02", "05", "09"])


def told(folder: Path, method: Method) -> dict[str, dict[str, dict[str, float]]]:
    weight = torch.randn(30, 16, generator=torch.Generator().manual_seed(0))
    weight[5] = weight[2]
    rows = make(Transfer(method=method), source_KD=weight, inputs=16, features=16,
                shared_C=torch.tensor([2, 5, 9]), seed=0)  # fmt: skip
    if method == "nearest":
        rows.get_parameter("mapping.rows_SG").data = (
            torch.tensor([10.0, 11, 12])[:, None].expand(3, 16).clone()
        )
    places = {name: folder / name for name in ("transfer", "rows", "out")}
    for place in places.values():
        place.mkdir()
    record = record_of(rows, boxed=BOXED, feature="head")
    save_transfer(places["transfer"], FittedTransfer(rows=rows, record=record))
    source = SourceWeights(vocabulary=SOURCE, weight=weight)
    save_source(places["rows"], OpenedSource(weights=source, feature="head", where="here"))
    task = Task(
        cfg=Analyse(asked=5, most=10),
        inputs={"transfer": places["transfer"], "rows": places["rows"]},
        parts={},
        out=places["out"],
        work=lambda: folder,
        run_on=RunOn(),
        say=lambda *a, **k: None,
        note=print,
        set_aside=str,
    )
    analyse(task)
    return json.loads((places["out"] / FILE).read_text())


@pytest.mark.parametrize("method", ["wtn_plus", "nearest", "lsda"])
def test_two_boxed_classes_of_one_row_are_two(tmp_path: Path, method: Method) -> None:
    said = told(tmp_path, method)
    assert said["shared"] == 3
    if method == "nearest":
        lengths = said["lengths"]["rows of the detector"]
        assert lengths["shared mean"] == pytest.approx(44)  # 40, 44 and 48
        assert lengths["shared variance"] == pytest.approx(32 / 3)
