"""What a record says beside identity: enough to know what a result cost, and to make it again."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipelines.graph.circumstances import short, versions
from pipelines.graph.key import label
from pipelines.graph.node import RunOn

Places = Mapping[str, Mapping[str, str]]


class OtherVersionError(RuntimeError):
    """A worker has another version of something that the key names."""


def provenance(
    cfg: object,
    *,
    run_on: RunOn,
    places: Places,
    keyed: Mapping[str, str],
    seconds: float,
    cpu_s: float,
) -> dict[str, Any]:
    """Return the fields of a record that no key is made of.

    Args:
        cfg: settings of the node; their class is written down.
        run_on: what the node held.
        places: of each input that is no whole artifact, role -> the file in the artifact, or the
            absolute path of a user's file or folder.
        keyed: versions that are in the key.
        seconds: of the body.
        cpu_s: CPU seconds of this process and its children; of Ray's workers, which are neither,
            the CPUs they held are counted. GPUs are counted as held.
    """
    elsewhere = run_on.workers > 0 and not run_on.local
    held = seconds * run_on.workers
    return {
        "cfg": label(type(cfg)),
        "run_on": dataclasses.asdict(run_on),
        "places": {name: dict(files) for name, files in places.items()},
        "keyed": dict(keyed),
        "cpu_s": round(cpu_s + (held * run_on.cpus_per_worker if elsewhere else 0.0), 6),
        "gpu_s": round(held * run_on.gpus_per_worker, 6),
    }


def check_versions(node: str, keyed: Mapping[str, str]) -> None:
    """Compare the versions that a key names with those of this process.

    Raises:
        OtherVersionError: one differs.
    """
    here = {name: short(versions().get(name)) for name in keyed}
    if lost := [name for name in keyed if here[name] != keyed[name]]:
        said = ", ".join(f"{name} {here[name]}, wanted {keyed[name]}" for name in lost)
        raise OtherVersionError(
            f"{node}: a worker must have the versions that its key names; got {said}. "
            "Install the same on every machine."
        )


def aged(record: Mapping[str, Any]) -> str:
    """Say with which versions a record was made where they are others now; else nothing.

    Third digits are not compared.
    """
    then: Mapping[str, str] = record.get("versions") or {}
    now = versions()
    names = [name for name in then if short(then[name]) != short(now.get(name))]
    if not names:
        return ""
    made = ", ".join(f"{name} {short(then[name])}" for name in names)
    return f"made with {made}; now {', '.join(short(now.get(name)) for name in names)}"
