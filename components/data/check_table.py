"""Every check of label files and pictures: its id, how grave it is, and what it means.

E error: the file is refused. W warning: listed, and the run goes on. Q quarantine: the picture is
left out, against `max_bad_fraction`. I information: counted.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["E", "W", "Q", "I"]
GRAVEST_FIRST: tuple[Severity, ...] = ("E", "Q", "W", "I")
SHOWN = 20  # findings of a kind that are kept in words; all are counted


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the table."""

    severity: Severity
    means: str


CHECKS: dict[str, Check] = {
    "file.missing": Check("E", "a file or folder that is named is not there"),
    "file.unreadable": Check("E", "empty, of the other sort, or closed to us"),
    "file.ignored": Check("I", "hidden files and those of a file manager are not read"),
    "json.syntax": Check("E", "not JSON, or not UTF-8"),
    "json.not_strict": Check("E", "NaN, Infinity, or one key twice in an object"),
    "json.too_long": Check("E", "one value or number is longer than is read"),
    "json.too_deep": Check("E", "nested deeper than is read"),
    "csv.syntax": Check("E", "not CSV, not UTF-8, or a row of another length than the header"),
    "csv.columns": Check("E", "the header lacks a column, or names one twice"),
    "coco.not_coco": Check("E", "images, annotations or categories are missing or something else"),
    "id.missing": Check("E", "a picture or class without an id of its own"),
    "id.duplicate": Check("E", "the id of a picture, annotation or class stands twice"),
    "id.orphan": Check("E", "an annotation of a picture or class that is not in the file"),
    "name.bad": Check("E", "a name is missing or is not Unicode"),
    "class.duplicate_name": Check("W", "two classes have one name; an error once boxes use it"),
    "label.unknown_class": Check("E", "a label that is in no list of classes"),
    "label.conflict": Check("W", "a class is present and absent: taken as unknown"),
    "label.empty_class": Check("W", "a class without a sample: none is learnt or measured"),
    "label.separator": Check("W", "another separator would leave far fewer classes"),
    "image.place": Check("E", "a picture's name is absolute, or leads out of its folder"),
    "image.missing": Check("E", "listed, and there is no such file"),
    "image.unlisted": Check("W", "a file in the folder of images that no record names"),
    "image.size": Check("E", "the picture's size is not what the label file says"),
    "image.undecodable": Check("Q", "not a picture that can be read: another format, or damage"),
    "image.truncated": Check("Q", "the pixels are cut short or damaged"),
    "image.too_large": Check("Q", "more bytes or pixels than are read"),
    "image.animated": Check("Q", "not a still picture"),
    "image.small": Check("W", "a side is shorter than 8 px"),
    "image.suffix": Check("I", "the bytes are not what the suffix says"),
    "image.mode": Check("I", "grey, CMYK, 16 bits, palette or alpha: converted to RGB"),
    "image.exif": Check("I", "turned upright by its EXIF tag"),
    "box.not_four": Check("E", "a box is not four numbers"),
    "box.nan": Check("E", "a number of a box is not finite"),
    "box.order": Check("E", "a side of a box is negative"),
    "box.format": Check("E", "the numbers fit the other box_format"),
    "box.normalised": Check("E", "the boxes are shares of their picture, and pixels were expected"),
    "box.outside": Check("W", "leaves its picture by more than 1 px: clipped; an error if whole"),
    "box.clipped": Check("I", "leaves its picture by at most 1 px: clipped"),
    "box.thin": Check("W", "a side is under 1 px: kept, and left out of training targets"),
    "box.duplicate": Check("W", "two boxes of one class cover the same place (IoU > .99)"),
    "box.huge_share": Check("W", "more than half of the boxes are the whole picture"),
    "box.no_crowd": Check("I", "iscrowd is missing: taken as 0"),
    "box.no_area": Check("I", "area is missing: taken as width x height"),
    "dup.exact": Check("W", "one picture stands twice in a source, byte for byte"),
    "split.overlap": Check("E", "a picture that is scored is trained on too, byte for byte"),
    "set.empty": Check("E", "no picture is left"),
    "set.left_out": Check("E", "more pictures cannot be used than sources.max_bad_fraction allows"),
}

_OTHER = "of a format that is not read yet"
_SHARDS = "of packed shards; they are checked when they are opened"
NOT_CHECKED: dict[str, str] = {
    "voc.zero_based": _OTHER,
    "yolo.range": _OTHER,
    "shard.digest": _SHARDS,
    "shard.count": _SHARDS,
    "shard.tail": _SHARDS,
    "member.forbidden": _SHARDS,
    "index.schema": _SHARDS,
    "overlay.parent": "there are no overlays yet",
    "key.bad": "keys are numbers given while packing, so none can be bad",
    "split.near": "near duplicates are not looked for yet",
    "dup.near": "near duplicates are not looked for yet",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that a check found: where, what is wrong, what was got, what to do."""

    check: str  # of CHECKS
    where: str
    what: str
    got: str
    do: str
    times: int = 1  # how many such things these words tell of
    severity: Severity | None = None  # None: the table's

    def __str__(self) -> str:
        """Return "where: what; got X. What to do."."""
        return f"{self.where}: {self.what}; got {self.got}. {self.do}"

    @property
    def grave(self) -> Severity:
        """Return how grave it is."""
        return self.severity or CHECKS[self.check].severity


def _tell_nobody(finding: Finding) -> None:
    del finding


class Findings:
    """Findings counted by check, the first SHOWN of each kept; memory does not grow with them."""

    def __init__(self, tell: Callable[[Finding], None] = _tell_nobody) -> None:
        self.counts: Counter[tuple[Severity, str]] = Counter()
        self.first: dict[tuple[Severity, str], list[Finding]] = {}
        self.tell = tell  # is given every finding, the one after the last kept too

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it if it is among the first of its kind."""
        kind = (finding.grave, finding.check)
        self.counts[kind] += finding.times
        kept = self.first.setdefault(kind, [])
        if len(kept) < SHOWN:
            kept.append(finding)
        self.tell(finding)

    @property
    def kinds(self) -> list[tuple[Severity, str]]:
        """Return (severity, check) of what was found: the gravest first, then as in the table."""
        order = list(CHECKS)
        return sorted(self.counts, key=lambda k: (GRAVEST_FIRST.index(k[0]), order.index(k[1])))

    def total(self, severity: Severity) -> int:
        """Return how many findings of a severity there are."""
        return sum(count for (grave, _), count in self.counts.items() if grave == severity)

    def errors(self) -> list[str]:
        """Return the errors in words."""
        return self.lines("E")

    def lines(self, severity: Severity) -> list[str]:
        """Return findings in words: at most SHOWN lines a kind, and one that counts the rest."""
        lines: list[str] = []
        for kind in self.kinds:
            if kind[0] != severity:
                continue
            kept = self.first[kind]
            lines += map(str, kept)
            more = self.counts[kind] - sum(finding.times for finding in kept)
            if more:
                file = kept[0].where.partition(",")[0]
                lines.append(f"{file}: {more} more of this kind.")
        return lines
