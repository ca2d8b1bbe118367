"""The two doors of label files: what a run refuses, and what `vocabox data check` lists."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.data.readers import CocoReader, CsvReader, FoldersReader, pictures_of
from components.data.sources.label_problems import DataError
from tests.components.data.small_sets import jpeg
from tests.pipelines.cli.small import call
from tests.pipelines.settings.golden import same

ROOT = Path(__file__).parents[2]
BIG = 20_180_000_003  # an id beyond 32 bits
ROLES = {"coco": "annotations", "csv": "table"}
SET = ("box_format", "thin")  # settings that tests change
Reader = CocoReader | CsvReader | FoldersReader


def instances() -> dict[str, Any]:
    """Return three pictures, two classes, three boxes; ids are sparse, zero or large."""
    box = {"iscrowd": 0, "area": 200}
    return {
        "images": [
            {"id": BIG, "file_name": "b.jpg", "width": 100, "height": 80},
            {"id": 0, "file_name": "sub/a.jpg", "width": 50, "height": 40},
            {"id": 7, "file_name": "empty.jpg"},
        ],
        "annotations": [
            {"id": 0, "image_id": 0, "category_id": 90, "bbox": [1, 2.5, 10, 20]} | box,
            {"id": 5, "image_id": BIG, "category_id": 1, "bbox": [0, 0, 100, 80]} | box,
            {"image_id": 0, "category_id": 1, "bbox": [40, 30, 10, 4]} | box,
        ],
        "categories": [{"id": 90, "name": "fish"}, {"id": 1, "name": "bird: small"}],
    }


def pictures(folder: Path) -> None:
    """Draw the pictures that `instances` names."""
    jpeg(folder / "b.jpg", width=100, height=80)
    jpeg(folder / "sub" / "a.jpg", width=50, height=40, shade=60)
    jpeg(folder / "empty.jpg", shade=30)


class Doors:
    """Both doors for files that a test writes into one folder."""

    def __init__(self, folder: Path, *, write: bool) -> None:
        self.folder, self.write = folder, write

    def file(self, content: Any, name: str) -> Path:
        """Write a label file: bytes, text, or what JSON holds."""
        if isinstance(content, bytes):
            data = content
        else:
            data = (content if isinstance(content, str) else json.dumps(content)).encode()
        (self.folder / name).write_bytes(data)
        return self.folder / name

    def refused(self, content: Any, *, golden: str, name: str, reader: Reader) -> None:
        """Hold the words against a golden; a run stops at them, and data check ends with 2."""
        place = self.file(content, name)
        with pytest.raises(DataError) as caught:
            pictures_of(reader, {ROLES[reader.kind]: place, "images": self.folder})
        said = str(caught.value)
        same(said, as_file=f"errors/{golden}.txt", folder=self.folder, write=self.write)
        settings = [f"--set={f}={getattr(reader, f)}" for f in SET if hasattr(reader, f)]
        code, output = self.check(name, "--images", str(self.folder), *settings)
        assert code == 2
        assert all(line in output for line in said.splitlines()[:5])

    def check(self, *line: str) -> tuple[int, str]:
        """Run `vocabox data check` in the folder; return its code and what it said."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            result = call("data", "check", *line)
        return result.exit_code, result.stdout

    def told(self, *line: str, golden: str, code: int) -> str:
        """Hold what data check says against a golden."""
        got, output = self.check(*line)
        same(output, as_file=f"data_check/{golden}.txt", folder=self.folder, write=self.write)
        assert got == code
        return output

    def page(self, *, table: str) -> None:
        """Write the page for one's own data as own.yaml, its labels, and what is scored."""
        own = (ROOT / "configs" / "own_data.yaml").read_text()
        (self.folder / "own.yaml").write_text(own.replace("data/", ""))
        pictures(self.folder / "pictures")
        pictures(self.folder / "pictures" / "scored")
        for place in (self.folder / "pictures" / "scored").rglob("*.jpg"):
            place.write_bytes(place.read_bytes() + b"not one that is trained on")
        self.file(instances(), "boxes.json")
        self.file(table, "labels.csv")
        scored = instances()
        for image in scored["images"]:
            image["file_name"] = f"scored/{image['file_name']}"
        for name in ("test_fine.json", "test_coarse.json"):
            self.file(scored, name)

    def early(self, command: str, *settings: str, code: int) -> str:
        """Return what `check` or `run` says of that page before anything starts."""
        small = ("tracking={kind: none}", "backbone={kind: small}")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            ended = call(command, "own.yaml", *small, *settings)
        assert ended.exit_code == code, ended.output
        assert not (self.folder / ".vocabox").exists()
        return ended.stderr if code else ended.stdout
