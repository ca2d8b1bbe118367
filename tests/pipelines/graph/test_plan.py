"""What a plan says, and how it is shown."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from cluster.storage import open_store
from pipelines.graph.artifact import FILES
from pipelines.graph.closure import Code
from pipelines.graph.cuts import CutError, Cuts
from pipelines.graph.node import Graph, Node
from pipelines.graph.plan import Plan, as_event, plan
from pipelines.graph.show import FORMATS, spoken
from tests.pipelines.graph import bodies
from tests.pipelines.graph.bodies import Bench, Number, Trained, chain, node

ROOT = Path(__file__).parents[3]


def _states(found: Plan) -> dict[str, str]:
    return {p.node.name: p.state for p in found.nodes}


def _why(found: Plan, name: str) -> list[str]:
    return [r.text for p in found.nodes if p.node.name == name for r in p.why]


def test_a_fresh_store_runs_all_and_is_not_written(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "none"), mode="read")
    found = plan(chain(3), store)
    assert _states(found) == {"n0": "will run", "n1": "waits", "n2": "waits"}
    assert _why(found, "n0") == ["never run under this name"]
    assert _why(found, "n1") == ["waits for n0"]
    assert found.unknown == 3
    assert not (tmp_path / "none").exists()


def test_a_plan_agrees_with_the_walk(bench: Bench) -> None:
    bench.walk(chain(3))
    found = plan(chain(3), bench.store)
    assert set(_states(found).values()) == {"cached"}
    assert [p.key for p in found.nodes] == [o.key for o in bench.walk(chain(3)).nodes.values()]
    assert found.seconds == 0


def test_a_setting_is_named_with_both_values(bench: Bench) -> None:
    bench.walk(chain(2, value=700))
    found = plan(chain(2, value=800), bench.store)
    assert _why(found, "n0") == ["settings: value 700.0 -> 800.0"]
    assert _states(found) == {"n0": "will run", "n1": "waits"}
    assert found.nodes[0].seconds is not None


def test_a_setting_is_named_by_its_key_on_the_page(bench: Bench) -> None:
    def graph(value: float, deep: float) -> Graph:
        first = node("a", value=value)
        keys = {"inner": "stage2", "inner.sleep": "pause", "steps": "stage2.steps"}
        cfg = Trained(inner=Number(value=deep, sleep=deep))
        return Graph(nodes=(node("b", first, fn=bodies.add_inner, cfg=cfg, keys=keys),), recipe="r")

    bench.walk(graph(1, 0.0))
    changed = ["settings: stage2.value 0.0 -> 0.25", "settings: pause 0.0 -> 0.25"]
    assert _why(plan(graph(1, 0.25), bench.store), "b") == changed
    waiting = plan(graph(2, 0.25), bench.store)
    assert _why(waiting, "b") == ["waits for a", *changed]
    shown = FORMATS["text"](waiting).splitlines()
    assert shown[1].startswith("b  waits for a   last time 0.0 s")
    assert shown[2:4] == [f"{'':13}{text}" for text in changed]


def test_an_input_is_named_with_both_digests(bench: Bench) -> None:
    bench.walk(Graph(nodes=(node("end", node("a")),), recipe="r"))
    bench.walk(Graph(nodes=(node("a", value=2),), recipe="r"))
    (reason,) = _why(plan(Graph(nodes=(node("end", node("a", value=2)),), recipe="r"),
                          bench.store), "end")  # fmt: skip
    assert reason.startswith("input i0: ")
    assert " -> " in reason


def test_parts_makers_and_functions_are_named(bench: Bench) -> None:
    bench.walk(Graph(nodes=(node("a", parts={"rule": bodies.add}),), recipe="r"))
    changed = Graph(nodes=(node("a", parts={"rule": bodies.parity}),), recipe="r")
    assert _why(plan(changed, bench.store), "a") == [
        "code: tests.pipelines.graph.bodies:parity (added)",
        "part rule: tests.pipelines.graph.bodies:add -> tests.pipelines.graph.bodies:parity",
    ]


def test_damage_and_force_are_reasons(bench: Bench) -> None:
    first = bench.walk(chain(2))
    found = plan(chain(2), bench.store, Cuts(force=("n1",)))
    assert (_states(found)["n0"], _why(found, "n1")) == ("cached", ["forced"])
    started = plan(chain(2), bench.store, Cuts(start=("n0",)))
    assert _why(started, "n1") == ["waits for n0", "forced"]
    (first.artifacts["n0"] / "value.json").unlink()
    found = plan(chain(2), bench.store)
    assert _why(found, "n0") == ["result damaged: value.json is missing"]
    assert not bench.store.list("quarantine")  # looking moves nothing


def test_cuts_are_named_wrong_and_right(bench: Bench) -> None:
    with pytest.raises(
        CutError,
        match=r"--until: no such node; got 'n11'\. Did you mean 'n1'\? The nodes are n0, n1",
    ):
        plan(chain(2), bench.store, Cuts(until=("n11",)))
    with pytest.raises(
        CutError, match=r"--force, --from: n1 would not run; got a cut that keeps n0"
    ):
        plan(chain(2), bench.store, Cuts(until=("n0",), force=("n1",)))
    with pytest.raises(CutError, match=r"--only: needs results that are not there; got none of n0"):
        plan(chain(2), bench.store, Cuts(only=("n1",)))
    assert _states(plan(chain(2), bench.store, Cuts(until=("n0",)))) == {"n0": "will run"} | {
        "n1": "left out"
    }


# ------------------------------------------------------------------ edits of a package, for real

TOY = {
    "__init__.py": "",
    "graph.py": """
        from dataclasses import dataclass
        from pipelines.graph.artifact import FILES
        from pipelines.graph.node import Graph, Node
        from PACKAGE.steps import first, second

        @dataclass(frozen=True, kw_only=True)
        class Empty:
            steps: int = 3

        def build() -> Graph:
            a = Node(name="first", fn=first, cfg=Empty(), makes=FILES)
            b = Node(name="second", fn=second, cfg=Empty(), makes=FILES, inputs={"a": a})
            return Graph(nodes=(b,), recipe="toy")
        """,
    "steps.py": """
        from PACKAGE.deep import scaled

        def first(task):
            (task.out / "x").write_text(str(scaled(1)))

        def second(task):
            # only passes it on
            (task.out / "x").write_bytes((task.path("a") / "x").read_bytes())
        """,
    "deep.py": "from PACKAGE.deeper import factor\ndef scaled(x): return x * factor()\n",
    "deeper.py": "FACTOR = 2\nUNUSED = 3\ndef factor():\n    return FACTOR\n",
}
SHOW = """
import json, sys
sys.path.insert(0, sys.argv[1])
from cluster.storage import open_store
from pipelines.graph.plan import plan, as_event
from pipelines.graph.run import walk
from PACKAGE.graph import build
store = open_store(sys.argv[1] + "/store")
out = [as_event(p) for p in plan(build(), store).nodes]
if sys.argv[2] == "run":
    from cluster.call import InProcessExecutor
    walk(build(), store=store, executor=InProcessExecutor(), emit=lambda e: None)
