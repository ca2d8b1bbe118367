"""A page of paper 4 whose rows, classes and detector cannot go together: said before it starts."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch
from torchvision.models import resnet18

from pipelines.runs.loading import load
from pipelines.settings.problems import SettingsError
from tests.pipelines.cli.test_entry import ASK, ROOT
from tests.pipelines.recipes.tiny_transfer import page

DIRECT = (
    "rows={kind: packaged}", "fit={kind: features, feature: trunk}",
    "backbone={kind: lite0, weights: efficientnet-lite0, frozen_stages: 7}",
    "detector.transfer.method=direct",
)  # fmt: skip
RESIDUAL = (*DIRECT[:3], "detector.transfer.method=residual_feature")


def said(config: Path, *settings: str) -> list[str]:
    """Return every problem of the page."""
    with pytest.raises(SettingsError) as found:
        load(config, settings)
    return [str(problem) for problem in found.value.problems]


def began(problems: list[str], start: str) -> bool:
    return any(problem.startswith(start) for problem in problems)


def rows_file(folder: Path, *, width: int = 1280, ids: tuple[str, ...] = ("fine:a", "x:b")) -> str:
    """Write a .safetensors file and its class list; return the setting that names them."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(len(ids), width)).astype(np.float32)
    save_file({"fc.weight": rows}, folder / "rows.safetensors")
    (folder / "rows.txt").write_text("\n".join(ids))
    return "rows={kind: file, file: rows.safetensors, classes: rows.txt}"


def table(folder: Path, *, width: int, fixed: bool = False) -> str:
    kind = pa.list_(pa.float32(), width) if fixed else pa.list_(pa.float32())
    vectors = np.random.default_rng(0).normal(size=(2, width)).tolist()
    pq.write_table(
        pa.table({"id": ["x:a", "x:b"], "vector": pa.array(vectors, kind)}), folder / "t.parquet"
    )
    return "rows={kind: file, file: t.parquet}"


def test_rows_of_the_backbones_own_classifier_are_fine(tmp_path: Path) -> None:
    loaded = load(page(tmp_path), DIRECT)
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    ("written", "start"),
    [
        (None, "classes, {at}: cannot be read; got Is a directory"),
        ("", "classes, {at}: no class; got 0 bytes"),
        ("[[[", "classes, {at}: not JSON"),
        ("{}", "classes, {at}: no list of classes; got NoneType"),
        ("fine:nobody\nq\n", "classes: known to the boxes or to the rows; got 2 that neither has: "
                             "'fine:nobody', 'q'"),
    ],
)  # fmt: skip
def test_a_list_of_classes_that_is_none(tmp_path: Path, written: str | None, start: str) -> None:
    wanted = tmp_path / "wanted.txt"
    if written is None:
        wanted.mkdir()
    else:
        wanted.write_text(written)
    for settings in ((), DIRECT):
        found = said(page(tmp_path), "classes=wanted.txt", *settings)
        assert began(found, start.format(at=wanted)), found


def test_a_list_of_classes_of_boxes_and_of_rows(tmp_path: Path) -> None:
    (tmp_path / "wanted.txt").write_text("imagenet:n01440764\n")
    load(page(tmp_path), ("classes=wanted.txt", *DIRECT))
    found = said(page(tmp_path), "classes=wanted.txt")
    assert began(found, "classes: known to the boxes or to the rows; got 1"), found


def test_numbers_that_no_row_may_have_are_said_before_anything_starts(tmp_path: Path) -> None:
    rows = rows_file(tmp_path)
    numbers = np.ones((2, 1280), np.float32)
    save_file({"fc.weight": numbers}, tmp_path / "rows.safetensors")
    at = tmp_path / "rows.safetensors"
    found = said(page(tmp_path), rows, *DIRECT[1:])
    assert began(found, f"rows.file, {at}: 1280 of 1280 channels are the same"), found
    numbers[1] = np.nan
    save_file({"fc.weight": numbers}, tmp_path / "rows.safetensors")
    found = said(page(tmp_path), rows, *DIRECT[1:])
    assert began(found, f"rows.file, {at}: rows are finite"), found
    pq.write_table(pa.table({"id": ["a"], "embedding": [[1.0]]}), tmp_path / "t.parquet")
    found = said(page(tmp_path), "rows={kind: file, file: t.parquet}")
    assert began(found, f"rows.file, {tmp_path / 't.parquet'}: a table of embeddings has"), found
    (tmp_path / "t.csv").write_text("id,vector\na,1\n")
    found = said(page(tmp_path), "rows={kind: file, file: t.csv}")
    assert began(found, f"rows.file, {tmp_path / 't.csv'}: rows are a .safetensors file or"), found


