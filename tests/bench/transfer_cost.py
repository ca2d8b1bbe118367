"""What a transfer network costs a training step of Faster R-CNN: paper 4, Table 4.

The detector is torchvision's: ResNet-50 with FPN, stem and first layer fixed, a box head of 2,048
units, 500 classes. The transfer stands in for the class rows: 486 of the 500 are made of a source
of 5,000 classes by 2,048 channels. FLOPs are counted on one picture of 800 x 800 and taken times
eight, the transfer once; time and memory are measured at this size too, where it fits: 12 GB.
The transfer costs the same for one picture as for eight, so a smaller batch makes it look dear.
The rows with an optimizer's step hold more memory for the network's own moments (AdamW).
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import TwoMLPHead

from components.transfer.methods import Transfer
from components.transfer.rows import ClassRows, make
from tests.bench.tracking_speed import Result

SOURCE, WIDTH, CLASSES, SHARED, REGIONS, BATCH, SIDE = 5000, 2048, 500, 486, 512, 8, 800
Shown = tuple[list[Tensor], list[dict[str, Tensor]]]  # pictures, truths
MOST_FLOPS, MOST_TIME, MOST_MEMORY = 1.10, 1.10, 1.04  # of the detector's own


class Predictor(nn.Module):
    """Scores of classes by rows of their own or by transferred ones; one box for all classes."""

    def __init__(self, rows: ClassRows | None) -> None:
        super().__init__()
        self.rows = rows
        self.score = nn.Linear(WIDTH, CLASSES) if rows is None else None
        self.box = nn.Linear(WIDTH, 4)
        self.penalty = torch.zeros(())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits with a slot for background, which torchvision wants, and boxes."""
        if self.rows is not None:
            scored = self.rows(x)
            logits, self.penalty = scored.logits, scored.penalty
        else:
            assert self.score is not None
            logits = self.score(x)
        background = logits.new_zeros(len(x), 1)
        return torch.cat([background, logits], 1), self.box(x).repeat(1, CLASSES + 1)


def detector(*, transferred: bool) -> FasterRCNN:
    """Return the detector of one row; transferred rows do not change anything else in it."""
    torch.manual_seed(0)
    rows = None
    if transferred:
        shared = torch.cat([torch.arange(SHARED), torch.full((CLASSES - SHARED,), -1)])
        source = torch.randn(SOURCE, WIDTH)
        rows = make(
            Transfer(method="ae_wtn"), source_KD=source, inputs=WIDTH, shared_C=shared,
            features=WIDTH, seed=0,
        )  # fmt: skip
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, trainable_layers=3)
    return FasterRCNN(
        backbone, box_head=TwoMLPHead(256 * 49, WIDTH), box_predictor=Predictor(rows),
        min_size=SIDE, max_size=SIDE, box_batch_size_per_image=REGIONS,
    ).train()  # fmt: skip


def batch(count: int) -> Shown:
    """Return pictures of noise with twenty boxes each."""
    generator = torch.Generator().manual_seed(0)
    pictures, truths = [], []
    for _ in range(count):
        pictures.append(torch.rand(3, SIDE, SIDE, generator=generator))
        corner = torch.rand(20, 2, generator=generator) * SIDE * 0.6
        far = corner + SIDE * (0.06 + 0.3 * torch.rand(20, 2, generator=generator))
        labels = torch.randint(1, CLASSES + 1, (20,), generator=generator)
        truths.append({"boxes": torch.cat([corner, far], 1), "labels": labels})
    return pictures, truths


def step(model: FasterRCNN, shown: Shown) -> None:
    """Go forward and back once."""
    model.zero_grad(set_to_none=True)
    loss = sum(model(*shown).values()) + model.roi_heads.box_predictor.penalty
    loss.backward()


def flops() -> tuple[float, float]:
    """Return the step's FLOPs of the detector on one picture, and of the transfer network."""
    plain = detector(transferred=False)
    with FlopCounterMode(display=False) as counted:
        step(plain, batch(1))
    rows = detector(transferred=True).roi_heads.box_predictor.rows
    with FlopCounterMode(display=False) as of_rows:
        scored = rows(torch.randn(REGIONS, WIDTH, requires_grad=True))
        (scored.logits.sum() + scored.penalty).backward()
    own = nn.Linear(WIDTH, CLASSES)
    with FlopCounterMode(display=False) as of_own:
        own(torch.randn(REGIONS, WIDTH, requires_grad=True)).sum().backward()
    more = of_rows.get_total_flops() - of_own.get_total_flops()
    return float(counted.get_total_flops()), float(more)


