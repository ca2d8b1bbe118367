"""Events of a run -> MLflow: one run a pipeline, one nested run a node.

What is sent twice is stored once: runs are found again by a tag, metrics carry the time of their
event, files have fixed names. What a node says again after a restart, from its last checkpoint on,
is left out: the first number of a step stays. Where a late request made a run twice, one of the
two is deleted.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

from cluster.mlflow_calls import Memory, MlflowCalls
from cluster.mlflow_names import (
    PARAM_LENGTH,
    config_digest,
    milliseconds,
    run_name,
    safe_name,
    token_of,
)

Event = dict[str, Any]

KEYS_A_RUN = 60  # MLflow draws one chart a key; many more and its page dies
ENDS = {"done": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


class ForgottenError(RuntimeError):
    """The server does not know a run that it made: it came back without its database."""


@final
class MlflowSink:
    """Send the events of one run to one tracking server; raise when it cannot be reached."""

    def __init__(self, uri: str, experiment: str, *, store: Path, memory: Memory) -> None:
        self._memory = memory
        self._calls = MlflowCalls(uri, experiment, store=store, memory=memory)
        self._metrics: dict[str, list[Any]] = {}
        self._handlers: dict[str, Callable[[Event], None]] = {
            "run": self._run,
            "node": self._node,
            "metrics": self._series,
            "artifact": self._artifact,
            "finished": self._finished,
        }

    def send(self, events: Sequence[Event]) -> None:
        """Send events in their order; files wait for `send_files`.

        Raises:
            ForgottenError: the server has lost this run. Begin with the first event again.
            Exception: what the server or the way to it raised.
        """
        from mlflow.exceptions import MlflowException

        try:
            for event in events:
                epoch = self._memory.get("epoch", 0)
                self._memory["epoch"] = max(epoch, event.get("epoch", epoch))
                if event.get("epoch", epoch) < epoch:
                    continue  # of a driver that did not know yet that another one had followed it
                handler = self._handlers.get(str(event.get("event")))
                if handler is not None and ("parent" in self._memory or event["event"] == "run"):
                    handler(event)
            self._flush()
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                raise ForgottenError(str(error.message)) from error
            raise

    def send_files(self) -> None:
        """Send the files that wait: numbers do not wait for a store of files that is broken."""
        files: list[dict[str, str]] = self._memory.get("files", [])
        while files:
            self._calls.send_file(files[0])
            files.pop(0)

    def abandon(self, time_ms: int) -> None:
        """Close what is open: the driver is gone without a last word. A later one goes on."""
        if "parent" not in self._memory:
            return
        for name in self._memory.get("open", []):
            self._calls.end(self._memory["nodes"][name], "KILLED", time_ms)
        self._calls.end(self._memory["parent"], "KILLED", time_ms)
        self._leave_one_of_each()

    def _run(self, event: Event) -> None:
        memory = self._memory
        if "parent" in memory:  # a run goes on
            self._calls.set(memory["parent"], status="RUNNING")
            return
        digest = config_digest(event)
        memory["token"] = token_of(event)
        memory["name"], memory["config"] = run_name(event), digest[:6]
        memory["tags"] = {
            "dag.pipeline": event.get("pipeline"),
            "dag.run": event.get("run"),
            "dag.config_sha": digest,
            "code.version": event.get("version"),
            "mlflow.source.git.commit": event.get("commit"),
            "mlflow.source.name": "vocabox",
        }
        kind, note = event.get("kind", "pipeline"), event.get("note")
        tags = {**memory["tags"], "dag.kind": kind, "mlflow.note.content": note}
        if event.get("of"):
            tags |= {"dag.trial": event.get("trial"), "mlflow.parentRunId": self._search(event)}
        parent = self._calls.create(
            memory["name"], memory["token"], tags, time_ms=milliseconds(event)
        )
        self._log_params(parent, event.get("config") or {})
        if event.get("config_text"):
            text = {"run": parent, "name": "config.yaml", "text": str(event["config_text"])}
            memory.setdefault("files", []).append(text)
        memory["parent"] = parent

    def _search(self, event: Event) -> str:
        """Return the run of the search that a trial belongs to, whichever is sent first."""
        tags = {"dag.pipeline": event.get("pipeline"), "dag.kind": "search"}
        name = f"search-{event.get('pipeline')}"
        return self._calls.create(name, str(event["of"]), tags, time_ms=milliseconds(event))

    def _log_params(self, run: str, config: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(safe_name(key), str(value)[:PARAM_LENGTH]) for key, value in config.items()]
        self._calls.log(run, "params", params)

    def _leave_one_of_each(self) -> None:
        used = {self._memory["parent"], *self._memory.get("nodes", {}).values()}
        self._calls.delete_others(self._memory["token"], used)

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
            nodes[name] = self._calls.create(title, token, tags, time_ms=milliseconds(event))
        return nodes[name]

    def _node(self, event: Event) -> None:
        name, state, at = str(event.get("node")), event.get("state"), milliseconds(event)
        running: list[str] = self._memory.setdefault("open", [])
        if state == "running":
            child = self._child(name, event)
            if name not in running:
                running.append(name)
            keys = self._memory.setdefault("node_keys", {})
            if keys.get(name) != event.get("key"):  # of other code or settings: its steps are new
                keys[name] = event.get("key")
                self._memory.setdefault("steps", {})[child] = {}
            attempts = self._memory.setdefault("attempts", {})
            attempts[name] = event.get("attempt") or attempts.get(name, 0) + 1
            again = attempts[name] != 1
            tags = {"dag.attempt": str(attempts[name])}
            self._calls.set(child, status="RUNNING" if again else None, tags=tags)
        elif state == "cached":
            made = name in self._memory.get("nodes", {}) and name not in running
            if not made:  # else this run itself has made it, and said so
                self._close(name, "FINISHED", at, event)
        elif state in ("done", "failed"):
            child = self._child(name, event)
            if event.get("seconds") is not None:
                self._keep(child, {"cost/wall_s": event["seconds"]}, step=0, time_ms=at)
            tags = {"dag.key": str(event["key"])} if event.get("key") else {}
            if error := event.get("error"):
                said = error.get("text") if isinstance(error, dict) else ""
                tags["dag.error"] = str(said or error)
            self._calls.set(child, tags=tags)
            self._close(name, ENDS[str(state)], at, event)

    def _close(self, name: str, status: str, time_ms: int, event: Event) -> None:
        if name in self._memory["open"]:
            self._memory["open"].remove(name)
        self._calls.end(self._child(name, event), status, time_ms)

    def _series(self, event: Event) -> None:
        node = event.get("node")
        run = self._child(str(node), event) if node else self._memory["parent"]
        step = int(event.get("step") or 0)
        last = self._memory.setdefault("steps", {}).setdefault(run, {})
        values = {k: v for k, v in (event.get("values") or {}).items() if step > last.get(k, -1)}
        last.update(dict.fromkeys(values, step))
        self._keep(run, values, step=step, time_ms=milliseconds(event))

    def _artifact(self, event: Event) -> None:
        file = {"run": self._memory["parent"], "path": str(event.get("path"))}
        self._memory.setdefault("files", []).append(file)

    def _finished(self, event: Event) -> None:
        parent, at = self._memory["parent"], milliseconds(event)
        self._keep(parent, event.get("metrics") or {}, step=0, time_ms=at)
        self._flush()
        if event.get("report"):
            self._artifact({"path": event["report"]})
        words = {f"dag.{name}": event.get(name) for name in ("model", "report", "reason")}
        self._calls.set(parent, tags={key: str(said) for key, said in words.items() if said})
        for name in self._memory.get("open", []):
            self._calls.end(self._memory["nodes"][name], "KILLED", at)
        self._memory["open"] = []
        self._calls.end(parent, ENDS.get(str(event.get("status")), "FAILED"), at)
        self._leave_one_of_each()

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
                    self._calls.refused(f"{run}: more than {KEYS_A_RUN} metrics; got {key}")
                    continue
                keys.append(key)
            self._metrics.setdefault(run, []).append(Metric(key, float(value), time_ms, step))

    def _flush(self) -> None:
        for run, metrics in self._metrics.items():
            self._calls.log(run, "metrics", metrics)
        self._metrics = {}
