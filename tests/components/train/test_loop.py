import math
import time
from pathlib import Path

import pytest
import torch

from components.models.choices import Small, Stage1, Stage2
from components.models.two_stage import build
from components.train.loop import METRICS, Fit, PreemptedError, Step, StepError, any_of, fit
from components.train.objective import for_classify, for_joint, idle_parts
from components.train.optimizer import freeze, optimizer_for
from components.vocab.classes import Vocabulary
from tests.components.train.forked import run_forked
from tests.components.train.rectangles import CLASSES, batch, steps

ALL = Vocabulary.of(f"fine:{i}" for i in range(CLASSES))
STEPS = 6  # twenty with Ray Train: tests/pipelines/nodes/test_two_train_workers.py
COUNTS = {"classify": (0, 5), "joint": (3, 5)}  # scenes, photos; two workers share unevenly


def _train(objective: str, *, rank: int, world: int, seed: int, wrap) -> dict:
    model = build(Small(), boxed=ALL, labelled=ALL, seed=0).double()
    stage = Stage1() if objective == "classify" else Stage2(image_weight=0.1)
    freeze(idle_parts(model, objective, photos=True))
    before = [p.detach().clone() for p in model.parameters() if p.requires_grad]
    module = wrap(Step(model, {"classify": for_classify, "joint": for_joint}[objective](stage)))
    optimizer = optimizer_for(
        model, trunk=model.trunk, lr=2e-3, backbone_lr=1e-3, weight_decay=0.02
    )
    scenes, photos = COUNTS[objective]
    said = []
    fit(
        module,
        batches=steps(first=0, last=STEPS, scenes=scenes, photos=photos, rank=rank, world=world),
        optimizer=optimizer,
        cfg=Fit(steps=STEPS, warmup=2, clip=5.0, seed=seed, say_every=1),
        say=lambda step, values: said.append(values),
    )
    after = [p.detach() for p in model.parameters() if p.requires_grad]
    moved = math.sqrt(
        sum(float((a - b).square().sum()) for a, b in zip(after, before, strict=True))
    )
    norm = math.sqrt(sum(float(b.square().sum()) for b in before))
    losses = [{k: v for k, v in s.items() if "loss" in k} for s in said]
    return {"losses": losses, "moved": moved / norm}


def _run(objective: str, *, world: int, folder: Path, by_rank: int = 0) -> dict:
    """`by_rank` above 0: the bad sampler, seeded by the worker's rank."""

    def fn(*, rank: int, world: int, wrap) -> dict:
        return _train(objective, rank=rank, world=world, seed=by_rank * rank, wrap=wrap)

    return run_forked(fn, world=world, folder=folder, name=f"{objective}{by_rank}")


def test_one_worker_that_is_asked_stops_all_at_one_step(tmp_path: Path) -> None:
    """Rank 1 alone hears it, after step 3; both keep it, and neither ends before rank 0 has."""

    def fn(*, rank: int, world: int, wrap) -> list[object]:
        model = build(Small(), boxed=ALL, labelled=ALL, seed=0)
        freeze(idle_parts(model, "classify", photos=True))
        optimizer = optimizer_for(
            model, trunk=model.trunk, lr=2e-3, backbone_lr=1e-3, weight_decay=0.02
        )
        kept, asked = [], iter([False, False, rank == 1, True, True])

        def keep(step: int, window: object) -> None:
            if rank == 0:
                time.sleep(0.5)
                (tmp_path / "written").touch()
            kept.append(step)

        try:
            fit(
                wrap(Step(model, for_classify(Stage1()))),
                batches=steps(first=0, last=STEPS, scenes=0, photos=5, rank=rank, world=world),
                optimizer=optimizer,
                cfg=Fit(steps=STEPS, warmup=2, clip=5.0, seed=0, checkpoint_every=100),
                say=lambda step, values: None,
                keep=keep,
                stop=any_of(lambda: next(asked), like=next(model.parameters())),
            )
        except PreemptedError as error:
            assert (tmp_path / "written").exists()
            (tmp_path / f"rank{rank}").write_text(f"{kept} {error}")
        return []

    run_forked(fn, world=2, folder=tmp_path, name="asked")
    said = f"[3] asked to stop after step 3 of {STEPS}."
    assert [(tmp_path / f"rank{rank}").read_text() for rank in (0, 1)] == [said, said]


def _worst(one: dict, two: dict) -> float:
    pairs = [(a[k], b[k]) for a, b in zip(one["losses"], two["losses"], strict=True) for k in a]
    return max(abs(a - b) / max(abs(a), 1e-12) for a, b in pairs)


