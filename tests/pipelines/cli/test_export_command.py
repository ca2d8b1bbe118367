"""`vocabox export`: what it writes, keeps, and says; and the model it writes finds boxes."""

import json
import shlex
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.models.choices import Lite0, Resnet
from components.models.two_stage import build
from components.train.checkpoint import ALL_PARTS, STAGE1_PARTS, Record, read_record, save_model
from components.vocab.classes import Vocabulary
from tests.components.eval.small_world import LABELLED, model, picture
from tests.pipelines.cli.small import call
from tests.pipelines.settings.golden import same


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    model(tmp_path / "model")
    return tmp_path


def test_what_cannot_be_read_or_written_is_said_at_once(here: Path, write_golden: bool) -> None:
    Path("full").mkdir()
    Path("full/mine.txt").write_text("mine")
    model(Path("trained"))
    model(Path("classifier"), parts=STAGE1_PARTS)
    Path("some.txt").write_text("fine:dog\nfine:dragon\n")
    Path("nothing.txt").write_text("\n")
    said: list[str] = []
    for line in (
        "gone --out gone/made --classes gone.txt --source-classes full",
        "model --out full",
        "model --out some.txt",
        "model --out trained --overwrite",
        "model",
        "model --out made --classes some.txt",
        "model --out made --classes nothing.txt",
        "model --out made --sauce x",
        "classifier --out made",
    ):
        before = sorted(Path().rglob("*"))
        result = call("export", *line.split())
        assert (result.exit_code, result.stdout) == (2, "")
        assert sorted(Path().rglob("*")) == before
        said.append(f"$ vocabox export {line}\n{result.stderr}")
    same("".join(said), as_file="errors/B22_export.txt", folder=here, write=write_golden)


def test_what_is_there_is_kept_unless_it_may_go(here: Path) -> None:
    first = call("export", "model", "--out", "made")
    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout == "4 classes: made\nUse it with: vocabox predict made PICTURES\n"
    assert sorted(p.name for p in here.iterdir()) == ["made", "model"]
    again = call("export", "model", "--out", "made")
    assert again.exit_code == 2
    assert "is there already, and is kept" in again.stderr
    Path("some.txt").write_text("fine:owl\n")
    done = call(
        "export", "model", "--out", "made", "--overwrite", "--json", "--classes", "some.txt"
    )
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {
        "v": 1, "event": "finished", "status": "done", "classes": 1, "groups": {"labelled": 1},
        "left_out": [], "two_ids": [], "model": str(here / "made"),
    }  # fmt: skip


def test_it_finds_the_boxes_that_it_found_before(here: Path) -> None:
    picture(here / "a.png", width=90, height=60)
    run = here / "store" / "runs" / "joint-1"
    run.mkdir(parents=True)
    Path("model").rename(run / "model")
    made = call("export", "joint-1", "--store", "store", "--out", "made")
    assert made.exit_code == 0, made.output
    for name, how in (("joint-1", ["--store", "store"]), ("made", [])):
        assert call("predict", name, "a.png", "--out", f"{name}.json", *how).exit_code == 0
    before, after = (json.loads(Path(f"{n}.json").read_text()) for n in ("joint-1", "made"))
    assert [row["category_name"] for row in after] == [row["category_name"] for row in before]
    np.testing.assert_allclose(
        [row["score"] for row in after], [row["score"] for row in before], atol=1e-5
    )
    np.testing.assert_allclose(
        [row["bbox"] for row in after], [row["bbox"] for row in before], atol=1e-3
    )


def test_a_table_adds_classes_that_were_never_trained(here: Path) -> None:
    """A thousand new classes on a trained detector: one command, its pictures the next."""
    backbone = Resnet(weights="file")
    boxed = Vocabulary.of(["fine:cat"])
    detector = build(backbone, boxed=boxed, labelled=LABELLED, seed=3)
    Path("big").mkdir()
    record = Record(backbone=backbone, boxed=boxed, labelled=LABELLED, size=64, parts=ALL_PARTS)
    save_model(Path("big"), detector, record)
    ids, names = [f"net:n{i:04}" for i in range(1000)], [f"thing {i}" for i in range(1000)]
    rows = np.random.default_rng(0).normal(size=(1000, 512)).astype(np.float32)
    pq.write_table(pa.table({"id": ids, "name": names, "vector": list(rows)}), "rows.parquet")
    made = call("export", "big", "--out", "thousand", "--source", "rows.parquet")
    assert made.exit_code == 0, made.output
    assert made.stdout.startswith("1001 classes: thousand\n")
    assert made.stderr == ("note: 2 classes of MODEL are not in it: fine:dog, fine:owl\n")
    names[7] = "cat"  # as the boxes' fine:cat
    pq.write_table(pa.table({"id": ids, "name": names, "vector": list(rows)}), "rows.parquet")
    again = call("export", "big", "--out", "twice", "--source", "rows.parquet", "--json")
    assert json.loads(again.stdout)["two_ids"] == [["fine:cat", "net:n0007"]]
    again = call("export", "big", "--out", "two", "--source", "rows.parquet")
    assert again.exit_code == 0
    assert (
        "note: 1 of the classes is found under two ids; got 'fine:cat' and 'net:n0007'. "
        "Leave one of them out by a list of classes, if it should be found once.\n"
    ) in again.stderr
    picture(here / "a.png")
    words = shlex.split(
        made.stdout.splitlines()[1].partition("vocabox ")[2].replace("PICTURES", "")
    )
    done = call(*words, "a.png", "--parts", "0.6", "--draw", "drawn")
    assert done.exit_code == 0, done.output
    found = json.loads(Path("detections.json").read_text())
    assert found
    known = Vocabulary.read(Path("thousand/vocabulary.json"))
    for row in found:
        i = row["category_id"] - 1
        level = known.ids[i].partition(":")[0]
        assert row["category_name"] == f"{level}:{known.names[i]}"
    assert len(read_record(Path("thousand")).labelled) == 1000


def test_what_was_exported_and_changed_is_damage(here: Path) -> None:
    assert call("export", "model", "--out", "made").exit_code == 0
    classes = here / "made" / "classes.safetensors"
    data = bytearray(classes.read_bytes())
    data[-1] ^= 1
    classes.write_bytes(bytes(data))
    picture(here / "a.png")
    result = call("predict", "made", "a.png")
    assert result.exit_code == 3
    assert "classes.safetensors: changed since it was written" in result.stderr
    weights = here / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    result = call("export", "model", "--out", "other")
    assert result.exit_code == 3
    assert not Path("other").exists()


def test_a_table_on_a_trunk_whose_layers_nobody_has_is_one_error(here: Path) -> None:
    pytest.importorskip("timm")
    backbone = Lite0(weights="file")
    boxed, none = Vocabulary.of(["fine:cat"]), Vocabulary(ids=(), names=())
    Path("big").mkdir()
    record = Record(backbone=backbone, boxed=boxed, labelled=none, size=64, parts=ALL_PARTS)
    save_model(Path("big"), build(backbone, boxed=boxed, labelled=none, seed=3), record)
    vector = list(np.random.default_rng(0).normal(size=(2, 1280)).astype(np.float32))
    pq.write_table(pa.table({"id": ["net:1", "net:2"], "vector": vector}), "rows.parquet")
    result = call("export", "big", "--out", "made", "--source", "rows.parquet")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "rows.parquet: rows that read layers above the trunk, conv_head.weight" in result.stderr
    assert "Give the rows as .safetensors of the classifier" in result.stderr
    assert not Path("made").exists()
