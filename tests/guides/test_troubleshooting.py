"""Every message of the page on exit codes is one that the code makes, under that code."""

import re
from pathlib import Path

import pytest

from cluster.call import InProcessExecutor
from cluster.failures import EXIT, Budget, Fail, decide, failure_of
from cluster.lease import OwnedError, take
from cluster.ray_faults import fault_of
from cluster.storage import open_store
from components.data.decode import PictureError, decode
from pipelines.cli.ending import ending
from pipelines.graph.node import Graph
from pipelines.graph.run import walk
from tests.bad_inputs.pretended_head import pretended_head
from tests.guides.quoted import ROOT, blocks, unsaid
from tests.guides.test_guides import PAGE
from tests.pipelines.cli.small import Ended, Found, call, own_data, page, work
from tests.pipelines.graph import bodies

GUIDE = ROOT / "configs" / "TROUBLESHOOTING.md"
WRITTEN = {  # code -> where its words stand; runs that end so are made by other tests
    3: ["pipelines/graph/record.py"],
    4: ["cluster/store_errors.py", "cluster/patience.py"],
    6: ["components/train/loop.py", "components/train/job.py"],
}


def quotes_are_said(code: int, said: str) -> None:
    told = [b for b in blocks(GUIDE, "text") if b.section.startswith(f"{code}: ")]
    assert told, f"no message under {code}"
    assert [line for block in told for line in unsaid(block.text, said)] == [], said


def told(status: str, **about: object) -> str:
    ended = Ended(status=status, run="joint-1", **about)  # type: ignore[arg-type]
    words = {"again": "vocabox run my_data/page.yaml", "show": "vocabox show my_data/page.yaml"}
    return "\n".join(ending(ended, **words, store=".vocabox"))


def test_the_page_has_every_code_and_no_other() -> None:
    text = GUIDE.read_text()
    heads = [int(code) for code in re.findall(r"^## (\d+): ", text, re.MULTILINE)]
    assert heads == sorted(EXIT.values())
    assert [int(code) for code in re.findall(r"^\| \[(\d+)\]", text, re.MULTILINE)] == heads
    readme = (ROOT / "README.md").read_text().split("## Exit codes\n")[1].partition("\n## ")[0]
    assert [int(code) for code in re.findall(r"(?:^|· ?)(\d+) ", readme, re.MULTILINE)] == heads


def test_0() -> None:
    nodes = {name: {"state": "done", "seconds": 4.0} for name in ("boxes", "stage2")}
    quotes_are_said(0, told("done", nodes=nodes, unsent=12))


def test_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(loaded: object, **how: object) -> Ended:
        raise RuntimeError("a fault that nobody foresaw")

    def nothing(model: Path, **how: object) -> Found:
        with pytest.raises(PictureError, match="begins with") as caught:
            decode(b"<html>")
        return Found(bad=[(Path("bad/holiday.jpg"), str(caught.value))])

    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.json").write_text("{}")
    (tmp_path / "holiday.jpg").write_text("<html>")
    with work(run=broken, predict=nothing):
        ended = [call("run", page(tmp_path)), call("predict", ".", "holiday.jpg")]
    assert [one.exit_code for one in ended] == [1, 1]
    said = "".join(one.output for one in ended)
    for log in re.findall(r"traceback is in (/\S+)\.", said):
        Path(log).unlink()
        said = said.replace(f"{Path(log).parent}/", "/tmp/")
    reason = failure_of(ValueError("boom"), where="stage2").text
    quotes_are_said(1, said + told("failed", code=1, reason=f"stage2: {reason}"))


def test_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own_data(tmp_path / "my_data")
    Path("my_data/test_fine.json").rename("my_data/test.json")
    Path("my_data/page.yaml").write_text(PAGE)
    open_store("store")
    Path("store/runs/joint-1").mkdir(parents=True)
    Path("store/runs/joint-1/config.json").write_text("{}")
    said = ""
    for line in (
        "check my_data/page.yaml stage2.lrr=1 stage2.steps=0",
        "check my_data/page.yaml sources.boxes.0.annotations=box.json",
        "check my_data/page.yaml sources.test.0.source.level=kind",
        "rnu",
        "status joint-7 --store store",
        "run my_data/page.yaml --address 127.0.0.1:1",
    ):
        result = call(*line.split())
        assert result.exit_code == 2
        said += result.output
    monkeypatch.setenv("RAY_AUTH_TOKEN", "8" * 64)
    with pretended_head(token="7" * 64) as head:
        said += call("status", "--address", head.url).output
    quotes_are_said(2, said)


@pytest.mark.parametrize("code", WRITTEN)
def test_words_of_rare_endings_stand_in_the_code(code: int) -> None:
    source = "".join((ROOT / place).read_text() for place in WRITTEN[code])
    source = re.sub(r'"\n\s*f?"', "", source)  # a text over several lines
    texts = [b.text for b in blocks(GUIDE, "text") if b.section.startswith(f"{code}: ")]
    pieces = [piece.strip() for text in texts for piece in re.split(r"\.\.\.|\n", text)]
    assert len(pieces) > 2
    assert [piece for piece in pieces if piece not in source] == []


def test_5(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    with take(store, "runs/joint-1"), pytest.raises(OwnedError) as caught:
        take(store, "runs/joint-1")
    assert decide(failure_of(caught.value, where=""), attempt=1, policy=Budget()) == Fail(
        str(caught.value), EXIT["owned"]
    )
    quotes_are_said(5, str(caught.value))


class WorkerCrashedError(Exception):
    """Named as Ray's is: names decide."""


class OutOfMemoryError(Exception):
    """Named as Ray's is: names decide."""


def test_7(tmp_path: Path) -> None:
    said = ""
    for error in (WorkerCrashedError("it is gone"), OutOfMemoryError("it was killed")):
        fault = fault_of(error, where="stage1")
        last = decide(fault, attempt=1 + Budget().retries, policy=Budget())
        assert isinstance(last, Fail)
        assert last.code == 7
        said += f"{last.why}\n"
    large = bodies.node("evaluate", run_on=bodies.RunOn(cpus=99))
    ended = walk(
        Graph(recipe="toy", nodes=(large,)), store=open_store(str(tmp_path / "store")),
        executor=InProcessExecutor(), emit=lambda _: None, wait_for_nodes_s=0.01,
    )  # fmt: skip
    assert ended.code == 7
    said += ended.nodes["evaluate"].error.text if ended.nodes["evaluate"].error else ""
    quotes_are_said(7, said)


@pytest.mark.parametrize("code", [75, 130])
def test_75_and_130(code: int) -> None:
    quotes_are_said(code, told("interrupted", code=code))
