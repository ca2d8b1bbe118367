"""Edits of a package on disk, and what `vocabox show` and `vocabox run --frozen` say to each."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.settings.golden import same

ROOT = Path(__file__).parents[3]
TOY = {
    "__init__.py": "",
    "build.py": """
        from toy_edited import nodes
        from toy_edited.settings import Sized, Stepped
        from pipelines.graph.artifact import FILES
        from pipelines.graph.node import Graph, Node

        def node(name, cfg, **inputs):
            return Node(name=name, fn=getattr(nodes, name), cfg=cfg, makes=FILES, inputs=inputs)

        def build() -> Graph:
            deep = node("deep", Stepped())
            table = node("table", Stepped())
            wrapped = node("wrapped", Sized())
            last = node("last", Sized(), deep=deep, table=table)
            return Graph(nodes=(last, wrapped), recipe="toy")
        """,
    "settings.py": """
        from dataclasses import dataclass, field

        @dataclass(frozen=True, kw_only=True)
        class Stepped:
            steps: int = 3

        @dataclass(frozen=True, kw_only=True)
        class Sized:
            size: float = 1.5  # px
            ways: tuple[str, ...] = field(default_factory=lambda: ("a", "b"))
        """,
    "nodes.py": '''
        from toy_edited.chain import one
        from toy_edited.rows import RULES
        from toy_edited.wraps import doubled

        def deep(task):
            """Write what the chain gives."""
            (task.out / "x").write_text(str(one(task.cfg.steps)))

        def table(task):
            # a rule of the table
            (task.out / "x").write_text(str(RULES["double"](1)))

        @doubled
        def _size(task):
            return task.cfg.size

        def wrapped(task):
            (task.out / "x").write_text(str(_size(task)))

        def last(task):
            (task.out / "x").write_text((task.path("deep") / "x").read_text())
        ''',
    "chain.py": "from toy_edited.chain2 import two\ndef one(x): return two(x)\n",
    "chain2.py": "from toy_edited.chain3 import three\ndef two(x): return three(x)\n",
    "chain3.py": "K = 2\nUNUSED = 3\ndef three(x):\n    return x * K\n",
    "rows.py": "def double(x): return 2 * x\ndef half(x): return x / 2\n"
    "RULES = {'double': double}\nRULES |= {'half': half}\n",
    "wraps.py": "def doubled(f):\n    def g(*a): return f(*a) * 2\n    return g\n",
}
RERUNS: list[tuple[tuple[str, str, str], set[str]]] = [
    (("chain3.py", "K = 2", "K = 5"), {"deep"}),  # a constant three calls deep
    (("settings.py", "steps: int = 3", "steps: int = 4"), {"deep", "table"}),  # a default
    (("settings.py", '("a", "b")', '("a", "c")'), {"last", "wrapped"}),  # a default factory
    (("rows.py", "return x / 2", "return x / 3"), {"table"}),  # a row of a table
    (("rows.py", "RULES |= {'half': half}\n", ""), {"table"}),  # a row taken away
    (("wraps.py", "* 2", "* 3"), {"wrapped"}),  # a decorator
    (("nodes.py", "@doubled\n", ""), {"wrapped"}),  # a decorator taken away
    (("nodes.py", '(task.path("deep")', '(task.path("table")'), {"last"}),  # the node itself
]
NOTHING = [
    ("nodes.py", "# a rule of the table", "# said otherwise"),
    ("nodes.py", '"""Write what the chain gives."""', '"""Write it."""'),
    ("settings.py", "  # px", ""),
    ("chain3.py", "def three(x):\n", 'def three(x):\n    """Doc."""\n\n'),
    ("chain3.py", "UNUSED = 3", "UNUSED = 4"),
    ("chain3.py", "K = 2", "K = (\n    2\n)"),
    (
        "settings.py",
        "steps: int = 3",
        'steps: int = 3\n    more: int = field(default=0, metadata={"since_default": 0})',
    ),
]
RUN = """
import sys
from cluster.call import InProcessExecutor
from cluster.storage import open_store
from pipelines.graph.run import walk
from toy_edited.build import build
ended = walk(build(), store=open_store(sys.argv[1]), executor=InProcessExecutor(), emit=id)
sys.exit(ended.code)
"""
COMMAND = """
from types import SimpleNamespace
from pipelines.cli.entry import main
from pipelines.cli.work import WORK
from toy_edited.build import build
loaded = SimpleNamespace(graph=build(), recipe="toy", digest="d", warnings=())
WORK.update(load=lambda *_: loaded, check=lambda _: [])
main()
"""


class Toy:
    """A package in a folder, its store, and fresh processes that look at them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.write()
        assert self._python(RUN, str(self.store)).returncode == 0

    def write(self, *edits: tuple[str, str, str]) -> None:
        for name, source in TOY.items():
            text = textwrap.dedent(source)
            for file, before, after in edits:
                if file == name:
                    assert before in text, (file, before)
                    text = text.replace(before, after)
            path = self.folder / "toy_edited" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    def show(self) -> dict[str, dict[str, Any]]:
        done = self.command("show", "page.yaml", "--json")
        assert done.returncode == 0, done.stderr
        events = map(json.loads, done.stdout.splitlines())
        return {event["node"]: event for event in events if event["event"] == "node"}

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self._python(COMMAND, *words, "--store", str(self.store))

    def _python(self, code: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-B", "-c", code, *words], cwd=self.folder, text=True,
            capture_output=True, check=False,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{self.folder}"},
        )  # fmt: skip


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return Toy(tmp_path_factory.mktemp("toy"))


def test_edits_that_change_nothing_rerun_nothing(toy: Toy) -> None:
    for edit in NOTHING:
        toy.write(edit)
        states = {name: event["state"] for name, event in toy.show().items()}
        assert states == dict.fromkeys(("deep", "table", "last", "wrapped"), "cached"), edit


@pytest.mark.parametrize(("edit", "runs"), RERUNS, ids=[f"{e[0]}: {e[2][:30]}" for e, _ in RERUNS])
def test_an_edit_reruns_exactly_what_reaches_it(
    toy: Toy, edit: tuple[str, str, str], runs: set[str]
) -> None:
    toy.write(edit)
    found = toy.show()
    states = {name: event["state"] for name, event in found.items()}
    assert {name for name, state in states.items() if state == "will run"} == runs
    waits = {"last"} - runs if runs & {"deep", "table"} else set()
    assert {name for name, state in states.items() if state == "waits"} == waits
    assert all(found[name]["why"][0].startswith(("code: ", "settings: ")) for name in runs)


def test_F21_frozen_refuses_other_code_and_names_the_nodes(toy: Toy, write_golden: bool) -> None:
    toy.write(("chain3.py", "K = 2", "K = 5"), ("wraps.py", "* 2", "* 3"))
    before = sorted(toy.store.rglob("*"))
    done = toy.command("run", "page.yaml", "--frozen", "--executor", "inline")
    assert done.returncode == 2, done.stderr
    golden = "errors/F21_frozen.txt"
    same(done.stderr, as_file=golden, folder=toy.folder, write=write_golden)
    assert sorted(toy.store.rglob("*")) == before
    toy.write(("settings.py", "steps: int = 3", "steps: int = 3  # of training"))
    done = toy.command("run", "page.yaml", "--frozen", "--executor", "inline")
    assert "--frozen" not in done.stderr
