"""Every way a page can be wrong, with the message a user reads kept in tests/golden/errors."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.settings.problems import SettingsError
from pipelines.settings.reading import read
from tests.pipelines.settings.example import PAGE, Example
from tests.pipelines.settings.golden import same
from tests.pipelines.settings.nobody import nobody

Refused = Callable[..., None]


@pytest.fixture
def refused(tmp_path: Path, write_golden: bool) -> Refused:
    """Return a check: this page is refused in the words of this golden."""

    def check(page: str | bytes | Path, *, golden: str, overrides: tuple[str, ...] = ()) -> None:
        path = page if isinstance(page, Path) else tmp_path / "page.yaml"
        if not isinstance(page, Path):
            path.write_bytes(page if isinstance(page, bytes) else page.encode())
        with pytest.raises(SettingsError, match="problem") as caught:
            read(path, overrides, schema=Example)
        same(str(caught.value), as_file=f"errors/{golden}.txt", folder=tmp_path, write=write_golden)

    return check


def test_B01_unknown_key(refused: Refused) -> None:
    page = PAGE.replace("lr:", "lrr:") + "oops: 1\nstage1: {steps: 1, flipp: true}\n"
    refused(page, golden="B01_unknown_key")


def test_B02_required_key_missing(refused: Refused) -> None:
    refused("many: [{width: 1}]\nstage2: {lr: .1}\n", golden="B02_required_key_missing")


def test_B03_wrong_type(refused: Refused) -> None:
    page = PAGE.replace("steps: 300", 'steps: "12"').replace("[32, 48]", "[true, 1.5, x]")
    page = page.replace("2e-3", "'.1'") + "stage1: {steps: true, flip: 1}\nplaces: [1]\n"
    refused(page, golden="B03_wrong_type")


def test_B04_out_of_range(refused: Refused) -> None:
    page = PAGE.replace("300", "0").replace("2e-3", "2") + "order: both\nspan: {low: .inf}\n"
    refused(page.replace("[{kind: small}, {kind: deep}]", "[]"), golden="B04_out_of_range")


def test_B05_unknown_kind(refused: Refused) -> None:
    page = PAGE.replace("{kind: small}, {kind: deep}", "{kind: smal}, {kind: 3}, deep")
    refused(page.replace("depth: 50", "width: 50"), golden="B05_unknown_kind")


def test_B06_duplicate_key(refused: Refused) -> None:
    page = PAGE + "recipe: example\nplaces: {a: {width: 1, width: 2}}\n"
    refused(page, golden="B06_duplicate_key")


def test_B07_tag(refused: Refused) -> None:
    page = "recipe: !!python/object/apply:os.system [id]\nstage2: !mine {steps: 1}\n"
    refused(page, golden="B07_tag")


def test_B08_anchor_and_alias(refused: Refused) -> None:
    refused("recipe: &one example\nname: *one\n", golden="B08_anchor_and_alias")


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("empty", b""),
        ("only_a_comment", b"# nothing\n"),
        ("list", b"- recipe: example\n"),
        ("scalar", b"example\n"),
        ("binary", b"recipe: \x00\x01\n"),
        ("not_utf8", "recipe: example\nname: \xe9t\xe9\n".encode("latin-1")),
        ("tab", b"recipe: example\nstage2:\n\tsteps: 1\n"),
        ("open_bracket", b"recipe: example\nstage2: {steps: 1\n"),
        ("two_documents", b"recipe: example\n---\nrecipe: example\n"),
        ("key_is_a_list", b"recipe: example\n? [a, b]\n: 1\n"),
    ],
)
def test_B09_not_a_page(refused: Refused, name: str, page: bytes) -> None:
    refused(page, golden=f"B09_{name}")


def test_B10_words_that_yaml_misreads(refused: Refused) -> None:
    page = PAGE.replace('["fine:red striped carp"]', "[no, 010, 12:30, 2024-01-02, 7, null, 1_0]")
    refused(page.replace("300", "010"), golden="B10_words_that_yaml_misreads")


def test_B11_folder(refused: Refused, tmp_path: Path) -> None:
    refused(tmp_path, golden="B11_folder")


def test_B11_json(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "page.json").write_text("{}")
    refused(tmp_path / "page.json", golden="B11_json")


def test_B11_not_readable(tmp_path: Path, write_golden: bool) -> None:
    (tmp_path / "shut.yaml").write_text(PAGE)
    (tmp_path / "shut.yaml").chmod(0)
    with nobody(tmp_path), pytest.raises(SettingsError, match="problem") as raised:
        read(tmp_path / "shut.yaml", (), schema=Example)
    golden = "errors/B11_not_readable.txt"
    same(str(raised.value), as_file=golden, folder=tmp_path, write=write_golden)


def test_B12_no_such_page(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(PAGE)
    refused(tmp_path / "pag.yaml", golden="B12_no_such_page")


def test_B13_fields_that_contradict(refused: Refused) -> None:
    page = PAGE.replace("lr: 2e-3", "scale: [2, 1]") + "span: {low: 2, high: 1}\n"
    refused(page, golden="B13_fields_that_contradict")


def test_B14_variable(refused: Refused) -> None:
    refused(PAGE + "name: ${HOME}/x\n", golden="B14_variable")


def test_B15_too_long(refused: Refused) -> None:
    refused(PAGE + "#" * 1_000_000, golden="B15_too_long")


@pytest.mark.parametrize("depth", [33, 100_000])
def test_B15_too_deep(refused: Refused, depth: int) -> None:
    refused("recipe: " + "[" * depth, golden="B15_too_deep")


def test_B17_overrides(refused: Refused) -> None:
    given = (
        "stage2",
        "=3",
        "stage2=3",
        "stage2.stepss=3",
        "stage2.steps.x=3",
        "many.7.width=3",
        "many.x.width=3",
        "stage2.lr=1",
        "stage2.lr=2",
        "name=[",
        "order=both",
        "span.low=&a 1",
    )
    refused(PAGE, golden="B17_overrides", overrides=given)
