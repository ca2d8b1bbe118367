"""What a job takes along: code and one page; never a secret, a link or what git ignores."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from cluster.parcel import MOST_BYTES, PACKAGES, ParcelError, pack
from pipelines.runs.loading import load
from pipelines.runs.submission import submission_of
from tests.pipelines.runs import tiny

ROOT = Path(__file__).parents[2]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A small checkout with things in it that must stay."""
    for package in PACKAGES:
        (tmp_path / package / "inner").mkdir(parents=True)
        (tmp_path / package / "__init__.py").write_text(f'"""{package}."""')
        (tmp_path / package / "inner" / "code.py").write_text("x = 1")
    for name in (".env", "cluster/key.pem", "cluster/id.key", "pipelines/.env.py.bak", "data.csv"):
        (tmp_path / name).write_text("secret")
    (tmp_path / "pipelines" / "__pycache__").mkdir()
    (tmp_path / "pipelines" / "__pycache__" / "code.cpython-311.py").write_text("old")
    (tmp_path / "secret.py").write_text("secret")
    (tmp_path / "cluster" / "link.py").symlink_to(tmp_path / "secret.py")
    (tmp_path / "cluster" / "linked").symlink_to(tmp_path / "components")
    return tmp_path


def _git(house: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(house), *words], check=True, capture_output=True)


CODE = {f"{p}/{name}" for p in PACKAGES for name in ("__init__.py", "inner/code.py")}
MADE = {"config.yaml", "vocabox-0.1.0.dist-info/METADATA"}


@pytest.mark.parametrize("git", ["with git", "without"])
def test_code_goes_and_nothing_else(house: Path, git: str) -> None:
    if git == "with git":
        _git(house, "init", "-q")
        (house / ".gitignore").write_text("__pycache__/\nmine.py\n")
        _git(house, "add", "-A")
        (house / "pipelines" / "new.py").write_text("not added yet")
        (house / "pipelines" / "mine.py").write_text("ignored")
        (house / "components" / "inner" / "code.py").unlink()
    extra = {"pipelines/new.py"} if git == "with git" else set[str]()
    gone = {"components/inner/code.py"} if git == "with git" else set[str]()
    assert set(pack("page", root=house).files) == (CODE | MADE | extra) - gone


def test_what_is_unpacked_is_what_was_listed(house: Path, tmp_path: Path) -> None:
    parcel, place = pack("page: 1\n", root=house), tmp_path / "there"
    parcel.unpack(place)
    found = {str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()}
    assert found == set(parcel.files)
    assert (place / "config.yaml").read_text() == "page: 1\n"
    assert sum((place / name).stat().st_size for name in found) == parcel.size
    assert parcel.listing()[-1].split()[0] == f"{parcel.size:,}"
    assert pack("page: 1\n", root=house).digest == parcel.digest
    assert pack("page: 2\n", root=house).digest != parcel.digest
    (house / "cluster" / "inner" / "code.py").write_text("x = 2")
    assert pack("page: 1\n", root=house).digest != parcel.digest


def test_too_much_is_refused_and_what_is_large_is_named(house: Path) -> None:
    (house / "pipelines" / "table.js").write_bytes(b"x" * MOST_BYTES)
    with pytest.raises(ParcelError, match=r"at most 10,485,760 bytes .* pipelines/table.js"):
        pack("page", root=house)


def test_a_house_without_its_packages_is_refused(house: Path) -> None:
    shutil.rmtree(house / "components")
    with pytest.raises(ParcelError, match="must hold components/; got none"):
        pack("page", root=house)


def test_our_own_house_is_small_enough() -> None:
    parcel = pack("page")
    assert 200 < len(parcel.files) < 1000
    assert parcel.size < MOST_BYTES / 4
    assert not [name for name in parcel.files if name.startswith("tests")]


def test_the_resolved_page_gives_the_same_settings_and_run(tmp_path: Path) -> None:
    page = tiny.page(tmp_path)
    loaded = load(page, ("stage1.lr=1e-3", "stage2.steps=7"))
    sent = submission_of(loaded, store="store")
    text = sent.parcel.files["config.yaml"]
    there = tmp_path / "there" / "config.yaml"
    there.parent.mkdir()
    there.write_bytes(text)
    assert yaml.safe_load(text)["stage2"]["steps"] == 7
    again = load(there, (), root=loaded.root)
    assert again.digest == loaded.digest, "else a run here and a job there would not be one run"
    assert again.cfg == loaded.cfg


def test_every_shipped_page_survives_being_resolved(tmp_path: Path) -> None:
    loaded = load(ROOT / "configs" / "first_run.yaml")
    text = submission_of(loaded, store="store").parcel.files["config.yaml"]
    (tmp_path / "config.yaml").write_bytes(text)
    assert load(tmp_path / "config.yaml", (), root=loaded.root).digest == loaded.digest
