"""The five steps of configs/README.md, followed once for all tests of the guides."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.guides.quoted import ROOT, blocks

GUIDE = ROOT / "configs" / "README.md"
FIVE = "From my COCO file and my label CSV to a detector, in five steps"
QUICK = "stage1.steps=3 stage2.steps=3 'run_on={stage1: {local: true}, stage2: {local: true}}'"
# The command as it is installed, with few steps, and without Ray.
VOCABOX = f"""
vocabox() {{
  case "$1" in run | show) set -- "$@" {QUICK} ;; esac
  [ "$1" != run ] || set -- "$@" --executor inline
  {sys.executable} -m pipelines.cli.entry "$@"
}}
"""
PATH = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])


@dataclass(frozen=True, kw_only=True)
class Followed:
    """What each command block of the guide said, in the folder where it was followed."""

    folder: Path
    said: list[str]
    quoted: list[str]  # beside each, "" where nothing is


@pytest.fixture(scope="session")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder = tmp_path_factory.mktemp("guide")
    said: list[str] = []
    quoted: list[str] = []
    for block in blocks(GUIDE, "bash", "text"):
        if block.section == FIVE and block.language == "bash":
            said.append(shell(block.text, folder))
            quoted.append("")
        elif block.section == FIVE:
            quoted[-1] = block.text
    return Followed(folder=folder, said=said, quoted=quoted)


def shell(script: str, folder: Path, *, code: int = 0) -> str:
    """Run a block of commands in a folder; return all that it said."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", VOCABOX + script],
        cwd=folder,
        env={"PATH": PATH, "PYTHONPATH": str(ROOT), "HOME": str(folder), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout
