"""Which edits move a key: one row a trap."""

import ast
import textwrap
from pathlib import Path
from typing import Any

import pytest

from pipelines.graph.closure import DOORS, Code, CodeError, changes, code_digest

TREE = {
    "toy/__init__.py": "",
    "toy/node.py": '''
        """What the module is for."""
        from toy.chain import first
        from toy.everything import *
        from toy.rows import RULES, MADE, LATER
        from toy import constants, front
        import toy.folder.leaf
        from .near import nearby
        from toy.settings import Settings
        from toy.wrap import doubled
        from toy.parent import Parent
        from toy.kinds import Kind
        from toy.shapes import Shape
        import toy.registry
        OFFSET = 3
        HIDDEN = 5
        COUNT = 0
        SIZES = {}
        for side in (1, 2):
            SIZES[side] = side * 10
        if (BIG := 12) > 1:
            pass

        def run(settings: Settings, *, rule="mean", start=constants.START) -> "list[Shape]":
            """Run it."""
            from toy.lazy import late  # read only here
            total = first(start) + starry() + toy.folder.leaf.leaf() + nearby() + late()
            def inner():
                return total + OFFSET + constants.deep.VALUE + front.out()
            step = (lambda v: v + HIDDEN)(1)
            both = RULES[rule](inner()) + MADE["m"](step) + LATER["late"](1) + wrapped()
            return both + Child().go() + branch() + SIZES[1] + BIG + toy.registry.ALL["a"] + bump()

        def bump():
            global COUNT
            COUNT = 1

        @doubled
        def wrapped():
            return 1

        class Child(Parent):
            size = 7
            def go(self):
                kind: "Kind | None" = None
                return self.base() + self.size

        if OFFSET > 1:
            def branch():
                return 1
        else:
            def branch():
                return 2

        def unused():
            return 99

        def other():
            return 1
        ''',
    "toy/chain.py": "from toy.chain2 import second\ndef first(x): return second(x)\n",
    "toy/chain2.py": "from toy.chain3 import third\ndef second(x): return third(x)\n",
    "toy/chain3.py": "from toy.numbers import K\ndef third(x): return x * K\n",
    "toy/numbers.py": "K = BASIS = 2\nUNUSED = 1\n",
    "toy/everything.py": "def starry(): return 1\ndef dull(): return 1\n",
    "toy/rows.py": """
        def mean(x): return x
        def top(x): return x
        RULES = {'mean': mean}
        RULES['top'] = top
        MADE = {}
        def row(name):
            def keep(f):
                MADE[name] = f
                return f
            return keep
        @row('m')
        def made(x): return x
        LATER = {}
        def added(x): return x
        LATER.update(late=added)
        """,
    "toy/constants.py": "START = 4\nfrom toy import deep\n",
    "toy/deep.py": "VALUE = 8\n",
    "toy/front/__init__.py": "from toy.front._inside import out\n",
    "toy/front/_inside.py": "def out(): return 1\n",
    "toy/folder/__init__.py": "",
    "toy/folder/leaf.py": "def leaf(): return 1\n",
    "toy/near.py": "def nearby(): return 1\n",
    "toy/lazy.py": "def late(): return 1\n",
    "toy/settings.py": """
        import dataclasses
        from toy.defaults import steps
        @dataclasses.dataclass
        class Settings:
            steps: int = dataclasses.field(default_factory=steps)
            rate: float = 0.1
        """,
    "toy/defaults.py": "def steps(): return 3\n",
    "toy/wrap.py": "def doubled(f):\n    def g(*a): return f(*a) * 2\n    return g\n",
    "toy/parent.py": "class Parent:\n    def base(self): return 1\n",
    "toy/kinds.py": "class Kind:\n    name = 'a'\n",
    "toy/shapes.py": "class Shape:\n    sides = 4\n",
    "toy/registry.py": "from toy.tables import ALL\nALL['b'] = 2\n",
    "toy/tables.py": "ALL = {'a': 1}\n",
}
MOVES = [
    ("numbers", "K = BASIS = 2", "K = BASIS = 3"),  # a constant three calls deep
    ("node", "OFFSET = 3", "OFFSET = 4"),  # read by an inner function
    ("node", "HIDDEN = 5", "HIDDEN = 6"),  # read by a lambda
    ("node", "COUNT = 0", "COUNT = 9"),  # written by a function, with global
    ("node", "side * 10", "side * 11"),  # rows made by a loop
    ("node", "(BIG := 12)", "(BIG := 13)"),  # bound inside a condition
    ("node", 'rule="mean"', 'rule="top"'),  # a default argument
    ("constants", "START = 4", "START = 5"),  # a default argument that is a name
    ("deep", "VALUE = 8", "VALUE = 9"),  # module.module.NAME
    ("everything", "starry(): return 1", "starry(): return 2"),  # a star import
    ("rows", "mean(x): return x", "mean(x): return -x"),  # a row of a table
    ("rows", "top(x): return x", "top(x): return -x"),  # a row added by a later statement
    ("rows", "made(x): return x", "made(x): return -x"),  # a row added by a decorator
    ("rows", "added(x): return x", "added(x): return -x"),  # a row added by a bare call
    ("front/_inside", "return 1", "return 2"),  # through an __init__
    ("folder/leaf", "return 1", "return 2"),  # a.b.c()
    ("near", "return 1", "return 2"),  # a relative import
    ("lazy", "return 1", "return 2"),  # an import inside the function
    ("settings", "rate: float = 0.1", "rate: float = 0.2"),  # a dataclass default
    ("defaults", "return 3", "return 4"),  # a default factory
    ("wrap", "* 2", "* 3"),  # a decorator of what is called
    ("node", "@doubled\n", "\n"),  # a decorator taken away
    ("parent", "return 1", "return 2"),  # a base class
    ("node", "size = 7", "size = 8"),  # an attribute of a class
    ("node", "def branch():\n        return 1", "def branch():\n        return 3"),  # under an if
    ("node", "if OFFSET > 1:", "if OFFSET > 2:"),  # the condition itself
    ("kinds", "'a'", "'b'"),  # in a quoted annotation of a variable
    ("shapes", "sides = 4", "sides = 5"),  # in a quoted annotation of a result
    ("tables", "'a': 1", "'a': 3"),  # a table of another module, touched on the way
    ("registry", "= 2", "= 3"),  # the touch itself
]
STAYS = [
    ("node", '"""Run it."""', '"""Run it another way."""'),
    ("node", "# read only here", "# said otherwise"),
    ("node", '"""What the module is for."""', ""),
    ("node", "return 99", "return 98"),  # an unused neighbour
    ("numbers", "UNUSED = 1", "UNUSED = 2"),
    ("everything", "dull(): return 1", "dull(): return 2"),
    ("node", "OFFSET = 3", "OFFSET = (\n    3\n)"),  # layout
    ("node", "def other():\n    return 1", ""),
]


