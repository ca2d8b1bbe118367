"""Every machine of the open session: what it has, and one function run once on each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ANSWER_S = 120.0  # to start a process on a busy machine and hear from it


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What one machine answered: a value, or why there is none."""

    node: str  # host name and the first letters of Ray's id
    value: Any = None
    error: str = ""


def on_each_node(fn: Callable[..., Any], *args: Any, timeout_s: float = ANSWER_S) -> list[Said]:
    """Return what `fn(*args)` gives on each living node, in the order of their names.

    A node that dies while it is asked is no living node: it is left out. One whose worker dies
    is asked again.

    Args:
        fn: at the top level of a module that every node can import.
        args: what it gets; can be pickled.
        timeout_s: seconds for all of them together; who is later has an error.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # of lost workers; what fn raises counts at once
    task = ray.remote(num_cpus=0, max_retries=2)(fn)
    asked: dict[Any, str] = {}
    for node in ray.nodes():
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            name = f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})"
            asked[task.options(scheduling_strategy=there).remote(*args)] = name
    ready, late = ray.wait(list(asked), num_returns=len(asked), timeout=timeout_s)
    said = [one for ref in ready if (one := _heard(ref, asked[ref])) is not None]
    for ref in late:
        ray.cancel(ref, force=True)
        said.append(Said(node=asked[ref], error=f"no answer within {timeout_s:.0f} s"))
    return sorted(said, key=lambda one: one.node)


def _heard(ref: Any, node: str) -> Said | None:
    import ray
    from ray.exceptions import NodeDiedError, TaskUnschedulableError

    try:
        return Said(node=node, value=ray.get(ref))
    except (NodeDiedError, TaskUnschedulableError):
        return None  # bound to this node alone, so it can only be that the node went
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        why = next((line for line in lines if "ModuleNotFoundError" in line), "")
        return Said(
            node=node, error=(why or (lines[-1] if lines else type(error).__name__)).strip()
        )
