"""More traps of code identity: a small module each, an edit, and whether the key moves."""

import textwrap
from pathlib import Path

import pytest

from pipelines.graph.closure import Code, CodeError

FAR = "VALUE = 1\nOTHER = 1\ndef far(x): return x\ndef unused(x): return x\n"
Files = dict[str, str]


def row(node: str, file: str, before: str, after: str, **more: str) -> tuple[Files, str, str, str]:
    """Return the files of a package, and an edit of one of them; `far` is always there."""
    return {"node": node, "far": FAR, **more}, file, before, after


MOVES = {
    "a table joined by |=": row(
        "R = {}\ndef f(x): return x\nR |= {'f': f}\ndef run(): return R",
        "node", "return x\nR", "return -x\nR",
    ),
    "a list grown by +=": row(
        "R = []\nR += [1]\ndef run(): return R", "node", "[1]", "[2]"
    ),
    "a row deleted": row(
        "R = {'a': 1, 'b': 2}\ndel R['a']\ndef run(): return R", "node", "del R['a']", "del R['b']"
    ),
    "an annotated constant": row("N: int = 1\ndef run(): return N", "node", "= 1", "= 2"),
    "one of several targets": row("A, *B = 1, 2\ndef run(): return B", "node", "1, 2", "1, 3"),
    "a decorator with an argument": row(
        "from toy.far import VALUE\ndef d(n): return lambda f: f\n@d(VALUE)\ndef run(): return 1",
        "far", "VALUE = 1", "VALUE = 2",
    ),
    "a decorator of a class": row(
        "def d(c):\n    c.n = 1\n    return c\n@d\nclass C: pass\ndef run(): return C().n",
        "node", "c.n = 1", "c.n = 2",
    ),
    "a base two classes up": row(
        "from toy.near import B\nclass C(B): pass\ndef run(): return C().m()",
        "grand", "return 1", "return 2",
        near="from toy.grand import A\nclass B(A): pass",
        grand="class A:\n    def m(self): return 1",
    ),
    "a keyword of a class": row(
        "from toy.far import VALUE\nclass M(type):\n    def __new__(m, *a, **k): return type(*a)\n"
        "class C(metaclass=M, n=VALUE): pass\ndef run(): return C",
        "far", "VALUE = 1", "VALUE = 2",
    ),
    "a default factory that is a lambda": row(
        "import dataclasses as d\nfrom toy.far import VALUE\n@d.dataclass\nclass C:\n"
        "    n: int = d.field(default_factory=lambda: VALUE)\ndef run(): return C()",
        "far", "VALUE = 1", "VALUE = 2",
    ),
    "a default of a lambda": row(
        "from toy.far import VALUE\nG = lambda n=VALUE: n\ndef run(): return G()",
        "far", "VALUE = 1", "VALUE = 2",
    ),
    "a default that only a keyword sets": row(
        "from toy.far import VALUE\ndef run(*, n=VALUE): return n", "far", "VALUE = 1", "VALUE = 2"
    ),
    "inside a formatted text": row(
        "from toy.far import VALUE\ndef run(): return f'{VALUE:>{3}}'",
        "far", "VALUE = 1", "VALUE = 2",
    ),
    "inside a comprehension": row(
        "from toy.far import far\ndef run(): return [far(i) for i in (1, 2)]",
        "far", "def far(x): return x", "def far(x): return -x",
    ),
    "bound by partial in a table": row(
        "from functools import partial\nfrom toy.far import far\nR = {'f': partial(far, 1)}\n"
        "def run(): return R['f']()",
        "far", "def far(x): return x", "def far(x): return -x",
    ),
    "the arguments bound by partial": row(
        "from functools import partial\nfrom toy.far import far\nG = partial(far, 1)\n"
        "def run(): return G()",
        "node", "partial(far, 1)", "partial(far, 2)",
    ),
    "a name that is another's": row(
        "from toy import far as other\nsame = other.far\ndef run(): return same(1)",
        "far", "def far(x): return x", "def far(x): return -x",
    ),
    "a module imported by another name": row(
        "import toy.far as other\ndef run(): return other.VALUE", "far", "VALUE = 1", "VALUE = 2"
    ),
    "a module of a package by from": row(
        "from toy import far\ndef run(): return far.VALUE", "far", "VALUE = 1", "VALUE = 2"
    ),
    "a module from here": row(
        "from . import far\ndef run(): return far.VALUE", "far", "VALUE = 1", "VALUE = 2"
    ),
    "re-exported twice, renamed": row(
        "from toy.door import value\ndef run(): return value", "far", "VALUE = 1", "VALUE = 2",
        door="from toy.inner import middle as value", inner="from toy.far import VALUE as middle",
    ),
    "a star of a star": row(
        "from toy.door import *\ndef run(): return VALUE", "far", "VALUE = 1", "VALUE = 2",
        door="from toy.inner import *", inner="from toy.far import *",
    ),
    "an import inside an import inside a function": row(
        "def run():\n    def inner():\n        from toy.far import VALUE\n        return VALUE\n"
        "    return inner()",
        "far", "VALUE = 1", "VALUE = 2",
    ),
    "a try around an import": row(
        "try:\n    from toy.fast import go\nexcept ImportError:\n"
        "    from toy.far import far as go\n"
        "def run(): return go(1)",
        "fast", "return 1", "return 2", fast="def go(x): return 1",
    ),
    "the other branch of a try": row(
        "try:\n    import numpy\n    def go(): return 1\nexcept ImportError:\n"
        "    def go(): return 2\ndef run(): return go()",
        "node", "return 2", "return 3",
    ),
    "a condition of ours": row(
        "from toy.far import VALUE\nif VALUE:\n    N = 1\nelse:\n    N = 2\ndef run(): return N",
        "far", "VALUE = 1", "VALUE = 0",
    ),
    "made under with": row(
        "import contextlib\nwith contextlib.nullcontext(3) as N:\n    M = N + 1\n"
        "def run(): return M",
        "node", "N + 1", "N + 2",
    ),
    "made under match": row(
        "match 1:\n    case 1:\n        N = 5\ndef run(): return N", "node", "N = 5", "N = 6"
    ),
    "a quoted annotation in quotes of a list": row(
        "from toy.shape import Shape\ndef run(x: 'list[Shape] | None' = None): return x",
        "shape", "n = 1", "n = 2", shape="class Shape:\n    n = 1",
    ),
    "a type variable's bound": row(
        "from typing import TypeVar\nfrom toy.shape import Shape\nT = TypeVar('T', bound=Shape)\n"
        "def run(x: T) -> T: return x",
        "shape", "n = 1", "n = 2", shape="class Shape:\n    n = 1",
    ),
    "a bare call under if": row(
        "from toy.far import far\nif True:\n    far(1)\ndef run(): return 1",
        "far", "def far(x): return x", "def far(x): return -x",
    ),
    "a call that only asserts": row(
        "from toy.far import far\nassert far(1)\ndef run(): return 1",
        "far", "def far(x): return x", "def far(x): return -x",
    ),
    "a call in a condition that binds nothing": row(
        "from toy.far import far\nif far(1):\n    raise SystemExit\ndef run(): return 1",
        "far", "def far(x): return x", "def far(x): return -x",
    ),
    "a bare call in a package above": row(
        "def run(): return 1", "__init__", "far(1)", "far(2)",
        __init__="from toy.far import far\nfar(1)",
    ),
    "a bare call in a module that is only passed": row(
        "from toy.door import VALUE\ndef run(): return VALUE", "far", "def far(x): return x",
        "def far(x): return -x", door="from toy.far import VALUE as VALUE, far\nfar(3)",
    ),
    "another module's name is set": row(
        "import toy.far\ntoy.far.VALUE = 5\ndef run(): return toy.far.VALUE", "node", "= 5", "= 6"
    ),
    "a name set by a function with global": row(
        "N = 1\ndef put():\n    global N\n    N = 2\nput()\ndef run(): return N",
        "node", "N = 2", "N = 3",
    ),
    "__getattr__ of a module": row(
        "from toy import lazy\ndef run(): return lazy.anything", "lazy", "return 1", "return 2",
        lazy="def __getattr__(name): return 1",
    ),
    "a property": row(
        "class C:\n    @property\n    def p(self): return 1\ndef run(): return C().p",
        "node", "return 1", "return 2",
    ),
    "a class inside a class": row(
        "class C:\n    class D:\n        n = 1\ndef run(): return C.D.n", "node", "n = 1", "n = 2"
    ),
    "an enum": row(
        "import enum\nclass E(enum.Enum):\n    A = 1\ndef run(): return E.A.value",
        "node", "A = 1", "A = 2",
    ),
    "a text that is no docstring": row(
        "def run():\n    return '''a'''", "node", "'''a'''", "'''b'''"
    ),
    "a number turned to a float": row("def run(): return 1", "node", "return 1", "return 1.0"),
    "the order of statements": row(
        "R = {}\nR['a'] = 1\nR['a'] = 2\ndef run(): return R",
        "node", "R['a'] = 1\nR['a'] = 2", "R['a'] = 2\nR['a'] = 1",
    ),
}  # fmt: skip
SINCE = (
    "import dataclasses as d\n@d.dataclass\nclass C:\n    n: int = 1\n{}def run(c: C): return c.n"
)
STAYS = {
    "a new setting that says since_default": row(
        SINCE.format(""), "node", "= 1\n",
        "= 1\n    m: int = d.field(default=0, metadata={'since_default': 0})\n",
    ),
    "what runs only as a program": row(
        "from toy.far import far\ndef run(): return 1\nif __name__ == '__main__':\n    far(1)",
        "far", "def far(x): return x", "def far(x): return -x",
    ),
    "a neighbour of what a star brings": row(
        "from toy.far import *\ndef run(): return VALUE", "far", "OTHER = 1", "OTHER = 2"
    ),
    "a neighbour of what a.b names": row(
        "from toy import far\ndef run(): return far.VALUE", "far", "OTHER = 1", "OTHER = 2"
    ),
    "an import that nothing uses": row(
        "def run(): return 1", "node", "def run", "import toy.far\nfrom toy.far import far\ndef run"
    ),
    "the docstring of a class": row(
        "class C:\n    '''Old.'''\n    n = 1\ndef run(): return C.n", "node", "Old", "New"
    ),
    "the docstring of an inner function": row(
        "def run():\n    def inner():\n        '''Old.'''\n        return 1\n    return inner()",
        "node", "Old", "New",
    ),
    "a comment about types": row(
        "def run():\n    x = []  # type: list[int]\n    return x", "node", "list[int]", "list[str]"
    ),
    "other quotes, and a number written otherwise": row(
        "def run(): return 'a', 1000", "node", "'a', 1000", '"a", 1_000'
    ),
    "a comma, brackets and a line more": row(
        "def run(): return {'a': 1}", "node", "{'a': 1}", "(\n    {\n        'a': 1,\n    }\n)"
    ),
    "a branch that another module has beside": row(
        "from toy.far import far\ndef run(): return far(1)", "far", "def unused(x): return x",
        "def unused(x): return -x",
    ),
    "the order of neighbours": row(
        "def a(): return 1\ndef b(): return 2\ndef run(): return a() + b()", "node",
        "def a(): return 1\ndef b(): return 2", "def b(): return 2\ndef a(): return 1",
    ),
}  # fmt: skip


