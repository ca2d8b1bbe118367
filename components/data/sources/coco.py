"""COCO instances JSON -> pictures with boxes. Class strings are category names.

Boxes come as x, y, width, height, 0-based pixels. Pictures without annotation are negatives
unless the settings say that they are unlabelled.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.data.labelled import CROWD, Labelled, Supervision
from components.data.sources.label_problems import (
    DataError,
    few,
    outside_problem,
    place_problem,
    text_problem,
)
from components.data.sources.strict_json import read_json

if TYPE_CHECKING:
    from components.data.readers import CocoReader

FARTHEST = 1e6  # px; no picture is so wide, and float32 is exact below it
FEW = 4  # boxes of which no convention can be told
SECTIONS = ("images", "annotations", "categories")
LOOKS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"image_id", "category_id", "score"}), "detection results"),
    (frozenset({"image_id", "caption"}), "captions"),
    (frozenset({"image_id", "segments_info"}), "panoptic segments"),
)


@dataclass(frozen=True, slots=True)
class _Box:
    corners: tuple[float, float, float, float]
    class_id: str
    flags: int
    where: str  # of the annotation, for messages


@dataclass(frozen=True, slots=True)
class _File:
    """What annotations refer to."""

    reader: "CocoReader"
    name: str
    images: dict[Any, dict[str, Any]]
    classes: dict[Any, str]


def read(reader: "CocoReader", files: Mapping[str, Path]) -> Iterator[Labelled]:
    """Return the pictures of an instances file, in the file's order.

    Raises:
        DataError: with every problem of the file, before the first picture.
    """
    found = read_json(files["annotations"])
    name = files["annotations"].name
    _sections(found, name)
    problems = _ids(found, name) + _classes(found["categories"], name)
    images = {image["id"]: image for image in found["images"] if _has(image, "id")}
    classes = {c["id"]: str(c.get("name")) for c in found["categories"] if _has(c, "id")}
    file = _File(reader, name, images, classes)
    problems += _names(images, name)
    boxes: dict[Any, list[_Box]] = defaultdict(list)
    wrong: list[str] = []
    for place, annotation in enumerate(found["annotations"]):
        box = _box(file, annotation, place)
        if isinstance(box, str):
            wrong.append(box)
        else:
            boxes[annotation["image_id"]].append(box)
    problems += few(wrong, of=name) + few(_outside(file, boxes), of=name)
    if problems:
        raise DataError(problems)
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
    if wrong:
        raise DataError(
            [f"{name}: not COCO instances: {', '.join(wrong)} must be lists that are there; got "
             f"keys {', '.join(sorted(map(str, found)))}.{_looks(found)} Give an instances file."]
        )  # fmt: skip
    looks = _looks(found)
    if looks and "bbox" not in found["annotations"][0]:
        raise DataError([f"{name}: not COCO instances: annotations hold no bbox; got keys "
                         f"{', '.join(map(str, found['annotations'][0]))}.{looks} Give an "
                         "instances file."])  # fmt: skip
    if not found["images"]:
        raise DataError([f"{name}: no picture in it; got images: []. Give a file with pictures."])
    if not found["categories"] and found["annotations"]:
        raise DataError([f"{name}: no categories; got categories: [] beside annotations."
                         f"{_looks(found)} Give an instances file."])  # fmt: skip


def _looks(found: dict[str, Any]) -> str:
    listed = found.get("annotations")
    first = listed[0] if isinstance(listed, list) and listed else None
    keys = frozenset(first) if isinstance(first, dict) else frozenset[str]()
    return next((f" It looks like {what}." for known, what in LOOKS if known <= keys), "")


def _has(thing: Any, key: str) -> bool:
    return isinstance(thing, dict) and key in thing and _is_id(thing[key])


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _ids(found: dict[str, Any], name: str) -> list[str]:
    problems: list[str] = []
    for section in SECTIONS:
        for i, thing in enumerate(found[section]):
            if not _has(thing, "id") and section != "annotations":
                problems.append(
                    f"{name}, {section}[{i}]: no id; got {thing!r:.60}. Give each its own id."
                )
        ids = Counter(t["id"] for t in found[section] if _has(t, "id"))
        twice = [i for i, times in ids.items() if times > 1]
        if twice:
            problems.append(
                f"{name}, {section}: an id stands twice; got {len(twice)} such ids: "
                f"{', '.join(map(str, twice[:5]))}. Give each its own."
            )
    return few(problems, of=name)


def _classes(categories: list[Any], name: str) -> list[str]:
    problems: list[str] = []
    ids: dict[str, Any] = {}
    for category in categories:
        if not _has(category, "id"):
            continue
        own, title = category["id"], category.get("name")
        where = f"{name}, category {own}"
        if not isinstance(title, str) or not title.strip():
            problems.append(f"{where}: no name; got {title!r:.40}. Name the class.")
        elif problem := text_problem(title, where):
            problems.append(problem)
        elif title in ids and ids[title] != own:
            problems.append(
                f"{where}: category {ids[title]} has this name too; got {title!r}. Rename one, "
                "or join them."
            )
        else:
            ids[title] = own
    return few(problems, of=name)


def _box(file: _File, annotation: Any, place: int) -> _Box | str:
    """Return one box, or what is wrong with it."""
    if not isinstance(annotation, dict):
        return f"{file.name}, annotations[{place}]: expected an object; got " \
               f"{annotation!r:.40}. Remove it."  # fmt: skip
    where = f"{file.name}, annotation {annotation.get('id', f'[{place}]')}"
    image, category = annotation.get("image_id"), annotation.get("category_id")
    if not _is_id(image) or image not in file.images:
        return f"{where}: its picture is not in images; got image_id {image!r:.40}. Remove it, " \
               "or add the picture."  # fmt: skip
    if not _is_id(category) or category not in file.classes:
        return f"{where}: its class is not in categories; got category_id {category!r:.40}. " \
               "Remove it, or add the class."  # fmt: skip
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_pixels, box)):
        return f"{where}: bbox is not four finite numbers; got {box!r:.60}. Mend or remove it."
    x, y, w, h = (float(v) for v in box)
    if file.reader.box_format == "xyxy":
        w, h = w - x, h - y
    if w < 0 or h < 0:
        mend = "set box_format: xyxy if the numbers are corners"
        if file.reader.box_format == "xyxy":
            mend = "set box_format: xywh if the last two are width and height"
        return f"{where}: a side is negative; got {box}. Mend it, or {mend}."
    flags = CROWD if annotation.get("iscrowd") else 0
    class_id = f"{file.reader.level}:{file.classes[category]}"
    return _Box((x, y, x + w, y + h), class_id, flags, where)


def _is_pixels(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and -FARTHEST <= value <= FARTHEST  # false for NaN


def _sides(image: dict[str, Any]) -> tuple[int, int] | None:
    """Return (width, height) as the file says, if it does."""
    width, height = image.get("width"), image.get("height")
    for side in (width, height):
        if not isinstance(side, int | float) or isinstance(side, bool) or side < 1 or side % 1:
            return None
    return int(width), int(height)  # pyright: ignore[reportArgumentType]


def _outside(file: _File, boxes: dict[Any, list[_Box]]) -> list[str]:
    """List boxes that do not meet their picture, or the one setting that explains them."""
    problems: list[str] = []
    out_as, total, thin = Counter[str](), 0, 0
    for image_id, own in boxes.items():
        sides = _sides(file.images[image_id])
        if sides is None:
            continue
        for box in own:
            x1, y1, x2, y2 = box.corners
            total += 1
            thin += x2 - x1 < 1 and y2 - y1 < 1
            out_as["xywh"] += x2 > sides[0] + 1 or y2 > sides[1] + 1
            out_as["xyxy"] += x2 - x1 > sides[0] + 1 or y2 - y1 > sides[1] + 1 or x2 < 2 * x1 \
                or y2 < 2 * y1  # fmt: skip
            if problem := outside_problem(box.corners, sides, box.where):
                problems.append(problem)
    if total > FEW and thin == total:
        return [
            f"{file.name}: all {total} boxes are smaller than a pixel; got numbers that look like "
            "shares of a picture's side. Write them in pixels."
        ]
    if (
        file.reader.box_format == "xywh"
        and out_as["xywh"] > max(0.2 * total, FEW)
        and not out_as["xyxy"]
    ):
        return [
            f"{file.name}: {out_as['xywh']} of {total} boxes leave their picture; got numbers "
            "that fit as corners. Set box_format: xyxy."
        ]
    return problems


def _names(images: dict[Any, Any], name: str) -> list[str]:
    problems: list[str] = []
    for image_id, image in images.items():
        where = f"{name}, image {image_id}"
        file_name = image.get("file_name")
        if not isinstance(file_name, str) or not file_name:
            problems.append(f"{where}: no file_name; got {file_name!r}. Name the picture's file.")
        elif problem := place_problem(file_name, where):
            problems.append(problem)
    return few(problems, of=name)


def _pictures(
    reader: "CocoReader",
    images: dict[Any, Any],
    boxes: dict[Any, list[_Box]],
    folder: Path,
) -> Iterator[Labelled]:
    bare = Supervision.BOXED if reader.unannotated == "no_box" else Supervision.UNLABELLED
    for image_id, image in images.items():
        own = boxes.get(image_id, [])
        width, height = _sides(image) or (None, None)
        yield Labelled(
            source_name=image["file_name"],
            source_id=str(image_id),
            path=folder / image["file_name"],
            supervision=Supervision.BOXED if own else bare,
            width=width,
            height=height,
            boxes=np.array([b.corners for b in own], np.float32).reshape(-1, 4),
            classes=tuple(b.class_id for b in own),
            flags=np.array([b.flags for b in own], np.uint8),
        )
