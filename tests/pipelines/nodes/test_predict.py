import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from components.data.augment import canvas_of
from components.data.views import PlainView
from components.eval.infer import infer
from components.train.checkpoint import STAGE1_PARTS
from components.vocab.classes import Vocabulary
from pipelines.cli.entry import main
from pipelines.nodes import predict as room
from pipelines.nodes.predict import Predicted, _asked, predict
from pipelines.settings.problems import SettingsError
from tests.components.eval.small_world import SIZE, detector, model, picture, shards

KEYS = {"image_id", "file_name", "category_id", "category_name", "bbox", "score"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A model, and a folder of six pictures: one upright, one small, one broken, one empty."""
    model(tmp_path / "model")
    for i, (width, height) in enumerate(((90, 40), (30, 70), (8, 8), (64, 64))):
        picture(tmp_path / "photos" / f"p{i}.png", width=width, height=height, seed=i)
    whole = picture(tmp_path / "photos" / "deep" / "cut.jpg").read_bytes()
    (tmp_path / "photos" / "deep" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "photos" / "empty.jpg").write_bytes(b"")
    return tmp_path


def call(place: Path, pictures: list[Path], **how: Any) -> Predicted:
    given = {"out": place / "out.json", "draw": None, "score": 0.1, "top": 7} | how
    return predict(place / "model", pictures=pictures, say=lambda done, total: None, **given)


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_boxes_lie_in_their_pictures_and_bad_pictures_are_named(place: Path) -> None:
    pictures = sorted(p for p in (place / "photos").rglob("*") if p.is_file())
    told: list[tuple[int, int]] = []
    given = {"out": place / "out.json", "draw": place / "drawn", "score": 0.0, "top": 7}
    made = predict(
        place / "model", pictures=pictures, say=lambda *t: told.append(t), **given  # type: ignore[arg-type]
    )  # fmt: skip
    rows = json.loads((place / "out.json").read_text())
    assert (made.pictures, made.boxes) == (4, len(rows))
    assert [p.name for p, _ in made.bad] == ["cut.jpg", "empty.jpg"]
    assert all(reason for _, reason in made.bad)
    assert told[0] == (0, 6)
    assert told[-1] == (6, 6)
    known = Vocabulary.read(place / "model" / "vocabulary.json")
    for row in rows:
        assert set(row) == KEYS
        path = pictures[row["image_id"] - 1]
        assert row["file_name"] == str(path)
        assert row["category_name"] == known.ids[row["category_id"] - 1]
        with Image.open(path) as image:
            x, y, w, h = row["bbox"]
            assert min(x, y) >= 0
            assert min(w, h) > 0
            assert x + w <= image.width + 1e-3
            assert y + h <= image.height + 1e-3
    for image_id in {row["image_id"] for row in rows}:
        scores = [row["score"] for row in rows if row["image_id"] == image_id]
        assert 0 < len(scores) <= 7
        assert scores == sorted(scores, reverse=True)
    drawn = {f"{p.stem}_{i}.jpg" for i, p in enumerate(pictures, 1) if p.suffix == ".png"}
    assert set(files(place / "drawn")) == drawn
    with Image.open(place / "drawn" / f"p0_{pictures.index(place / 'photos/p0.png') + 1}.jpg") as i:
        assert i.size == (360, 160)


def test_it_finds_what_the_evaluation_finds(tmp_path: Path) -> None:
    packed = shards(tmp_path, (("fine:dog",), (), ("fine:cat",), (), ("fine:owl",)))
    model(tmp_path / "model")
    ids = Vocabulary.read(tmp_path / "model" / "vocabulary.json").ids
    found = infer(detector(), packed, ids=ids, size=SIZE, batch=5, top=7, floor=1e-4,
                  task="scenes", classes="regions", say=lambda n: None).detections  # fmt: skip
    call(tmp_path, [tmp_path / "pictures" / f"{i}.jpg" for i in range(5)])
    rows = json.loads((tmp_path / "out.json").read_text())
    assert [row["image_id"] - 1 for row in rows] == found.image.tolist()
    assert [row["category_id"] - 1 for row in rows] == found.category.tolist()
    np.testing.assert_allclose([row["score"] for row in rows], found.score, rtol=1e-3)
    corners = np.array([[x, y, x + w, y + h] for x, y, w, h in (row["bbox"] for row in rows)])
    np.testing.assert_allclose(corners, found.boxes, atol=2e-2)


def test_only_bad_pictures_leave_nothing_behind(place: Path) -> None:
    before = sorted(place.iterdir())
    made = call(place, [place / "photos" / "empty.jpg", place / "gone.jpg"], draw=place / "drawn")
    assert sorted(place.iterdir()) == before
    assert made.pictures == made.boxes == 0
    assert dict(made.bad)[place / "gone.jpg"] == "no such file"


def test_boxes_below_the_score_are_written_but_not_drawn(place: Path) -> None:
    photo = place / "photos" / "p3.png"
    pixels: list[np.ndarray] = []
    for score in (0.0, 1.0):
        made = call(place, [photo], out=place / "o.json", draw=place / f"d{score}", score=score)
        assert (made.boxes, made.bare) == (7, int(score))
        with Image.open(place / f"d{score}" / "p3_1.jpg") as drawn:
            pixels.append(np.asarray(drawn).astype(int))
    with Image.open(photo) as plain:
        enlarged = np.asarray(plain.resize(pixels[0].shape[1::-1], 0)).astype(int)
    worst = [abs(drawn - enlarged).max() for drawn in pixels]  # what JPEG does, or a box
    assert worst[1] < 50 < worst[0]


def test_only_classes_of_a_level_are_named(place: Path) -> None:
    pictures = [place / "photos" / "p0.png"]
    call(place, pictures, score=0.0, top=100)
    every = json.loads((place / "out.json").read_text())
    call(place, pictures, score=0.0, top=100, level="coarse")
    coarse = json.loads((place / "out.json").read_text())
    known = Vocabulary.read(place / "model" / "vocabulary.json").ids
    assert {known[row["category_id"] - 1].partition(":")[0] for row in every} > {"coarse"}
    assert coarse == [row for row in every if known[row["category_id"] - 1].startswith("coarse:")]
    assert coarse
    with pytest.raises(SettingsError) as found:
        call(place, pictures, level="gross")
    (problem,) = found.value.problems
    assert str(problem) == "--level: no class has it; got gross. Name one of coarse, fine."
    bare = Vocabulary.of([*(f"thing{i:04}" for i in range(2000)), "this:a"])
    with pytest.raises(SettingsError) as found:
        _asked(bare, "gross")
    (problem,) = found.value.problems
    assert str(problem) == (
        "--level: no class has it; got gross. Name one of this, thing0000, thing0001 and 1998 more."
    )


def test_equal_calls_write_equal_bytes(place: Path) -> None:
    pictures = sorted((place / "photos").glob("p*"))
    for name in ("a.json", "b.json"):
        call(place, pictures, out=place / name)
    assert (place / "a.json").read_bytes() == (place / "b.json").read_bytes()


def test_no_picture_and_outputs_on_top_of_pictures_are_refused(place: Path) -> None:
    with pytest.raises(SettingsError, match="IMAGES: no picture"):
        call(place, [])
    photo = picture(place / "photos" / "a_1.jpg")
    clash = picture(place / "photos" / "a.jpg")
    before = photo.read_bytes()
    with pytest.raises(SettingsError, match=r"--draw: would replace a picture; got .*a_1.jpg"):
        call(place, [clash, photo], draw=place / "photos")
    with pytest.raises(SettingsError, match="--out: would replace a picture"):
        call(place, [photo], out=place / "photos" / ".." / "photos" / "a_1.jpg")
    assert photo.read_bytes() == before


def test_a_classifier_cannot_find_boxes(place: Path) -> None:
    shutil.rmtree(place / "model")
    model(place / "model", parts=STAGE1_PARTS)
    with pytest.raises(SettingsError, match="trained to classify, not to find boxes"):
        call(place, [place / "photos" / "p0.png"])


@pytest.mark.parametrize("there", [False, True])
def test_an_interrupted_call_leaves_what_was_there(place: Path, there: bool) -> None:
    pictures = [picture(place / "many" / f"{i}.png", seed=i) for i in range(9)]
    out, drawn = place / "out.json", place / "drawn"
    if there:
        out.write_text("before")
        drawn.mkdir()
        (drawn / "mine.txt").write_text("mine")
    before = files(place)

    def interrupt(done: int, total: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(place / "model", pictures=pictures, out=out, draw=drawn, score=0, top=5,
                say=interrupt)  # fmt: skip
    assert files(place) == before
    assert not there or out.read_text() == "before"
    made = call(place, pictures, draw=drawn)
    assert made.pictures == 9
    assert len(list(drawn.glob("*.jpg"))) == 9
    assert [p.name for p in drawn.glob("*.txt")] == ["mine.txt"] * there
    assert not list(place.rglob("*.half"))


def test_pictures_go_through_a_few_at_a_time(place: Path, monkeypatch: Any) -> None:
    sizes: list[int] = []
    found = room._found

    def counted(detector: Any, batch: list[Any], **how: Any) -> Any:
        sizes.append(len(batch))
        return found(detector, batch, **how)

    monkeypatch.setattr(room, "_found", counted)
    pictures = sorted((place / "photos").glob("*.*"))  # the first is empty
    made: list[list[dict[str, Any]]] = []
    for size in (1, 2):
        monkeypatch.setattr(room, "BATCH", size)
        call(place, pictures)
        made.append(json.loads((place / "out.json").read_text()))
    assert sizes == [1, 1, 1, 1, 1, 2, 1]
    assert [row["image_id"] for row in made[0]] == [row["image_id"] for row in made[1]]
    for one, two in zip(*made, strict=True):
        assert one["bbox"] == pytest.approx(two["bbox"], abs=1e-2)


def test_a_batch_is_shown_as_the_evaluation_shows_it(place: Path) -> None:
    tall = np.zeros((90, 33, 3), np.uint8)
    network = detector()
    read = room._Read(image_id=1, path=Path("x"), pixels=tall)
    batch, (view,) = room._shown(network, [read], size=SIZE)
    side = canvas_of(PlainView(size=SIZE, pad_to=network.row.pad_to), seed=0, step=0)
    assert batch.image.shape == (1, side, side, 3)
    assert batch.image_size.tolist() == [[64, 23]]
    assert view[1, 1] == pytest.approx(64 / 90)
    assert replace(batch).row.tolist() == [0]


def vocabox(*words: object) -> Any:
    return CliRunner().invoke(main, [str(w) for w in words])  # type: ignore[arg-type]


def test_the_command_takes_patterns_and_keeps_what_is_there(place: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(place)
    store = place / "store" / "runs" / "joint-1"
    store.mkdir(parents=True)
    (place / "model").rename(store / "model")
    words = ["predict", "joint-1", "photos/p*.png", "photos/empty.jpg", "--store", "store"]
    first = vocabox(*words, "--json")
    assert first.exit_code == 0, first.output
    said = json.loads(first.stdout.splitlines()[-1])
    assert said["pictures"] == 4
    assert [bad["picture"] for bad in said["bad"]] == ["photos/empty.jpg"]
    assert len(json.loads(Path("detections.json").read_text())) == said["boxes"]
    again = vocabox(*words)
    assert again.exit_code == 2
    assert "is there already, and is kept" in again.stderr
    drawn = vocabox(*words, "--overwrite", "--draw", "drawn", "--score", "1")
    assert drawn.exit_code == 0
    assert "drawn with score >= 1: drawn; 4 have no such box, see --score" in drawn.stdout
    assert len(files(Path("drawn"))) == 4
    nothing = vocabox("predict", "joint-1", "photos/*.tif", "--store", "store", "--out", "o.json")
    assert nothing.exit_code == 2
    assert "a pattern that matches no file" in nothing.stderr
    assert not Path("o.json").exists()


def test_names_that_would_move_a_cursor_and_links_to_themselves(place: Path) -> None:
    photos = place / "odd"
    photos.mkdir()
    picture(photos / "a\x1b[31m\u202eb.png")
    (photos / "loop.png").symlink_to("loop.png")
    done = call(place, sorted(photos.iterdir()), draw=place / "drawn", score=0.0)
    assert done.pictures == 1
    assert [path.name for path, _ in done.bad] == ["loop.png"]
    assert [path.name for path in (place / "drawn").iterdir()] == ["a_[31m_b_1.jpg"]
