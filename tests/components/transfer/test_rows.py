import math
from typing import get_args

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn
from torch.nn import functional

from components.shapes import ShapeError
from components.transfer.methods import Method, Transfer
from components.transfer.rows import ClassRows, make
from components.transfer.source import SourceError
from components.transfer.transfers import TRANSFERS

D, K = 32, 150
BOXED = torch.tensor([140, -1, 3, 77, -1, 0])  # rows of the source; two classes it lacks
SOURCE = torch.randn(K, D, generator=torch.Generator().manual_seed(1)) * 2 + 0.5
BIASES = torch.randn(K, generator=torch.Generator().manual_seed(2))


def built(method: str, *, seed: int = 0, boxed_C: Tensor = BOXED, **more) -> ClassRows:
    """Return rows whose parameters are all away from their start, so that each one counts."""
    settings = {"layers": (), **more}
    rows = make(Transfer(method=method, **settings), source_KD=SOURCE, source_bias_K=BIASES,
                inputs=D, features=D, shared_C=boxed_C, seed=seed)  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in rows.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return rows.eval()


def features(count: int = 7) -> Tensor:
    return torch.randn(count, D, generator=torch.Generator().manual_seed(3))


def test_the_table_has_a_row_for_each_method() -> None:
    assert tuple(TRANSFERS) == get_args(Method)


@pytest.mark.parametrize("method", TRANSFERS)
def test_a_class_scores_alike_in_training_and_by_its_exported_row(method: str) -> None:
    """Trap 7 too: an index that is off by one gives a class another's score."""
    rows, x = built(method), features()
    wanted = rows.logits(x)
    shared = BOXED[BOXED >= 0]
    exported = rows.linear(SOURCE, bias_M=BIASES)
    adapted, other = rows.adapt(x), rows.other()
    for c, at in enumerate(BOXED.tolist()):
        if at >= 0:
            weight, bias = exported.weight[at], exported.bias[at]
        else:
            o = int((BOXED[:c] < 0).sum())
            weight, bias = other.weight[o], other.bias[o]
        found = [sum(a * w for a, w in zip(r, weight.tolist(), strict=True)) + bias.item()
                 for r in adapted.tolist()]  # fmt: skip
        assert torch.allclose(wanted[:, c], torch.tensor(found), atol=2e-5, rtol=1e-5)
    assert len(shared) == 4
    step = rows(x)
    assert torch.allclose(step.logits, wanted, atol=1e-5)
    assert step.penalty.item() == pytest.approx(rows.penalty().item())
    assert (step.penalty.item() != 0) == rows.has_penalty


@pytest.mark.parametrize("method", TRANSFERS)
def test_some_classes_exported_alone_have_the_bits_of_the_whole(method: str) -> None:
    """Trap 4: also while it is trained, where BatchNorm and dropout would mix classes in."""
    rows = built(method)
    whole = rows.rows(SOURCE)
    for picked in ([0], [140, 3, 77, 0], list(range(149, 60, -1)), list(range(5, 70)), []):
        assert torch.equal(rows.rows(SOURCE[picked]), whole[picked]), picked
    rows.train()
    assert torch.equal(rows.rows(SOURCE), whole)
    assert rows.training
    assert all(m.training for m in rows.modules())


def test_wide_rows_too_have_the_same_bits() -> None:
    source = torch.randn(200, 640, generator=torch.Generator().manual_seed(5))
    rows = make(Transfer(method="ae_wtn"), source_KD=source, inputs=640, features=384,
                shared_C=torch.arange(20), seed=0)  # fmt: skip
    nn.init.ones_(rows.mapping.encoder[1].weight)
    whole, picked = rows.rows(source), torch.tensor([199, 1, 64, 65, 128, 7])
    assert torch.equal(rows.rows(source[picked]), whole[picked])


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(6)), method=st.sampled_from(sorted(TRANSFERS)))
def test_boxed_classes_in_another_order_have_their_own_scores(order, method) -> None:
    first = built(method)
    state = first.state_dict()
    index = torch.tensor(order)
    second = built(method, boxed_C=BOXED[index])
    shared = [[i for i in row if BOXED[i] >= 0] for row in (range(6), order)]
    other = [[i for i in row if BOXED[i] < 0] for row in (range(6), order)]
    kinds = {name: 0 for name in ("other_rows", "other_bias")} | {
        name: 1 for name in ("shared_source", "source_bias", "mapping.rows_SG", "mapping.shifts_SG")
    }
    moved = [[kind[0].index(i) for i in kind[1]] for kind in (other, shared)]
    state = {k: v[moved[kinds[k]]] if k in kinds else v for k, v in state.items()}
    second.load_state_dict(state)
    assert torch.allclose(second.logits(features()), first.logits(features())[:, index], atol=1e-5)


