"""How far something is, for people, on stderr."""

import sys
import time

PATIENCE = 2.0  # seconds before progress is told


class ProgressLines:
    """Tells of progress on stderr: in place on a terminal, else a line every ten seconds."""

    def __init__(self) -> None:
        self.start = self.told = time.monotonic()
        self.open = False

    def __call__(self, done: int, total: int) -> None:
        """Tell that so many of all pictures are done."""
        now, terminal = time.monotonic(), sys.stderr.isatty()
        ended = done == total
        due = now - self.told >= (0.5 if terminal else 10.0)
        if ended and self.open:
            sys.stderr.write(f"\r{done}/{total} pictures\n")
        elif not ended and due and now - self.start >= PATIENCE:
            rate = done / (now - self.start)
            left = f", {(total - done) / rate:.0f} s left" if rate else ""
            text = f"{done}/{total} pictures, {rate:.1f}/s{left}"
            sys.stderr.write(f"\r{text:<60}" if terminal else f"{text}\n")
            self.told, self.open = now, terminal
        sys.stderr.flush()