def _write(root: Path, *edits: tuple[str, str, str]) -> Code:
    for name, source in TREE.items():
        text = textwrap.dedent(source)
        for file, before, after in edits:
            if name == f"toy/{file}.py":
                assert before in text, (name, before)
                text = text.replace(before, after)
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Code({"toy": root})


def _run(code: Code) -> dict[str, str]:
    return code.closure([("toy.node", "run")])


@pytest.mark.parametrize("edit", MOVES, ids=lambda e: f"{e[0]}: {e[2].strip()[:30]}")
def test_an_edit_that_matters_moves_the_key(tmp_path: Path, edit: tuple[str, str, str]) -> None:
    before, after = _run(_write(tmp_path / "a")), _run(_write(tmp_path / "b", edit))
    assert code_digest(before) != code_digest(after)
    assert changes(before, after)


@pytest.mark.parametrize("edit", STAYS, ids=lambda e: f"{e[0]}: {e[2].strip()[:30]}")
def test_an_edit_that_does_not_matter_leaves_it(tmp_path: Path, edit: tuple[str, str, str]) -> None:
    assert _run(_write(tmp_path / "a")) == _run(_write(tmp_path / "b", edit))


def test_it_says_which_definition_changed(tmp_path: Path) -> None:
    old, new = _run(_write(tmp_path / "a")), _run(_write(tmp_path / "b", MOVES[0]))
    assert changes(old, new) == [("toy.numbers:K", "changed")]