def _closure(root: Path, files: Files) -> dict[str, str]:
    for name, text in {"__init__": "", **files}.items():
        path = root / "toy" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text) + "\n")
    return Code({"toy": root}).closure([("toy.node", "run")])


def both(tmp_path: Path, row: tuple[Files, str, str, str]) -> tuple[Files, Files]:
    files, file, before, after = row
    assert before in files[file], before
    edited = {**files, file: files[file].replace(before, after)}
    return _closure(tmp_path / "a", files), _closure(tmp_path / "b", edited)


@pytest.mark.parametrize("trap", MOVES)
def test_an_edit_that_matters_moves_the_key(tmp_path: Path, trap: str) -> None:
    before, after = both(tmp_path, MOVES[trap])
    assert before != after


@pytest.mark.parametrize("trap", STAYS)
def test_an_edit_that_does_not_matter_leaves_it(tmp_path: Path, trap: str) -> None:
    before, after = both(tmp_path, STAYS[trap])
    assert before == after


@pytest.mark.parametrize(
    "body",
    [
        "getattr(toy.far, name)",
        "getattr(far, 'V' + name)",
        "far.__dict__[name]",
        "vars(far)[name]",
        "eval(name)",
        "exec(name)",
        "__import__(name)",
        "globals()[name]",
        "importlib.import_module(name)",
        "builtins.eval(name)",
        "builtins.__import__(name)",
        "sys.modules[name]",
    ],
)
def test_code_chosen_by_a_string_is_refused(tmp_path: Path, body: str) -> None:
    head = "import builtins, importlib, sys\nimport toy.far\nfrom toy import far\n"
    with pytest.raises(
        CodeError, match=r"node\.py:5: code is named, so that a key can see it; got"
    ):
        _closure(tmp_path, {"node": f"{head}def run(name):\n    return {body}", "far": FAR})