@pytest.mark.parametrize("method", TRANSFERS)
def test_a_state_is_enough_to_export_without_the_source(method: str) -> None:
    rows = built(method)
    again = make(Transfer(method=method), source_KD=None, inputs=D, features=D,
                 shared_C=BOXED, seed=9)  # fmt: skip
    again.load_state_dict(rows.state_dict())
    again.eval()
    assert torch.equal(again.rows(SOURCE), rows.rows(SOURCE))
    assert torch.equal(again.logits(features()), rows.logits(features()))
    if TRANSFERS[method].needs == "all":
        with pytest.raises(SourceError, match="fitted with all rows of the source; got none"):
            again(features())


@pytest.mark.parametrize("method", TRANSFERS)
def test_nothing_of_the_source_is_learned(method: str) -> None:
    """Trap 5 and 6: buffers, and the large one is not saved."""
    source = SOURCE.clone().requires_grad_()
    rows = make(Transfer(method=method), source_KD=source.detach(), inputs=D, features=D,
                shared_C=BOXED, seed=0)  # fmt: skip
    learned = [*rows.own_parameters(), *rows.rest_parameters()]
    assert {id(p) for p in learned} == {id(p) for p in rows.parameters()}
    assert len(learned) == len({id(p) for p in learned})
    sizes = [tuple(p.shape) for p in learned]
    assert (K, D) not in sizes
    assert "all_source" not in rows.state_dict()
    for name, buffer in rows.named_buffers():
        assert not buffer.requires_grad, name
    before = {name: buffer.clone() for name, buffer in rows.named_buffers()}
    scored = rows(features())
    (scored.logits.sum() + scored.penalty).backward()
    assert source.grad is None
    for name in ("mean", "std", "shared_source", "all_source"):
        if name in before:
            assert torch.equal(before[name], rows.get_buffer(name)), name


@pytest.mark.parametrize("method", TRANSFERS)
def test_every_parameter_gets_a_gradient(method: str) -> None:
    """Data-parallel training waits for each of them."""
    rows = make(Transfer(method=method), source_KD=SOURCE, inputs=D, features=D, shared_C=BOXED,
                seed=0).train()  # fmt: skip
    scored = rows(features())
    (scored.logits.square().sum() + scored.penalty).backward()
    for name, parameter in rows.named_parameters():
        assert parameter.grad is not None, name


@pytest.mark.parametrize("method", TRANSFERS)
def test_without_other_classes_there_is_nothing_empty_to_learn(method: str) -> None:
    rows = make(Transfer(method=method), source_KD=SOURCE, inputs=D, features=D,
                shared_C=torch.tensor([4, 2]), seed=0)  # fmt: skip
    assert all(p.numel() for p in rows.parameters())
    assert rows.logits(features()).shape == (7, 2)
    assert rows.other().weight.shape == (0, rows.outputs)


@pytest.mark.parametrize("method", TRANSFERS)
def test_norms_and_biases_have_no_decay(method: str) -> None:
    """Trap 6."""
    rows = built(method)
    by_decay = {g["weight_decay"]: g["params"] for g in rows.own_groups()}
    times = 5 if method == "wtn_plus_decay" else 1
    assert set(by_decay) <= {0.1 * times, 0.0}
    assert all(p.ndim > 1 for p in by_decay.get(0.1 * times, []))
    assert all(p.ndim == 1 for p in by_decay.get(0.0, []))
    assert {id(p) for ps in by_decay.values() for p in ps} == {id(p) for p in rows.own_parameters()}
    assert all(g["lr"] == g["peak"] == 1e-3 for g in rows.own_groups())
    has_network = hasattr(rows.mapping, "encoder") or method == "residual_feature"
    assert bool(by_decay) == has_network


def slow_penalty(rows: ClassRows) -> float:
    """Eq. 1 over all classes and channels, of the standardised rows, times alpha."""
    wanted = ((SOURCE - SOURCE.mean(0)) / SOURCE.std(0)).tolist()
    made = rows.mapping.decoder(rows.mapping.encoder(torch.tensor(wanted))).tolist()
    total = 0.0
    for row, target in zip(made, wanted, strict=True):
        for a, b in zip(row, target, strict=True):
            gap = abs(a - b)
            total += 0.5 * gap**2 if gap < 1 else gap - 0.5
    return rows.cfg.alpha * total / (K * D)


