"""A classifier's own rows on a detector's regions: *direct*, which nothing is fitted for.

They mean something on the features that they were made for alone: the same trunk, or the same head.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from components.models.choices import PACKAGED, Backbone
from components.models.class_weights import ClassGroup, Feature
from components.models.two_stage import Detector
from components.train.class_groups import direct
from components.train.foreign import (
    IN_FEATURE,
    check_same_head,
    check_same_trunk,
    load_trunk_feature,
)
from components.train.source_file import OpenedSource, open_source
from components.train.weights_file import COUNTER, WeightsError, listed
from components.transfer.source import SourceError


def no_context(context: float) -> SourceError:
    """Return the error of a whole picture's share in scores that have none."""
    return SourceError(
        f"context: of a classifier's own rows on the trunk's features; got {context:g} for "
        "other rows. Leave it out."
    )


def _feature(detector: Detector, source: OpenedSource) -> Feature:
    """Return the features that a source's rows read; of a table, those of its width."""
    if source.feature is not None:
        return source.feature
    width, row = source.weights.weight.shape[1], detector.row
    trunk = None
    if row.trunk_feature is not None:
        trunk = row.trunk_feature(detector.trunk.channels).width
    if width == trunk:
        return "trunk"
    if width == row.head:
        return "head"
    raise SourceError(
        f"{source.where}: rows that a region of this detector cannot be scored by; got {width} "
        f"numbers a class, and its head has {row.head} features and its trunk {trunk or 'none'}. "
        "Give rows of one of these widths, or fit a transfer."
    )


def as_they_are(
    detector: Detector, source: OpenedSource, *, ids: Sequence[str] | None, context: float
) -> ClassGroup | None:
    """Return a classifier's own rows as a softmax group; None where none is asked for.

    Args:
        detector: whose regions they score; gets a trunk feature where they read one.
        source: the classifier.
        ids: classes to take; None: all.
        context: share of the whole picture in a region's score.

    Raises:
        SourceError: this detector has not the features that they were made for.
    """
    feature = _feature(detector, source)
    if context and feature != "trunk":
        raise no_context(context)
    same = check_same_head if feature == "head" else check_same_trunk
    same(detector, source.tensors, where=source.where)
    added = direct(source, feature=feature, ids=ids, context=context)
    if added is None:
        return None
    width = detector.row.head
    if added.feature == "trunk":
        width = (detector.trunk_feature or detector.add_trunk_feature()).width
    if added.features != width:
        raise SourceError(
            f"{source.where}: rows that a region of this detector cannot be scored by; got "
            f"{added.features} numbers a class, and its {added.feature} has {width} features. "
            "Give a classifier of the same backbone, or fit a transfer."
        )
    return added


def take_trunk_feature(
    detector: Detector,
    tensors: Mapping[str, Tensor],
    *,
    backbone: Backbone,
    carried: bool,
    where: str,
) -> None:
    """Give a detector the layers between its trunk and a classifier's rows; some trunks have none.

    They come with the rows; a model that was exported has them; and a trunk that started from a
    package, and is unchanged, has those of the package.

    Args:
        detector: whose regions are scored by rows on features of the trunk.
        tensors: of the rows' network; of a table none.
        backbone: of the detector, which says what its trunk started from.
        carried: the detector was read with these layers, and keeps them.
        where: the rows come from, for the error.

    Raises:
        WeightsError: nobody has the layers, or the rows were made for others.
    """
    feature = detector.trunk_feature or detector.add_trunk_feature()
    mine = {k: v for k, v in feature.layers.state_dict().items() if not k.endswith(COUNTER)}
    given = {k.removeprefix(IN_FEATURE): v for k, v in tensors.items()}
    there = [name for name in mine if name in given]
    if carried:
        other = [n for n in there if not torch.equal(mine[n].float(), given[n].float())]
        if other:
            raise WeightsError(
                f"{where}: its classes read other layers above the trunk than the model's; got "
                f"{len(other)} of {len(mine)} tensors that differ: {listed(other)}. Add them to "
                "the model that this one was exported from."
            )
        return
    if there or not mine:
        load_trunk_feature(detector, tensors, where=where)
    elif backbone.weights in PACKAGED:
        network = open_source(backbone.weights)
        check_same_trunk(detector, network.tensors, where=network.where)
        load_trunk_feature(detector, network.tensors, where=network.where)
    else:
        raise WeightsError(
            f"{where}: rows that read layers above the trunk, {listed(list(mine))}; got neither "
            "rows nor a model with them. Give the rows as .safetensors of the classifier "
            "whose layers they are, add them to a model that was exported with it, or fit a "
            "transfer."
        )
