"""Which classes a classifier and the boxes have in common, and why two vocabularies do not meet.

Classes are one when their ids are; a name under another id is another class. Free of torch.
"""

from collections.abc import Sequence

from components.vocab.classes import Vocabulary

SHOWN = 3  # classes told in a message


def under_two_ids(source: Vocabulary, boxed: Vocabulary) -> tuple[tuple[str, str], ...]:
    """Return the classes that only a name ties to the source: id of the boxes, id of the source.

    It is no such case where another boxed class of that name does have the source's id.
    """
    theirs = set(source.ids)
    pairs = list(zip(boxed.ids, boxed.names, strict=True))
    met = {name for class_id, name in pairs if class_id in theirs}
    named = dict(zip(reversed(source.names), reversed(source.ids), strict=True))
    return tuple(
        (class_id, named[name])
        for class_id, name in pairs
        if class_id not in theirs and name in named and name not in met
    )


def why_apart(source: Vocabulary, boxed: Vocabulary) -> str:
    """Return why rows of the boxed classes cannot be learnt from the source's; "": they can.

    A class under two ids (`coarse:dog` and `fine:dog`) is such a reason: taken as two classes the
    detector would learn one of them and be asked for the other.
    """
    if twice := under_two_ids(source, boxed):
        some = listed([f"{here!r} here and {there!r} there" for here, there in twice])
        return (
            f"source: {len(twice)} of {len(boxed)} boxed classes are in it by name, under another "
            f"id; got {some}. Give both vocabularies one id for one class (its level goes "
            "before the colon)."
        )
    if set(source.ids).isdisjoint(boxed.ids):
        return (
            f"source: no boxed class is among its {len(source)} classes; got boxes of "
            f"{listed(boxed.ids)}; the source has {listed(source.ids)}. Give a source "
            "that knows some of the boxed classes."
        )
    return ""


def both_found(twice: Sequence[tuple[str, str]]) -> str:
    """Return the sentence on classes that a detector finds under two ids, each by rows of its own.

    Args:
        twice: of `under_two_ids`; one or more.
    """
    some = listed([f"{here!r} and {there!r}" for here, there in twice])
    verb = "is" if len(twice) == 1 else "are"
    return (
        f"{len(twice)} of the classes {verb} found under two ids; got {some}. "
        "Leave one of them out by a list of classes, if it should be found once."
    )


def listed(texts: Sequence[str]) -> str:
    """Return the first three texts, and how many more there are."""
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return f"{', '.join(texts[:SHOWN])}{more}"
