"""Wrong pages and wrong command lines by the hundred: a message and an exit code, no traceback."""

import random
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.work import WORK
from tests.pipelines.cli.small import Ended, Found, call, own_data

ROOT = Path(__file__).parents[3]
WORDS = (
    "", "~", "no", "010", "12:30", "-1", "0", "1", "2", "1e-3", "1e400", ".nan", ".inf", "true",
    "joint", "drawn", "none", "[]", "{}", "[1, [2]]", "{kind: small}", "{kind: oops}", "'x'", '"',
    "&a 1", "*a", "!!int 3", "${HOME}", "\t", "\x1b[31m", "é", "9" * 400, "[" * 50, "- x",
    "a: b: c", "../../etc/passwd", "/dev/null", "\u202e", "# ", ">", "%", "@", "`", "? x", ": ",
)  # fmt: skip
FLAGS = (
    "--json", "--store", "--until", "--from", "--only", "--force", "--address", "--executor",
    "--format", "--out", "--draw", "--score", "--top", "--overwrite", "--count", "--help", "-h",
    "--", "--oops", "--stor",
)  # fmt: skip


def _mutated(text: str, dice: random.Random) -> str:
    """Return a page with one to three small accidents."""
    for _ in range(dice.randint(1, 3)):
        lines = text.split("\n")
        at = dice.randrange(len(lines))
        kind = dice.randrange(7)
        if kind == 0:
            del lines[at]
        elif kind == 1:
            lines.insert(at, lines[dice.randrange(len(lines))])
        elif kind == 2:
            head, colon, _ = lines[at].partition(": ")
            lines[at] = f"{head}{colon or ': '}{dice.choice(WORDS)}"
        elif kind == 3:
            cut = dice.randint(0, len(lines[at]))
            lines[at] = lines[at][:cut] + dice.choice(WORDS) + lines[at][cut:]
        elif kind == 4:
            lines[at] = "  " * dice.randint(0, 3) + lines[at].lstrip()
        elif kind == 5 and lines[at]:
            cut = dice.randrange(len(lines[at]))
            lines[at] = lines[at][:cut] + lines[at][cut + 1 :]
        else:
            lines[at] = lines[at].replace(",", " ,", 1)
        text = "\n".join(lines)
    return text


@pytest.mark.parametrize("name", ["first_run", "own_data"])
def test_a_mutated_page_is_run_or_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = WORK["check"]
    own_data(tmp_path / "data")
    text = (ROOT / "configs" / f"{name}.yaml").read_text()
    codes: list[int] = []
    for seed in range(250):
        page = tmp_path / "page.yaml"
        page.write_text(_mutated(text, random.Random(seed)), encoding="utf-8")
        # The graph's own check is slow, and the code of nodes is not mutated: every tenth page.
        monkeypatch.setitem(WORK, "check", real if seed % 10 == 0 else lambda loaded: [])
        result = call("check", str(page))
        assert result.exit_code in (0, 2), f"seed {seed}: {result.output}"
        assert (result.exit_code == 0) == (result.stderr == ""), f"seed {seed}: {result.output}"
        assert "\x1b" not in result.output, f"seed {seed}"
        codes.append(result.exit_code)
    assert codes.count(0) >= len(codes) // 5  # comments and order may change
    assert codes.count(2) >= len(codes) // 5  # the accidents are accidents


def _arguments(dice: random.Random, *, page: str) -> list[str]:
    """Return a command line that is right in half of its parts."""
    lines = {
        "run": [page, "stage2.steps=50", "--until", "stage2", "--store", "s", "--json"],
        "check": [page, "stage2.lr=1e-3", "--json"],
        "show": [page, "--format", "mermaid", "--only", "stage2"],
        "predict": ["model", "a.jpg", "--score", ".5", "--overwrite", "--out", "o.json"],
        "data": ["show", page, "--out", "sheet.png", "--count", "3", "--overwrite"],
    }
    command = dice.choice([*lines])
    line = [command, *lines[command]]
    for _ in range(dice.choice([0, 0, 1, 1, 2, 3])):
        at = dice.randint(0, len(line))
        kind = dice.randrange(4)
        if kind == 0:
            line.insert(at, dice.choice(FLAGS))
        elif kind == 1:
            line.insert(
                at, dice.choice([*WORDS, "stage2.steps=", "stage9.x=1", "a=b=c", "=", "x.0=1"])
            )
        elif kind == 2 and at < len(line):
            del line[at]
        elif at < len(line):
            line[at] = dice.choice([*WORDS, "nowhere", "a.jpg", "lost/o.json", "*.jpg"])
    return line


def test_any_command_line_is_run_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: dict[str, Any] = {
        "check": lambda loaded: [],
        "run": lambda loaded, **how: Ended(),
        "plan": lambda loaded, **how: "",
        "predict": lambda model, **how: Found(pictures=1),
        "sheet_of_config": lambda loaded, **how: 1,
        "sheet_of_shards": lambda shards, **how: 1,
    }
    for name, row in rows.items():
        monkeypatch.setitem(WORK, name, row)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text("{}")
    (tmp_path / "a.jpg").write_text("")
    codes: list[int] = []
    for seed in range(500):
        line = _arguments(random.Random(seed), page=str(ROOT / "configs" / "first_run.yaml"))
        result = call(*line)
        assert result.exit_code in (0, 2), f"seed {seed}: {line}: {result.output}"
        codes.append(result.exit_code)
    assert codes.count(0) >= len(codes) // 5
    assert codes.count(2) >= len(codes) // 5