def test_a_new_row_moves_only_those_who_reach_the_table(tmp_path: Path) -> None:
    edit = ("rows", "RULES = {'mean': mean}", "RULES = {'mean': mean, 'again': mean}")
    old, new = _write(tmp_path / "a"), _write(tmp_path / "b", edit)
    assert _run(old) != _run(new)
    part = [("toy.node", "other"), ("toy.parent", "Parent")]
    assert old.closure(part) == new.closure(part)


@pytest.mark.parametrize(
    "line",
    [
        "getattr(toy.deep, x)",
        "vars(toy.deep)[x]",
        "setattr(toy.deep, x, 1)",
        "eval(x)",
        "exec(x)",
        "__import__(x)",
        "globals()[x]",
        "__import__('importlib').import_module(x)",
    ],
)
def test_code_chosen_by_a_string_is_refused(tmp_path: Path, line: str) -> None:
    hidden = f"import toy.deep\ndef third(x): return {line} * K"
    code = _write(tmp_path, ("chain3", "def third(x): return x * K", hidden))
    with pytest.raises(CodeError, match=r"chain3\.py:3: code is named.*; got \w+, which chooses"):
        _run(code)


@pytest.mark.parametrize(
    "line", ["getattr(x, 'name')", "getattr(toy.deep, 'VALUE')", "x.eval()", "getattr(x, str(x))"]
)
def test_what_can_be_read_is_not_refused(tmp_path: Path, line: str) -> None:
    plain = f"import toy.deep\ndef third(x): return {line}, K"
    assert _run(_write(tmp_path, ("chain3", "def third(x): return x * K", plain)))


def test_a_circle_of_imports_ends(tmp_path: Path) -> None:
    circle = "from toy.chain import *\nfrom toy.lazy import late as third\n"
    code = _write(
        tmp_path,
        ("chain3", "def third(x): return x * K", circle),
        ("chain", "from toy.chain2 import second", "from toy.chain2 import *"),
        ("chain2", "from toy.chain3 import third", "from toy.chain3 import *"),
    )
    assert "toy.lazy:late" in _run(code)


def test_the_closure_stops_at_the_door_of_the_runtime() -> None:
    code = Code({**Code().roots, "tests": Path(__file__).parents[3]})
    reached = code.closure([("tests.pipelines.graph.bodies", "train")])
    assert "pipelines.graph:<contract>" in reached
    assert not [name for name in reached if name.startswith(("cluster.", "pipelines.graph."))]


def test_the_number_of_a_door_is_keyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count CLUSTER_CONTRACT up when sharing out, order, seeds per rank or sums change."""
    start = [("tests.pipelines.graph.bodies", "Bench")]
    roots = {**Code().roots, "tests": Path(__file__).parents[3]}
    before = Code(roots).closure(start)
    assert {"cluster:<contract>", "pipelines.graph:<contract>"} <= set(before)
    monkeypatch.setitem(DOORS, "cluster", 2)
    assert changes(before, Code(roots).closure(start)) == [("cluster:<contract>", "changed")]


def test_an_unknown_start_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        CodeError, match=r"toy\.node:lost: must be at the top level of our source; got no"
    ):
        _write(tmp_path).closure([("toy.node", "lost")])


def test_each_of_eighty_modules_is_parsed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """12,160 lines took .7 s of an AMD EPYC when this was written; time is not asserted."""
    body = "\n".join(
        f"def f{i}(x, y=1):\n    total = [v * {i} + y for v in range(x) if v > {i}]\n"
        f"    return sum(total) + NEXT.f{i}(x)\n"
        for i in range(38)
    )
    for m in range(80):
        above = f"from big import m{m + 1} as NEXT\n" if m < 79 else "import math as NEXT\n"
        path = tmp_path / "big" / f"m{m}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(above + body)
    (tmp_path / "big" / "__init__.py").touch()
    parsed: list[bytes] = []
    parse = ast.parse

    def counted(text: bytes, *args: Any, **more: Any) -> Any:
        parsed.append(text)
        return parse(text, *args, **more)

    monkeypatch.setattr(ast, "parse", counted)
    code = Code({"big": tmp_path})
    found = code.closure([("big.m0", f"f{i}") for i in range(38)])
    assert len(found) == 80 * 38
    assert len(parsed) == 81  # with the package itself
    code.closure([("big.m0", "f1")])
    assert len(parsed) == 81
