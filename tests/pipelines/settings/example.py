"""A small schema with every form that settings take; real rooms are not needed to read it."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Interval, MinLen


@dataclass(frozen=True, kw_only=True, slots=True)
class Small:
    kind: Literal["small"] = "small"
    width: Annotated[int, Interval(ge=1, le=512)] = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Deep:
    kind: Literal["deep"] = "deep"
    depth: Literal[18, 50] = 18
    weights: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    steps: Annotated[int, Interval(ge=1)]
    lr: Annotated[float, Interval(gt=0, le=1)] = 0.1
    sizes: tuple[int, ...] = (32, 40)
    scale: tuple[float, float] = (1.0, 1.0)
    flip: bool = True

    def problems(self) -> list[str]:
        low, high = self.scale
        wrong = f"scale: the first must not be above the second; got {low:g} and {high:g}. "
        return [wrong + "Put the smaller first."] if low > high else []


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Refuses by itself, as settings that are also built in code do."""

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low: above high; got {self.low:g} and {self.high:g}. Swap them.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    recipe: Literal["example"]
    backbone: Small | Deep = field(default_factory=Small)
    many: Annotated[tuple[Small | Deep, ...], MinLen(1)] = (Small(),)
    stage1: Stage | None = None
    stage2: Stage
    order: Literal["joint", "alternate"] = "joint"
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    places: dict[str, Small] = field(default_factory=dict)
    span: Range = field(default_factory=Range)
    name: str = "mine"


PAGE = """\
recipe: example
backbone: {kind: deep, depth: 50}
many: [{kind: small}, {kind: deep}]
stage2:
  steps: 300
  lr: 2e-3
  sizes: [32, 48]
groups:
  striped: ["fine:red striped carp"]
"""
