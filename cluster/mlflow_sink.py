"""Events of a run -> MLflow: one run a pipeline, one nested run a node.

What is sent twice is stored once: runs are found again by a tag, metrics carry the time of their
event, artifacts have fixed names.
"""

import contextlib
import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, final

Event = dict[str, Any]
Memory = dict[str, Any]  # plain JSON: the parent's id, ids by node, keys by run

KEYS_A_RUN = 60  # MLflow draws one chart a key; many more and its page dies
METRICS_A_BATCH, PARAMS_A_BATCH = 1000, 100
NAME_LENGTH, PARAM_LENGTH, TAG_LENGTH = 250, 6000, 5000
ENDS = {"done": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.experiment.primaryMetric.name": "coco/AP",
    "mlflow.experiment.primaryMetric.greaterIsBetter": "True",
}
REFUSALS = {  # of one value; sending it again cannot help
    "INVALID_PARAMETER_VALUE",
    "BAD_REQUEST",
    "INVALID_STATE",
    "RESOURCE_DOES_NOT_EXIST",
}


def safe_name(text: str) -> str:
    """Replace what MLflow refuses in the name of a metric or a parameter."""
    parts = re.sub(r"[^\w./ :-]", "_", text).split("/")
    return "/".join(p for p in parts if p not in ("", ".", ".."))[:NAME_LENGTH] or "_"


def run_name(event: Mapping[str, Any]) -> str:
    """Name a pipeline's run `<recipe>-<backbone>-<cfg6>`; MLflow's column shows 18 characters."""
    config = event.get("config") or {}
    backbone = str(config.get("backbone.kind") or config.get("backbone") or "")
    words = [str(event.get("pipeline") or "run"), backbone, config_digest(event)[:6]]
    return "-".join(word for word in words if word)


def config_digest(event: Mapping[str, Any]) -> str:
    """Return the digest of a run's config: of its text, else of its parameters."""
    text = event.get("config_text") or json.dumps(event.get("config") or {}, sort_keys=True)
    return hashlib.sha256(str(text).encode()).hexdigest()


def milliseconds(event: Mapping[str, Any]) -> int:
    """Return the time of an event in milliseconds since 1970."""
    return int(float(event.get("time") or 0) * 1000)


