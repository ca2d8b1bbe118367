"""A stranger's text as a page may show it: the unseen written out, the endless cut."""

from pipelines.settings.problems import visible

LONGEST = 300  # signs of one value; a name or a setting can be endless


def told(text: str) -> str:
    """Return a text that shows all it holds, up to LONGEST signs; it is not escaped for HTML."""
    shown = visible(text[: LONGEST + 1])
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"
