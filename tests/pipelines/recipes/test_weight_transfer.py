"""The recipe of paper 4: which nodes a page makes, what reruns, what can be wrong, and one run."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cluster.storage import open_store
from components.data.shards import Shards
from components.data.stream import plain_batches
from components.data.views import PlainView
from components.models.scores import fuse
from components.train.checkpoint import load_model, read_detector, read_record
from components.train.class_groups import transferred
from components.train.export_model import export_model
from components.train.region_features import RegionFeatures, region_features
from components.train.source_file import open_source
from components.train.transfer_file import has_transfer, load_transfer
from components.transfer.source import SourceWeights
from components.vocab.classes import Vocabulary
from pipelines.graph.plan import plan
from pipelines.graph.record import read_record as stored
from pipelines.recipes.page_checks import set_nodes
from pipelines.recipes.weight_transfer_checks import NODES
from pipelines.runs.drive import Finished
from pipelines.runs.loading import load
from pipelines.settings.problems import SettingsError
from tests.pipelines.recipes.tiny_transfer import page
from tests.pipelines.runs import tiny

ON_FEATURES = ("fit.kind=features", "fit.numbers.steps=5")


def names(config: Path, *settings: str) -> set[str]:
    return {node.name for node in load(config, settings).graph.every()}


def test_a_page_makes_its_nodes(tmp_path: Path) -> None:
    made = names(page(tmp_path))
    assert made == {
        "draw", "boxes", "labels", "stage1", "classifier", "rows", "detector", "model", "analysis",
        "pack_scenes", "pack_photos", "detect_scenes", "detect_photos", "evaluate",
    }  # fmt: skip
    assert made <= {*NODES, *set_nodes(load(page(tmp_path)).cfg)}


def test_fitted_on_features_there_are_two_nodes_more(tmp_path: Path) -> None:
    made = names(page(tmp_path), *ON_FEATURES)
    assert made - names(page(tmp_path)) == {"regions", "transfer"}
    assert made <= {*NODES, *set_nodes(load(page(tmp_path)).cfg)}


def test_rows_of_the_very_stage_1_need_no_other_training(tmp_path: Path) -> None:
    assert "classifier" not in names(page(tmp_path), "rows.seed=null")


def test_rows_as_they_are_need_no_fit(tmp_path: Path) -> None:
    made = names(
        page(tmp_path), "rows={kind: packaged}", "fit={kind: features, feature: trunk}",
        "backbone={kind: lite0, weights: efficientnet-lite0, frozen_stages: 7}",
        "detector.transfer.method=direct",
    )  # fmt: skip
    assert not made & {"regions", "transfer", "analysis"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("stage1=null",), "rows.kind: rows of stage 1, which must be there"),
        (("sources.labels=[]",), "sources.labels: stage1 learns from image labels"),
        (("detector.transfer.method=direct",), "fit.kind: direct is fitted on features"),
        ((*ON_FEATURES, "fit.feature=trunk"), "fit.feature: features as a trunk's own classifier"),
        (
            (*ON_FEATURES, "fit.context=.5"),
            "fit.context: for method direct on features of the trunk",
        ),
        (("classes=none.txt",), "classes: not there; got"),
        (("rows.kind=file", "rows.file=none.parquet", "rows.seed=null"), "rows"),
        (("run_on.stage2.cpus=1",), "run_on.stage2: no such node"),
        (("detector.world=9",), "detector.scenes: each of 9 workers needs a picture a step"),
        (("hierarchy.kind=edges", "hierarchy.table=none.csv"), "hierarchy.table: not there"),
        *(
            (
                (f"detector.transfer.layers=[512, {width}]",),
                f"detector.transfer.layers.1: expected a whole number in [1, 65536]; got {width}",
            )
            for width in (-5, 0, 65_537, 1_000_000_000)
        ),
        (
            (f"detector.transfer.layers={[8] * 17}",),
            "detector.transfer.layers (command line): expected a list of whole numbers in "
            "[1, 65536], 16 at most; got",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(tmp_path: Path, settings, said: str) -> None:
    with pytest.raises(SettingsError) as found:
        load(page(tmp_path), settings)
    assert any(str(problem).startswith(said) for problem in found.value.problems), found.value


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the page once, and a table of classes that nobody met beside it."""
    folder = tmp_path_factory.mktemp("paper4")
    ended, _ = tiny.run(page(folder), store=folder / "store")
    assert ended.status == "done", ended.reason
    return folder


