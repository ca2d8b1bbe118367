"""A page that shows one text of a stranger's in every place that holds such a text."""

import math
from dataclasses import replace

from pipelines.report.parts import (
    ClassRow,
    Confused,
    Half,
    KindTable,
    NodeRow,
    PackedSet,
    Page,
    Picture,
    Previous,
    Scored,
    Transferred,
)

EVIL = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    '"><img src=https://example.org/x>',
    "'><svg onload=alert(1)>",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "]]>&lt;!--",
    "a&b",
    "=HYPERLINK(1)",
)
UNSEEN = ("\u2028", "\u2029", "\x00", "\x1b[31m", "\x07", "\u202etxt", "\x85", "\ud800", "\x0c")


def scored(text: str) -> Scored:
    return Scored(
        test=text,
        halves=[
            Half(half=text, classes=2, truths=4, train_boxes=1000, train_labels=7, right=1,
                 confused=1, missed=2, AP=0.25, AP50=math.nan, AP75=0.5)
        ],
        curves={"all": (1.0, 0.5, 0.0), text: (0.5, 0.5, 0.5)},
        class_curves={text: (1.0, 1.0, 0.25)},
        classes=[
            row(text, group=text, train_boxes=10, AP50=math.nan),
            row("x", group=text, train_boxes=9, AP50=0.75),
            row("y", group=text, train_boxes=100, AP50=0.5),
        ],
        shares={"right": 5, "within": 4, "across": 3, "unsorted": 0, "nothing": 1},
        confused=[Confused(name=text, said=text, count=3, of=4, kind=text, said_kind=text)],
        kinds=[KindTable(kind=text, classes=(text, "x"), counts=((3, 1, 0, 0), (0, 0, 0, 2)),
                         wrong=1)],
        kinds_left=3,
        worst=[Picture(caption=text, jpeg=b"\xff\xd8<script>")],
        best=[Picture(caption=text, jpeg=b"\xff\xd8</script>")],
    )  # fmt: skip


def row(name: str, *, group: str = "seen", **more: float) -> ClassRow:
    parts = {"truths": 3, "train_boxes": 1, "train_labels": 0, "AP": 0.5, "AP50": 0.5,
             "right": 1, "confused": 1, "missed": 1}  # fmt: skip
    return ClassRow(name=name, group=group, **(parts | more))  # type: ignore[arg-type]


def page(text: str = "plain", **more: object) -> Page:
    made = Page(
        run=text,
        recipe=text,
        status=text,
        reason=text,
        notes=[text],
        metrics={"coco/AP": math.nan, "novel/AP50": None, "seen/AP50": 0.5, "cost/wall_s": 1234.5,
                 text: 0.25},
        nodes=[
            NodeRow(name=text, state=text, seconds=1.25, key="k" * 40, inputs=(), why=[text] * 5),
            NodeRow(name="b", state="done", seconds=0.0, key="", inputs=(text, "gone")),
        ],
        curves={text: {f"train/loss_{text}": [(0, 1.0), (10, math.nan), (20, 0.5)],
                       "train/lr": [(0, 1.0), (20, 0.5)]}},
        sets=[
            PackedSet(name=text, pictures=2, boxes=3, supervision={text: 2}, quarantined={text: 1},
                      noted={text: 1}, left_out=[(text, text)], boxes_of={text: 3},
                      labels_of={text: 1, "x": 1200}, sheet=b"\xff\xd8")
        ],
        scored=[scored(text)],
        transferred=Transferred(
            method=text, classes=1200, shared=70, asked=20, kept=[(1, 0.5), (2, 1.25), (3, 2.0)],
            lengths={text: {"shared mean": 1.5, "shared variance": 0.125, "novel mean": 2.5}},
        ),
        previous=Previous(run=text, settings=[(text, text, [text])], metrics={"seen/AP50": 0.25}),
        settings={text: text, "groups": {text: (text,)}},
        commands=[text],
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]
