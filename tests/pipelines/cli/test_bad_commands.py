"""Every way a command line can be wrong, with the message kept in tests/golden/errors."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.storage import open_store
from pipelines.settings.yaml_door import parse
from tests.pipelines.cli.small import call, page, work
from tests.pipelines.settings.golden import same
from tests.pipelines.settings.nobody import nobody

Refused = Callable[..., None]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def refused(tmp_path: Path, write_golden: bool, monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Return a check: these command lines end with 2 and these words, and write nothing."""
    monkeypatch.chdir(tmp_path)

    def check(*lines: str, golden: str) -> None:
        before = sorted(tmp_path.rglob("*"))
        said: list[str] = []
        for line in lines:
            with work():
                result = call(*line.split())
            assert result.exit_code == 2, f"{line}: {result.output}"
            assert result.stdout == ""
            said.append(f"$ vocabox {line}\n{result.stderr}")
        assert sorted(tmp_path.rglob("*")) == before
        text = "".join(said)
        same(text, as_file=f"errors/{golden}.txt", folder=tmp_path, write=write_golden)

    return check


def test_B12_a_path_in_a_page_that_is_not_there(tmp_path: Path, write_golden: bool) -> None:
    page_of_own = tmp_path / "own_data.yaml"
    page_of_own.write_text((ROOT / "configs" / "own_data.yaml").read_text())
    result = call("check", str(page_of_own))
    assert result.exit_code == 2
    golden = "errors/B12_a_path_in_a_page_that_is_not_there.txt"
    same(result.stderr, as_file=golden, folder=tmp_path, write=write_golden)


def test_B16_unknown_command_or_flag(refused: Refused, tmp_path: Path) -> None:
    page(tmp_path)
    refused(
        "rnu page.yaml",
        "zzz",
        "data shw",
        "--versoin",
        "run page.yaml --stroe x",
        "run page.yaml --until",
        "run",
        "show page.yaml --format yaml",
        "predict m x --score 2",
        "predict m x --score nan",
        "run page.yaml --take-over-after nan",
        "run page.yaml --wait-for-nodes nan",
        "store gc --grace nan",
        "predict m x --top many",
        golden="B16_unknown_command_or_flag",
    )


def test_B17_override(refused: Refused, tmp_path: Path) -> None:
    page(tmp_path)
    refused(
        "run page.yaml stage2.stpes=3 stage2 backbone=1",
        "check page.yaml stage3.steps=1",
        golden="B17_override",
    )


def test_B18_unknown_node(refused: Refused, tmp_path: Path) -> None:
    page(tmp_path)
    refused(
        "run page.yaml --until stage3",
        "run page.yaml --from nothing",
        "show page.yaml --only drw",
        "run page.yaml --force stage2 --until draw",
        "run page.yaml --force stage9",
        golden="B18_unknown_node",
    )


def test_B19_store(refused: Refused, tmp_path: Path) -> None:
    page(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    refused(
        "run page.yaml --store ftp://host/x",
        "run page.yaml --store gcs://bucket/x",
        "run page.yaml --store s3:///x",
        "run page.yaml --store s3://me:word@bucket/x",
        "run page.yaml --store file",
        "run page.yaml --store file/below",
        "run page.yaml --store full",
        "show page.yaml --store ftp://host/x",
        golden="B19_store",
    )


def test_B19_store_that_may_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_golden: bool
) -> None:
    page(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shut").mkdir(mode=0o555)
    with work(), nobody(tmp_path):
        result = call("run", "page.yaml", "--store", "shut/store")
    assert result.exit_code == 2
    golden = "errors/B19_store_that_may_not_be_written.txt"
    same(result.stderr, as_file=golden, folder=tmp_path, write=write_golden)


def test_a_store_that_may_only_be_read_is_shown(tmp_path: Path) -> None:
    store, config = tmp_path / "store", page(tmp_path)
    open_store(str(store))
    store.chmod(0o555)
    with work(), nobody(tmp_path):
        shown = call("show", config, "--store", str(store))
        refused = call("run", config, "--store", str(store))
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.startswith("draw    will run  never run under this name\n")
    assert refused.exit_code == 2


def test_B20_address(refused: Refused, tmp_path: Path) -> None:
    page(tmp_path)
    refused(
        "run page.yaml --address lokal",
        "run page.yaml --address host:port",
        "run page.yaml --address host:99999",
        "run page.yaml --address ray://host:10001",
        golden="B20_address",
    )


def test_B21_predict(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("")
    (tmp_path / ".vocabox" / "runs" / "joint-1" / "model").mkdir(parents=True)
    refused(
        "predict joint-2 no.jpg empty *.png",
        "predict empty empty --store elsewhere",
        golden="B21_predict",
    )


def test_B22_out(refused: Refused, tmp_path: Path) -> None:
    _model(tmp_path)
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn" / "a.jpg").write_text("")
    (tmp_path / "there.json").write_text("mine")
    refused(
        "predict model photo.jpg --out drawn",
        "predict model photo.jpg --out lost/there.json",
        "predict model photo.jpg --out there.json --draw drawn",
        "predict model photo.jpg --draw there.json",
        "predict model photo.jpg --draw lost/drawn",
        golden="B22_out",
    )
    assert (tmp_path / "there.json").read_text() == "mine"


def test_problems_of_settings_and_places_come_together(tmp_path: Path) -> None:
    with work():
        result = call(
            "run", page(tmp_path), "stage2.lr=5", "--store", "ftp://x/y", "--address", "here"
        )
    assert result.exit_code == 2
    for word in ("3 problems", "stage2.lr", "ftp", "--address"):
        assert word in result.stderr


def test_a_program_reads_the_problems(tmp_path: Path) -> None:
    with work():
        result = call("check", page(tmp_path), "stage2.lr=5", "oops=1", "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["problem", "problem", "finished"]
    assert all(line["v"] == 1 for line in lines)
    assert set(lines[0]) == {"v", "event", "where", "what", "got", "do"}
    assert lines[2]["problems"] == 2
    assert result.exit_code == 2


def test_the_example_page_itself_is_right(tmp_path: Path) -> None:
    assert parse(Path(page(tmp_path)).read_text(), file="page.yaml").values["recipe"] == "example"


def _model(folder: Path) -> None:
    (folder / "model").mkdir()
    (folder / "model" / "model.json").write_text("{}")
    (folder / "photo.jpg").write_text("")
