"""The drawn world on disk: COCO boxes, class folders and tables, drawn by several processes."""

import csv
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import simplejpeg

from components.data.drawn.brush import Box
from components.data.drawn.kinds import FineClass, class_table
from components.data.drawn.pictures import Picture, photo, photo_classes, scene, truth
from components.data.drawn.world import PARTS, World, boxed_classes

SayDone = Callable[[int, int], object]  # pictures drawn, pictures to draw
_Truth = list[tuple[str, Box]]  # class name and box of each told object of one picture
_CHUNK = 64  # pictures a task: some tenths of a second
_QUALITY = 95  # of JPEG, with colors at full resolution: 4:4:4


@dataclass(frozen=True, kw_only=True, slots=True)
class _Chunk:
    """Some pictures of one part, to be drawn by one process."""

    world: World
    part: str
    start: int
    stop: int
    out: Path


def draw(world: World, *, out: Path, processes: int, say: SayDone) -> None:
    """Draw all parts of a world into ``out``; the same world gives the same bytes.

    Args:
        world: what to draw.
        out: an empty directory; PARTS says where each part lies in it. labels.csv has the labels
            of the training photos with paths relative to ``out``, classes.csv every class.
        processes: how many draw at once; 1 draws in this process.
        say: called with (done, total) pictures from time to time, and at the end.
    """
    chunks = [
        _Chunk(world=world, part=part, start=i, stop=min(i + _CHUNK, count), out=out)
        for part, count in _counts(world).items()
        for i in range(0, count, _CHUNK)
    ]
    _make_folders(world, out)
    told: dict[str, list[_Truth]] = {part: [] for part in _counts(world)}
    done, total = 0, sum(chunk.stop - chunk.start for chunk in chunks)
    say(done, total)
    for chunk, truths in zip(chunks, _draw_all(chunks, processes), strict=True):
        told[chunk.part] += truths
        done += chunk.stop - chunk.start
        say(done, total)
    for part, truths in told.items():
        if PARTS[part].kind == "coco":
            text = json.dumps(_coco(world, part, truths), separators=(",", ":"))
            (out / PARTS[part].files["annotations"]).write_text(text + "\n", encoding="utf-8")
    _write_tables(world, out)


def picture_path(world: World, *, part: str, index: int) -> str:
    """Return where a picture lies, relative to the world's folder."""
    folder = PARTS[part].files["images"]
    if part == "train_photos":
        folder = f"{folder}/{photo_classes(world, part)[index].name}"
    return f"{folder}/{index:06d}.jpg"


def _counts(world: World) -> dict[str, int]:
    """Return how many pictures each part has."""
    return {
        "train_scenes": world.train_scenes,
        "train_photos": len(photo_classes(world, "train_photos")),
        "tune_scenes": world.tune_scenes,
        "test_scenes": world.test_scenes,
        "test_photos": len(photo_classes(world, "test_photos")),
        "unlabelled": world.unlabelled,
    }


def _painter(part: str) -> Callable[..., Picture]:
    """Return the function that paints the pictures of a part."""
    return photo if part in ("train_photos", "test_photos") else scene


def _make_folders(world: World, out: Path) -> None:
    """Make every folder a picture goes to, so that tasks only write files."""
    for part in _counts(world):
        (out / PARTS[part].files["images"]).mkdir(parents=True, exist_ok=True)
    for fine in class_table(world.kinds):
        (out / PARTS["train_photos"].files["images"] / fine.name).mkdir(exist_ok=True)


def _draw_all(chunks: list[_Chunk], processes: int) -> Iterator[list[_Truth]]:
    """Yield the truth of each chunk in order while processes draw ahead."""
    if processes <= 1:
        yield from map(_draw_chunk, chunks)
        return
    # Not fork: the caller may hold threads and their locks (Ray, torch).
    context = multiprocessing.get_context("forkserver")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_leave_with_parent)
    try:
        yield from pool.map(_draw_chunk, chunks)
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_with_parent() -> None:
    """End this process when its parent dies: a killed parent cannot tell it to."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _draw_chunk(chunk: _Chunk) -> list[_Truth]:
    """Draw and write the pictures of a chunk; return what is true of each."""
    painter, told = _painter(chunk.part), []
    for index in range(chunk.start, chunk.stop):
        picture = painter(chunk.world, part=chunk.part, index=index)
        data = simplejpeg.encode_jpeg(
            picture.pixels, quality=_QUALITY, colorspace="RGB", colorsubsampling="444"
        )
        path = picture_path(chunk.world, part=chunk.part, index=index)
        (chunk.out / path).write_bytes(data)
        things = truth(chunk.world, part=chunk.part, things=picture.things)
        told.append([(thing.fine.name, thing.box) for thing in things])
    return told


def _coco(world: World, part: str, truths: list[_Truth]) -> dict[str, object]:
    """Return the COCO dictionary of a part; ids count from 1, class ids are those of the table."""
    table = class_table(world.kinds)
    numbers = {fine.name: i for i, fine in enumerate(table, start=1)}
    listed: tuple[FineClass, ...] = boxed_classes(world) if part == "train_scenes" else table
    side = world.photo_size if part == "test_photos" else world.scene_size
    images = [
        {
            "id": i + 1,
            "file_name": Path(picture_path(world, part=part, index=i)).name,
            "width": side,
            "height": side,
        }
        for i in range(len(truths))
    ]
    annotations = [
        {"image_id": i, "category_id": numbers[name], **_coco_box(box)}
        for i, objects in enumerate(truths, start=1)
        for name, box in objects
    ]
    return {
        "info": {"description": f"drawn world, {part}"},
        "images": images,
        "annotations": [{"id": i, **a} for i, a in enumerate(annotations, start=1)],
        "categories": [
            {"id": numbers[fine.name], "name": fine.name, "supercategory": fine.kind}
            for fine in listed
        ],
    }


def _coco_box(box: Box) -> dict[str, object]:
    """Return the fields of an annotation that describe its box."""
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    return {"bbox": [x0, y0, width, height], "area": width * height, "iscrowd": 0}


def _write_tables(world: World, out: Path) -> None:
    """Write labels.csv and classes.csv."""
    photos = photo_classes(world, "train_photos")
    paths = (picture_path(world, part="train_photos", index=i) for i in range(len(photos)))
    labels = [(path, fine.name, "train") for path, fine in zip(paths, photos, strict=True)]
    boxed = set(boxed_classes(world))
    classes = [
        (fine.name, fine.kind, "yes" if fine in boxed else "no")
        for fine in class_table(world.kinds)
    ]
    for name, header, rows in (
        ("labels.csv", ("image", "labels", "split"), labels),
        ("classes.csv", ("class", "kind", "boxed"), classes),
    ):
        with (out / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)
