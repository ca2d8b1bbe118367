"""The boxes of a COCO file held against their pictures: everything that can be wrong with one.

Shapes: B boxes in the order of the file.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from components.data.check_table import Finding, Findings, Severity
from components.data.sources.coco_columns import Columns
from components.data.sources.label_problems import outside_problem

if TYPE_CHECKING:
    from components.data.readers import CocoReader

LEAST = 5  # boxes from which a share of them says something
MANY = 0.2  # share of boxes that are wrong, above which box_format is
ROUNDING = 1.0  # px by which a box may leave its picture
THIN = 1.0  # px; boxes with a shorter side are left out of training targets


@dataclass(kw_only=True, slots=True)
class _Held:
    """The boxes of a file held against their pictures."""

    columns: Columns
    reader: "CocoReader"
    name: str
    found: Findings
    numbers: np.ndarray  # float64 [B, 4], as in the file
    ends: np.ndarray  # float64 [B, 4], corners
    wh: np.ndarray  # float64 [B, 2]
    sized: np.ndarray  # float64 [B, 2], sides of the picture, NaN where they are not known
    good: np.ndarray  # bool [B], can be used

    def say(
        self,
        check: str,
        row: int,
        *,
        what: str,
        got: str,
        do: str,
        severity: Severity | None = None,
    ) -> None:
        """Add a finding about one box."""
        where = self.columns.where(row, self.name)
        self.found.add(Finding(check=check, where=where, what=what, got=got, do=do,
                               severity=severity))  # fmt: skip

    def say_all(self, check: str, *, what: str, got: str, do: str, times: int) -> None:
        """Add a finding about many boxes."""
        self.found.add(
            Finding(check=check, where=self.name, what=what, got=got, do=do, times=times)
        )

    def given(self, row: int) -> str:
        """Return a box as the file gives it."""
        box = self.numbers[row].tolist()
        return f"[{', '.join(str(int(v)) if v == int(v) else repr(v) for v in box)}]"


def corners(
    columns: Columns, sides: np.ndarray, reader: "CocoReader", *, name: str, found: Findings
) -> tuple[np.ndarray, np.ndarray]:
    """Return corners float32 [B, 4] and which rows can be used, bool [B]; say what is wrong.

    Args:
        columns: annotations whose pictures and classes are in the file, or have place -1.
        sides: float64 [pictures, 2], width and height, NaN where the file does not say.
        reader: settings.
        name: of the file.
        found: takes the findings.
    """
    numbers = np.asarray(columns.numbers).reshape(-1, 4)
    picture = np.asarray(columns.picture)
    good = (picture >= 0) & (np.asarray(columns.category) >= 0)
    xy, wh = numbers[:, :2], numbers[:, 2:]
    if reader.box_format == "xyxy":
        wh = wh - xy
    sized = np.full((len(numbers), 2), np.nan)
    sized[good] = sides[picture[good]]
    held = _Held(
        columns=columns, reader=reader, name=name, found=found, numbers=numbers,
        ends=np.concatenate([xy, xy + wh], 1), wh=wh, sized=sized, good=good,
    )  # fmt: skip
    _unsaid(held)
    if not _shares(held) and not _fit_as_sides(held):
        _negative(held)
        if not _fit_as_corners(held):
            _outside(held)
            _thin(held)
    return held.ends.astype(np.float32), held.good


def _unsaid(held: _Held) -> None:
    """Say once that a field is missing, and what it is taken for."""
    columns = held.columns
    for check, key, count, taken in (
        ("box.no_crowd", "iscrowd", columns.no_crowd, "0"),
        ("box.no_area", "area", columns.no_area, "width x height"),
    ):
        if count:
            held.say_all(
                check,
                what=f"{key} is missing, taken as {taken}",
                got=f"{count} of {columns.seen} annotations without it",
                do="Nothing need be done.",
                times=count,
            )


def _shares(held: _Held) -> bool:
    """Say that all boxes are given as shares of their picture, if they are."""
    numbers, wh = held.numbers[held.good], held.wh[held.good]
    within = ((numbers >= 0) & (numbers <= 1)).all() and (numbers % 1 > 0).any()
    small = len(numbers) >= LEAST and (wh < THIN).all()
    if not within and not small:
        return False
    example = ", ".join(f"{v:g}" for v in numbers[0].tolist())
    held.say_all(
        "box.normalised",
        what=f"all {len(numbers)} boxes are smaller than a pixel",
        got=f"numbers that look like shares of a picture's side, such as [{example}]",
        do="Write them in pixels.",
        times=len(numbers),
    )
    return True


def _negative(held: _Held) -> None:
    mend = "set box_format: xyxy if the numbers are corners"
    if held.reader.box_format == "xyxy":
        mend = "set box_format: xywh if the last two are width and height"
    for row in np.flatnonzero(held.good & (held.wh < 0).any(1)).tolist():
        do = f"Mend it, or {mend}."
        held.say("box.order", row, what="a side is negative", got=held.given(row), do=do)
    held.good &= (held.wh >= 0).all(1)


def _fit_as_corners(held: _Held) -> bool:
    """Say that the numbers are corners, if many boxes leave their picture and none would then."""
    known = held.good & ~np.isnan(held.sized[:, 0])
    ends, wh, sides, total = held.ends[known], held.wh[known], held.sized[known], int(known.sum())
    leave = int((ends[:, 2:] > sides + 1).any(1).sum())
    fit = not ((wh > sides + 1) | (wh < ends[:, :2])).any()  # as corners
    if held.reader.box_format != "xywh" or leave < LEAST or leave <= MANY * total or not fit:
        return False
    what = f"{leave} of {total} boxes leave their picture"
    held.say_all("box.format", what=what, got="numbers that fit as corners",
                 do="Set box_format: xyxy.", times=leave)  # fmt: skip
    return True


def _fit_as_sides(held: _Held) -> bool:
    """Say that the numbers end in sides, if many sides are negative and no box is wrong then."""
    numbers, sides = held.numbers[held.good], held.sized[held.good]
    negative, total = int((held.wh[held.good] < 0).any(1).sum()), len(numbers)
    ends = numbers[:, :2] + numbers[:, 2:]
    fit = not ((numbers[:, 2:] < 0) | (ends > sides + 1)).any()  # no size known: false for NaN
    if held.reader.box_format != "xyxy" or negative < LEAST or negative <= MANY * total or not fit:
        return False
    what = f"{negative} of {total} boxes have a negative side"
    held.say_all("box.format", what=what, got="numbers that fit as left, top, width, height",
                 do="Set box_format: xywh.", times=negative)  # fmt: skip
    return True


def _outside(held: _Held) -> None:
    """Say which boxes leave their picture, and take those that do not meet it out of use."""
    ends, sized, good = held.ends, held.sized, held.good
    shared = np.minimum(ends[:, 2:], sized) - np.maximum(ends[:, :2], 0)
    wide = ends[:, 2:] > ends[:, :2]
    misses = good & ((shared < 0) | ((shared == 0) & wide)).any(1)
    exact = ends.astype(np.float32)
    out = np.maximum(-exact[:, :2], exact[:, 2:] - sized.astype(np.float32)).max(1, initial=0)
    for row in np.flatnonzero(good & (misses | (out > ROUNDING))).tolist():
        sides = (int(sized[row, 0]), int(sized[row, 1]))
        where = held.columns.where(row, held.name)
        if problem := outside_problem(tuple(ends[row].tolist()), sides, where):
            held.found.add(problem)
            continue
        box = ", ".join(f"{v:g}" for v in ends[row].tolist())
        what = f"the box leaves its picture of {sides[0]} x {sides[1]} px by {out[row]:.1f} px"
        do = "It is clipped; mend it if that is wrong."
        held.say("box.outside", row, what=what, got=f"corners [{box}]", do=do)
    if clipped := int((good & ~misses & (out > 0) & (out <= ROUNDING)).sum()):
        what = "boxes leave their picture by at most 1 px"
        held.say_all("box.clipped", what=what, got=str(clipped), do="They are clipped.",
                     times=clipped)  # fmt: skip
    held.good = good & ~misses


def _thin(held: _Held) -> None:
    do, severity = "Left out of training targets; set thin: error to refuse.", None
    if held.reader.thin == "error":
        do = "Mend or remove it, or set thin: list to keep it out of training targets."
        severity = "E"
    for row in np.flatnonzero(held.good & (held.wh < THIN).any(1)).tolist():
        flat = (held.wh[row] == 0).any()
        what = "bbox has no area" if flat else "a side of bbox is under 1 px"
        held.say("box.thin", row, what=what, got=held.given(row), do=do, severity=severity)
