"""Rows of a classifier that no transfer may be fitted on, and vocabularies that do not meet."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from components.train.fit_rows import FeaturesError, fit_rows
from components.transfer.methods import FitRows, Method, Transfer
from components.transfer.rows import make
from components.transfer.source import SourceError, SourceWeights, check, shared
from components.vocab.classes import Vocabulary
from tests.pipelines.settings.golden import same

WHERE = "rows.safetensors"
CLASSES = Vocabulary.of(f"fine:{name}" for name in ("cat", "dog", "emu", "fox", "owl"))
ROWS = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))


def told(refused: Callable[[], object], error: type[Exception] = SourceError) -> str:
    with pytest.raises(error, match=r"; got .*\.$") as caught:
        refused()
    return str(caught.value)


def checked(weight: Tensor, bias: Tensor | None = None) -> Callable[[], object]:
    source = SourceWeights(vocabulary=CLASSES, weight=weight, bias=bias)
    return lambda: check(source, where=WHERE)


def changed(row: int, column: int, value: float) -> Tensor:
    weight = ROWS.clone()
    weight[row, column] = value
    return weight


def test_B91_a_class_list_of_another_length(tmp_path: Path, write_golden: bool) -> None:
    lines = [told(checked(ROWS[:3])), told(checked(ROWS, torch.zeros(4)))]
    same("\n".join(lines), as_file="errors/B91_source_of_another_length.txt", folder=tmp_path,
         write=write_golden)  # fmt: skip


def test_B92_numbers_that_are_none_and_channels_that_tell_nothing(
    tmp_path: Path, write_golden: bool
) -> None:
    constant = ROWS.clone()
    constant[:, 3] = 0.25
    lines = [
        told(checked(changed(1, 2, math.nan))),
        told(checked(changed(4, 0, -math.inf))),
        told(checked(ROWS, torch.tensor([0, 0, math.nan, 0, 0]))),
        told(checked(constant)),
    ]
    same("\n".join(lines), as_file="errors/B92_source_numbers.txt", folder=tmp_path,
         write=write_golden)  # fmt: skip


def test_B93_rows_of_another_type(tmp_path: Path, write_golden: bool) -> None:
    lines = [told(checked(ROWS.double())), told(checked(ROWS.to(torch.int64)))]
    same("\n".join(lines), as_file="errors/B93_source_type.txt", folder=tmp_path,
         write=write_golden)  # fmt: skip


def test_B91_vocabularies_that_do_not_meet(tmp_path: Path, write_golden: bool) -> None:
    lines = [
        told(lambda: shared(CLASSES, Vocabulary.of(["coarse:boat", "coarse:car"]))),
        told(lambda: shared(CLASSES, Vocabulary.of(["coarse:dog", "coarse:owl", "fine:cat"]))),
    ]
    same("\n".join(lines), as_file="errors/B91_source_and_boxes.txt", folder=tmp_path,
         write=write_golden)  # fmt: skip


def test_B91_a_width_that_does_not_fit(tmp_path: Path, write_golden: bool) -> None:
    names: tuple[Method, ...] = ("direct", "residual_feature", "residual_weight")
    lines = [
        told(lambda m=method: make(Transfer(method=m), source_KD=ROWS, inputs=8, features=4,
                                   shared_C=torch.tensor([0]), seed=0))
        for method in names
    ]  # fmt: skip
    same("\n".join(lines), as_file="errors/B91_source_width.txt", folder=tmp_path,
         write=write_golden)  # fmt: skip


def test_B92_features_without_an_object(tmp_path: Path, write_golden: bool) -> None:
    rows = make(Transfer(), source_KD=ROWS, inputs=8, features=4, shared_C=torch.tensor([0, 2]),
                seed=0)  # fmt: skip

    def fitted(*labels: int) -> Callable[[], object]:
        return lambda: fit_rows(
            rows, features_RF=torch.ones(2, 4), labels_R=torch.tensor(labels), cfg=FitRows(),
            say=lambda step, values: None,
        )  # fmt: skip

    lines = [told(fitted(-1, -1), FeaturesError), told(fitted(0, 2), FeaturesError)]
    same("\n".join(lines), as_file="errors/B92_features_to_fit_on.txt", folder=tmp_path,
         write=write_golden)  # fmt: skip
