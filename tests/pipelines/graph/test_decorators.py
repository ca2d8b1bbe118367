"""Decorators: those that keep rows act when their module is imported, those that wrap do not."""

from pathlib import Path

import pytest

from tests.pipelines.graph.test_traps import both, row

MOVES = {
    **{
        f"a row that a decorator keeps in {how}": row(
            "from toy.keep import row, read\n@row\ndef made(): return 1\ndef run(): return read()",
            "node", "return 1", "return 2", keep=text,
        )
        for how, text in {
            "a list": "R = []\ndef row(f):\n    R.append(f)\n    return f\ndef read(): return R",
            "a class": "class R:\n    rows = []\ndef row(f):\n    R.rows.append(f)\n    return f\n"
            "def read(): return R.rows",
            "itself": "def row(f):\n    row.kept = f\n    return f\ndef read(): return row.kept",
            "a default": "def row(f, kept=[]):\n    kept.append(f)\n    return kept\n"
            "def read(): return row",
            "another name": "R = {}\ndef row(f):\n    r = R\n    r['f'] = f\n    return f\n"
            "def read(): return R",
            "a global": "R = None\ndef row(f):\n    global R\n    R = f\n    return f\n"
            "def read(): return R",
            "what others call": "import atexit\ndef row(f): return atexit.register(f)\n"
            "def read(): return atexit",
            "a function it calls": "R = []\ndef keep(f): R.append(f)\ndef row(f):\n    keep(f)\n"
            "    return f\ndef read(): return R",
            "a package": "from toy import far\ndef row(f):\n    far.OTHER = f\n    return f\n"
            "def read(): return far.OTHER",
        }.items()
    },
}  # fmt: skip
STAYS = {
    "a neighbour under a decorator that only wraps": row(
        "import functools\nfrom toy.far import VALUE\ndef times(n):\n    def wrap(f):\n"
        "        @functools.wraps(f)\n        def g(*a): return f(*a) * n\n        return g\n"
        "    return wrap\n@times(VALUE)\ndef other(): return 1\ndef run(): return 1",
        "node", "def other(): return 1", "def other(): return 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("trap", MOVES)
def test_a_row_that_a_decorator_keeps_is_seen(tmp_path: Path, trap: str) -> None:
    before, after = both(tmp_path, MOVES[trap])
    assert before != after


@pytest.mark.parametrize("trap", STAYS)
def test_a_neighbour_that_is_only_wrapped_moves_nothing(tmp_path: Path, trap: str) -> None:
    before, after = both(tmp_path, STAYS[trap])
    assert before == after
