"""What is written down about a result without being part of its identity."""

import json
import math
import resource
import subprocess
import sys
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from pipelines.graph.closure import ROOT

VERSIONED = ("torch", "torchvision", "numpy", "pyarrow", "ray", "pillow", "simplejpeg")
PATIENCE_S = 5.0  # for git, which may sit on a slow disk


@cache
def versions() -> dict[str, str]:
    """Return the versions that a result may depend on, without importing anything."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in VERSIONED:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def short(version: str | None) -> str:
    """Return the first two numbers of a version: 2.15 of 2.15.0+cpu."""
    return "none" if version is None else ".".join(version.partition("+")[0].split(".")[:2])


def keyed(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of these, as they enter keys; what is not installed is none."""
    return {name: short(versions().get(name)) for name in sorted(names)}


@cache
def git_state() -> dict[str, Any] | None:
    """Return the commit of our source and whether files differ from it; None without git."""
    with suppress(OSError, subprocess.SubprocessError):
        commit = _git("rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git("status", "--porcelain", "-uno"))}
    return None


@cache
def boot() -> str:
    """Return a name of the time since this machine was started; elsewhere, of this process."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return uuid.uuid4().hex


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that ended."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    below = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + below.ru_utime + below.ru_stime


def most_memory() -> int:
    """Return the most bytes of memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def plain_notes(notes: Mapping[str, object]) -> dict[str, Any]:
    """Return notes as JSON values; what has no such form becomes text, NaN becomes null.

    A result is never lost because of its notes.
    """
    return cast("dict[str, Any]", _finite(json.loads(json.dumps(dict(notes), default=_text))))


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *words],
        capture_output=True,
        check=True,
        text=True,
        timeout=PATIENCE_S,
    )
    return done.stdout.strip()


def _text(value: object) -> object:
    """Return numpy and torch scalars as numbers, everything else as text."""
    with suppress(AttributeError, ValueError, RuntimeError, TypeError):
        return cast("Any", value).item()
    return str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_finite(item) for item in cast("list[Any]", value)]
    return value
