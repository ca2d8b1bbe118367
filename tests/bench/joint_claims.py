"""Paper 5 on the drawn world: arms of its ablation, and what is claimed of them.

Where an arm has a choice (the weight of the image loss), it is made on the tune part.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from pipelines.runs.loading import load
from tests.bench.measured import Measured, Metrics, run_page

FIRST_RUN = Path(__file__).parents[2] / "configs" / "first_run.yaml"
WEIGHTS = (0.1, 1.0)
CHOOSE_BY = "val/novel_AP50"
PLACES = ("run_on.stage1.local=true", "run_on.stage2.local=true")
SHOWN = (
    "novel/AP50", "seen/AP50", "coco/AP50",
    "loc/top1", "loc/top5_classes", "loc/gt_known", "loc/fixed_box",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One row of the table: settings laid over first_run, and the weights it may choose from."""

    settings: tuple[str, ...] = ()
    weights: tuple[float, ...] = WEIGHTS


def _doubled(name: str) -> str:
    steps = load(FIRST_RUN).resolved[name]
    return f"{name}={2 * int(steps)}"


def joint_arms() -> dict[str, Arm]:
    """Return the arms of paper 5's ablation, and the controls printed beside them."""
    return {
        "full": Arm(),
        "without the reformulation": Arm(settings=("stage1.form=pooled",)),
        "without stage I": Arm(settings=("stage1=null",)),
        "without stage I, stage II doubled": Arm(
            settings=("stage1=null", _doubled("stage2.steps"))
        ),
        "stage I, then boxes only": Arm(weights=(0.0,)),
    }


def run_arm(arm: Arm, *, weight: float, seed: int, store: Path) -> Metrics:
    """Run one arm with one weight and one seed; return its metrics."""
    overrides = [
        f"draw.seed={seed}",
        f"stage2.seed={seed}",
        f"stage2.image_weight={weight}",
        *PLACES,
    ]
    if "stage1=null" not in arm.settings:
        overrides.append(f"stage1.seed={seed}")
    overrides += arm.settings
    return run_page(FIRST_RUN, overrides, store=store)


def measure(
    arms: dict[str, Arm], *, seeds: int, store: Path, say: Callable[[str], None]
) -> dict[str, list[dict[float, Metrics]]]:
    """Return arm -> one entry a seed: weight -> metrics."""
    table: dict[str, list[dict[float, Metrics]]] = {name: [] for name in arms}
    for seed in range(seeds):
        for name, arm in arms.items():
            row = {}
            for weight in arm.weights:
                row[weight] = run_arm(arm, weight=weight, seed=seed, store=store)
                got = row[weight]
                say(
                    f"seed {seed}  {name}, w {weight}: novel AP50 {got['novel/AP50']:.3f}, "
                    f"top-1 {got['loc/top1']:.3f}, GT-known {got['loc/gt_known']:.3f}, "
                    f"tune {got[CHOOSE_BY]:.3f}"
                )
            table[name].append(row)
    return table


def chosen(row: dict[float, Metrics]) -> tuple[float, Metrics]:
    """Return the weight that is better on the tune part, and its metrics on the test part."""
    return max(row.items(), key=lambda item: item[1][CHOOSE_BY])


def joint_claims(table: dict[str, list[dict[float, Metrics]]]) -> Iterator[tuple[str, bool]]:
    """Yield each claim of paper 5 with its figures, and whether it holds."""
    best = {name: [chosen(row)[1] for row in rows] for name, rows in table.items()}
    full, bare, pooled = (best[n] for n in ("full", "without stage I", "without the reformulation"))
    ratios = [a["novel/AP50"] / b["novel/AP50"] for a, b in zip(full, bare, strict=True)]
    of_means = mean(a["novel/AP50"] for a in full) / mean(b["novel/AP50"] for b in bare)
    yield f"novel AP50, full / without stage I, in the mean >= 2: {of_means:.2f}", of_means >= 2
    each = ", ".join(f"{r:.2f}" for r in ratios)
    yield f"the same in each seed >= 1.7: {each}", min(ratios) >= 1.7
    gains = [a["loc/top1"] - b["loc/top1"] for a, b in zip(full, bare, strict=True)]
    each = ", ".join(f"{g:+.3f}" for g in gains)
    yield (
        f"top-1 localization, full - without stage I >= .20 in each seed: {each}",
        (min(gains) >= 0.20),
    )
    between = [
        b["loc/top1"] < p["loc/top1"] < a["loc/top1"]
        for a, p, b in zip(full, pooled, bare, strict=True)
    ]
    yield f"top-1 without the reformulation lies between them: {between}", all(between)
    gaps = [
        abs(a[0.1]["loc/gt_known"] - b[0.1]["loc/gt_known"])
        for a, b in zip(table["full"], table["without stage I"], strict=True)
    ]
    each = ", ".join(f"{g:.3f}" for g in gaps)
    yield f"GT-known of full and without stage I within .05 at w = .1: {each}", max(gaps) <= 0.05


def joint(*, seeds: int, store: Path, say: Callable[[str], None]) -> Measured:
    """Return the arms, each at the weight that the tune part prefers, and the claims."""
    table = measure(joint_arms(), seeds=seeds, store=store, say=say)
    picked = {name: [chosen(row) for row in rows] for name, rows in table.items()}
    return Measured(
        rows={
            f"{name} (w {', '.join(str(w) for w, _ in rows)})": [got for _, got in rows]
            for name, rows in picked.items()
        },
        claims=list(joint_claims(table)),
        shown=SHOWN,
    )
