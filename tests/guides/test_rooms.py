"""The READMEs of cluster/ and dashboards/ tell what there is, all of it and no more."""

import re
from dataclasses import fields

import pytest

from cluster.storage import LATER
from components.eval.metric_names import NAMES
from pipelines.recipes.joint_settings import Place
from tests.guides.conftest import Followed
from tests.guides.quoted import ROOT, blocks

CLUSTER, DASHBOARDS = ROOT / "cluster" / "README.md", ROOT / "dashboards" / "README.md"
GROUPS = {name.partition("/")[0] for name in NAMES}
TAG = re.compile(r"\b(?:dag\.[a-z_]+|code\.version|mlflow\.[A-Za-z.]+[A-Za-z])\b")


def _first_column(text: str) -> list[str]:
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def _section(text: str, head: str) -> str:
    return re.split(rf"^#+ {re.escape(head)}$", text, flags=re.MULTILINE)[1].partition("\n#")[0]


def test_every_metric_is_told_once() -> None:
    told = _first_column(_section(DASHBOARDS.read_text(), "Metrics"))
    assert sorted(told) == sorted(NAMES)


def test_a_metric_that_is_reserved_is_given_by_nothing() -> None:
    row = re.search(r"^\| `(\S+)` \| reserved", DASHBOARDS.read_text(), re.MULTILINE)
    assert row is not None
    code = [
        p for room in ("components", "cluster", "pipelines") for p in (ROOT / room).rglob("*.py")
    ]
    users = [p.name for p in code if f'"{row[1]}"' in p.read_text()]
    assert users == ["metric_names.py"]


def test_every_tag_is_told() -> None:
    told = set(_first_column(_section(DASHBOARDS.read_text(), "Tags")))
    sinks = (ROOT / "cluster").glob("mlflow*.py")
    written = {
        tag for sink in sinks for text in re.findall(r'"[^"\n]*"', sink.read_text())
        for tag in TAG.findall(text)
    }  # fmt: skip
    written = {tag for tag in written if not tag.startswith("mlflow.tracking")}
    assert told == written


def test_the_filters_of_the_guide_are_understood_and_find_runs(followed: Followed) -> None:
    import mlflow

    place = followed.folder / ".vocabox" / "mlflow.db"
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{place}")
    (experiment,) = [e for e in client.search_experiments() if e.name == "vocabox/joint"]
    filters = re.findall(r"\| ``(.+?)`` \|", DASHBOARDS.read_text())
    counts = [len(client.search_runs([experiment.experiment_id], f)) for f in filters]
    assert len(filters) == 4
    assert counts[:2] == [1, 1]
    assert counts[2] == 0  # this run has another backbone
    small = client.search_runs([experiment.experiment_id], "params.`backbone.kind` = 'small'")
    assert len(small) == 1
    told = set(_first_column(_section(DASHBOARDS.read_text(), "Metrics")))
    runs = client.search_runs([experiment.experiment_id])
    assert {metric for run in runs for metric in run.data.metrics} <= told
    assert {"train/loss", "coco/AP", "perf/images_s"} <= {m for r in runs for m in r.data.metrics}
    tags = {tag for run in runs for tag in run.data.tags if not tag.startswith("mlflow.")}
    assert tags <= set(_first_column(_section(DASHBOARDS.read_text(), "Tags")))


def test_the_layout_of_a_store_is_what_a_run_leaves(followed: Followed) -> None:
    (layout,) = [b for b in blocks(CLUSTER, "text") if b.section == "The store"]
    heads = [line.split("  ")[0] for line in layout.text.splitlines()]
    told = {name.strip().split("/")[0] for head in heads for name in head.split(",")}
    there = {path.name for path in (followed.folder / ".vocabox").iterdir()}
    assert there <= told
    assert told - there <= {"quarantine", "work"}  # only while something is made, or damaged
    line = next(line for line in layout.text.splitlines() if line.startswith("runs/"))
    run = followed.folder / ".vocabox" / "runs" / "joint-1"
    for name in re.findall(r"([\w.]+\.(?:jsonl|json|html|parquet)|model)\b", line):
        assert (run / name).exists(), name


def test_every_setting_of_a_place_is_told() -> None:
    told = _first_column(_section(CLUSTER.read_text(), "On this machine"))
    assert sorted(told) == sorted(field.name for field in fields(Place))


@pytest.mark.parametrize("scheme", LATER)
def test_a_store_elsewhere_is_refused_by_name_as_told(scheme: str) -> None:
    from cluster.storage import StoreError, open_store

    assert "`s3://` and the like are refused by name" in CLUSTER.read_text()
    with pytest.raises(StoreError, match=scheme):
        open_store(f"{scheme}://bucket/x", mode="read")


@pytest.mark.parametrize("guide", ["configs", "cluster", "dashboards"])
def test_every_link_of_a_guide_leads_somewhere(guide: str) -> None:
    for page in (ROOT / guide).glob("*.md"):
        for link in re.findall(r"\]\(([^)#][^)]*|#[^)]+)\)", page.read_text()):
            path, _, head = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), f"{page}: {link}"
            heads = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE) if head else []
            anchors = [re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in heads]
            assert not head or head in anchors, f"{page}: {link}; there are {anchors}"
