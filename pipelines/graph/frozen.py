"""`--frozen`: go on only with the code and the versions that made what is there."""

from pipelines.graph.plan import Plan


class FrozenError(ValueError):
    """Results would be made by other code, or used with other versions, than the earlier ones."""


def check_frozen(plan: Plan) -> None:
    """Refuse a plan in which something would be made by code that is not that of the last result.

    A node that never ran is free to run.

    Raises:
        FrozenError: with one line a node.
    """
    lines: list[str] = []
    for entry in plan.nodes:
        found = [reason.text for reason in entry.why if reason.of]
        if entry.note:
            found.append(entry.note)
        if found:
            lines.append(
                f"--frozen: {entry.name} must be as it was made; got {'; '.join(found)}. "
                "Take the change back, or run without --frozen."
            )
    if lines:
        raise FrozenError("\n".join(lines))