@pytest.mark.parametrize("objective", list(COUNTS))
def test_two_workers_give_the_losses_of_one(objective: str, tmp_path: Path) -> None:
    one, two = (_run(objective, world=w, folder=tmp_path) for w in (1, 2))
    assert len(one["losses"]) == STEPS
    assert one["moved"] > 0.01
    assert _worst(one, two) < 1e-6


def test_a_sampler_seeded_by_rank_is_found_out(tmp_path: Path) -> None:
    one, two = (_run("joint", world=w, folder=tmp_path, by_rank=1) for w in (1, 2))
    assert _worst(one, two) > 1e-6


def _model_and_optimizer():
    model = build(Small(), boxed=ALL, labelled=ALL)
    optimizer = optimizer_for(model, trunk=model.trunk, lr=1e-3, backbone_lr=None, weight_decay=0)
    return model, optimizer


def test_what_is_not_finite_stops_before_the_weights_change() -> None:
    model, optimizer = _model_and_optimizer()
    with torch.no_grad():
        model.refine.bias[0] = torch.nan
    before = {k: v.clone() for k, v in model.state_dict().items()}
    one = {"boxes": batch([4, 9], size=64, objects=3), "labels": batch([3], size=32, objects=0)}
    with pytest.raises(StepError, match=r"step 0: not finite; got box nan.*boxes \[4, 9\]"):
        fit(
            Step(model, for_joint(Stage2())),
            batches=iter([one]),
            optimizer=optimizer,
            cfg=Fit(steps=1, warmup=0, clip=5.0, seed=0),
            say=lambda step, values: None,
        )
    after = model.state_dict()
    assert all(torch.equal(after[k], v) or v.isnan().any() for k, v in before.items())


OUTPUTS = {  # loss -> the layer whose outputs it is made of
    "rpn_object": lambda model: model.proposals.head.cls_logits,
    "rpn_box": lambda model: model.proposals.head.bbox_pred,
    "foreground": lambda model: model.scores.foreground,
    "class": lambda model: model.scores.boxed,
    "box": lambda model: model.refine,
    "image": lambda model: model.scores.labelled,
}


@pytest.mark.parametrize("name", list(OUTPUTS))
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_one_output_that_is_not_finite_stops_it_even_if_it_was_not_drawn(
    name: str, value: float
) -> None:
    model, optimizer = _model_and_optimizer()
    before = {k: v.clone() for k, v in model.state_dict().items()}

    def spoil(module: torch.nn.Module, given: object, out: torch.Tensor) -> torch.Tensor:
        out = out.clone()
        out[(-1,) * out.dim()] = value
        return out

    OUTPUTS[name](model).register_forward_hook(spoil)
    one = {"boxes": batch([4], size=64, objects=3), "labels": batch([3], size=32, objects=0)}
    with pytest.raises(StepError, match=f"not finite; got .*{name} (nan|inf)"):
        fit(
            Step(model, for_joint(Stage2())),
            batches=iter([one]),
            optimizer=optimizer,
            cfg=Fit(steps=1, warmup=0, clip=5.0, seed=0),
            say=lambda step, values: None,
        )
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_gradient_that_is_not_finite_stops_it_before_the_weights_change() -> None:
    model, optimizer = _model_and_optimizer()
    model.refine.weight.register_hook(lambda grad: grad * torch.inf)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    one = {"boxes": batch([4], size=64, objects=3), "labels": batch([3], size=32, objects=0)}
    with pytest.raises(StepError, match=r"not finite; got gradient (nan|inf)"):
        fit(
            Step(model, for_joint(Stage2())),
            batches=iter([one]),
            optimizer=optimizer,
            cfg=Fit(steps=1, warmup=0, clip=5.0, seed=0),
            say=lambda step, values: None,
        )
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_metrics_have_known_names_and_come_when_asked() -> None:
    model, optimizer = _model_and_optimizer()
    said: list[tuple[int, dict[str, float]]] = []
    last = fit(
        Step(model, for_joint(Stage2())),
        batches=steps(first=0, last=5, scenes=2, photos=2, rank=0, world=1),
        optimizer=optimizer,
        cfg=Fit(steps=5, warmup=2, clip=5.0, seed=0, say_every=2),
        say=lambda step, values: said.append((step, values)),
    )
    assert [step for step, _ in said] == [2, 4, 5]
    assert set(last) == {*METRICS} - {"train/loss_transfer"}
    assert said[-1][1] == last
