"""A head as seen from outside: the two doors that are asked before Ray is, with answers of ours.

The answers are those of Ray 2.60, letter by letter; tests with a real cluster hold them to it.
"""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import grpc

from cluster.reach import ours

METHOD = "/ray.rpc.InternalKVGcsService/InternalKVGet"
WANTED = b"\x0a\x10CLUSTER_METADATA\x12\x07cluster"


@dataclass(frozen=True)
class Head:
    port: int  # of the head
    url: str  # of its dashboard


@contextmanager
def pretended_head(
    *, token: str | None, ray: str = ours().ray, python: str = ours().python
) -> Iterator[Head]:
    """Answer as a head that wants this token (None: no token at all) and has these versions."""
    known = {"ray_version": ray, "python_version": python, "ray_init_cluster": False}
    server, port = _grpc(token, json.dumps(known).encode())
    told = {"rayVersion": ray, "pythonVersion": python, "rayInitCluster": False}
    dashboard = _dashboard(token, json.dumps({"result": True, "msg": "", "data": told}).encode())
    threading.Thread(target=dashboard.serve_forever, daemon=True).start()
    try:
        yield Head(port, f"http://127.0.0.1:{dashboard.server_port}")
    finally:
        dashboard.shutdown()
        dashboard.server_close()
        server.stop(None).wait()


def _grpc(token: str | None, body: bytes) -> tuple[Any, int]:
    def answer(request: bytes, context: Any) -> bytes:
        given = dict(context.invocation_metadata()).get("authorization")
        if token is not None and given != f"Bearer {token}":
            text = "InvalidAuthToken: Authentication token is missing or incorrect"
            context.abort(grpc.StatusCode.UNAUTHENTICATED, text)
        assert request == WANTED
        return b"\x0a\x00\x12" + bytes([len(body)]) + body

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(answer) if details.method == METHOD else None

    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((Handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def _dashboard(token: str | None, body: bytes) -> HTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = self.headers.get("Authorization")
            right = token is None or given == f"Bearer {token}"
            self.send_response(200 if right else 403 if given else 401)
            self.end_headers()
            self.wfile.write(body if right else b"Unauthorized: Missing authentication token")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return HTTPServer(("127.0.0.1", 0), Handler)
