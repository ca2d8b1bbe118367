"""One number changed at random in a copy of the source: exactly the nodes that reach it move."""

import ast
import random
import shutil
from pathlib import Path

import pytest

from pipelines.graph.closure import PACKAGES, ROOT, Code
from pipelines.graph.same_code import starts_of
from pipelines.runs.loading import load

EDITS = 12


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_changed_number_moves_exactly_the_nodes_that_reach_it(tmp_path: Path, seed: int) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    graph = load(ROOT / "configs" / "first_run.yaml").graph
    starts = {n.name: starts_of(n.fn, cfg=n.cfg, parts=n.parts) for n in graph.every()}
    before = _closures(tmp_path, starts)
    rng = random.Random(seed)
    reached = sorted({label for closure in before.values() for label in closure})
    files = Code(dict.fromkeys(PACKAGES, tmp_path)).files(dict.fromkeys(reached, ""))
    moved = 0
    for _ in range(EDITS):
        module, path = rng.choice(sorted(files.items()))
        text = path.read_text()
        names = _edit(path, text, rng)
        if names is None:
            continue
        after = _closures(tmp_path, starts)
        for node in starts:
            reaches = any(f"{module}:{name}" in before[node] for name in names)
            assert (before[node] != after[node]) == reaches, (seed, node, module, names)
            moved += before[node] != after[node]
        path.write_text(text)
    assert moved


def _closures(
    root: Path, starts: dict[str, tuple[tuple[str, str], ...]]
) -> dict[str, dict[str, str]]:
    code = Code(dict.fromkeys(PACKAGES, root))
    return {name: code.closure(start) for name, start in starts.items()}


def _edit(path: Path, text: str, rng: random.Random) -> set[str] | None:
    """Change one number of a definition at the top level; return the names that it makes."""
    tree = ast.parse(text)
    found = [
        (statement, node)
        for statement in tree.body
        for node in ast.walk(statement)
        if isinstance(node, ast.Constant) and type(node.value) in (int, float)
    ]
    if not found:
        return None
    statement, node = rng.choice(found)
    names = _names(statement)
    node.value = node.value + 1 if names else node.value
    path.write_text(ast.unparse(tree))
    return names


def _names(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    nodes = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
    return {node.id for node in nodes if isinstance(node.ctx, ast.Store)}