def test_a_run_scores_novel_classes_and_keeps_a_model_that_finds_them(ran: Path) -> None:
    ended, _ = tiny.run(page(ran), store=ran / "store")
    assert ended.nodes["evaluate"]["state"] == "cached"
    assert {"novel/AP50", "seen/AP50"} <= set(ended.metrics)
    model = ran / "store" / "runs" / ended.run / "model"
    record = read_record(model)
    assert len(record.training["boxed"]) < len(record.boxed) + len(record.labelled)
    detector, _ = load_model(model)
    parts = {
        name
        for name, part in detector.named_children()
        if any(p.numel() for p in part.parameters())
    }
    assert parts == {"trunk", "pyramid", "proposals", "region_head", "refine", "exported"}
    raw, classes = read_detector(model, record), len(record.boxed) + len(record.labelled)
    common = (raw.trunk, raw.pyramid, raw.proposals, raw.region_head, raw.refine)
    plain = sum(p.numel() for part in common for p in part.parameters())
    scored = classes * (detector.row.head + 1)  # a Faster R-CNN's one linear layer
    assert sum(p.numel() for p in detector.parameters()) == plain + scored
    assert {"transfer/kept_neighbors@10", "transfer/novel_mean"} <= set(ended.metrics)


def test_an_analysis_is_no_fitted_transfer(ran: Path) -> None:
    ended, _ = tiny.run(page(ran), store=ran / "store")
    (told,) = (ran / "store").glob("nodes/*/*/*/analysis.json")
    assert not has_transfer(told.parent)
    assert has_transfer(ran / "store" / "runs" / ended.run / "model")


def test_a_method_is_no_matter_to_the_classifier(ran: Path) -> None:
    store = open_store(str(ran / "store"), mode="read")
    planned = plan(load(page(ran), ["detector.transfer.method=wtn"]).graph, store)
    again = {entry.name for entry in planned.nodes if entry.state != "cached"}
    assert again == {
        "detector", "model", "analysis", "detect_scenes", "detect_photos", "evaluate",
    }  # fmt: skip


def test_the_exported_detector_says_what_the_transfer_says(ran: Path) -> None:
    """Within 1e-5, and the rows of a few classes alone are those of all, bit for bit."""
    ended, _ = tiny.run(page(ran), store=ran / "store")
    model = ran / "store" / "runs" / ended.run / "model"
    detector, _ = load_model(model)
    fitted = load_transfer(model)
    raw = read_detector(model, read_record(model))
    photos = next(iter(sorted((ran / "store").glob("nodes/*/*/*/index.parquet")))).parent
    batch = next(plain_batches(Shards.open(photos), view=PlainView(size=64, pad_to=8), size=2))
    ids = fitted.record.boxed
    (regions, *_), (again, *_) = detector.regions(batch), detector.regions(batch)
    assert torch.equal(regions.boxed, again.boxed)
    said = fuse(regions, boxed=detector.boxed, labelled=detector.labelled, ids=ids)
    with torch.no_grad():
        raw.eval()
        maps = raw.maps(batch)
        boxes = raw.propose(maps, batch).boxes
        x = raw.features(maps, boxes)[: len(boxes[0])]
        wanted = fitted.rows.logits(x).sigmoid()
    assert said.shape == wanted.shape
    assert (said - wanted).abs().max() < 1e-5
    rows = open_source(next((ran / "store").glob("nodes/*/*/*/source.safetensors")).parent)
    every = transferred(fitted.rows, fitted.record, boxed=raw.boxed, source=rows)
    few = transferred(fitted.rows, fitted.record, boxed=raw.boxed, source=rows,
                      ids=every.vocabulary.ids[3:7])  # fmt: skip
    assert torch.equal(few.weight, every.weight[3:7])