@pytest.mark.parametrize("settings", [DIRECT, RESIDUAL])
def test_rows_of_another_width_than_the_trunks_features(
    tmp_path: Path, settings: tuple[str, ...]
) -> None:
    wrong = "got 9 numbers a class; 1280 features"
    for rows in (rows_file(tmp_path, width=9), table(tmp_path, width=9),
                 table(tmp_path, width=9, fixed=True)):  # fmt: skip
        found = said(page(tmp_path), rows, *settings[1:])
        assert [p for p in found if p.startswith("rows.file: ") and wrong in p], found
    resnet = "backbone={kind: resnet, weights: trunk.safetensors, frozen_stages: 5}"
    found = said(page(tmp_path), *settings[:2], resnet, settings[3])
    assert [p for p in found if p.startswith("rows.name: ") and "got 1280 numbers" in p], found


def test_rows_as_they_are_want_the_layers_above_the_trunk(tmp_path: Path) -> None:
    """The package has them, or the rows' own file; a table on another trunk of the kind has not."""
    from components.train.foreign import timm_tensors

    save_torch(timm_tensors(), tmp_path / "trunk.safetensors")
    own = "backbone={kind: lite0, weights: trunk.safetensors, frozen_stages: 7}"
    bare, rows = rows_file(tmp_path), table(tmp_path, width=1280)
    for given in (bare, rows):
        load(page(tmp_path), (given, *DIRECT[1:]))
        (told,) = said(page(tmp_path), given, DIRECT[1], own, DIRECT[3])
        assert told.startswith("rows.file: method direct wants the layers between the trunk"), told
    vectors = {"fc.weight": torch.randn(2, 1280), "conv_head.weight": torch.zeros(1280, 320, 1, 1)}
    norms = ("weight", "bias", "running_mean", "running_var")
    vectors |= {f"bn2.{name}": torch.zeros(1280) for name in norms}
    save_torch(vectors, tmp_path / "rows.safetensors")
    load(page(tmp_path), (bare, DIRECT[1], own, DIRECT[3]))
    resnet = "backbone={kind: resnet, weights: r.safetensors, frozen_stages: 5}"
    save_torch(resnet18(weights=None).state_dict(), tmp_path / "r.safetensors")
    load(page(tmp_path), (table(tmp_path, width=512), DIRECT[1], resnet, DIRECT[3]))


def test_rows_of_the_width_of_layers_that_are_learnt(tmp_path: Path) -> None:
    found = said(page(tmp_path), *RESIDUAL, "detector.transfer.layers=[64]")
    assert began(found, "rows.name: method residual_feature wants a number for each"), found
    load(page(tmp_path), (*DIRECT, "detector.transfer.layers=[64]"))  # nothing is learnt


def test_a_file_of_rows_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "rows.safetensors").write_bytes(b"no")
    (tmp_path / "rows.txt").write_text("fine:a\n")
    found = said(
        page(tmp_path), "rows={kind: file, file: rows.safetensors, classes: rows.txt}", *DIRECT[1:]
    )
    assert began(found, f"rows.file, {tmp_path / 'rows.safetensors'}: not a readable"), found
    rows = rows_file(tmp_path)
    (tmp_path / "rows.txt").write_text("fine:a\n")
    found = said(page(tmp_path), rows, *DIRECT[1:])
    at = tmp_path / "rows.safetensors"
    assert began(found, f"rows.file, {at}: one row a class; got rows [2, 1280] for 1"), found
    (tmp_path / "rows.txt").write_text("")
    found = said(page(tmp_path), rows, *DIRECT[1:])
    assert began(found, f"rows.classes, {tmp_path / 'rows.txt'}: no class"), found
    found = said(page(tmp_path), "rows={kind: file, file: rows.safetensors}", *DIRECT[1:])
    assert began(found, "rows.classes: the classes of its rows are not in the file"), found
    rows = table(tmp_path, width=1280).replace("}", ", classes: rows.txt}")
    found = said(page(tmp_path), rows, *DIRECT[1:])
    assert began(found, "rows.classes: for a .safetensors file only"), found


