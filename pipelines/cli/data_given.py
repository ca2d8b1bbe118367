"""What `vocabox data check` was given: a config's sources, or label files and their settings."""

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.data.check_source import Counted, Given, Part
from components.data.readers import Coco, Csv, Folders, places
from pipelines.recipes.set_checks import drawn_classes
from pipelines.recipes.table import RECIPES
from pipelines.settings.problems import Problem, SettingsError
from pipelines.settings.reading import choose, read_page
from pipelines.settings.yaml_door import Page, load_yaml

KINDS: dict[str, type[Coco] | type[Csv] | type[Folders]] = {
    "coco": Coco,
    "csv": Csv,
    "folders": Folders,
}
SUFFIXES = {".json": "coco", ".csv": "csv"}
LABELS = {"coco": "annotations", "csv": "table"}  # role of the label file
SCORED = ("tune", "test")  # sections of sources that are never trained on


def of_config(config: Path, settings: Sequence[str]) -> Iterator[Given]:
    """Yield the sources of a config in its order; those that vocabox draws are left out.

    Raises:
        SettingsError: the page cannot be read.
    """
    cfg, root = _settings(config, settings), config.resolve().parent
    for path, source in sources_in(cfg.sources, "sources"):
        if source.kind in KINDS:
            part = _part(path, cfg)
            yield Given(
                name=path,
                part=part,
                reader=source.reader,
                files=places(source, root),
                overlap="W" if cfg.sources.allow_overlap else "E",
                packed_in=".".join(path.split(".")[: 3 if part == "scored" else 2]),
                most_bad=cfg.sources.max_bad_fraction,
            )


def drawn_of_config(config: Path, settings: Sequence[str]) -> Iterator[tuple[Part, Counted]]:
    """Yield the classes of the sources that vocabox draws.

    Raises:
        SettingsError: the page cannot be read.
    """
    cfg = _settings(config, settings)
    for path, source in sources_in(cfg.sources, "sources"):
        if source.kind not in KINDS and cfg.draw is not None:
            yield _part(path, cfg), drawn_classes(cfg.draw, source, name=path)


def _settings(config: Path, settings: Sequence[str]) -> Any:
    page = load_yaml(config)
    recipe = choose(page, settings, key="recipe", table=RECIPES)
    return read_page(page, settings, schema=recipe.schema)[0]


def _part(path: str, cfg: Any) -> Part:
    """Return what a source is for, by its place in the settings."""
    section = path.split(".")[1]
    if section in SCORED:
        return "scored"
    return "train" if section != "labels" or cfg.labels_teach else "file"


def of_files(
    files: Sequence[str], *, kind: str | None, images: str | None, settings: Sequence[str]
) -> Iterator[Given]:
    """Yield one source a label file, or a folder of class folders.

    Raises:
        SettingsError: the kind of a file is not known, its folder of images is not named (or it
            is not there itself), or a setting is wrong.
    """
    for name in files:
        found = kind or ("folders" if Path(name).is_dir() else SUFFIXES.get(Path(name).suffix))
        alone = found in LABELS and images is None
        if (found is None or alone) and not os.path.exists(name):
            what, got = "no such file or folder", os.path.abspath(name)
            raise SettingsError([Problem(where=name, what=what, got=got, do="Check the path.")])
        if found is None:
            do = "Say it: --kind coco, csv or folders."
            what = "the kind of labels cannot be told from the name"
            raise SettingsError([Problem(where="FILES", what=what, got=repr(name), do=do)])
        if alone:
            what, do = "the folder of pictures is not named", "Add --images DIR."
            raise SettingsError([Problem(where=name, what=what, do=do)])
        values: dict[str, Any] = {"images": images if found in LABELS else name, "level": "fine"}
        if found in LABELS:
            values[LABELS[found]] = name
        page = Page(file="--set" if settings else "", text="", values=values)
        source, _ = read_page(page, settings, schema=KINDS[found])
        yield Given(
            name=name, part="file", reader=source.reader, files=places(source, Path(os.getcwd()))
        )


def sources_in(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, source) of the sources inside settings, in the order of the page."""
    if isinstance(value, tuple):
        for i, item in enumerate(value):
            yield from sources_in(item, f"{path}.{i}")
    elif dataclasses.is_dataclass(value):
        inner: Mapping[str, Any] = {
            field.name: getattr(value, field.name) for field in dataclasses.fields(value)
        }
        if "kind" in inner:
            yield path, value
        else:
            for name, item in inner.items():
                yield from sources_in(item, f"{path}.{name}")
