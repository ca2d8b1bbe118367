"""Whether a decorator may write down what it decorates, so that code finds it without naming it.

One that only wraps is found by whoever calls what it wraps. One that keeps rows (`@row("name")`)
acts when its module is imported. What cannot be told apart counts as keeping rows.
"""

import ast
import builtins
from collections.abc import Iterable
from typing import Protocol

from pipelines.graph.mentions import Mentions, mentions_of
from pipelines.graph.source_text import EFFECT, Module

Definition = tuple[str, str]
QUIET_MODULES = ("functools",)


class Reader(Protocol):
    """What is asked of the code that is read."""

    def module(self, name: str) -> Module | None:
        """Return a module of ours."""
        ...

    def references(self, module: Module, found: Mentions) -> dict[Definition, None]:
        """Return the definitions of ours that mentions lead to."""
        ...


def keeps_rows(code: Reader, module: Module, statement: ast.stmt) -> bool:
    """Say whether a decorator of ours on this definition may do more than wrap it."""
    if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    only: list[ast.stmt] = [ast.Expr(ast.Tuple(list(statement.decorator_list), ast.Load()))]
    todo = list(code.references(module, mentions_of(module, only)))
    seen: set[Definition] = set()
    while todo:
        place = todo.pop()
        if place in seen or place[1] == EFFECT:  # what importing does counts by itself
            continue
        seen.add(place)
        owner = code.module(place[0])
        if owner is None or place[1] not in owner.makes:
            return True  # a whole module, a door, what an import does
        statements = owner.makes[place[1]]
        ours = {name for name in (*owner.makes, *owner.imports) if _leads_to_us(code, owner, name)}
        if not all(_only_wraps(part, owner, ours) for part in statements):
            return True
        todo += code.references(owner, mentions_of(owner, statements))
    return False


def _leads_to_us(code: Reader, module: Module, name: str) -> bool:
    found = Mentions(chains={(name,): None})
    return any(code.module(source) for source, _ in code.references(module, found))


def _only_wraps(statement: ast.stmt, module: Module, ours: set[str]) -> bool:
    """Say whether a definition can change nothing but what it makes itself."""
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        return _is_plain(statement.value)
    if not isinstance(statement, ast.FunctionDef):
        return False
    own = set(_own_names(statement))
    return all(_is_quiet(node, module, own, ours) for node in ast.walk(statement))


def _is_quiet(node: ast.AST, module: Module, own: set[str], ours: set[str]) -> bool:
    if isinstance(node, ast.arguments):
        return all(_is_plain(value) for value in (*node.defaults, *node.kw_defaults))
    if isinstance(node, ast.Attribute | ast.Subscript):
        return isinstance(node.ctx, ast.Load) or _root(node) in own
    if isinstance(node, ast.Call):
        return _may_call(node.func, module, own, ours)
    return not isinstance(node, ast.Global)


def _may_call(called: ast.expr, module: Module, own: set[str], ours: set[str]) -> bool:
    """Say whether a call can do no more than what is read anyway."""
    root = _root(called)
    if root in own or root == "":
        return True
    if isinstance(called, ast.Name) and root in ours:
        return True  # a function of ours, which is looked at too
    origins = module.imports.get(root, [])
    if origins:
        return all(source in QUIET_MODULES for source, _ in origins)
    return isinstance(called, ast.Name) and root in vars(builtins)


def _own_names(function: ast.FunctionDef) -> Iterable[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.FunctionDef) and node is not function:
            yield node.name


def _root(node: ast.expr) -> str:
    """Return the name that x.a[0].b begins with; empty where it begins with no name."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _is_plain(value: ast.expr | None) -> bool:
    """Say whether this is a number, a text, or a tuple of such: nobody can write into it."""
    if isinstance(value, ast.Tuple):
        return all(_is_plain(part) for part in value.elts)
    if isinstance(value, ast.UnaryOp):
        return _is_plain(value.operand)
    return value is None or isinstance(value, ast.Constant)
