"""A plan as text for people, as Mermaid for pictures, as JSON lines for programs."""

import dataclasses
import json
import time

from pipelines.graph.forecast import Forecast, machine_cpus
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
    outlook = spoken_forecast(plan.forecast(cpus=machine_cpus()))
    more = f"; {outlook}" if runs else ""
    lines.append(f"{len(plan.nodes)} nodes: {cached} cached, {runs} to run{more}.")
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
    """Return one JSON object a node, one a line, and one with the sums."""
    forecast = plan.forecast(cpus=machine_cpus())
    sums = {"v": 1, "event": "plan", "nodes": len(plan.nodes), **dataclasses.asdict(forecast)}
    events = [*(as_event(p) for p in plan.nodes), sums]
    return "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events)


FORMATS = {"text": text, "mermaid": mermaid, "json": json_lines}


def _lines(planned: Planned, name: str, indent: str) -> list[str]:
    if planned.state == "cached" and planned.record:
        record = planned.record
        size = size_of(record.size) if record.units is None else f"{len(record.units)} units"
        facts = f"{size:>9}   {ago(record)}, took {spoken(record.seconds)}"
        below = [f"{indent}          {planned.note}"] if planned.note else []
        return [f"{name}cached    {facts}", *below]
    if planned.state == "left out":
        return [f"{name}left out"]
    known = planned.seconds is not None
    expected = f"   {planned.how} {spoken(planned.seconds or 0.0)}" if known else ""
    begins = "" if planned.state == "waits" else "will run  "
    lines: list[str] = []
    units = "{} of {} units: ".format(*planned.units) if planned.units else ""
    for i, reason in enumerate(planned.why):
        first = f"{name}{begins}{units}" if i == 0 else f"{indent}          "
        lines.append(f"{first}{reason.text}{expected if i == 0 else ''}")
        lines.extend(f"{indent}            {line}" for line in reason.diff)
    return lines


def spoken_forecast(found: Forecast) -> str:
    """Return what the nodes that run may cost: time on this machine, CPUs, GPUs, bytes."""
    if found.unknown == found.runs:
        return "how long is unknown: they never ran here"
    in_a_row = spoken(found.seconds)
    if found.wall_s is None:
        times = f"about {in_a_row} one after the other, and more than {_cpus(found)} at once"
    else:
        row = f" ({in_a_row} one after the other)" if spoken(found.wall_s) != in_a_row else ""
        times = f"about {spoken(found.wall_s)} on {_cpus(found)}{row}"
    gpus = f", {spoken(found.gpu_s)} of GPUs" if found.gpu_s else ""
    costs = f"{spoken(found.cpu_s)} of CPUs{gpus}, {size_of(found.size)}"
    more = f"; and {found.unknown} of unknown length" if found.unknown else ""
    return f"{times}, {costs}{more}"


def _cpus(found: Forecast) -> str:
    return f"{found.cpus:g} CPU{'' if found.cpus == 1 else 's'}"


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


def ago(record: Record) -> str:
    """Return how long ago a result was made, by this machine's clock: 2 d ago."""
    seconds = max(0.0, time.time() - record.body["started"])
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return "just now"


def size_of(count: int) -> str:
    """Return bytes in words: 12 B, 4.1 GB."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