print(json.dumps(out))
"""


def _toy(root: Path, package: str, *edit: str) -> None:
    for name, source in TOY.items():
        text = textwrap.dedent(source).replace("PACKAGE", package)
        if edit and name == edit[0]:
            assert edit[1] in text
            text = text.replace(edit[1], edit[2])
        path = root / package / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def _show(root: Path, package: str, *, mode: str = "show") -> dict[str, dict[str, Any]]:
    code = SHOW.replace("PACKAGE", package)
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, str(root), mode], cwd=ROOT, check=True, text=True,
        capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return {event["node"]: event for event in json.loads(done.stdout)}


def test_edits_of_code_move_exactly_what_reaches_them(tmp_path: Path) -> None:
    package = "toy_of_plan"
    _toy(tmp_path, package)
    _show(tmp_path, package, mode="run")
    for edit in (
        ("steps.py", "# only passes it on", "# said otherwise"),
        ("deeper.py", "UNUSED = 3", "UNUSED = 4"),
        ("deeper.py", "def factor():\n", 'def factor():\n    """Doc."""\n\n'),
    ):
        _toy(tmp_path, package, *edit)
        assert {e["state"] for e in _show(tmp_path, package).values()} == {"cached"}
    _toy(tmp_path, package, "steps.py", "read_bytes())", "read_bytes() + b'!')")
    states = {name: e["state"] for name, e in _show(tmp_path, package).items()}
    assert states == {"first": "cached", "second": "will run"}
    _toy(tmp_path, package, "deeper.py", "FACTOR = 2", "FACTOR = 5")
    found = _show(tmp_path, package)
    assert found["first"]["why"] == [f"code: {package}.deeper:FACTOR (-1 +1 line)"]
    assert found["first"]["diff"] == {found["first"]["why"][0]: ["-FACTOR = 2", "+FACTOR = 5"]}
    assert found["second"]["state"] == "waits"


# ------------------------------------------------------------------------------- how it is shown


def test_text_mermaid_and_json(bench: Bench) -> None:
    bench.walk(chain(2))
    found = plan(chain(3, value=2), bench.store, Cuts(until=("n1",)))
    shown = FORMATS["text"](found).splitlines()
    assert shown[0].startswith("n0  will run  settings: value 1.0 -> 2.0   last time 0.0 s")
    assert shown[1].startswith("n1  waits for n0")
    assert shown[2] == "n2  left out"
    assert shown[3].startswith("3 nodes: 0 cached, 2 to run; about 0.0 s on ")
    cached = FORMATS["text"](plan(chain(2), bench.store)).splitlines()
    assert cached[0] == "n0  cached          4 B   just now, took 0.0 s"
    assert cached[-1] == "2 nodes: 2 cached, 0 to run."
    drawn = FORMATS["mermaid"](found)
    assert drawn.startswith('flowchart LR\n  n0["n0<br/>will run"]:::runs\n')
    assert "  n0 --> n1\n" in drawn
    *lines, sums = map(json.loads, FORMATS["json"](found).splitlines())
    assert (sums["event"], sums["runs"], sums["unknown"]) == ("plan", 2, 0)
    assert [line["state"] for line in lines] == ["will run", "waits", "left out"]
    assert lines[0] == as_event(found.nodes[0])
    assert lines[0]["estimate"]["seconds"] < 1
    assert lines[0]["estimate"]["how"] == "last time"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.44, "0.4 s"), (12.4, "12 s"), (190, "3 m 10 s"), (7500, "2 h 5 m")]
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert spoken(seconds) == text


LIGHT = """
import sys, time
from pathlib import Path
from cluster.storage import open_store
from pipelines.graph.plan import plan
from pipelines.graph.run import walk
from tests.pipelines.graph.bodies import wide
store = open_store(sys.argv[1])
if sys.argv[2] == "run":
    from cluster.call import InProcessExecutor
    print(walk(wide(200), store=store, executor=InProcessExecutor(), emit=lambda e: None).status)
