"""Paper 4 on the drawn world, end to end: methods as arms, and what is claimed of them.

The rows are those of a classifier that the detector has nothing of: another training of stage 1.
Stretched: each row times a number between e^-2.5 and e^2.5, evenly in the logarithm, so that the
longest is a hundred times the shortest and more; the paper met 28 times. They are fitted at the
paper's rate, 1e-3. What these seeds said of other choices, so that nobody takes this for luck:
48 to 60 times (e^1.93), WTN+ led WTN by .094, .012 and .059; e^2.5 at the page's rate, 3e-3, which
is better for all methods, by .062, .008 and .034; at 1e-3 by .126, .037 and .066. That was one
processor; on another the same seeds at 1e-3 gave .049, .075 and .072.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean

import torch
from safetensors.torch import save_file

from components.data.shards import Shards
from components.data.stream import plain_batches
from components.data.views import PlainView
from components.train.checkpoint import load_model
from components.train.source_folder import load_source
from tests.bench.generated_features import SHOWN as SHOWN_GENERATED
from tests.bench.generated_features import generated_features
from tests.bench.measured import (
    Measured,
    Metrics,
    artifact_of,
    each,
    more,
    not_separated,
    run_page,
)

PAGE = Path(__file__).parents[2] / "configs" / "weight_transfer.yaml"
PLACES = tuple(f"run_on.{n}.local=true" for n in ("stage1", "classifier", "detector"))
PLAIN = ("nearest", "lsda", "zsd", "wtn", "wtn_plus", "ae_wtn")
STRETCHED = ("nearest", "wtn", "wtn_plus", "ae_wtn")
SIZE = 48  # px, of the test photos
STRETCH = 2.5  # the largest |ln| of what a row is multiplied by
RATE = 1e-3  # of the transfer's AdamW where rows are stretched: the paper's
LEAST_RATIO = 25.0  # of row lengths, longest to shortest
DRAWN = "novel/AP50"
SHOWN = (DRAWN, "seen/AP50", "coco/AP50", "loc/top1")


def weight_transfer(*, seeds: int, store: Path, say: Callable[[str], None]) -> Measured:
    """Return the arms and the claims of paper 4: generated features, then pictures."""
    generated = generated_features(seeds=seeds, say=say)
    drawn = drawn_world(seeds=seeds, store=store, say=say)
    rows = {f"generated, {name}": got for name, got in generated.rows.items()} | drawn.rows
    told = [(f"generated: {text}", holds) for text, holds in generated.claims]
    for world, metric in (("generated", "novel/AP"), ("plain", DRAWN), ("stretched", DRAWN)):
        told_of = [name for name in rows if name.startswith(f"{world}, ")]
        drawn.claims.extend(not_separated(rows, metric, told_of))
    shown = tuple(dict.fromkeys((*SHOWN_GENERATED, *SHOWN)))
    return Measured(rows=rows, claims=[*told, *drawn.claims], shown=shown)


def drawn_world(*, seeds: int, store: Path, say: Callable[[str], None]) -> Measured:
    """Return the arms and the claims on pictures of the drawn world, end to end."""
    rows: dict[str, list[Metrics]] = {}
    accuracy: list[float] = []
    ratios: list[float] = []
    for seed in range(seeds):
        base = [f"draw.seed={seed}", f"stage1.seed={seed}", f"detector.seed={seed}", *PLACES]
        own = [*base, f"rows.seed={seed + 1000}"]
        file, ratio = stretched(own, seed=seed, store=store)
        ratios.append(ratio)
        accuracy.append(_accuracy(own, store=store))
        say(f"seed {seed}  classifier right {accuracy[-1]:.3f}; stretched to {ratio:.1f}")
        of_file = f"rows={{kind: file, file: {file}, classes: {file.with_suffix('.json')}}}"
        rate = f"detector.transfer.lr={RATE}"
        arms = (("plain", PLAIN, own), ("stretched", STRETCHED, [*base, of_file, rate]))
        for name, methods, settings in arms:
            for method in methods:
                got = run_page(PAGE, [*settings, f"detector.transfer.method={method}"], store=store)
                rows.setdefault(f"{name}, {method}", []).append(got)
                say(f"seed {seed}  {name}, {method}: novel AP50 {got[DRAWN]:.3f}, "
                    f"seen {got['seen/AP50']:.3f}")  # fmt: skip
    return Measured(rows=rows, claims=list(claims(rows, accuracy, ratios)), shown=SHOWN)


def stretched(base: list[str], *, seed: int, store: Path) -> tuple[Path, float]:
    """Write the classifier's rows with lengths pulled apart; return the file and their ratio."""
    source = load_source(artifact_of(PAGE, base, node="rows", store=store)).weights
    classes = len(source.vocabulary)
    order = torch.randperm(classes, generator=torch.Generator().manual_seed(seed))
    factor = torch.linspace(-STRETCH, STRETCH, classes)[order].exp()
    weight = source.weight * factor[:, None]
    length = weight.norm(dim=1)
    ids = list(source.vocabulary.ids)
    file = store / f"stretched{seed}.safetensors"
    save_file({"weight": weight.contiguous()}, file)
    file.with_suffix(".json").write_text(json.dumps(ids))
    return file, float(length.max() / length.min())


def _accuracy(base: list[str], *, store: Path) -> float:
    """Return how often the classifier is right on the test photos."""
    detector, _ = load_model(artifact_of(PAGE, base, node="classifier", store=store))
    photos = Shards.open(artifact_of(PAGE, base, node="pack_photos", store=store))
    columns = photos.vocabulary.mapping(detector.labelled)
    view = PlainView(size=SIZE, pad_to=detector.row.pad_to)
    right = 0
    for batch in plain_batches(photos, view=view, size=50, labels=columns):
        true = batch.labels[batch.offsets[:-1]]
        right += int((detector.classify(batch).argmax(1) == true).sum())
    return right / len(photos)


def claims(
    rows: dict[str, list[Metrics]], accuracy: list[float], ratios: list[float]
) -> Iterator[tuple[str, bool]]:
    """Yield each claim of paper 4 with its figures, and whether it holds."""
    yield f"the classifier is right >= .50: {each(accuracy)}", min(accuracy) >= 0.5
    for method in ("wtn", "wtn_plus", "ae_wtn"):
        ahead = more(rows, DRAWN, f"plain, {method}", "plain, nearest")
        yield f"plain: {method} >= nearest + .05, each seed: {each(ahead)}", min(ahead) >= 0.05
    yield f"stretched: lengths differ by >= 25: {each(ratios)}", min(ratios) >= LEAST_RATIO
    for method in ("wtn_plus", "ae_wtn"):
        ahead = more(rows, DRAWN, f"stretched, {method}", "stretched, wtn")
        yield f"stretched: {method} >= wtn + .03, each seed: {each(ahead)}", min(ahead) >= 0.03
    ahead = more(rows, DRAWN, "stretched, ae_wtn", "stretched, wtn_plus")
    yield f"stretched: ae_wtn >= wtn_plus - .02, each seed: {each(ahead)}", min(ahead) >= -0.02
    ahead = more(rows, "seen/AP50", "stretched, ae_wtn", "stretched, wtn_plus")
    yield (
        f"stretched: seen, ae_wtn >= wtn_plus - .01 in the mean: {each(ahead)}",
        mean(ahead) >= -0.01,
    )