def test_more_classes_are_one_command_and_none_is_lost(ran: Path) -> None:
    """By the transfer that was fitted: rows of the same classifier, of classes never met."""
    ended, _ = tiny.run(page(ran), store=ran / "store")
    model = ran / "store" / "runs" / ended.run / "model"
    rows = open_source(next((ran / "store").glob("nodes/*/*/*/source.safetensors")).parent)
    known = Vocabulary.of(["fine:never met", "fine:nor this"])
    new = SourceWeights(vocabulary=known, weight=rows.weights.weight[:2] + 0.01, bias=None)
    made = export_model(
        model, out=ran / "more", source=replace(rows, weights=new), fitted=load_transfer(model)
    )
    before, after = (load_model(place)[0] for place in (model, ran / "more"))
    assert after.boxed.ids == (*before.boxed.ids, *known.ids)
    assert (made.classes, made.left_out) == (len(after.boxed), ())
    old, rows_now = (d.exported.groups["boxed"].linear.weight for d in (before, after))
    assert torch.equal(rows_now[: len(old)], old)


def test_a_hierarchy_is_read_and_changes_what_is_learnt(ran: Path) -> None:
    """Two boxed classes of one kind: a box of the second is one of the first too."""
    plain, _ = tiny.run(page(ran), store=ran / "store")
    boxed = read_record(ran / "store" / "runs" / plain.run / "model").training["boxed"]
    table = ran / "edges.csv"
    table.write_text(f"child,parent\n{boxed[1]},{boxed[0]}\n")
    asked = ("hierarchy.kind=edges", f"hierarchy.table={table}")
    ended, _ = tiny.run(page(ran), *asked, store=ran / "store")
    assert ended.status == "done", ended.reason
    states = {name: node["state"] for name, node in ended.nodes.items()}
    assert states["taxonomy"] == states["detector"] == "done"
    assert states["classifier"] == "cached"
    again, _ = tiny.run(page(ran), *asked, "detector.transfer.method=wtn", store=ran / "store")
    assert again.nodes["taxonomy"]["state"] == "cached"


def test_a_transfer_is_fitted_on_a_finished_detector(ran: Path) -> None:
    ended, _ = tiny.run(page(ran), *ON_FEATURES, store=ran / "store")
    assert ended.status == "done", ended.reason
    assert ended.nodes["transfer"]["state"] == "done"
    assert "novel/AP50" in ended.metrics
    at, numbers = folders(ended, ran / "store"), load(page(ran), ON_FEATURES).cfg
    made = RegionFeatures.read(at["regions"])
    detector, _ = load_model(at["detector"])
    wanted = region_features(
        detector, Shards.open(at["boxes"]), size=numbers.detector.scene_view.size,
        batch=numbers.evaluate.batch, per_picture=numbers.fit.per_picture, feature="head",
        say=lambda done: None,
    )  # fmt: skip
    assert torch.equal(made.features, wanted.features)
    assert torch.equal(made.labels, wanted.labels)
    assert made.boxed == wanted.boxed
    fitted = load_transfer(at["transfer"])
    assert fitted.record.boxed == made.boxed.ids


def folders(ended: Finished, store: Path) -> dict[str, Path]:
    """Return where each node of a run lies."""
    opened = open_store(str(store), mode="read")
    found = {name: stored(opened, node["key"]) for name, node in ended.nodes.items()}
    return {name: record.place(opened) for name, record in found.items() if record is not None}
