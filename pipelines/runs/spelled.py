"""A command as one would type it again: every `Go on with`, `Run it` and `Next` is spelled here."""

import shlex
from collections.abc import Mapping, Sequence

STORE = ".vocabox"  # where results are unless one says otherwise


def command(
    verb: str,
    subject: str,
    settings: Sequence[str] = (),
    *,
    store: str = STORE,
    options: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Return a whole command line, quoted for a shell.

    Args:
        verb: run, show, predict, ...
        subject: the config or model it is about.
        settings: KEY=VALUE, as they were given.
        store: named where it is not the usual one.
        options: option -> its values, each said once; an option without values is left out.
    """
    words = ["vocabox", verb, subject, *settings]
    words += [] if store == STORE else ["--store", store]
    for option, values in (options or {}).items():
        words += [word for value in values for word in (option, value)]
    return shlex.join(words)


def changed(settings: Sequence[str], change: str) -> tuple[str, ...]:
    """Return settings with one of them changed in its place, or added: a key is given once."""
    key = change.partition("=")[0]
    out = tuple(change if text.partition("=")[0] == key else text for text in settings)
    return out if change in out else (*out, change)
