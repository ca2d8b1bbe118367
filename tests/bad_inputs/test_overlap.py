"""A picture that is scored is not trained on, whatever its name."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.bad_inputs.bad_pictures import coded
from tests.bad_inputs.picture_page import Page
from tests.pipelines.cli.small import call
from tests.pipelines.settings.golden import same


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(tmp_path)


def test_B61_the_same_picture_in_train_and_test(page: Page, write_golden: bool) -> None:
    for i in range(25):
        shade = coded(Image.new("RGB", (40, 30), (i, 2, 3)), "PNG")
        page.write({f"taught_{i}.png": shade, f"scored_{i}.png": shade})
    page.write({"error.jpg": b"<html>", "page.jpg": b"<html>"})  # equal, and no pictures
    page.labels("boxed.png", "error.jpg", *(f"taught_{i}.png" for i in range(25)))
    page.boxes("test.json", "scored.png", "page.jpg", *(f"scored_{i}.png" for i in range(25)))
    before = sorted(page.folder.rglob("*"))
    said = []
    for command in ("check", "run"):
        refused = page.vocabox(command, "sources.max_bad_fraction=1")
        assert refused.exit_code == 2
        said.append(refused.stderr)
    assert said[0] == said[1]
    assert sorted(page.folder.rglob("*")) == before
    golden = "errors/B61_train_and_test.txt"
    same(said[0], as_file=golden, folder=page.folder, write=write_golden)
    passed = page.vocabox("check", "sources.max_bad_fraction=1", "sources.allow_overlap=true")
    assert passed.exit_code == 0, passed.output


def test_B61_data_check_lists_them(page: Page) -> None:
    page.boxes("test.json", "boxed.png")
    for setting, code in (("false", 2), ("true", 0)):
        found = call("data", "check", str(page.folder / "page.yaml"), "--set",
                     f"sources.allow_overlap={setting}", "--json")  # fmt: skip
        assert found.exit_code == code, found.output
        told = [json.loads(line) for line in found.stdout.splitlines()]
        (line,) = [line for line in told if line.get("check") == "split.overlap"]
        assert line["where"] == "sources.test.0.source, boxed.png"
        assert line["got"].startswith("the same bytes as boxed.png of sources.boxes.0")


def test_B61_sets_that_are_scored_may_share_and_so_may_those_that_teach(page: Page) -> None:
    page.labels("boxed.png")
    tune = (
        "sources.tune=[{name: tune, size: 64, source: {kind: coco, annotations: test.json, "
        "images: photos, level: coarse}}]"
    )
    assert page.vocabox("check", tune).exit_code == 0
    page.boxes("boxes.json", "boxed.png", "scored.png")
    refused = page.vocabox("check", tune)
    assert refused.exit_code == 2
    assert "sources.tune.0.source: 1 of 1 pictures are trained on too" in refused.stderr


def test_B61_only_listed_pictures_count(page: Page) -> None:
    page.write({"copy.png": (page.photos / "scored.png").read_bytes()})
    assert page.vocabox("check").exit_code == 0
    page.labels("copy.png", "boxed.png")
    assert page.vocabox("check").exit_code == 2


def test_B61_labels_that_teach_nothing_may_be_those_of_scored_pictures(page: Page) -> None:
    page.labels("scored.png")
    boxes_only = ("stage1=null", "stage2.photos=0", "stage2.image_weight=0")
    assert page.vocabox("check").exit_code == 2
    assert page.vocabox("check", *boxes_only).exit_code == 0
    sets = [part for setting in boxes_only for part in ("--set", setting)]
    found = call("data", "check", str(page.folder / "page.yaml"), *sets)
    assert found.exit_code == 0, found.output


def test_B61_pictures_that_teach_nothing_are_not_trained_on(page: Page) -> None:
    """Rows without a label that is present, and pictures that nobody has looked at for objects."""
    rows = "image,labels\nboxed.png,fish\nscored.png,{}\n"
    for label, code in (("fish", 2), ("-fish", 0), ("", 0)):
        (page.folder / "labels.csv").write_text(rows.format(label))
        assert _both(page) == (code, code), label
    page.labels("boxed.png")
    truth = json.loads((page.folder / "boxes.json").read_text())
    truth["images"].append({"id": 2, "file_name": "scored.png"})
    (page.folder / "boxes.json").write_text(json.dumps(truth))
    for unannotated, code in (("no_box", 2), ("unlabelled", 0)):
        setting = f"sources.boxes.0.unannotated={unannotated}"
        assert _both(page, setting) == (code, code), unannotated


def _both(page: Page, *settings: str) -> tuple[int, int]:
    """Return the codes of check and data check."""
    sets = [part for setting in settings for part in ("--set", setting)]
    found = call("data", "check", str(page.folder / "page.yaml"), *sets)
    return page.vocabox("check", *settings).exit_code, found.exit_code
