"""The one door of `classes.safetensors`: exported classes of a detector, as numbers and one text.

Tensors are `<group>.weight`, `<group>.bias` and `<group>.adapter.*`; ids, names, rule, feature and
the adapter's sizes are JSON in the metadata. Equal classes give equal bytes.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from components.models.class_weights import ClassGroup, ClassWeights, ClassWeightsError
from components.train.tensors import fit_tensors, not_finite, read_tensors
from components.train.weights_file import (
    LARGEST_HEADER,
    WeightsError,
    listed,
    read_header,
    wrong_types,
)
from components.transfer.adapters import Adapter, Shape
from components.vocab.classes import Vocabulary, VocabularyError

VERSION = 1
KEY = "classes"  # of the metadata; one key, for the order of two is not fixed
GROUPS = ("boxed", "labelled")


def write_classes(path: Path, weights: ClassWeights) -> None:
    """Write exported classes.

    Raises:
        WeightsError: a number is not finite, or the ids and names need more than a header may be.
    """
    tensors: dict[str, Tensor] = {}
    groups: dict[str, Any] = {}
    for name, group in weights.groups().items():
        state = {} if group.adapter is None else group.adapter.state_dict()
        own = {"weight": group.weight, "bias": group.bias} | {
            f"adapter.{key}": tensor for key, tensor in state.items()
        }
        tensors |= {f"{name}.{k}": v.detach().cpu().contiguous() for k, v in own.items()}
        groups[name] = {
            "ids": list(group.vocabulary.ids),
            "names": list(group.vocabulary.names),
            "rule": group.rule,
            "feature": group.feature,
            "rivals": group.rivals,
            "context": group.context,
            "adapter": None if group.adapter is None else asdict(group.adapter.shape),
        }
        if group.rival_ids:
            groups[name]["rival_ids"] = list(group.rival_ids)
    _check_numbers(path, tensors)
    text = json.dumps({"version": VERSION, "groups": groups}, sort_keys=True)
    if len(text) > LARGEST_HEADER // 2:  # it is escaped once more inside the header
        raise WeightsError(
            f"{path}: ids and names of the classes take too much room; got {len(text)} bytes, and "
            f"{LARGEST_HEADER // 2} is the most. Export fewer classes."
        )
    save_file(tensors, path, metadata={KEY: text})


def read_classes(path: Path) -> ClassWeights:
    """Return the exported classes of a file.

    Raises:
        WeightsError: it is another kind of file, cut, holds NaN, or its parts do not belong
            together; a pickle is never opened.
    """
    header = read_header(path)
    try:
        said = json.loads(header.metadata[KEY])
        version, groups = said["version"], dict(said["groups"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"{path}: holds no exported classes; got a .safetensors file without them. "
            "Make it with vocabox export."
        ) from error
    if type(version) is not int or version != VERSION:
        raise WeightsError(
            f"{path}: version {VERSION} is read here; got {version!r:.20}. "
            "Use the vocabox that wrote it."
        )
    if wrong := wrong_types(header):
        raise WeightsError(
            f"{path}: rows are floating-point numbers; got {listed(wrong)}. Export again."
        )
    tensors = read_tensors(path)
    _check_numbers(path, tensors)
    names = {f"{name}." for name in groups}
    strange = [key for key in tensors if not key.startswith(tuple(names))]
    if strange or not set(groups) <= set(GROUPS):
        got = listed([*strange, *sorted(set(groups) - set(GROUPS))])
        raise WeightsError(
            f"{path}: groups are {' and '.join(GROUPS)}; got {got:.200}. Export again."
        )
    try:
        return ClassWeights(
            **{name: _group(path, name, said, tensors) for name, said in groups.items()}
        )
    except (ClassWeightsError, VocabularyError) as error:
        raise WeightsError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(
            f"{path}: its text and its tensors do not belong together; got no usable "
            f"{error!s:.80}. Export again."
        ) from error


def _group(
    path: Path, name: str, said: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> ClassGroup:
    own = {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
    ids, names, rivals = (_texts(said, key) for key in ("ids", "names", "rival_ids"))
    weight, bias = own.pop("weight"), own.pop("bias")
    group = ClassGroup(
        vocabulary=Vocabulary(ids=ids, names=names),
        weight=weight,
        bias=bias,
        rule=said["rule"],
        feature=said["feature"],
        context=float(said["context"]),
        adapter=_adapter(path, name, said["adapter"], own),
        rival_ids=rivals,
    )
    if group.rivals != said["rivals"]:
        raise ClassWeightsError(
            f"classes: one row a class; got {len(bias)} rows for {len(ids)} class ids and "
            f"{said['rivals']} rivals. Export again."
        )
    return group


def _texts(said: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return a list of texts; only rivals can be without one, as in files of an earlier vocabox."""
    if key == "rival_ids" and key not in said:
        return ()
    return tuple(str(text) for text in said[key])


def _adapter(
    path: Path, name: str, said: Mapping[str, Any] | None, own: Mapping[str, Tensor]
) -> Adapter | None:
    """Build an adapter that its tensors fill; on the way nothing is as large as its text says."""
    if said is None and not own:
        return None
    sizes: dict[str, Any] = dict(said or {})
    sizes["layers"] = tuple(sizes["layers"])
    shape = Shape(**sizes)
    with torch.device("meta"):
        adapter = Adapter(shape)
    inside = {k.removeprefix("adapter."): v for k, v in own.items()}
    fit_tensors(adapter, inside, where=f"{path}: {name}.adapter", assign=True)
    return adapter.eval()


def _check_numbers(path: Path, tensors: Mapping[str, Tensor]) -> None:
    if wrong := not_finite(tensors):
        raise WeightsError(
            f"{path}: rows hold NaN or infinity; got {len(wrong)} such tensors: {listed(wrong)}. "
            "Export from a training that ended well."
        )
