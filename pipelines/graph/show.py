"""A plan as text for people, as Mermaid for pictures, as JSON lines for programs."""

import json
import time

from pipelines.graph.node import upstream
from pipelines.graph.plan import Plan, Planned, as_event
from pipelines.graph.record import Record

CLASSES = {"cached": "cached", "will run": "runs", "waits": "waits", "left out": "out"}
STYLES = (
    "  classDef cached fill:#d9f0d9,stroke:#4a8a4a",
    "  classDef runs fill:#fde8c8,stroke:#b07a1a",
    "  classDef waits fill:#f4f4f4,stroke:#888888",
    "  classDef out fill:#ffffff,stroke:#cccccc,stroke-dasharray: 4",
)


def text(plan: Plan) -> str:
    """Return one line a node, its reasons and code changes below it, and the sum."""
    width = max((len(p.node.name) for p in plan.nodes), default=0) + 2
    lines: list[str] = []
    for planned in plan.nodes:
        name = planned.node.name.ljust(width)
        lines.extend(_lines(planned, name, " " * width))
    runs = sum(p.state in ("will run", "waits") for p in plan.nodes)
    cached = sum(p.state == "cached" for p in plan.nodes)
    lines.append(f"{len(plan.nodes)} nodes: {cached} cached, {runs} to run{_sum(plan, runs)}")
    return "\n".join(lines) + "\n"


def mermaid(plan: Plan) -> str:
    """Return the graph as a Mermaid flowchart, coloured by state."""
    ids = {p.node.name: f"n{i}" for i, p in enumerate(plan.nodes)}
    lines = ["flowchart LR"]
    for planned in plan.nodes:
        name = planned.node.name
        lines.append(f'  {ids[name]}["{name}<br/>{planned.state}"]:::{CLASSES[planned.state]}')
    for planned in plan.nodes:
        below = ids[planned.node.name]
        lines += [f"  {ids[source.name]} --> {below}" for source in upstream(planned.node)]
    return "\n".join([*lines, *STYLES]) + "\n"


def json_lines(plan: Plan) -> str:
    """Return one JSON object a node, one a line."""
    return "".join(json.dumps(as_event(p), ensure_ascii=False) + "\n" for p in plan.nodes)


FORMATS = {"text": text, "mermaid": mermaid, "json": json_lines}


def _lines(planned: Planned, name: str, indent: str) -> list[str]:
    if planned.state == "cached" and planned.record:
        record = planned.record
        size = _bytes(record.size) if record.units is None else f"{len(record.units)} units"
        facts = f"{size:>9}   {_ago(record)}, took {spoken(record.seconds)}"
        return [f"{name}cached    {facts}"]
    if planned.state == "left out":
        return [f"{name}left out"]
    expected = f"   about {spoken(planned.seconds)}" if planned.seconds is not None else ""
    if planned.state == "waits":
        return [f"{name}{planned.why[0].text}{expected}"]
    lines: list[str] = []
    units = "{} of {} units: ".format(*planned.units) if planned.units else ""
    for i, reason in enumerate(planned.why):
        first = f"{name}will run  {units}" if i == 0 else f"{indent}          "
        lines.append(f"{first}{reason.text}{expected if i == 0 else ''}")
        lines.extend(f"{indent}            {line}" for line in reason.diff)
    return lines


def _sum(plan: Plan, runs: int) -> str:
    if not runs:
        return "."
    if plan.unknown == runs:
        return "; how long is unknown: they never ran here."
    more = f", and {plan.unknown} of unknown length" if plan.unknown else ""
    return f"; about {spoken(plan.seconds)} one after the other{more}."


def spoken(seconds: float) -> str:
    """Return a duration in words: .4 s, 12 s, 3 m 10 s, 2 h 5 m."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} m {rest} s"
    return f"{minutes // 60} h {minutes % 60} m"


def _ago(record: Record) -> str:
    seconds = max(0.0, time.time() - record.body["started"])
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return "just now"


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