@final
class MlflowSink:
    """Send the events of one run to one tracking server; raise when it cannot be reached."""

    def __init__(self, uri: str, experiment: str, *, store: Path, memory: Memory) -> None:
        from mlflow.tracking import MlflowClient

        if uri.startswith("sqlite:///"):
            _write_ahead(Path(uri.removeprefix("sqlite:///")))
        self._client = MlflowClient(tracking_uri=uri)
        self._memory = memory
        self._metrics: dict[str, list[Any]] = {}
        at = None if uri.startswith("http") else store / "mlartifacts" / safe_name(experiment)
        self._experiment = self._find_experiment(experiment, at=at)
        self._handlers: dict[str, Callable[[Event], None]] = {
            "run": self._run,
            "node": self._node,
            "metrics": self._series,
            "artifact": self._artifact,
            "finished": self._finished,
        }

    def send(self, events: list[Event]) -> None:
        """Send events in their order. Raise what the server or the way to it raised."""
        for event in events:
            handler = self._handlers.get(str(event.get("event")))
            if handler is not None and ("parent" in self._memory or event["event"] == "run"):
                handler(event)
        self._flush()

    def abandon(self, time_ms: int) -> None:
        """Close what is open: the driver is gone without a last word."""
        for name in list(self._memory.get("open", [])):
            self._end(self._memory["nodes"][name], "KILLED", time_ms)
        self._memory["open"] = []
        if "parent" in self._memory:
            self._end(self._memory["parent"], "KILLED", time_ms)

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

    def _run(self, event: Event) -> None:
        memory = self._memory
        if "parent" in memory:  # a run goes on
            self._client.update_run(memory["parent"], status="RUNNING")
            return
        digest = config_digest(event)
        memory["token"] = hashlib.sha256(json.dumps(event, sort_keys=True).encode()).hexdigest()
        memory["name"], memory["config"] = run_name(event), digest[:6]
        memory["tags"] = {
            "dag.pipeline": event.get("pipeline"),
            "dag.run": event.get("run"),
            "dag.config_sha": digest,
            "code.version": event.get("version"),
            "mlflow.source.git.commit": event.get("commit"),
            "mlflow.source.name": "vocabox",
        }
        tags = {**memory["tags"], "dag.kind": "pipeline", "mlflow.note.content": event.get("note")}
        parent = self._create(memory["name"], memory["token"], tags, milliseconds(event))
        config = event.get("config") or {}
        pairs = [(safe_name(key), str(value)[:PARAM_LENGTH]) for key, value in config.items()]
        with self._refusable(parent):
            self._log_params(parent, pairs)
        if event.get("config_text"):
            self._client.log_text(parent, str(event["config_text"]), "config.yaml")
        memory["parent"] = parent

    def _log_params(self, run: str, pairs: list[tuple[str, str]]) -> None:
        from mlflow.entities import Param

        for at in range(0, len(pairs), PARAMS_A_BATCH):
            some = [Param(key, value) for key, value in pairs[at : at + PARAMS_A_BATCH]]
            self._client.log_batch(run, params=some)

    def _create(self, name: str, token: str, tags: Mapping[str, Any], time_ms: int) -> str:
        """Create a run, or find the one that an earlier attempt created."""
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

    def _child(self, name: str, event: Event) -> str:
        memory = self._memory
        nodes: dict[str, str] = memory.setdefault("nodes", {})
        if name not in nodes:
            tags = {
                **memory["tags"],
                "dag.kind": "node",
                "dag.node": name,
                "dag.stage": event.get("stage"),
                "dag.key": event.get("key"),
                "dag.cache": "hit" if event.get("state") == "cached" else "miss",
                "dag.parent_name": memory["name"],
                "mlflow.parentRunId": memory["parent"],
            }
            token = f"{memory['token']}/{name}"
            title = f"{name} · {memory['config']}"
            nodes[name] = self._create(title, token, tags, milliseconds(event))
        return nodes[name]

    def _node(self, event: Event) -> None:
        name, state, at = str(event.get("node")), event.get("state"), milliseconds(event)
        running: list[str] = self._memory.setdefault("open", [])
        if state == "running":
            child = self._child(name, event)
            if name not in running:
                running.append(name)
            attempts = self._memory.setdefault("attempts", {})
            attempts[name] = event.get("attempt") or attempts.get(name, 0) + 1
            self._client.set_tag(child, "dag.attempt", str(attempts[name]))
            if attempts[name] != 1:
                self._client.update_run(child, status="RUNNING")
        elif state == "cached":
            if name not in self._memory.get("nodes", {}):  # not one this run itself has made
                self._end(self._child(name, event), "FINISHED", at)
        elif state in ("done", "failed"):
            child = self._child(name, event)
            if name in running:
                running.remove(name)
            if event.get("seconds") is not None:
                self._keep(child, {"cost/wall_s": event["seconds"]}, step=0, time_ms=at)
            if event.get("key"):
                self._client.set_tag(child, "dag.key", str(event["key"]))
            if event.get("error"):
                said = event["error"].get("text") if isinstance(event["error"], dict) else ""
                said = str(said or event["error"])[:TAG_LENGTH]
                self._client.set_tag(child, "dag.error", said)
            self._end(child, ENDS[str(state)], at)

    def _series(self, event: Event) -> None:
        node = event.get("node")
        run = self._child(str(node), event) if node else self._memory["parent"]
        values = event.get("values") or {}
        self._keep(run, values, step=int(event.get("step") or 0), time_ms=milliseconds(event))

    def _artifact(self, event: Event) -> None:
        path, parent = Path(str(event.get("path"))), self._memory["parent"]
        if path.is_dir():
            self._client.log_artifacts(parent, str(path), path.name)
        elif path.is_file():
            self._client.log_artifact(parent, str(path))

    def _finished(self, event: Event) -> None:
        parent, at = self._memory["parent"], milliseconds(event)
        self._keep(parent, event.get("metrics") or {}, step=0, time_ms=at)
        self._flush()
        if event.get("report"):
            self._artifact({"path": event["report"]})
        for name in ("model", "report", "reason"):
            if event.get(name):
                self._client.set_tag(parent, f"dag.{name}", str(event[name])[:TAG_LENGTH])
        for name in self._memory.get("open", []):
            self._end(self._memory["nodes"][name], "KILLED", at)
        self._memory["open"] = []
        self._end(parent, ENDS.get(str(event.get("status")), "FAILED"), at)

    def _end(self, run: str, status: str, time_ms: int) -> None:
        self._client.set_terminated(run, status, time_ms)

    def _keep(self, run: str, values: Mapping[str, Any], *, step: int, time_ms: int) -> None:
        """Queue numbers of one moment; keys beyond the limit of a run are counted as refused."""
        from mlflow.entities import Metric

        keys: list[str] = self._memory.setdefault("keys", {}).setdefault(run, [])
        for name, value in values.items():
            key = safe_name(name)
            if not isinstance(value, int | float):
                continue
            if key not in keys:
                if len(keys) >= KEYS_A_RUN:
                    self._refused(f"{run}: more than {KEYS_A_RUN} metrics; got {key}")
                    continue
                keys.append(key)
            self._metrics.setdefault(run, []).append(Metric(key, float(value), time_ms, step))

    def _flush(self) -> None:
        for run, metrics in self._metrics.items():
            for at in range(0, len(metrics), METRICS_A_BATCH):
                with self._refusable(run):
                    self._client.log_batch(run, metrics=metrics[at : at + METRICS_A_BATCH])
        self._metrics = {}

    @contextlib.contextmanager
    def _refusable(self, run: str) -> Generator[None]:
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            if error.error_code not in REFUSALS:
                raise
            self._refused(f"{run}: {error.message}")

    def _refused(self, why: str) -> None:
        self._memory["refused"] = self._memory.get("refused", 0) + 1
        self._memory.setdefault("first_refusal", why[:500])


def _write_ahead(path: Path) -> None:
    """Create a database in which readers do not wait for the writer."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA journal_mode=WAL")