@pytest.mark.parametrize("settings", [DIRECT, RESIDUAL])
def test_rows_as_they_are_want_the_features_they_were_made_for(
    tmp_path: Path, settings: tuple[str, ...]
) -> None:
    method = settings[-1].partition("=")[2]
    at = page(tmp_path)
    found = said(at, *settings[:1], "fit={kind: features}", *settings[2:])
    assert began(found, f"fit.feature: method {method} reads the features of the trunk"), found
    assert began(said(at, *settings[:2], settings[3]), "fit.feature: features as a trunk's own")
    low = ("backbone={kind: lite0, weights: efficientnet-lite0}", "fit={kind: features}")
    found = said(at, settings[0], settings[3], *low)
    assert began(found, "backbone.frozen_stages: a trunk that learns"), found


@pytest.mark.parametrize("rows", ["{kind: stage1, seed: 7}", "{kind: stage1}"])
@pytest.mark.parametrize("settings", [DIRECT, RESIDUAL])
def test_rows_of_a_head_that_is_trained_on(tmp_path: Path, rows: str, settings) -> None:
    found = said(page(tmp_path), f"rows={rows}", *settings[1:])
    method = settings[-1].partition("=")[2]
    assert began(found, f"rows.kind: method {method} wants features that stay"), found


@pytest.mark.parametrize("method", ["ae_wtn", "residual_feature"])
def test_rows_that_share_no_class_with_the_boxes(tmp_path: Path, method: str) -> None:
    fit = () if method == "ae_wtn" else DIRECT[1:3]
    found = said(page(tmp_path), DIRECT[0], *fit, f"detector.transfer.method={method}")
    assert began(found, "rows: no boxed class is among its 1000 classes"), found


def test_a_class_under_two_ids(tmp_path: Path) -> None:
    boxed = _boxed(tmp_path)[0]
    other = f"coarse:{boxed.partition(':')[2]}"
    rows = rows_file(tmp_path, ids=("fine:a", other))
    found = said(page(tmp_path), rows)
    assert began(found, "rows: 1 of "), found
    assert f"got '{boxed}' here and '{other}' there" in "\n".join(found)
    (warned,) = load(page(tmp_path), (rows, *DIRECT[1:])).warnings
    assert not warned.grave
    assert str(warned).startswith(
        f"rows: 1 of the classes is found under two ids; got {boxed!r} and {other!r}"
    )
    (tmp_path / "wanted.txt").write_text(f"fine:a\n{boxed}\n")  # one of the two is left out
    assert not load(page(tmp_path), (rows, "classes=wanted.txt", *DIRECT[1:])).warnings


def _boxed(folder: Path) -> list[str]:
    from components.data.drawn.world import boxed_classes

    world = load(page(folder)).cfg.draw
    return [f"fine:{kind.name}" for kind in boxed_classes(world)]


def test_an_optimizer_that_nothing_would_read(tmp_path: Path) -> None:
    fit = ("fit={kind: features}", "detector.optimizer=sgd")
    start = "detector.optimizer: read where the transfer is learnt jointly; got sgd"
    found = said(page(tmp_path), *fit)
    assert began(found, start), found
    load(page(tmp_path), ("detector.optimizer=sgd",))


def test_another_sections_fault_is_told_alone(tmp_path: Path) -> None:
    at = page(tmp_path)
    for wrong in ("detector.steps=none", "stage1.steps=none", "evaluate.top=none"):
        assert len(said(at, wrong)) == 1
        assert len(said(at, wrong, *DIRECT)) == 1
    found = said(at, "detector.steps=none", "rows={kind: file, file: gone.parquet}",
                 "classes=gone.txt")  # fmt: skip
    assert began(found, "rows.file: not there")
    assert began(found, "classes: not there")
    assert len(found) == 3


def test_looking_at_a_page_imports_no_torch(tmp_path: Path) -> None:
    text = page(tmp_path).read_text()
    for old, new in (
        ("rows: {kind: stage1, seed: 7}", "rows: {kind: packaged}"),
        ("ae_wtn}}", "direct}}\nfit: {kind: features, feature: trunk}"),
        ("stage1: {", f"{DIRECT[2].replace('=', ': ', 1)}\nstage1: {{"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    (tmp_path / "direct.yaml").write_text(text)
    heavy = ("torch", "timm", "ray", "mlflow", "pyarrow", "matplotlib")
    asked = [sys.executable, "-c", ASK.format(heavy=heavy), "check", str(tmp_path / "direct.yaml")]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip().endswith("[]"), done.stderr
