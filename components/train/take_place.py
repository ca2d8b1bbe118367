"""A folder that is whole takes the place of what is there; nothing is lost on the way."""

from pathlib import Path


def take_place(half: Path, out: Path, *, scratch: Path) -> None:
    """Move a folder to its place; what was there goes to `scratch` when the new one is there.

    Stopped at any moment, by an error or a signal, the old or the new folder is in its place; a
    process that is killed between two renames leaves the old one beside it, as `<scratch>-old`.

    Args:
        half: the new folder, whole, in `scratch`.
        out: its place.
        scratch: a folder beside `out`, which the caller deletes.

    Raises:
        OSError: it cannot be moved; what was there is there.
    """
    old = scratch.with_name(f"{scratch.name}-old")
    try:
        if out.exists():
            out.rename(old)
        half.rename(out)
    except BaseException:
        if old.exists() and not out.exists():
            old.rename(out)
        raise
    finally:
        if old.exists() and out.exists():
            old.rename(scratch / "old")
