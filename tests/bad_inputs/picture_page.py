"""A small page of settings whose pictures a test writes."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.bad_inputs.bad_pictures import coded
from tests.pipelines.cli.small import call

PAGE = """\
recipe: joint
sources:
  boxes: [{kind: coco, annotations: boxes.json, images: photos, level: coarse}]
  labels: [{kind: csv, table: labels.csv, images: photos, level: coarse}]
  test: [{name: fine, size: 64, source: {kind: coco, annotations: test.json, images: photos,
          level: coarse}}]
stage1: {steps: 1, batch: 2}
stage2: {steps: 1, scenes: 2, photos: 2}
tracking: {kind: none}
"""


class Page:
    """A config whose table of labels lists the pictures that a test writes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.photos = folder, folder / "photos"
        self.photos.mkdir()
        (folder / "page.yaml").write_text(PAGE)
        for file, name, shade in (("boxes.json", "boxed.png", 3), ("test.json", "scored.png", 9)):
            self.write({name: coded(Image.new("RGB", (40, 30), (shade, 90, 90)), "PNG")})
            self.boxes(file, name)
        self.labels("boxed.png")

    def write(self, pictures: dict[str, bytes]) -> None:
        for name, data in pictures.items():
            (self.photos / name).write_bytes(data)

    def boxes(self, file: str, *names: str) -> None:
        box = {"category_id": 1, "bbox": [1, 2, 20, 10], "area": 200, "iscrowd": 0}
        ids = range(1, len(names) + 1)
        images = [{"id": i, "file_name": n} for i, n in zip(ids, names, strict=True)]
        found = [box | {"id": i, "image_id": i} for i in ids]
        truth = {"images": images, "annotations": found, "categories": [{"id": 1, "name": "fish"}]}
        (self.folder / file).write_text(json.dumps(truth))

    def labels(self, *names: str) -> None:
        rows = "".join(f"{name},fish\n" for name in names)
        (self.folder / "labels.csv").write_text(f"image,labels\n{rows}")

    def vocabox(self, command: str, *settings: str) -> Any:
        line = ["--store", "store", "--until", "labels", "--executor", "inline"]
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            return call(command, "page.yaml", *settings, *(line if command == "run" else []))

    def packed(self) -> tuple[dict[str, Any], str]:
        """Pack what may be left out too; return the record, and in words what it says."""
        ended = self.vocabox("run", "sources.max_bad_fraction=1")
        assert ended.exit_code == 0, ended.output
        (place,) = self.folder.rglob("quarantine.jsonl")
        record = json.loads(place.with_name("record.json").read_text())
        lines = [json.loads(line) for line in place.read_text().splitlines()]
        words = [f"{line['source_name']}: {line['check']}: {line['text']}" for line in lines]
        noted = [f"{check} {n}: {', '.join(record['noted_first'][check])}"
                 for check, n in sorted(record["noted"].items())]  # fmt: skip
        return record, "\n".join(["left out", *words, "taken", *noted])
