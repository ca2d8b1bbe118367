"""A fitted transfer + rows -> Report: which classes stayed neighbours, and how long things are."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from pipelines.graph.node import Task

FILE = "analysis.json"  # transfer.json is the record of a fitted transfer
SHOWN_AT = (10, 50, 100)  # neighbours that a metric is made of


@dataclass(frozen=True, kw_only=True, slots=True)
class Analyse:
    """How many classes are asked about (paper 4, Figure 4: 20), and how many neighbours."""

    asked: int = 20
    most: int = 200
    seed: int = 0


def analyse(task: Task) -> dict[str, Any]:
    """Write analysis.json: neighbours kept at k = 1 .. most, and lengths of shared and novel rows.

    Its metrics are of the neighbours kept, and of the activations after the method's norm: those
    of two runs, wtn_plus and wtn_plus_batch_norm, are Table 3 of paper 4.

    Inputs: `transfer`, a folder with a fitted transfer; `rows`, the classifier's.
    """
    import torch

    from components.eval.metric_names import check_name
    from components.train.source_folder import load_source
    from components.train.transfer_file import load_transfer
    from components.transfer.neighbors import activation_lengths, drawn, kept_neighbors

    cfg: Analyse = task.cfg
    fitted, source = load_transfer(task.path("transfer")), load_source(task.path("rows")).weights
    at, which = fitted.rows.shared_at, torch.full((len(source.weight),), -1, dtype=torch.int64)
    which[at] = torch.arange(len(at))  # of two classes with one source row each has its own
    made = fitted.rows.rows(source.weight, shared_M=which)
    asked = drawn(len(source.weight), count=cfg.asked, seed=cfg.seed)
    kept = kept_neighbors(source.weight, rows_KG=made, asked_Q=asked, most=cfg.most)
    shared = which >= 0
    lengths: dict[str, dict[str, float]] = {}
    for name, rows in (("of the classifier", source.weight), ("of the detector", made)):
        lengths[f"rows {name}"] = _told(rows.norm(dim=1).double(), shared)
    metrics = {f"transfer/kept_neighbors@{k}": kept[k - 1] for k in SHOWN_AT if k <= len(kept)}
    if fitted.rows.has_network and not bool(shared.all()):
        found = asdict(activation_lengths(fitted.rows, source_KD=source.weight))
        lengths["activations"] = {name.replace("_", " "): v for name, v in found.items()}
        metrics |= {f"transfer/{name}": value for name, value in found.items()}
    told = {
        "version": 1,
        "method": fitted.record.settings.method,
        "classes": len(shared),
        "shared": int(shared.sum()),
        "asked": len(asked),
        "kept": kept,
        "lengths": lengths,
        "metrics": {check_name(name): value for name, value in metrics.items()},
    }
    (task.out / FILE).write_text(json.dumps(told, indent=1) + "\n")
    return {"kept_neighbors": {str(k): kept[k - 1] for k in SHOWN_AT if k <= len(kept)}}


def _told(lengths_K: Any, shared_K: Any) -> dict[str, float]:
    """Return means and variances of both kinds; a kind without a class is left out."""
    told: dict[str, float] = {}
    for name, some in (("shared", lengths_K[shared_K]), ("novel", lengths_K[~shared_K])):
        if len(some):
            told |= {f"{name} mean": float(some.mean())}
            told |= {f"{name} variance": float(some.var(correction=0))}
    return told
