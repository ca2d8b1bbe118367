"""The house rules a machine can check, each with the words a contributor needs."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("pipelines", "components", "cluster")
FILES = [p for room in ROOMS for p in sorted((ROOT / room).rglob("*.py"))]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
NAMELESS = {"utils", "util", "helpers", "common", "misc", "core", "base", "manager", "tools"}
TOP = {
    "pipelines", "components", "cluster", "tests", "configs", "dashboards", "pyproject.toml",
    "Dockerfile", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md",
}  # fmt: skip


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES + TESTS, ids=_name)
def test_a_file_is_one_room(path: Path) -> None:
    text = path.read_text()
    lines = len(text.splitlines())
    assert lines <= 300, f"{path}: {lines} lines. Split it where the data changes shape."
    assert path.stem not in NAMELESS, f"{path}: name the file after what it holds."
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            long = node.end_lineno - node.lineno + 1
            assert long <= 60, f"{path}:{node.lineno} {node.name}: {long} lines; 60 is the most."


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_public_functions_say_what_they_do(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{path}: begin the file with what it holds."
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            inner = any(
                node in ast.walk(outer)
                for outer in ast.walk(tree)
                if isinstance(outer, ast.FunctionDef) and outer is not node
            )
            if not inner:
                assert ast.get_docstring(node), f"{path}:{node.lineno} {node.name}: no docstring."
                assert node.returns is not None, f"{path}:{node.lineno} {node.name}: untyped."


@pytest.mark.parametrize("path", [p for p in FILES if p.name == "__init__.py"], ids=_name)
def test_init_holds_one_docstring(path: Path) -> None:
    body = ast.parse(path.read_text()).body
    assert len(body) == 1, f"{path}: what comes in, what goes out, what does not belong."
    assert isinstance(body[0], ast.Expr)


def test_every_folder_with_code_is_a_package() -> None:
    lost = {_name(p.parent) for p in FILES if not (p.parent / "__init__.py").is_file()}
    assert not lost, f"no __init__.py in {sorted(lost)}: an installed copy would miss them."


def test_basenames_are_unique() -> None:
    names = Counter(p.name for p in FILES if p.name != "__init__.py")
    twice = [name for name, times in names.items() if times > 1]
    assert not twice, f"{twice}: one name, one file."


def test_nothing_is_swallowed_or_unpickled() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                silent = len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
                assert not silent, f"{path}:{node.lineno}: an exception is swallowed."
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
                assert "pickle" not in names, f"{path}:{node.lineno}: pickle runs code."


def test_readme_shows_the_house() -> None:
    map_rows = [r for r in (ROOT / "README.md").read_text().splitlines() if r.startswith("| **")]
    shown = {
        f"{row.split('**')[1]}{name}"
        for row in map_rows
        for name in re.findall(r"`(\w+\.py)`", row)
    }
    real = {_name(p) for p in FILES if p.name != "__init__.py"}
    assert shown == real, f"README map: missing {real - shown}; gone {shown - real}."


def test_readme_is_a_map() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 230


def test_the_top_level_is_what_it_should_be() -> None:
    there = {p.name for p in ROOT.iterdir() if not p.name.startswith(".")}
    litter = {"build", "vocabox.egg-info", "__pycache__"}
    assert there - litter <= TOP, f"{there - litter - TOP}: not at the top level."


def test_ci_can_fail() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "set -euo pipefail" in script
    for check in ("ruff check", "ruff format --check", "lint-imports", "pyright", "pytest"):
        assert re.search(rf"^{re.escape(check)}", script, re.MULTILINE), f"{check} is not run."
