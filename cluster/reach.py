"""Who answers at a cluster's address, and does it let us in: asked before Ray is.

Ray itself would wait half a minute and then speak of a timeout. One request goes without a token:
a cluster that answers it lets anyone run code. Nothing here prints a token.
"""

import ipaddress
import json
import os
import platform
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

PATIENCE_S = 10.0  # for one answer; a head that is busy may be slow
KNOCK_S = 5.0
TOKEN_FILE = Path("~/.ray/auth_token")
OPEN = (
    "this cluster lets anyone run code; start it with RAY_AUTH_MODE=token, or pass "
    "--insecure-cluster in a closed network"
)


class ClusterError(ValueError):
    """A cluster that this command cannot use; nothing was started (exit 2)."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a cluster may ask for, and where it was found; never shown."""

    value: str = field(repr=False)
    where: str = ""


@dataclass(frozen=True, slots=True)
class Versions:
    """Of a cluster or of this process: Ray's and Python's, as `2.60.0` and `3.11.7`."""

    ray: str
    python: str

    def fits(self, other: "Versions") -> bool:
        """Say whether processes of both can work together: Ray the same, Python to the minor."""
        return (self.ray, _minor(self.python)) == (other.ray, _minor(other.python))


Answer = Versions | Literal["refused"]
Ask = Callable[[Token | None], Answer]  # one request, with or without a token


def find_token() -> Token | None:
    """Return the token of this user, from the places where Ray looks, in Ray's order."""
    if value := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return Token(value, "RAY_AUTH_TOKEN")
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    file = Path(named) if named else TOKEN_FILE.expanduser()
    try:
        value = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return Token(value, f"RAY_AUTH_TOKEN_PATH ({file})" if named else str(file)) if value else None


def look(where: str, ask: Ask, *, insecure: bool) -> Token | None:
    """Find out whether a cluster lets us in; return the token that opened it, None if none did.

    Args:
        where: the address as the user gave it.
        ask: sends one request there.
        insecure: the user said that a cluster without authentication is meant.

    Raises:
        ClusterError: it is open to all, the token is missing or wrong, or versions differ.
    """
    said, token = ask(None), None
    if said == "refused":
        token = find_token()
        if token is None:
            raise ClusterError(
                f"--address: the cluster at {where} wants a token; got none, looked in "
                f"{_looked_in()}. Put the cluster's token in one of them "
                "(on its head: ray get-auth-token)."
            )
        said = ask(token)
        if said == "refused":
            raise ClusterError(
                f"--address: the cluster at {where} refuses the token; got the one of "
                f"{token.where}. Put this cluster's token there (on its head: ray get-auth-token)."
            )
    elif not insecure:
        raise ClusterError(f"--address: {OPEN}; got an answer of {where} without a token.")
    if not said.fits(here := ours()):
        raise ClusterError(
            f"--address: other versions at {where}; got Ray {said.ray} and Python {said.python} "
            f"there, Ray {here.ray} and Python {here.python} here. Use the same on both sides."
        )
    return token


def ours() -> Versions:
    """Return the versions of this process; Ray is not imported for it."""
    return Versions(ray=version("ray"), python=platform.python_version())


def knock(host: str, port: int, do: str) -> None:
    """Raise ClusterError when nothing listens at an address; say how long it took, and `do`."""
    begun = time.monotonic()
    try:
        socket.create_connection((host, port), timeout=KNOCK_S).close()
    except OSError as error:
        took = time.monotonic() - begun
        why = error.strerror or str(error)
        raise ClusterError(
            f"--address: nothing listens at {host}:{port}; got '{why}' after {took:.1f} s. {do}"
        ) from error


def ask_head(host: str, port: int) -> Ask:
    """Return how to ask a head at its own port (6379), in one call of its key-value service."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def ask(token: Token | None) -> Answer:
        import grpc

        metadata = [("authorization", f"Bearer {token.value}")] if token else []
        wanted = _field(1, b"CLUSTER_METADATA") + _field(2, b"cluster")  # key, namespace
        with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
            call: Any = channel.unary_unary("/ray.rpc.InternalKVGcsService/InternalKVGet")
            try:
                answer: bytes = call(wanted, timeout=PATIENCE_S, metadata=metadata)
            except grpc.RpcError as error:
                told: Any = error
                if told.code() == grpc.StatusCode.UNAUTHENTICATED:
                    return "refused"
                got = f"{told.code().name}: {str(told.details()).partition(';')[0]}"
                raise _stranger(f"{host}:{port}", got) from error
        begin, end = answer.find(b'{"'), answer.rfind(b"}")
        return _versions(answer[begin : end + 1], f"{host}:{port}")

    return ask


def ask_dashboard(url: str) -> Ask:
    """Return how to ask a head's dashboard, which takes jobs (http://host:8265)."""

    def ask(token: Token | None) -> Answer:
        request = urllib.request.Request(f"{url}/api/v0/cluster_metadata")  # noqa: S310 - http only
        if token:
            request.add_header("Authorization", f"Bearer {token.value}")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310
                return _versions(answer.read(1 << 20), url)
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                return "refused"
            raise _stranger(url, f"HTTP {error.code}") from error
        except (OSError, ValueError, HTTPException) as error:
            raise _stranger(url, type(error).__name__) from error

    return ask


def check_private(url: str) -> None:
    """Refuse to send a token without encryption beyond private networks.

    Raises:
        ClusterError: `http://` to an address that the whole internet routes.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except OSError:
        return  # who knocks next says so
    public = [str(a[4][0]) for a in found if ipaddress.ip_address(str(a[4][0])).is_global]
    if public:
        raise ClusterError(
            f"--address: http:// would send the token in the clear; got the public address "
            f"{public[0]}. Use a tunnel (ssh -L 8265:localhost:8265 HEAD) and "
            "http://localhost:8265, or https://."
        )


def _stranger(where: str, got: str) -> ClusterError:
    return ClusterError(
        f"--address: what answers at {where} is no head of Ray; got {got}. Give the head's own "
        "port (6379) to run, its dashboard (http://HEAD:8265) to submit."
    )


def _versions(text: bytes, where: str) -> Versions:
    try:
        said = json.loads(text)
        said = said.get("data", said)
        ray = said.get("rayVersion") or said["ray_version"]
        return Versions(
            ray=str(ray), python=str(said.get("pythonVersion") or said["python_version"])
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _stranger(where, repr(text[:40])) from error


def _looked_in() -> str:
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = f"RAY_AUTH_TOKEN_PATH ({named or 'not set'})"
    return f"RAY_AUTH_TOKEN, {path} and {TOKEN_FILE}"


def _minor(python: str) -> list[str]:
    return python.split(".")[:2]


def _field(number: int, value: bytes) -> bytes:
    """Encode one short field of a protocol buffer."""
    return bytes([number << 3 | 2, len(value)]) + value
