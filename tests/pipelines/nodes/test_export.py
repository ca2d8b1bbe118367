"""The node `export`: what its inputs can be, in a graph that runs in this process."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.models.choices import Resnet
from components.models.two_stage import build
from components.train.checkpoint import ALL_PARTS, Record, read_record, save_model
from components.vocab.classes import Vocabulary
from pipelines.graph.artifact import WEIGHTS, missing
from pipelines.graph.node import RunOn, Task
from pipelines.nodes.export import Export, export
from tests.components.eval.small_world import BOXED, LABELLED, model


def task(
    folder: Path, *, classes: tuple[str, ...] = (), notes: list[str] | None = None, **inputs: Any
) -> Task:
    out = folder / "out"
    out.mkdir()
    if classes:
        (folder / "wanted.txt").write_text("".join(f"{name}\n" for name in classes))
        inputs["classes"] = {"file": folder / "wanted.txt"}
    return Task(
        cfg=Export(),
        inputs=inputs,
        parts={},
        out=out,
        work=lambda: folder,
        run_on=RunOn(),
        say=lambda *a, **k: None,
        note=([] if notes is None else notes).append,
        set_aside=str,
    )


def test_a_model_alone(tmp_path: Path) -> None:
    job = task(tmp_path, classes=("fine:dog",), model=model(tmp_path / "m"))
    assert export(job) == {"classes": 1, "groups": {"boxed": 1, "labelled": 1}}
    names = tuple(p.name for p in job.out.iterdir())
    assert not missing(WEIGHTS, names)
    assert "classes.safetensors" in names
    assert read_record(job.out).boxed.ids == ("fine:dog",)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_classes_of_another_node_or_of_a_users_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    before = model(tmp_path / "m")
    taught = model(tmp_path / "stage1")
    made = export(task(tmp_path / "a", model=before, source=taught))
    assert made["groups"] == {"boxed": len(BOXED), "labelled": len(LABELLED)}
    (tmp_path / "b").mkdir()
    table = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": ["x", "y"], "vector": [[1.0] * 3, [2.0] * 3]}), table)
    with pytest.raises(
        ValueError, match=r"got 3 numbers a class, and its head has 256 features and its trunk none"
    ):
        export(task(tmp_path / "b", model=before, source={"source": table}))
    assert not list((tmp_path / "b" / "out").iterdir())


def test_a_class_under_two_ids_is_told(tmp_path: Path) -> None:
    trained = resnet(tmp_path / "m", boxed=Vocabulary.of(["coarse:banana", "coarse:cat"]))
    table, notes = tmp_path / "t.parquet", list[str]()
    rows = np.random.default_rng(0).normal(size=(2, 512)).tolist()
    ids, names = ["imagenet:n07753592", "imagenet:n0"], ["banana", "tench"]
    pq.write_table(pa.table({"id": ids, "name": names, "vector": rows}), table)
    export(task(tmp_path, notes=notes, model=trained, source={"source": table}))
    assert notes == [
        "1 of the classes is found under two ids; got 'coarse:banana' and 'imagenet:n07753592'. "
        "Leave one of them out by a list of classes, if it should be found once."
    ]


def resnet(folder: Path, *, boxed: Vocabulary) -> Path:
    folder.mkdir()
    backbone = Resnet(weights="file")
    detector = build(backbone, boxed=boxed, labelled=LABELLED, seed=3)
    record = Record(backbone=backbone, boxed=boxed, labelled=LABELLED, size=64, parts=ALL_PARTS)
    save_model(folder, detector, record)
    return folder


def test_the_result_does_not_say_where_it_was_made(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        export(task(tmp_path / name, model=model(tmp_path / f"m{name}")))
    for file in (tmp_path / "a" / "out").iterdir():
        data = file.read_bytes()
        assert data == (tmp_path / "b" / "out" / file.name).read_bytes()
        assert str(tmp_path).encode() not in data
    known = Vocabulary.read(tmp_path / "a" / "out" / "vocabulary.json")
    said = json.loads((tmp_path / "a" / "out" / "model.json").read_text())
    assert (
        tuple(said["boxed"]) + tuple(i for i in said["labelled"] if i not in said["boxed"])
        == known.ids
    )
