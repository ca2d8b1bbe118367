"""Seconds and own memory of one step of AE-WTN, and of an export, at the paper's size and beyond.

    python -m tests.bench.transfer_memory [step | export]

Each runs in a process of its own, whose largest memory the system counts: torch itself included.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import SGD, AdamW

from components.losses.classification import sigmoid_sum
from components.train.optimizer import Optimizers
from components.transfer.methods import Transfer
from components.transfer.rows import ClassRows, make

WIDTH, BOXED, REGIONS = 2048, 500, 512
OF_STEP, OF_EXPORT = 5_000, 21_841  # classes


def _built(classes: int) -> tuple[ClassRows, Tensor]:
    source = torch.randn(classes, WIDTH, generator=torch.Generator().manual_seed(0))
    rows = make(Transfer(), source_KD=source, inputs=WIDTH, features=WIDTH,
                shared_C=torch.arange(BOXED), seed=0)  # fmt: skip
    return rows, source


def step() -> float:
    """Return the seconds of one step on 5,000 classes and 512 regions, optimizers and all."""
    rows, _ = _built(OF_STEP)
    optimizer = Optimizers([AdamW(rows.own_groups()), SGD(rows.rest_parameters(), lr=0.01)])
    x = torch.randn(REGIONS, WIDTH)
    targets = torch.zeros(REGIONS, BOXED)
    started = time.perf_counter()
    scored = rows(x)
    (2 * sigmoid_sum(scored.logits, targets) / REGIONS + scored.penalty).backward()
    optimizer.clip(5.0)
    optimizer.step()
    return time.perf_counter() - started


def export() -> float:
    """Return the seconds of the rows of 21,841 classes."""
    rows, source = _built(OF_EXPORT)
    started = time.perf_counter()
    made = rows.linear(source)
    took = time.perf_counter() - started
    assert made.weight.shape == (OF_EXPORT, WIDTH)
    return took


DONE: dict[str, Callable[[], float]] = {"step": step, "export": export}


def measured(name: str) -> dict[str, float]:
    """Return `seconds` and `gb` (10^9 bytes) of one of DONE, run by itself."""
    command = [sys.executable, "-m", "tests.bench.transfer_memory", name, "--here"]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(ended.stdout)


def main() -> None:
    """Print both, or what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", nargs="?", choices=sorted(DONE))
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.here:
        seconds = DONE[asked.name]()
        kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"seconds": seconds, "gb": kib * 1024 / 1e9}))
        return
    for name in [asked.name] if asked.name else DONE:
        got = measured(name)
        print(f"{name}: {got['seconds']:.1f} s, {got['gb']:.2f} GB")


if __name__ == "__main__":
    main()
