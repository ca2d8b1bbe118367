"""A training stopped at any step and gone on from its snapshot ends with the same bits."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from components.models.choices import Small, Stage1, Stage2
from components.models.two_stage import Detector, build
from components.shapes import NotFiniteError
from components.train.loop import Fit, Start, Step, fit
from components.train.objective import for_classify, for_joint, idle_parts
from components.train.optimizer import freeze, optimizer_for
from components.train.snapshot import Snapshots
from components.train.snapshot_folders import newest
from components.train.tensors import WeightsError
from components.vocab.classes import Vocabulary
from tests.components.train.forked import run_forked
from tests.components.train.rectangles import CLASSES, steps

ALL = Vocabulary.of(f"fine:{i}" for i in range(CLASSES))
STEPS, EVERY, SAY = 6, 2, 3
COUNTS = {"classify": (0, 4), "joint": (2, 4)}


class KilledError(Exception):
    """What stops the training in these tests."""


def _digest(model: Detector) -> str:
    found = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        found.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return found.hexdigest()


def train(
    objective: str,
    root: Path,
    *,
    stop: int = STEPS,
    every: int = EVERY,
    rank: int = 0,
    world: int = 1,
    wrap: Callable[..., Any] = lambda module: module,
    forget: str = "",
) -> dict[str, Any]:
    """Train up to `stop` steps, from the newest snapshot in `root` if there is one."""
    torch.manual_seed(99 + stop)  # what a new process would have drawn
    model = build(Small(), boxed=ALL, labelled=ALL, seed=0)
    stage = Stage1() if objective == "classify" else Stage2(image_weight=0.1)
    freeze(idle_parts(model, objective, photos=True))
    kept = Snapshots(root=root, plan="order", rank=rank, world=world)
    whole = newest(root, aside=lambda folder, wrong: None)
    found = None if whole is None else kept.load(whole.folder, model)
    start = Start() if found is None else Start(step=found.step, window=found.window)
    module = wrap(Step(model, {"classify": for_classify, "joint": for_joint}[objective](stage)))
    optimizer = optimizer_for(
        model, trunk=model.trunk, lr=2e-3, backbone_lr=1e-3, weight_decay=0.02
    )
    if found is not None and forget != "optimizer":
        found.fill(optimizer)
    said: list[dict[str, float]] = []

    def batches() -> Any:
        scenes, photos = COUNTS[objective]
        for step, one in enumerate(
            steps(
                first=start.step, last=STEPS, scenes=scenes, photos=photos, rank=rank, world=world
            ),
            start=start.step,
        ):
            if step == stop:
                raise KilledError
            yield one

    try:
        fit(
            module,
            batches=batches(),
            optimizer=optimizer,
            cfg=Fit(steps=STEPS, warmup=2, clip=5.0, seed=1, say_every=SAY, checkpoint_every=every),
            say=lambda step, values: said.append({"step": step, **values}),
            start=start,
            keep=lambda step, window: kept.save(step, model, optimizer, window),
        )
    except KilledError:
        return {}
    losses = [{k: v for k, v in s.items() if "perf" not in k} for s in said]
    drawn = torch.rand(3).tolist()
    return {"digest": _digest(model), "losses": losses, "from": start.step, "drawn": drawn}


@pytest.mark.parametrize("objective", list(COUNTS))
def test_gone_on_from_each_step_the_weights_and_the_curve_are_equal(
    objective: str, tmp_path: Path
) -> None:
    whole = train(objective, tmp_path / "whole")
    assert whole["from"] == 0
    for stop in range(1, STEPS):
        root = tmp_path / str(stop)
        train(objective, root, stop=stop)
        again = train(objective, root)
        assert again["from"] == stop // EVERY * EVERY
        assert again["digest"] == whole["digest"]
        assert again["losses"] == [s for s in whole["losses"] if s["step"] > again["from"]]


def test_without_the_optimizers_state_the_weights_differ(tmp_path: Path) -> None:
    whole = train("joint", tmp_path / "whole")
    train("joint", tmp_path / "stopped", stop=5)
    again = train("joint", tmp_path / "stopped", forget="optimizer")
    assert again["from"] == 4
    assert again["digest"] != whole["digest"]


def test_the_random_state_goes_on_too(tmp_path: Path) -> None:
    train("classify", tmp_path, stop=5)
    states = [train("classify", tmp_path)["drawn"] for _ in range(2)]
    assert states[0] == states[1]
    assert states[0] != train("classify", tmp_path / "other")["drawn"]


def test_two_workers_keep_and_go_on_alike(tmp_path: Path) -> None:
    def whole(*, rank: int, world: int, wrap: Any) -> Any:
        return train("joint", tmp_path / "whole", rank=rank, world=world, wrap=wrap)

    def stopped(*, rank: int, world: int, wrap: Any) -> Any:
        root = tmp_path / "stopped"
        return train("joint", root, stop=5, rank=rank, world=world, wrap=wrap)

    def again(*, rank: int, world: int, wrap: Any) -> Any:
        return train("joint", tmp_path / "stopped", rank=rank, world=world, wrap=wrap)

    one, _, two = (
        run_forked(fn, world=2, folder=tmp_path, name=fn.__name__) for fn in (whole, stopped, again)
    )
    assert two["from"] == 4
    assert one["digest"] == two["digest"]
    kept = newest(tmp_path / "stopped", aside=lambda folder, wrong: None)
    assert kept is not None
    ranks = sorted(path.name for path in kept.folder.glob("rank*"))
    assert ranks == ["rank00000.safetensors", "rank00001.safetensors"]


def test_a_snapshot_of_another_training_is_refused(tmp_path: Path) -> None:
    train("joint", tmp_path, stop=3)
    found = newest(tmp_path, aside=lambda folder, wrong: None)
    assert found is not None
    model = build(Small(), boxed=ALL, labelled=ALL)
    with pytest.raises(WeightsError, match=r"another training; got plan 'order', not 'other'"):
        Snapshots(root=tmp_path, plan="other").load(found.folder, model)


def test_weights_that_are_not_finite_are_not_kept(tmp_path: Path) -> None:
    train("joint", tmp_path, stop=3)
    before = {p.name: p.read_bytes() for p in (tmp_path / "step00000002").iterdir()}
    model = build(Small(), boxed=ALL, labelled=ALL)
    optimizer = optimizer_for(model, trunk=model.trunk, lr=1, backbone_lr=1, weight_decay=0)
    with torch.no_grad():
        model.refine.bias[0] = torch.inf
    with pytest.raises(NotFiniteError, match=r"after step 3: not finite; got model/refine.bias"):
        Snapshots(root=tmp_path, plan="order").save(4, model, optimizer, {})
    assert [p.name for p in tmp_path.iterdir()] == ["step00000002"]
    assert {p.name: p.read_bytes() for p in (tmp_path / "step00000002").iterdir()} == before


def test_a_snapshot_holds_no_pickle(tmp_path: Path) -> None:
    train("joint", tmp_path, stop=3)
    names = sorted(p.name for p in (tmp_path / "step00000002").iterdir())
    assert names == ["digests.json", "rank00000.safetensors", "state.json", "state.safetensors"]
    place = json.loads((tmp_path / "step00000002" / "state.json").read_text())
    assert place["step"] == 2
    assert place["window"]["steps"] == 2
