"""What can be known of a place for tracking before a run begins, without importing MLflow.

What would be refused for ever is refused now; a server that is away is only said.
"""

import base64
import contextlib
import http.client
import importlib.util
import json
import os
import re
import sqlite3
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

LOOK_S = 3.0  # for a server to answer, its name's resolution included
LONGEST_NAME = 500  # characters of an experiment's name
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
GIVE = "Give a database (sqlite:///mlflow.db) or a server (http://host:5000)."
ANSWER_BYTES = 1 << 20


class TrackingError(ValueError):
    """The place for tracking would never take this run; nothing was started (exit 2)."""


def problems(uri: str | None, experiment: str) -> list[str]:
    """Say what is wrong with the words themselves; nothing is looked at.

    Args:
        uri: of a server or a database; None stands for the store's own.
        experiment: its name in MLflow.
    """
    found: list[str] = []
    if not experiment.strip() or experiment != experiment.strip():
        found.append(
            f"tracking.experiment: a name is needed, without spaces around it; got {experiment!r}. "
            "Name it as MLflow should show it."
        )
    if len(experiment) > LONGEST_NAME:
        found.append(
            f"tracking.experiment: a name has at most {LONGEST_NAME} characters; "
            f"got {len(experiment)}. Give a shorter one."
        )
    if uri is not None and (wrong := _wrong_words(uri)):
        found.append(f"tracking.uri: {wrong}")
    return found


SECRET = re.compile(r"(?<=:)[^/:@]+(?=@)|(?<=password=)[^&]*|(?<=token=)[^&]*", re.IGNORECASE)


def _wrong_words(uri: str) -> str | None:
    scheme = uri.partition(":")[0].partition("+")[0].lower() if ":" in uri else "file"
    shown = SECRET.sub("***", uri)
    if scheme not in ("http", "https", *DATABASES):
        plain = "MLflow writes to plain folders no more. " if scheme == "file" else ""
        return f"no tracking server or database has such an address; got {shown!r}. {plain}{GIVE}"
    if scheme == "sqlite":
        named = uri.startswith("sqlite:///") and uri.removeprefix("sqlite:///").strip("/")
        return None if named else f"names no file; got {shown!r}. Give sqlite:///mlflow.db."
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:
        return f"no host, or a port that is none; got {shown!r}. {GIVE}"
    if shown != uri:
        return (
            f"a password must not stand in a config; got {shown!r}. Set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or the database's own file."
        )
    return None


def absolute_uri(uri: str, *, root: Path) -> str:
    """Return the URI with the file of a database as a path that starts at the root folder."""
    if not uri.startswith("sqlite:///"):
        return uri
    return f"sqlite:///{(root / uri.removeprefix('sqlite:///')).resolve()}"


def look(uri: str, experiment: str, *, patience_s: float = LOOK_S) -> str | None:
    """Look whether the place takes runs; return why it cannot be reached now, or None.

    Args:
        uri: in which `problems` found nothing; the file of a database as a whole path.
        experiment: its name in MLflow.
        patience_s: for a server to answer.

    Raises:
        TrackingError: it answers, and will not take this run.
    """
    if uri.startswith("sqlite:///"):
        _look_at_database(Path(uri.removeprefix("sqlite:///")), experiment)
        return None
    if not uri.startswith(("http://", "https://")):
        return None  # a database elsewhere: the sender meets it
    heard: list[tuple[int, bytes] | Exception] = []

    def ask() -> None:
        try:
            heard.append(_ask(uri, experiment, patience_s))
        except (OSError, ValueError, http.client.HTTPException) as error:
            heard.append(error)

    thread = threading.Thread(target=ask, daemon=True)  # a resolver of names has no time limit
    thread.start()
    thread.join(patience_s)
    answer = heard[0] if heard else TimeoutError(f"no answer in {patience_s:g} s")
    if isinstance(answer, Exception):
        return f"{getattr(answer, 'reason', None) or answer}"
    status, body = answer
    if status >= 500 or status in (401, 403, 408, 429):
        return f"it answers {status}"
    _judge(uri, experiment, status, body)
    return None


