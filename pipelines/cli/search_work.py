"""What `vocabox tune` has done for it; imported only when it is called."""

from pathlib import Path
from typing import Any


def space(path: Path, loaded: Any) -> Any:
    """Return what a search looks through, held against a loaded config."""
    from components.eval.metric_names import NAMES
    from pipelines.settings.space import read_space

    return read_space(path, resolved=loaded.resolved, metrics=NAMES)


def tune(loaded: Any, space: Any, *, say: Any, out: Path, store: str, address: str,
         insecure: bool, **asked: Any) -> Any:  # fmt: skip
    """Search settings of a loaded config."""
    from cluster.searchers import SearchError
    from pipelines.runs.search import Asked, search_runs
    from pipelines.settings.problems import Problem, SettingsError

    try:
        return search_runs(
            loaded, space, Asked(**asked), store=store, out=out, address=address,
            insecure=insecure, say=say,
        )  # fmt: skip
    except SearchError as error:
        raise SettingsError([Problem.told(str(error))]) from error
