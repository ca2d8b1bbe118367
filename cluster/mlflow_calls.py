"""Calls to one MLflow server, each of which may be made again: what is sent twice is stored once.

A value that the server refuses is counted and left out; anything else that goes wrong is raised,
and the caller tries again later.
"""

import contextlib
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, final

from cluster.mlflow_names import TAG_LENGTH, safe_name

Memory = dict[str, Any]  # plain JSON: ids of runs, keys by run, files to send, what was refused

EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.experiment.primaryMetric.name": "coco/AP",
    "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
}
BATCH = {"metrics": 1000, "params": 100}  # MLflow takes no more in one request
REFUSALS = {  # of one value; sending it again cannot help
    "INVALID_PARAMETER_VALUE",
    "BAD_REQUEST",
    "INVALID_STATE",
}


@final
class MlflowCalls:
    """One experiment on one server."""

    def __init__(self, uri: str, experiment: str, *, store: Path, memory: Memory) -> None:
        from mlflow.tracking import MlflowClient

        if uri.startswith("sqlite:///"):
            _write_ahead(Path(uri.removeprefix("sqlite:///")))
        self._client = MlflowClient(tracking_uri=uri)
        self._memory = memory
        at = None if uri.startswith("http") else store / "mlartifacts" / safe_name(experiment)
        self._experiment = self._find_experiment(experiment, at=at)

    def _find_experiment(self, name: str, *, at: Path | None) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            place = at.resolve().as_uri() if at else None
            return self._client.create_experiment(name, place, tags=EXPERIMENT_TAGS)
        if found.lifecycle_stage != "active":
            raise ValueError(
                f"tracking.experiment: {name!r} was deleted in MLflow. Restore it there, or "
                f"give another name."
            )
        return found.experiment_id

    def create(self, name: str, token: str, tags: Mapping[str, Any], *, time_ms: int) -> str:
        """Create a run, or find the one that an earlier attempt created; return its id."""
        found = self._client.search_runs(
            [self._experiment], f"tags.`dag.id` = '{token}'", max_results=1
        )
        if found:
            return found[0].info.run_id
        said = {key: str(value)[:TAG_LENGTH] for key, value in tags.items() if value is not None}
        run = self._client.create_run(
            self._experiment, start_time=time_ms, tags={**said, "dag.id": token}, run_name=name
        )
        return run.info.run_id

    def delete_others(self, token: str, used: set[str]) -> None:
        """Delete runs whose token begins so and that are not in use.

        They come from requests whose answer was lost: a frozen server carries them out when it
        thaws, after the run was created once more.
        """
        query = f"tags.`dag.id` LIKE '{token}%'"
        for run in self._client.search_runs([self._experiment], query, max_results=1000):
            if run.info.run_id not in used:
                self._client.delete_run(run.info.run_id)

    def log(self, run: str, kind: Literal["metrics", "params"], values: Sequence[Any]) -> None:
        """Send metrics or parameters of a run, in batches."""
        for at in range(0, len(values), BATCH[kind]):
            self._log_batch(run, kind, values[at : at + BATCH[kind]])

    def _log_batch(self, run: str, kind: str, values: Sequence[Any]) -> None:
        """Send one batch; a value that is refused does not take the others with it."""
        from mlflow.exceptions import MlflowException

        try:
            some: dict[str, Any] = {kind: values}
            self._client.log_batch(run, **some)
        except MlflowException as error:
            if error.error_code not in REFUSALS:
                raise
            gone = self._client.get_run(run).info.lifecycle_stage == "deleted"
            if gone or len(values) == 1:
                self.refused(f"{run}: {error.message}", count=len(values))
                return
            for half in (values[: len(values) // 2], values[len(values) // 2 :]):
                self._log_batch(run, kind, half)

    def set(
        self, run: str, *, status: str | None = None, tags: Mapping[str, str] | None = None
    ) -> None:
        """Set the tags and the status of a run."""
        with self._refusable(run):
            for key, value in (tags or {}).items():
                self._client.set_tag(run, key, value[:TAG_LENGTH])
            if status is not None:
                self._client.update_run(run, status=status)

    def end(self, run: str, status: str, time_ms: int) -> None:
        """Set how and when a run ended."""
        with self._refusable(run):
            self._client.set_terminated(run, status, time_ms)

    def send_file(self, file: Mapping[str, str]) -> None:
        """Send a text under a name, or the file or folder at a path, if it is still there."""
        run, path = file["run"], Path(file.get("path", ""))
        if "text" in file:
            self._client.log_text(run, file["text"], file["name"])
        elif path.is_dir():
            self._client.log_artifacts(run, str(path), path.name)
        elif path.is_file():
            self._client.log_artifact(run, str(path))

    @contextlib.contextmanager
    def _refusable(self, run: str) -> Generator[None]:
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            if error.error_code not in REFUSALS:
                raise
            self.refused(f"{run}: {error.message}")

    def refused(self, why: str, *, count: int = 1) -> None:
        """Count what MLflow does not take."""
        self._memory["refused"] = self._memory.get("refused", 0) + count
        self._memory.setdefault("first_refusal", why[:500])


def _write_ahead(path: Path) -> None:
    """Create a database in which readers do not wait for the writer."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA journal_mode=WAL")