def _ask(uri: str, experiment: str, patience_s: float) -> tuple[int, bytes]:
    path = f"/api/2.0/mlflow/experiments/get-by-name?experiment_name={quote(experiment, safe='')}"
    request = urllib.request.Request(uri.rstrip("/") + path, headers=_credentials(os.environ))  # noqa: S310
    try:
        answer = urllib.request.urlopen(request, timeout=patience_s, context=_tls(os.environ))  # noqa: S310
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return int(answer.status or 0), answer.read(ANSWER_BYTES)


def _credentials(given: Mapping[str, str]) -> dict[str, str]:
    """Return the header that MLflow's client sends for these variables."""
    user, password = given.get("MLFLOW_TRACKING_USERNAME"), given.get("MLFLOW_TRACKING_PASSWORD")
    if user and password:
        words = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {words}"}
    token = given.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _tls(given: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=given.get("MLFLOW_TRACKING_SERVER_CERT_PATH"))
    if given.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _judge(uri: str, experiment: str, status: int, body: bytes) -> None:
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if not isinstance(said, dict) or not {"experiment", "error_code"} & set(said):
        raise TrackingError(
            f"tracking.uri: what answers there is no MLflow server; got {uri} (status {status}). "
            "Give the address of the server itself."
        )
    if said.get("experiment", {}).get("lifecycle_stage") == "deleted":
        raise TrackingError(_deleted(experiment))
    if said.get("error_code") == "INVALID_PARAMETER_VALUE":
        raise TrackingError(
            f"tracking.experiment: MLflow refuses the name; got {experiment!r} "
            f"({str(said.get('message'))[:200].rstrip('.')}). Give another."
        )


def _deleted(experiment: str) -> str:
    return (
        f"tracking.experiment: it was deleted in MLflow; got {experiment!r}. Restore it there "
        "(mlflow experiments restore), or give another name."
    )


def _look_at_database(path: Path, experiment: str) -> None:
    """Look into the file of a database, if it is there; MLflow makes it otherwise."""
    there = next(place for place in (path, *path.parents) if place.exists())
    if path.is_dir() or (there != path and not there.is_dir()):
        what = "expected a file" if path.is_dir() else "a file is in the way"
        raise TrackingError(f"tracking.uri: {what}; got {there}. Name another file.")
    if not os.access(there, os.W_OK):
        raise TrackingError(f"tracking.uri: not writable; got {there}. Name another file.")
    if there != path or path.stat().st_size == 0:
        return
    query = "SELECT lifecycle_stage FROM experiments WHERE name = ?"
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=1.0)
        ) as database:
            versions = [str(row[0]) for row in database.execute("SELECT * FROM alembic_version")]
            stages = [str(row[0]) for row in database.execute(query, (experiment,))]
    except sqlite3.OperationalError:
        return  # locked at this moment, or not made yet
    except sqlite3.DatabaseError as error:
        raise TrackingError(
            f"tracking.uri: not a database of SQLite; got {path} ({error}). Name another file."
        ) from error
    known = _revisions()
    if known and (newer := [version for version in versions if version not in known]):
        raise TrackingError(
            f"tracking.uri: a newer MLflow made this database; got {path} (schema {newer[0]}). "
            "Name another file, or a server that runs that MLflow."
        )
    if stages == ["deleted"]:
        raise TrackingError(_deleted(experiment))


def _revisions() -> set[str]:
    """Return the schemas that the MLflow which is installed knows."""
    found = importlib.util.find_spec("mlflow")
    places = found.submodule_search_locations if found else None
    folder = Path(next(iter(places or []), "")) / "store" / "db_migrations" / "versions"
    return {place.name.partition("_")[0] for place in folder.glob("*_*.py")}
