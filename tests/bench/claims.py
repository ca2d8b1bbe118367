"""A paper's claim, measured: one row an arm, then each claim holds or does not.

    python -m tests.bench.claims                     the claims, and how long each takes
    python -m tests.bench.claims joint [--seeds 3]   paper 5 on the drawn world
    python -m tests.bench.claims weight_transfer     paper 4 on the drawn world
    python -m tests.bench.claims real_weights --data TINY_IMAGENET   paper 4, a real classifier

Arms are settings of a page, run in a store of their own (--store keeps it); what arms share is
computed once. Exit code 1 when a claim does not hold.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from tests.bench.joint_claims import joint
from tests.bench.measured import Measured
from tests.bench.real_weights import real_weights
from tests.bench.transfer_claims import weight_transfer


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A row of CLAIMS, and about how long three seeds take."""

    measure: Callable[..., Measured]
    minutes: int
    takes: tuple[str, ...] = ()  # options that it needs


CLAIMS = {
    "joint": Claim(measure=joint, minutes=35),
    "weight_transfer": Claim(measure=weight_transfer, minutes=80),
    "real_weights": Claim(measure=real_weights, minutes=130, takes=("data",)),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure one claim; 1 when it does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", nargs="?", choices=sorted(CLAIMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--store", type=Path, help="keep and reuse results here")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--data", help="of a claim on real pictures: their folder")
    asked = parser.parse_args(argv)
    if asked.name is None:
        for name, claim in CLAIMS.items():
            print(f"{name:<24} about {claim.minutes} minutes on two cores, three seeds")
        return 0
    claim = CLAIMS[asked.name]
    if lacking := [name for name in claim.takes if vars(asked)[name] is None]:
        parser.error(f"{asked.name} needs --{lacking[0]} FOLDER")
    with tempfile.TemporaryDirectory() as scratch:
        found = claim.measure(
            seeds=asked.seeds,
            store=asked.store or Path(scratch) / "store",
            say=lambda text: print(text, file=sys.stderr, flush=True),
            **{name: Path(vars(asked)[name]) for name in claim.takes},
        )
    for name, rows in found.rows.items():
        figures = {m: [got[m] for got in rows if m in got] for m in found.shown}
        if asked.json:
            print(json.dumps({"v": 1, "event": "arm", "arm": name, "figures": figures}))
            continue
        print(name)
        for metric, values in figures.items():
            if values:
                spread = stdev(values) if len(values) > 1 else 0.0
                each = " ".join(f"{v:.3f}" for v in values)
                print(f"    {metric:<18} {mean(values):.3f} +- {spread:.3f}   {each}")
    results = found.claims
    for text, holds in results:
        if asked.json:
            print(json.dumps({"v": 1, "event": "claim", "claim": text, "holds": holds}))
        else:
            print(f"{'holds' if holds else 'DOES NOT HOLD'}: {text}")
    return 0 if all(holds for _, holds in results) else 1


if __name__ == "__main__":
    sys.exit(main())