@pytest.mark.parametrize("method", ["ae_wtn", "residual_weight_ae"])
def test_the_reconstruction_is_equation_1_over_all_classes(method: str) -> None:
    """Trap 3: a novel class's row counts, and the target is standardised."""
    rows = built(method, alpha=20.0)
    assert rows.penalty().item() == pytest.approx(slow_penalty(rows), rel=1e-4)
    before = rows.penalty().item()
    novel = 99
    assert novel not in BOXED
    rows.all_source[novel] += 1  # not of what is standardised by: those are kept
    assert rows.penalty().item() != before
    assert built(method, alpha=5.0).penalty().item() == pytest.approx(before / 4)


def test_activity_is_the_mean_squared_length_of_shared_rows() -> None:
    rows = built("wtn_plus_activity")
    made = rows.rows(SOURCE[BOXED[BOXED >= 0]])
    wanted = 0.01 * sum(sum(v * v for v in row) for row in made.tolist()) / 4
    assert rows.penalty().item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("method", [m for m, row in TRANSFERS.items() if row.rule == "sigmoid"])
def test_one_bias_for_all_classes_starts_at_a_score_of_a_hundredth(method: str) -> None:
    rows = make(Transfer(method=method), source_KD=SOURCE, source_bias_K=BIASES, inputs=D,
                features=D, shared_C=BOXED, seed=0)  # fmt: skip
    assert rows.bias.item() == pytest.approx(-math.log(99))
    assert rows.bias.shape == ()
    assert torch.equal(rows.linear(SOURCE).bias, rows.bias.expand(K))
    if "plus" in method or method in ("ae_wtn", "wtn_group_norm"):
        shown = BOXED >= 0
        scores = rows(features()).logits.sigmoid()[:, shown]
        assert torch.allclose(scores, torch.full_like(scores, 0.01), atol=1e-7)


def test_initial_losses_are_the_papers() -> None:
    """7(d): background 10.050336 over 500 classes, an object 19.240576, twice the sum."""
    rows = make(Transfer(method="wtn_plus"), source_KD=torch.randn(600, 8), inputs=8, features=8,
                shared_C=torch.arange(500), seed=0)  # fmt: skip
    logits = rows(torch.randn(2, 8)).logits
    targets = torch.zeros(2, 500)
    targets[1, 17] = 1
    loss = 2 * functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1)
    assert loss.tolist() == pytest.approx([10.050336, 19.240576], abs=1e-4)


@pytest.mark.parametrize("method", ["direct", "residual_feature", "residual_weight"])
def test_residual_forms_begin_as_the_classifier(method: str) -> None:
    rows = make(Transfer(method=method), source_KD=SOURCE, source_bias_K=BIASES, inputs=D,
                features=D, shared_C=BOXED, seed=0).eval()  # fmt: skip
    shown = BOXED >= 0
    wanted = features() @ SOURCE[BOXED[shown]].T + BIASES[BOXED[shown]]
    assert torch.allclose(rows.logits(features())[:, shown], wanted, atol=1e-5)
    exported = rows.linear(SOURCE[:5], bias_M=BIASES[:5])
    assert torch.equal(exported.weight, SOURCE[:5])
    assert torch.equal(exported.bias, BIASES[:5])
    with pytest.raises(SourceError, match="fitted with the source's biases; got rows without"):
        rows.linear(SOURCE[:5])


def test_equal_seeds_are_equal_starts_and_nobody_elses_draws_move() -> None:
    torch.manual_seed(4)
    wanted = torch.rand(3)
    torch.manual_seed(4)
    made = [make(Transfer(), source_KD=SOURCE, inputs=D, features=16, shared_C=BOXED, seed=s)
            for s in (1, 1, 2)]  # fmt: skip
    assert torch.equal(torch.rand(3), wanted)
    states = [m.mapping.encoder[0].weight for m in made]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_what_does_not_fit_is_refused() -> None:
    rows = built("wtn_plus")
    with pytest.raises(
        ShapeError, match=r"source_MD: expected shape \[M, D\], D=32; got \[3, 31\]"
    ):
        rows.rows(torch.zeros(3, 31))
    with pytest.raises(ShapeError, match="source_KD"):
        make(Transfer(), source_KD=SOURCE, inputs=31, features=4, shared_C=BOXED, seed=0)
    with pytest.raises(SourceError, match="features of 8 and rows of 32"):
        make(Transfer(method="direct"), source_KD=SOURCE, inputs=D, features=8, shared_C=BOXED,
             seed=0)  # fmt: skip
