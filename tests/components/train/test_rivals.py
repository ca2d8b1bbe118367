"""Classes that were left out and come back count once in the softmax."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.models.class_weights import ClassGroup
from components.train.class_file import read_classes
from components.train.class_groups import joined
from components.train.export_model import export_model
from components.transfer.adapters import Adapter, Shape
from components.transfer.source import SourceError
from components.vocab.classes import Vocabulary
from tests.components.train.small_exports import model, scores, source

IDS = [f"fine:{c}" for c in "abcdef"]
EVERY = ["fine:b", "fine:c", "fine:e", "fine:n1", "fine:n2"]


def group(ids: list[str], *, rivals: int = 0) -> ClassGroup:
    """Return the rows that each id has everywhere; rivals have no id."""
    rows = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    at = [IDS.index(i) for i in ids] + list(range(6, 6 + rivals))
    return ClassGroup(
        vocabulary=Vocabulary(ids=tuple(ids), names=tuple(ids)), weight=rows[at, :3],
        bias=rows[at, 3], rule="softmax",
    )  # fmt: skip


def told(one: ClassGroup) -> dict[str, torch.Tensor]:
    x = torch.randn(9, 3, generator=torch.Generator().manual_seed(1))
    found = (x @ one.weight.T + one.bias).softmax(1)
    return dict(zip(one.vocabulary.ids, found.unbind(1), strict=False))


SOME = st.lists(st.sampled_from(IDS), min_size=1, unique=True)


@settings(max_examples=60, deadline=None)
@given(few=SOME, fewer=SOME, again=SOME, rivals=st.integers(0, 2))
def test_what_comes_back_is_no_rival(
    few: list[str], fewer: list[str], again: list[str], rivals: int
) -> None:
    """Whatever is taken out and added: the scores are those of all, of the classes there are."""
    whole = group(IDS, rivals=rivals)
    some = whole.only(few)
    assert some is not None
    some = some.only(fewer) or some
    both = joined(some, group(again), where="src")
    assert both.rivals == len(IDS) + rivals - len(both.vocabulary)
    assert set(both.rival_ids) == set(IDS) - set(both.vocabulary.ids)
    wanted = told(whole)
    for class_id, found in told(both).items():
        torch.testing.assert_close(found, wanted[class_id])


@settings(max_examples=8, deadline=None)
@given(kept=st.lists(st.sampled_from(["fine:b", "fine:n1", "fine:n2"]), unique=True))
def test_all_is_few_and_the_same_source_again(
    tmp_path_factory: pytest.TempPathFactory, kept: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("again")
    before, rows = model(folder / "a"), source(256)
    export_model(before, out=folder / "all", source=rows, own="lacking")
    export_model(folder / "all", out=folder / "few", ids=["fine:c", "fine:e", *kept])
    export_model(folder / "few", out=folder / "again", source=rows, own="lacking")
    for a, b in zip(scores(folder / "all", EVERY), scores(folder / "again", EVERY), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
    found = read_classes(folder / "again" / "classes.safetensors").labelled
    assert found is not None
    assert found.rivals == 0


def _adapted(seed: int, **how) -> ClassGroup:
    shape = {"kind": "residual", "features": 3, "outputs": 3} | how
    adapter = Adapter(Shape(**shape)).eval()
    state = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in adapter.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=state))
    return replace(group(["fine:a", "fine:b"]), adapter=adapter)


def test_rows_behind_another_transfer_are_refused() -> None:
    one = _adapted(1)
    assert joined(one, _adapted(1), where="more").vocabulary.ids == ("fine:a", "fine:b")
    bare = replace(one, adapter=None)
    others = (_adapted(2), _adapted(1, layers=(3,)), bare)
    for before, more in [*((one, other) for other in others), (bare, one)]:
        with pytest.raises(
            SourceError, match=r"more: .* by one transfer; got another than the mod"
        ):
            joined(before, more, where="more")
