"""Speed as a ratio, measured side by side in one run.

    python -m tests.bench.speed              what can be measured, and how long it takes
    python -m tests.bench.speed predict      images/s of the backbones' detectors, in turn
    python -m tests.bench.speed tracking     training without and with tracking, in turn
    python -m tests.bench.speed transfer     what a transfer network costs a training step
                                             (--device cuda: time and memory are claims there)
    python -m tests.bench.speed graph        empty nodes beside bare Ray tasks, and other runners
                                             (--dagster PYTHON --prefect PYTHON of their own)

Rounds alternate between the rows, one thread each; the figure of a row is its median round, of the
graph its best.
Exit code 1 when a ratio that is claimed does not hold.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch

from components.data.sample import Batch
from components.models.choices import Backbone, Lite0, Resnet
from components.models.folding import fold_norms
from components.models.two_stage import Detector, build
from components.vocab.classes import Vocabulary
from tests.bench.graph_speed import RIVALS, graph
from tests.bench.tracking_speed import Result, tracking
from tests.bench.transfer_cost import transfer

PICTURES, SIZE = 1, 320  # one picture at a time, as `vocabox predict` does
LEAST = 1.25  # EfficientNet-Lite0 over ResNet-18


def _detector(backbone: Backbone) -> Detector:
    torch.manual_seed(0)
    coarse = Vocabulary.of(f"coarse:{i}" for i in range(7))
    fine = Vocabulary.of(f"fine:{i}" for i in range(65))
    detector = build(backbone, boxed=coarse, labelled=fine).eval()
    fold_norms(detector.trunk)  # as a model is loaded
    return detector


def _pictures() -> Batch:
    noise = np.random.default_rng(0).integers(0, 256, (PICTURES, SIZE, SIZE, 3), dtype=np.uint8)
    return Batch.of_pictures(torch.from_numpy(noise))


def predict(*, rounds: int) -> Result:
    """Return images/s a row, and the claims with whether they hold."""
    rows: dict[str, Callable[[], object]] = {}
    batch = _pictures()
    for name, backbone in {
        "EfficientNet-Lite0 + FPN": Lite0(weights="file"),
        "ResNet-18 + FPN": Resnet(depth=18, weights="file"),  # fixed normalisation, as with weights
    }.items():
        detector = _detector(backbone)
        rows[name] = lambda detector=detector: detector.regions(batch)
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(rounds + 1):
        for name, call in rows.items():
            start = time.process_time()
            call()
            seconds[name].append(time.process_time() - start)
    rates = {name: PICTURES / median(taken[1:]) for name, taken in seconds.items()}
    ratio = rates["EfficientNet-Lite0 + FPN"] / rates["ResNet-18 + FPN"]
    rows_said = [(name, rate, "images a CPU second") for name, rate in rates.items()]
    return rows_said, [(f"EfficientNet-Lite0 / ResNet-18 >= {LEAST}: {ratio:.2f}", ratio >= LEAST)]


@dataclass(frozen=True, kw_only=True)
class Speed:
    """One thing to measure."""

    measure: Callable[..., Result]
    rounds: int
    taken: str
    takes: tuple[str, ...] = ()  # options that are its own


SPEEDS = {
    "predict": Speed(measure=predict, rounds=15, taken="half a minute"),
    "tracking": Speed(measure=tracking, rounds=4, taken="six minutes"),
    "transfer": Speed(
        measure=transfer, rounds=1, taken="ten minutes, 12 GB", takes=("device", "pictures")
    ),
    "graph": Speed(
        measure=graph, rounds=3, taken="a minute; three with other runners", takes=tuple(RIVALS)
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure one row of SPEEDS; 1 when a ratio does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", nargs="?", choices=sorted(SPEEDS))
    parser.add_argument("--rounds", type=int, help="of each row; the more the steadier")
    parser.add_argument("--json", action="store_true")
    for rival in RIVALS:
        parser.add_argument(f"--{rival}", help=f"a Python that has {rival}, for `graph`")
    parser.add_argument("--device", help="of `transfer`; default cpu", default="cpu")
    parser.add_argument("--pictures", help="a step of `transfer`; default 8", type=int, default=8)
    asked = parser.parse_args(argv)
    if asked.name is None:
        for name, speed in SPEEDS.items():
            print(f"{name:<10} {speed.taken}")
        return 0
    torch.set_num_threads(1)
    speed = SPEEDS[asked.name]
    own = {name: vars(asked)[name] for name in speed.takes}
    rows, claims = speed.measure(rounds=asked.rounds or speed.rounds, **own)
    for name, value, unit in rows:
        row = {"v": 1, "event": "row", "row": name, "value": round(value, 3), "unit": unit}
        print(json.dumps(row) if asked.json else f"{name:<28} {value:8.3f} {unit}")
    for text, holds in claims:
        row = {"v": 1, "event": "claim", "claim": text, "holds": holds}
        print(json.dumps(row) if asked.json else f"{'holds' if holds else 'DOES NOT HOLD'}: {text}")
    return 0 if all(holds for _, holds in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
