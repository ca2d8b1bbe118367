"""One source file of ours: what makes each top-level name, and where its names come from."""

import ast
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

DOCUMENTED = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
Origin = tuple[str, str | None]  # module, and the attribute of it (None: the module itself)
Imports = dict[str, list[Origin]]  # several where a try or an if chooses
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
EFFECT = "<import>"  # stands for what importing a module does
MAIN = "__name__ == '__main__'"
PARSING = threading.Lock()  # Python 3.11 counts the depth of all threads' trees in one place
SINCE_DEFAULT = "since_default"  # of a field's metadata; see `pipelines.graph.key.plain`


@dataclass(slots=True, eq=False)
class Module:
    """A parsed file: statements by the name they bind or touch, imports, effects of importing.

    It is shared by all who read the same bytes, and not changed after `parse`.
    """

    name: str
    path: Path
    package: str  # what a relative import starts from
    makes: dict[str, list[ast.stmt]] = field(default_factory=dict[str, list[ast.stmt]])
    imports: Imports = field(default_factory=dict[str, list[Origin]])
    stars: list[str] = field(default_factory=list[str])  # from x import *
    effects: list[ast.stmt] = field(default_factory=list[ast.stmt])  # calls that bind nothing
    decorated: list[ast.stmt] = field(default_factory=list[ast.stmt])

    @property
    def is_package(self) -> bool:
        """Whether modules can lie below it."""
        return self.path.name == "__init__.py"


def parse(name: str, path: Path, *, is_package: bool) -> Module:
    """Read one file; nothing is imported or run. Docstrings are left out.

    Raises:
        SyntaxError: the file is not Python.
    """
    return _parsed(name, path, path.read_bytes(), is_package)


@lru_cache(maxsize=1024)
def _parsed(name: str, path: Path, source: bytes, is_package: bool) -> Module:  # noqa: FBT001 (a key)
    package = name if is_package else name.rpartition(".")[0]
    module = Module(name=name, path=path, package=package)
    with PARSING:
        tree = ast.parse(source, str(path))
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED):
            _undocument(node)
        if isinstance(node, ast.ClassDef):
            node.body = [part for part in node.body if not _is_since_default(part)] or [ast.Pass()]
    _sort(module, tree.body, module.makes, module.effects)
    return module


def text_of(statements: list[ast.stmt]) -> str:
    """Return statements as text without comments and layout."""
    return "\n".join(ast.unparse(statement) for statement in statements)


def bind(module: Module, node: ast.Import | ast.ImportFrom, into: Imports) -> None:
    """Write down what an import statement binds."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.split(".")[0]
            _add(into, alias.asname or top, (alias.name if alias.asname else top, None))
        return
    source = _absolute(module, node)
    for alias in node.names:
        if alias.name == "*":
            module.stars.append(source)
        else:
            _add(into, alias.asname or alias.name, (source, alias.name))


def _add(into: Imports, name: str, origin: Origin) -> None:
    if origin not in into.setdefault(name, []):
        into[name].append(origin)


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    base = module.package.split(".")
    base = base[: len(base) - (node.level - 1)]
    return ".".join([*base, *([node.module] if node.module else [])])


def _undocument(
    node: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef,
) -> None:
    body = node.body
    first = body[0].value if body and isinstance(body[0], ast.Expr) else None
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        node.body = body[1:] or [ast.Pass()]


def _sort(
    module: Module,
    body: list[ast.stmt],
    makes: dict[str, list[ast.stmt]],
    effects: list[ast.stmt],
) -> None:
    """File each statement of a module under the names it binds or touches."""
    for statement in body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            bind(module, statement, module.imports)
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            makes.setdefault(statement.name, []).append(statement)
            if statement.decorator_list:
                module.decorated.append(statement)
        elif isinstance(statement, ast.Expr):
            if not isinstance(statement.value, ast.Constant):
                effects.append(statement)
        elif not _is_program(statement):
            _sort_other(module, statement, makes, effects)
    for statement in body:
        for name in _walrus(statement):
            makes.setdefault(name, []).append(statement)


def _sort_other(
    module: Module,
    statement: ast.stmt,
    makes: dict[str, list[ast.stmt]],
    effects: list[ast.stmt],
) -> None:
    """What an if, for, with or try binds inside is made of the whole statement."""
    names = dict.fromkeys(_touched(module, statement))
    inner: dict[str, list[ast.stmt]] = {}
    calls: list[ast.stmt] = []
    for block in BLOCKS:
        for part in getattr(statement, block, []):
            _sort(module, [part] if isinstance(part, ast.stmt) else part.body, inner, calls)
    names |= dict.fromkeys(inner)
    names |= {name: None for name in _imported(statement) if len(module.imports[name]) > 1}
    for name in names:
        if statement not in makes.setdefault(name, []):
            makes[name].append(statement)
    if calls or (not names and any(isinstance(node, ast.Call) for node in ast.walk(statement))):
        effects.append(statement)


def _imported(statement: ast.stmt) -> Iterator[str]:
    """Names that the imports of a try or an if bind."""
    for block in BLOCKS:
        for part in getattr(statement, block, []):
            for node in [part] if isinstance(part, ast.stmt) else part.body:
                if isinstance(node, ast.Import | ast.ImportFrom):
                    names = (a.asname or a.name.split(".")[0] for a in node.names)
                    yield from (name for name in names if name != "*")
                else:
                    yield from _imported(node)


def _is_program(statement: ast.stmt) -> bool:
    """Say whether this is `if __name__ == "__main__":`, which no import runs."""
    return isinstance(statement, ast.If) and ast.unparse(statement.test) == MAIN


def _is_since_default(statement: ast.stmt) -> bool:
    """Say whether this is a field that settings leave out while it has its first value."""
    if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.value, ast.Call):
        return False
    told = [word.value for word in statement.value.keywords if word.arg == "metadata"]
    names = [key for value in told if isinstance(value, ast.Dict) for key in value.keys]
    return any(isinstance(n, ast.Constant) and n.value == SINCE_DEFAULT for n in names)


def _touched(module: Module, statement: ast.stmt) -> Iterator[str]:
    """Names that a simple statement binds, changes or deletes; of a loop, its variables."""
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign | ast.Delete):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign | ast.For):
        targets = [statement.target]
    elif isinstance(statement, ast.With):
        targets = [item.optional_vars for item in statement.items if item.optional_vars]
    for target in targets:
        yield from _names(target)
    if isinstance(statement, ast.Match):
        for node in ast.walk(statement):
            if isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
                yield node.name


def _names(target: ast.expr) -> Iterator[str]:
    """Names in an assignment target: x, (x, y), x[0], x.a."""
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, ast.Tuple | ast.List):
        for part in target.elts:
            yield from _names(part)
    elif isinstance(target, ast.Subscript | ast.Attribute | ast.Starred):
        yield from _names(target.value)


def _walrus(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.NamedExpr):
            yield node.target.id
