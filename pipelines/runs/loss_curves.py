"""The numbers that training nodes said, step by step, from the journals of runs."""

from collections.abc import Mapping
from pathlib import Path

from cluster.journal import every_event
from pipelines.report.parts import Points

Curves = dict[str, dict[str, Points]]  # node -> metric -> points


def curves_of(events: Path) -> Curves:
    """Return every metric of every node of one run; a step that was taken twice counts once."""
    found: dict[str, dict[str, dict[float, float]]] = {}
    for event in every_event(events):
        if event.get("event") == "metrics":
            of_node = found.setdefault(event["node"], {})
            for name, value in event["values"].items():
                of_node.setdefault(name, {})[float(event["step"])] = float(value)
    return {
        node: {name: sorted(points.items()) for name, points in metrics.items()}
        for node, metrics in found.items()
    }


def with_earlier(own: Curves, makers: Mapping[str, Path]) -> Curves:
    """Add the curves of nodes that earlier runs made; `makers` holds the events of their runs."""
    out = dict(own)
    read: dict[Path, Curves] = {}
    for node, events in makers.items():
        if node not in out and events.is_file():
            if events not in read:
                read[events] = curves_of(events)
            if node in read[events]:
                out[node] = read[events][node]
    return out
