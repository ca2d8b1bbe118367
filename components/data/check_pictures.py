"""The pictures of a source looked at one by one: headers, or headers and pixels."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from components.data.check_table import CHECKS, Finding, Findings
from components.data.decode import Header, PictureError, decode, look, picture_bytes
from components.data.labelled import Labelled, teaches
from components.data.quarantine import fitted, folder_of, odd
from components.data.sources.label_problems import outside_problem

Glance = Callable[[bytes], Header]

SWAPPED = "The sides are swapped: turn the boxes, or give back the picture its EXIF tag."
DO: dict[str, str] = {
    "image.missing": "Add it, or remove its record.",
    "file.unreadable": "Change its rights, or copy it anew.",
    "image.place": "Copy the picture into it.",
    "image.size": "Write the picture's own size, and look whether its boxes fit.",
    "image.undecodable": "Left out; save it anew as JPEG or PNG.",
    "image.truncated": "Left out; fetch it again.",
    "image.too_large": "Left out; scale it down.",
    "image.animated": "Left out; save one frame of it.",
}


def pixels(data: bytes) -> Header:
    """Return a picture's header, its pixels decoded once; raise PictureError as they do."""
    decode(data)
    return look(data)


GLANCES: dict[str, Glance] = {"headers": look, "pixels": pixels}


class Pictures:
    """Looks at the pictures of one source; keeps their digests, to know one that stands twice."""

    def __init__(self, *, name: str, folder: Path, glance: Glance, found: Findings) -> None:
        self.name, self.folder, self.glance, self.found = name, folder, glance, found
        self.digests: dict[bytes, str] = {}
        self.taught: dict[bytes, str] = {}  # those of pictures that training would draw
        self.left = 0  # pictures that packing would leave out

    def look(self, sample: Labelled, where: str) -> None:
        """Tell what is wrong or odd about one picture."""
        try:
            data = picture_bytes(sample.path, within=folder_of(sample))
            header = self.glance(data)
        except PictureError as error:
            self._unusable(sample, where, error, DO.get(error.check, "Left out."))
            return
        try:
            boxes = fitted(sample, header)
        except PictureError as error:
            swapped = (sample.height, sample.width) == (header.width, header.height)
            self._unusable(sample, where, error, SWAPPED if swapped else DO["image.size"])
            return
        digest = hashlib.sha256(data).digest()[:16]
        if teaches(sample):
            self.taught.setdefault(digest, sample.source_name)
        first = self.digests.setdefault(digest, sample.source_name)
        if first != sample.source_name:
            self._say("dup.exact", where, "the same bytes as another picture", repr(first),
                      "Keep one of them.")  # fmt: skip
        sides = (header.width, header.height)
        if sample.width is None:  # else the label file was held against its own sizes
            problems = [outside_problem(tuple(box), sides, where) for box in boxes.tolist()]
            for problem in filter(None, problems):
                self.found.add(problem)
            boxes = boxes[[problem is None for problem in problems]]
        clipped = boxes.clip(0, np.array([*sides, *sides], np.float32))
        moved = np.abs(boxes - clipped).max(1, initial=0)
        for check, count in odd(sample, header, moved=moved, to=clipped).items():
            of_box = check.startswith("box.")
            if count and (not of_box or (sample.width is None and check != "box.thin")):
                got = _got(check, header, sample) if not of_box else f"{count} boxes"
                self._say(check, where, CHECKS[check].means, got, "It is taken.", times=count)

    def _unusable(self, sample: Labelled, where: str, error: PictureError, do: str) -> None:
        self.left += 1
        got, what = error.text, CHECKS[error.check].means.partition(":")[0]
        if error.check == "image.missing":
            got, do = repr(sample.source_name), f"{do} The folder of images is {self.folder}."
        elif error.check == "image.place":
            what, got = got.partition(";")[0], repr(sample.source_name)
        self._say(error.check, where, what, got, do)

    def _say(self, check: str, where: str, what: str, got: str, do: str, *, times: int = 1) -> None:
        self.found.add(Finding(check=check, where=where, what=what, got=got, do=do, times=times))


def _got(check: str, header: Header, sample: Labelled) -> str:
    return {
        "image.exif": f"tag {header.turn}",
        "image.mode": header.mode,
        "image.suffix": f"{header.format} named {sample.path.suffix!r}",
    }.get(check, f"{header.width} x {header.height} px")
