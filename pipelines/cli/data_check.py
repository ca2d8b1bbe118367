"""What `vocabox data check` says: each source's counts and findings, for people or for programs."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

import click

from components.data.check_table import CHECKS, Finding, Findings, Severity
from pipelines.cli.json_lines import write_event
from pipelines.settings.problems import visible

if TYPE_CHECKING:
    from components.data.check_source import Counted

FIRST = 5  # findings of a kind that are written out
EVERY = 5.0  # seconds between two lines of progress
SEVERITIES: tuple[tuple[Severity, str], ...] = (
    ("E", "errors"),
    ("Q", "left_out"),
    ("W", "warnings"),
    ("I", "notes"),
)
WORDS = {"E": "error", "Q": "left out", "W": "warning", "I": "note"}


@final
class ForPeople:
    """Blocks of text on stdout; progress on stderr."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.all: dict[str, Findings] = {}
        self.clock, self.told, self.now = clock, clock(), ""

    def findings(self, source: str) -> Findings:
        """Return what takes the findings of a source."""
        self.now, self.all[source] = source, Findings()
        return self.all[source]

    def progress(self, pictures: int) -> None:
        """Say how many pictures of the source have been looked at."""
        if self.clock() - self.told >= EVERY:
            self.told = self.clock()
            click.echo(visible(f"{self.now}: {pictures:,} pictures"), err=True)

    def source(self, counted: "Counted", found: Findings) -> None:
        """Write the block of one source."""
        for line in source_lines(counted, found):
            click.echo(line)

    def together(self, found: Findings) -> None:
        """Write what only shows when all sources are known."""
        if found.kinds:
            click.echo("\nall sources together")
        for line in finding_lines(found):
            click.echo(line)

    def end(self) -> int:
        """Write the last line and return the exit code."""
        counts = totals(self.all)
        words = ", ".join(_of(count, name.replace("_", " ")) for name, count in counts.items())
        click.echo(f"\n{words}.")
        return 2 if counts["errors"] else 0


@final
class ForPrograms:
    """One JSON object a finding, one a source, and a last one, on stdout."""

    def __init__(self) -> None:
        self.all: dict[str, Findings] = {}

    def findings(self, source: str) -> Findings:
        """Return what takes the findings of a source, and writes each at once."""
        self.all[source] = Findings(lambda finding: write_event(_event(finding, source)))
        return self.all[source]

    def progress(self, pictures: int) -> None:
        """Say nothing: progress is for people."""

    def source(self, counted: "Counted", found: Findings) -> None:
        """Write the counts of one source."""
        write_event({"event": "source", "source": counted.name} | facts(counted) | _by_check(found))

    def together(self, found: Findings) -> None:
        """Write nothing: each finding has been written."""

    def end(self) -> int:
        """Write the last line and return the exit code."""
        counts = totals(self.all)
        code = 2 if counts["errors"] else 0
        status = {"status": "failed", "reason": "bad_input"} if code else {"status": "done"}
        write_event({"event": "finished", **status, "code": code, **counts})
        return code


def totals(found: dict[str, Findings]) -> dict[str, int]:
    """Return how many findings there are of each severity."""
    return {many: sum(f.total(severity) for f in found.values()) for severity, many in SEVERITIES}


def _of(count: int, name: str) -> str:
    return f"{count:,} {name.removesuffix('s') if count == 1 else name}"


def _event(finding: Finding, source: str) -> dict[str, Any]:
    words = {name: getattr(finding, name) for name in ("where", "what", "got", "do", "times")}
    about = {"source": source, "check": finding.check, "severity": finding.grave}
    return {"event": "finding", **about, **words}


def _by_check(found: Findings) -> dict[str, dict[str, int]]:
    checks: dict[str, int] = {}
    for (_, check), count in found.counts.items():
        checks[check] = checks.get(check, 0) + count
    return {"checks": dict(sorted(checks.items()))}


def facts(counted: "Counted") -> dict[str, Any]:
    """Return the counts of a source by name."""
    of_boxes = counted.kind == "coco"
    names = ("boxes", "crowd", "thin", "without_box") if of_boxes else ("labels",)
    numbers: dict[str, Any] = {"kind": counted.kind, "pictures": counted.pictures}
    numbers |= {name: getattr(counted, name) for name in names}
    if counted.kind == "csv":
        split = {name: count for name, count in sorted(counted.rows.items()) if name}
        numbers |= {"rows": sum(counted.rows.values()), "split": split}
    return numbers | {"classes_used": len(counted.used), "classes": len(counted.classes)}


def source_lines(counted: "Counted", found: Findings) -> list[str]:
    """Return the block of one source."""
    n = facts(counted)
    rows: list[tuple[str, int, str]] = []
    if "rows" in n:
        split = ", ".join(f"{name} {count:,}" for name, count in n["split"].items())
        rows.append(("rows", n["rows"], split))
    if "boxes" in n:
        rows.append(("pictures", n["pictures"], f"{n['without_box']} without a box"))
        more = f"{n['crowd']} crowd, {n['thin']} with a side under 1 px"
        rows.append(("boxes", n["boxes"], more))
    else:
        rows += [("pictures", n["pictures"], ""), ("labels", n["labels"], "")]
    rows.append(("classes", n["classes_used"], f"used of {n['classes']:,}"))
    block = [f"  {name:<9} {count:>9,}   {more}".rstrip() for name, count, more in rows]
    head = visible(f"{counted.name} ({n['kind']})")
    return ["", head, *map(visible, block), *finding_lines(found)]


def finding_lines(found: Findings) -> list[str]:
    """Return the findings: a head a kind with its count, and the first FIRST in words."""
    lines: list[str] = []
    for kind in found.kinds:
        severity, check = kind
        lines.append(f"  {WORDS[severity]} {check} x {found.counts[kind]:,}: {CHECKS[check].means}")
        shown = found.first[kind][:FIRST]
        lines += [f"    {finding}" for finding in shown]
        more = found.counts[kind] - sum(finding.times for finding in shown)
        if more:
            lines.append(f"    and {more:,} more; --json lists all.")
    return list(map(visible, lines))
