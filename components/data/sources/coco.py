"""COCO instances JSON -> pictures with boxes. Class strings are category names.

Boxes come as x, y, width, height, 0-based pixels. Pictures without annotation are negatives
unless the settings say that they are unlabelled.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.data.labelled import CROWD, Labelled, Supervision
from components.data.sources.label_problems import DataError, few, place_problem
from components.data.sources.strict_json import read_json

if TYPE_CHECKING:
    from components.data.readers import CocoReader

SECTIONS = ("images", "annotations", "categories")
LOOKS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"image_id", "category_id", "score"}), "detection results"),
    (frozenset({"image_id", "caption"}), "captions"),
    (frozenset({"image_id", "segments_info"}), "panoptic segments"),
)


def read(reader: "CocoReader", files: Mapping[str, Path]) -> Iterator[Labelled]:
    """Return the pictures of an instances file, in the file's order.

    Raises:
        DataError: with every problem of the file, before the first picture.
    """
    found = read_json(files["annotations"])
    name = files["annotations"].name
    _sections(found, name)
    problems = _ids(found, name)
    images = {image["id"]: image for image in found["images"] if _has(image, "id")}
    classes = {c["id"]: str(c.get("name", c["id"])) for c in found["categories"] if _has(c, "id")}
    boxes: dict[Any, list[tuple[tuple[float, ...], str, int]]] = defaultdict(list)
    for place, annotation in enumerate(found["annotations"]):
        problem, box = _box(reader, annotation, place, images, classes, name)
        if problem:
            problems.append(problem)
        elif box is not None:
            boxes[annotation["image_id"]].append(box)
    problems += _names(images, name)
    if problems:
        raise DataError(_grouped(problems, name))
    return _pictures(reader, images, boxes, files["images"])


def _sections(found: Any, name: str) -> None:
    if isinstance(found, list):
        first = frozenset(found[0]) if found and isinstance(found[0], dict) else frozenset()
        looks = next((what for keys, what in LOOKS if keys <= first), "a list")
        raise DataError(
            [f"{name}: expected COCO instances; got {looks}. Give the file with images, "
             "annotations and categories."]
        )  # fmt: skip
    if not isinstance(found, dict):
        raise DataError([f"{name}: expected COCO instances; got {type(found).__name__}. "
                         "Give an object with images, annotations and categories."])  # fmt: skip
    wrong = [s for s in SECTIONS if not isinstance(found.get(s), list)]
    if not wrong and not found["categories"] and found["annotations"]:
        wrong = ["categories"]
    if wrong:
        first = found.get("annotations")
        keys = frozenset(first[0]) if isinstance(first, list) and first else frozenset[str]()
        looks = next((f" It looks like {what}." for k, what in LOOKS if k <= keys), "")
        raise DataError(
            [f"{name}: not COCO instances: {', '.join(wrong)} must be lists that are there; got "
             f"keys {', '.join(sorted(map(str, found)))}.{looks} Give an instances file."]
        )  # fmt: skip


def _has(thing: Any, key: str) -> bool:
    return isinstance(thing, dict) and key in thing and isinstance(thing[key], int | str)


def _ids(found: dict[str, Any], name: str) -> list[str]:
    problems: list[str] = []
    for section in SECTIONS:
        for i, thing in enumerate(found[section]):
            if not _has(thing, "id") and not (section == "annotations" and isinstance(thing, dict)):
                problems.append(
                    f"{name}, {section}[{i}]: id is missing or no number; got {thing!r:.60}. "
                    "Give each its own id."
                )
        ids = Counter(t["id"] for t in found[section] if _has(t, "id"))
        twice = [i for i, times in ids.items() if times > 1]
        if twice:
            problems.append(
                f"{name}, {section}: an id stands twice; got {len(twice)} such ids: "
                f"{', '.join(map(str, twice[:5]))}. Give each its own."
            )
    return problems


def _box(
    reader: "CocoReader",
    annotation: Any,
    place: int,
    images: dict[Any, Any],
    classes: dict[Any, str],
    name: str,
) -> tuple[str | None, tuple[tuple[float, ...], str, int] | None]:
    """Return a problem, or (xyxy, class id, flags)."""
    if not isinstance(annotation, dict):
        return f"{name}, annotations[{place}]: expected an object; got {annotation!r:.40}. " \
               "Remove it.", None  # fmt: skip
    where = f"{name}, annotation {annotation.get('id', f'[{place}]')}"
    image, category = annotation.get("image_id"), annotation.get("category_id")
    if not _has(annotation, "image_id") or image not in images:
        return f"{where}: its picture is not in images; got image_id {image!r}. Remove it, or " \
               "add the picture.", None  # fmt: skip
    if not _has(annotation, "category_id") or category not in classes:
        return f"{where}: its class is not in categories; got category_id {category!r}. Remove " \
               "it, or add the class.", None  # fmt: skip
    box = annotation.get("bbox")
    numbers = isinstance(box, list) and len(box) == 4 and all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in box
    )  # fmt: skip
    if not numbers or box is None:
        return f"{where}: bbox is not four finite numbers; got {box!r:.60}. Mend or remove it.", \
               None  # fmt: skip
    x, y, w, h = (float(v) for v in box)
    if reader.box_format == "xyxy":
        w, h = w - x, h - y
    if w < 0 or h < 0:
        return f"{where}: a side is negative; got {box}. Mend it, or set box_format: xyxy if the " \
               "numbers are corners.", None  # fmt: skip
    flags = CROWD if annotation.get("iscrowd") else 0
    return None, ((x, y, x + w, y + h), f"{reader.level}:{classes[category]}", flags)


def _names(images: dict[Any, Any], name: str) -> list[str]:
    problems: list[str] = []
    for image_id, image in images.items():
        where = f"{name}, image {image_id}"
        file_name = image.get("file_name")
        if not isinstance(file_name, str) or not file_name:
            problems.append(f"{where}: no file_name; got {file_name!r}. Name the picture's file.")
        elif problem := place_problem(file_name, where):
            problems.append(problem)
    return problems


def _grouped(problems: list[str], name: str) -> list[str]:
    return few(problems, of=name)


def _pictures(
    reader: "CocoReader",
    images: dict[Any, Any],
    boxes: dict[Any, list[tuple[tuple[float, ...], str, int]]],
    folder: Path,
) -> Iterator[Labelled]:
    bare = Supervision.BOXED if reader.unannotated == "no_box" else Supervision.UNLABELLED
    for image_id, image in images.items():
        own = boxes.get(image_id, [])
        sides = (image.get("width"), image.get("height"))
        width, height = (s if isinstance(s, int) and s > 0 else None for s in sides)
        yield Labelled(
            source_name=image["file_name"],
            source_id=str(image_id),
            path=folder / image["file_name"],
            supervision=Supervision.BOXED if own else bare,
            width=width,
            height=height,
            boxes=np.array([b for b, _, _ in own], np.float32).reshape(-1, 4),
            classes=tuple(c for _, c, _ in own),
            flags=np.array([f for _, _, f in own], np.uint8),
        )