else:
    began = time.process_time()
    assert {p.state for p in plan(wide(200), store).nodes} == {"cached"}
    assert walk(wide(200), store=store, executor=None, emit=lambda e: None).status == "done"
    print(time.process_time() - began)
heavy = {"torch", "ray", "mlflow", "numpy", "pyarrow"} & set(sys.modules)
assert not heavy, heavy
"""


def test_two_hundred_finished_nodes_are_looked_up_without_ray_or_torch(tmp_path: Path) -> None:
    def go(mode: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", LIGHT, str(tmp_path / "store"), mode], cwd=ROOT, check=True,
            text=True, capture_output=True,
        ).stdout  # fmt: skip

    assert go("run").strip() == "done"
    assert float(go("look")) < 1.5  # CPU seconds for a plan and a walk; 0.25 measured


def test_a_code_object_is_shared_by_nodes_of_one_function(bench: Bench) -> None:
    code = Code()
    plan(bodies.wide(50), bench.store, code=code)
    assert len(code._closures) == 1


def test_two_outputs_one_plan(bench: Bench) -> None:
    shared = Node(name="shared", fn=bodies.add, cfg=Number(), makes=FILES)
    graph = Graph(nodes=(node("a", shared), node("b", shared), shared), recipe="r")
    assert list(_states(plan(graph, bench.store))) == ["shared", "a", "b"]
