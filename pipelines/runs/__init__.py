"""One walk of a graph as a user sees it: run directory, journal, tracking, report, result."""
