"""Events of a run -> the names MLflow knows it by; nothing here touches a server."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

NAME_LENGTH, PARAM_LENGTH, TAG_LENGTH = 250, 6000, 5000  # MLflow refuses more, or cuts it


def safe_name(text: str) -> str:
    """Replace what MLflow refuses in the name of a metric or a parameter."""
    parts = re.sub(r"[^\w./ :-]", "_", text).split("/")
    return "/".join(p for p in parts if p not in ("", ".", ".."))[:NAME_LENGTH] or "_"


def run_name(event: Mapping[str, Any]) -> str:
    """Name a pipeline's run `<recipe>-<backbone>-<cfg6>`; MLflow's column shows 18 characters."""
    if event.get("of"):
        return f"t{int(event.get('trial') or 0):02} · {str(event.get('digest'))[:6]}"
    if event.get("kind") == "search":
        return f"search-{event.get('pipeline')}"
    config = event.get("config") or {}
    backbone = str(config.get("backbone.kind") or config.get("backbone") or "")
    words = [str(event.get("pipeline") or "run"), backbone, config_digest(event)[:6]]
    return "-".join(word for word in words if word)


def config_digest(event: Mapping[str, Any]) -> str:
    """Return the digest of a run's config: of its text, else of its parameters."""
    text = event.get("config_text") or json.dumps(event.get("config") or {}, sort_keys=True)
    return hashlib.sha256(str(text).encode()).hexdigest()


def token_of(event: Mapping[str, Any]) -> str:
    """Return what a run is found again by: the digest of its first event, which has the time."""
    return hashlib.sha256(json.dumps(event, sort_keys=True).encode()).hexdigest()


def milliseconds(event: Mapping[str, Any]) -> int:
    """Return the time of an event in milliseconds since 1970."""
    return int(float(event.get("time") or 0) * 1000)
