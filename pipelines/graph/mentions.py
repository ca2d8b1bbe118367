"""What a piece of code mentions: names, dotted chains, local imports, code picked by a string."""

import ast
from dataclasses import dataclass, field
from typing import Any

from pipelines.graph.source_text import PARSING, Imports, Module, bind

# Calls that choose code by a string. Those of the second row do so only on a module of ours.
HIDDEN = ("eval", "exec", "__import__", "globals", "import_module")
BY_NAME = ("getattr", "setattr", "vars")


@dataclass(slots=True)
class Mentions:
    """Everything one piece of code names, not yet resolved."""

    chains: dict[tuple[str, ...], None] = field(
        default_factory=dict[tuple[str, ...], None]
    )  # ("a",) or ("a", "b", "c") for a.b.c, in order
    quoted: dict[str, None] = field(default_factory=dict[str, None])  # may be a class
    imports: Imports = field(default_factory=dict[str, list[Any]])
    hidden: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    by_name: list[tuple[str, tuple[str, ...], int]] = field(
        default_factory=list[tuple[str, tuple[str, ...], int]]
    )  # call, its first argument, line


def mentions_of(module: Module, statements: list[ast.stmt]) -> Mentions:
    """Collect in one pass what these statements of a module name."""
    found = Mentions()
    todo: list[ast.AST] = list(reversed(statements))
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Attribute):
            chain = _chain(node)
            if chain:
                found.chains[chain] = None
                _looked_up(found, chain, node.lineno)
                continue
        elif isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                found.chains[(node.id,)] = None
            continue
        elif isinstance(node, ast.Constant):
            _string(found, node)
            continue
        else:
            _special(module, found, node)
        todo.extend(ast.iter_child_nodes(node))
    return found


def _special(module: Module, found: Mentions, node: ast.AST) -> None:
    if isinstance(node, ast.Call):
        _call(found, node)
    elif isinstance(node, ast.Import | ast.ImportFrom):
        bind(module, node, found.imports)
    elif isinstance(node, ast.Global):
        for name in node.names:
            found.chains[(name,)] = None
    elif isinstance(node, ast.arg | ast.AnnAssign):
        _annotation(found, node.annotation)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        _annotation(found, node.returns)


def _chain(node: ast.expr) -> tuple[str, ...]:
    """Return a.b.c as names; empty where it does not start with a name."""
    path: list[str] = []
    while isinstance(node, ast.Attribute):
        path.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ()
    return (node.id, *reversed(path))


def _string(found: Mentions, node: ast.Constant) -> None:
    """Keep a text that may be the name of a class written before it exists."""
    text = node.value
    if isinstance(text, str) and text[:1].isupper() and text.isidentifier():
        found.quoted[text] = None


def _annotation(found: Mentions, node: ast.expr | None) -> None:
    """Read names out of a quoted annotation, "list[Box] | None"."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return
    try:
        with PARSING:
            tree = ast.parse(node.value.strip(), mode="eval")
    except SyntaxError:
        return
    for part in ast.walk(tree):
        if isinstance(part, ast.Attribute | ast.Name) and (chain := _chain(part)):
            found.chains[chain] = None


def _looked_up(found: Mentions, chain: tuple[str, ...], line: int) -> None:
    """Write down what holds all names of a module, or all modules."""
    if "__dict__" in chain[1:]:
        found.by_name.append(("__dict__", chain[: chain.index("__dict__")], line))
    if chain[:2] == ("sys", "modules"):
        found.hidden.append(("sys.modules", line))


def _call(found: Mentions, node: ast.Call) -> None:
    chain = _chain(node.func)
    name = chain[-1] if len(chain) == 1 or chain[:1] == ("builtins",) else ""
    if isinstance(node.func, ast.Attribute) and node.func.attr == "import_module":
        name = "import_module"
    if name in HIDDEN:
        found.hidden.append((name, node.lineno))
    elif name in BY_NAME and node.args:
        fixed = len(node.args) > 1 and isinstance(node.args[1], ast.Constant)
        if not fixed:
            found.by_name.append((name, _chain(node.args[0]), node.lineno))
