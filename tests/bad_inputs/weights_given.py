"""What the tests of weights give to the commands, and how they read the answers."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from components.models.choices import Small
from components.models.small_trunk import SmallTrunk
from components.models.two_stage import build
from components.train.checkpoint import ALL_PARTS, Record, save_model
from components.vocab.classes import Vocabulary
from tests.pipelines.cli.small import call
from tests.pipelines.runs.tiny import PAGE
from tests.pipelines.settings.golden import same

Golden = Callable[[str, str], None]


def same_message(name: str, text: str, *, folder: Path, write: bool) -> None:
    """Compare a message with tests/golden/errors; where the traceback lies differs every time."""
    lines = [line for line in text.splitlines() if not line.startswith("The traceback is in")]
    same("\n".join(lines), as_file=f"errors/{name}.txt", folder=folder, write=write)


def trunk() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return SmallTrunk().state_dict()


def check(weights: str, *, kind: str = "small") -> tuple[int, str]:
    """Check a page that starts from these weights; nothing may be started or written."""
    page = Path("page.yaml")
    page.write_text(PAGE + f"backbone: {{kind: {kind}, weights: {weights}}}\n")
    before = sorted(Path().rglob("*"))
    result = call("check", "page.yaml")
    assert sorted(Path().rglob("*")) == before
    return result.exit_code, result.stderr


def convert(file: str, *rest: str, classes: str = "classes.txt") -> tuple[int, str]:
    """Convert a file; where that fails nothing is left behind."""
    before = sorted(Path().rglob("*"))
    result = call("convert", file, "--classes", classes, "--out", "made", *rest)
    if result.exit_code:
        assert sorted(Path().rglob("*")) == before
    return result.exit_code, result.stderr


def raw(header: Any, *, numbers: bytes = b"", length: int | None = None) -> bytes:
    """Return a .safetensors file with this header, true or not."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + numbers


def model(folder: Path) -> Path:
    """Write a model directory of ours."""
    folder.mkdir()
    boxed, labelled = Vocabulary.of(["fine:cat", "fine:dog"]), Vocabulary.of(["fine:owl"])
    detector = build(Small(), boxed=boxed, labelled=labelled, seed=3)
    record = Record(backbone=Small(), boxed=boxed, labelled=labelled, size=64, parts=ALL_PARTS)
    save_model(folder, detector, record)
    return folder