def transfer(*, rounds: int, pictures: int = BATCH, device: str = "cpu") -> Result:
    """Return FLOPs, seconds and bytes of both rows, and whether the claims hold.

    Args:
        rounds: timed steps of each row, in turn.
        pictures: a step, for time and memory; fewer where the machine does not hold so many.
        device: cpu, or cuda: only there the ratios of time and memory are claims.
    """
    one, more = flops()
    ratio = 1 + more / (BATCH * one)
    said = [
        ("Faster R-CNN, a picture", one / 1e9, "GFLOP a step"),
        ("AE-WTN, on top, a step", more / 1e9, "GFLOP"),
    ]
    seconds, peaks = _measured(rounds, pictures=pictures, device=device)
    for name, values in seconds.items():
        said.append((name, median(values), f"s a step ({pictures} x {SIDE} px, {device})"))
        said.append((name, peaks[name] / 2**20, "MiB at most"))
    (plain, with_it), (low, high) = [median(v) for v in seconds.values()], list(peaks.values())
    said.append(("time, with / without", with_it / plain, "at this size"))
    said.append(("memory, with / without", high / low, "at this size"))
    measured = None if device == "cpu" else (with_it / plain, high / low)
    return said, list(claims(ratio, measured))


def claims(flops: float, measured: tuple[float, float] | None) -> Iterator[tuple[str, bool]]:
    """Yield each claim with its figure, and whether it holds; ratios of with to without.

    Args:
        flops: of a step.
        measured: time and memory; None where they are no claims.
    """
    yield f"FLOPs, with / without <= {MOST_FLOPS}: {flops:.3f}", flops <= MOST_FLOPS
    if measured is not None:
        time_ratio, memory = measured
        yield f"time <= {MOST_TIME}: {time_ratio:.3f}", time_ratio <= MOST_TIME
        yield f"memory <= {MOST_MEMORY}: {memory:.3f}", memory <= MOST_MEMORY


ROWS = {"Faster R-CNN": False, "with AE-WTN": True}


def _measured(
    rounds: int, *, pictures: int, device: str
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return the seconds of timed steps, in turns, and the peak bytes of each row."""
    peaks = {name: _peak(name, pictures=pictures, device=device) for name in ROWS}
    torch.set_num_threads(os.cpu_count() or 1)
    shown = _to(device, batch(pictures))
    models = {name: detector(transferred=t).to(device) for name, t in ROWS.items()}
    optimizers = {name: _optimizers(model) for name, model in models.items()}
    seconds: dict[str, list[float]] = {name: [] for name in ROWS}
    for _ in range(rounds + 1):
        for name, model in models.items():
            began = time.perf_counter()
            _step(model, optimizers[name], shown, device)
            seconds[name].append(time.perf_counter() - began)
    return {name: taken[1:] for name, taken in seconds.items()}, peaks


def _peak(name: str, *, pictures: int, device: str) -> float:
    """Return the most bytes that two steps of a row hold, in a process of its own."""
    asked = json.dumps([name, pictures, device])
    line = [sys.executable, "-m", "tests.bench.transfer_cost", asked]
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    """Be such a process."""
    name, pictures, device = json.loads(sys.argv[1])
    torch.set_num_threads(os.cpu_count() or 1)
    model = detector(transferred=ROWS[name]).to(device)
    optimizers, shown = _optimizers(model), _to(device, batch(pictures))
    for _ in range(2):  # the second has an optimizer's state
        _step(model, optimizers, shown, device)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(held if device == "cpu" else torch.cuda.max_memory_allocated())


def _to(device: str, shown: Shown) -> Shown:
    return (
        [p.to(device) for p in shown[0]],
        [{k: v.to(device) for k, v in t.items()} for t in shown[1]],
    )


def _optimizers(model: FasterRCNN) -> list[Optimizer]:
    rows = model.roi_heads.box_predictor.rows
    own = [] if rows is None else rows.own_groups()
    theirs = {id(p) for group in own for p in group["params"]}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in theirs]
    return [SGD(rest, 0.01, momentum=0.9), *([AdamW(own)] if own else [])]


def _step(
    model: FasterRCNN,
    optimizers: list[Optimizer],
    shown: Shown,
    device: str,
) -> None:
    step(model, shown)
    for optimizer in optimizers:
        optimizer.step()
    if device != "cpu":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
