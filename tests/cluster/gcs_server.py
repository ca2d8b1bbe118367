"""A small server that speaks what gcsfs asks of Google's storage: objects of one bucket, in memory.

It is written from the published JSON interface and is no proof of what Google's does; it shows that
our verbs ask gcsfs for the right things.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

BUCKET = "a-bucket"


class Handler(BaseHTTPRequestHandler):
    objects: ClassVar[dict[str, bytes]] = {}
    lock = threading.Lock()
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        parts, query = self._asked()
        if parts[0] == "download":
            self._bytes(unquote(parts[-1]))
        elif parts[-1] == "o":
            self._list(query)
        elif len(parts) == 6:
            self._about(unquote(parts[5]))
        else:
            self._say(200, {"name": BUCKET})

    def do_POST(self) -> None:
        parts, query = self._asked()
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if parts[3] == "none":
            self._say(404, {"error": {"message": "The specified bucket does not exist."}})
        elif parts[0] == "upload":
            self._upload(body, query)
        else:  # storage v1 b BUCKET o KEY rewriteTo b BUCKET o KEY
            with self.lock:
                self.objects[unquote(parts[10])] = self.objects[unquote(parts[5])]
            self._say(200, {"done": True, "resource": {}})

    def do_DELETE(self) -> None:
        parts, _ = self._asked()
        gone = self.objects.pop(unquote(parts[5]), None)
        self._say(204 if gone is not None else 404, {})

    def _asked(self) -> tuple[list[str], dict[str, str]]:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        parts = url.path.strip("/").split("/")
        if BUCKET not in parts:
            parts = ["storage", "v1", "b", "none", "o", "%00"]
        return parts, query

    def _upload(self, body: bytes, query: dict[str, str]) -> None:
        mark = b"--" + self.headers["Content-Type"].partition('boundary="')[2].rstrip('"').encode()
        _, told, data, _ = body.split(mark)
        name = json.loads(told.partition(b"\n\n")[2])["name"]
        data = data.partition(b"\n\n")[2].removesuffix(b"\n")
        with self.lock:
            if query.get("ifGenerationMatch") == "0" and name in self.objects:
                self._say(412, {"error": {"message": "conditionNotMet"}})
                return
            self.objects[name] = data
        self._about(name)

    def _list(self, query: dict[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        items: list[dict[str, Any]] = []
        below: set[str] = set()
        for name in sorted(self.objects):
            rest = name.removeprefix(prefix)
            if name.startswith(prefix) and delimiter and delimiter in rest:
                below.add(prefix + rest.partition(delimiter)[0] + delimiter)
            elif name.startswith(prefix):
                items.append(self._fields(name))
        self._say(200, {"items": items, "prefixes": sorted(below)})

    def _about(self, name: str) -> None:
        if name in self.objects:
            self._say(200, self._fields(name))
        else:
            self._say(404, {"error": {"message": "not found"}})

    def _fields(self, name: str) -> dict[str, Any]:
        return {"name": name, "bucket": BUCKET, "size": str(len(self.objects[name]))}

    def _bytes(self, name: str) -> None:
        data = self.objects.get(name)
        if data is None:
            self._say(404, {"error": {"message": "not found"}})
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _say(self, status: int, body: dict[str, Any]) -> None:
        data = b"" if status == 204 else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def gcs_server() -> Iterator[str]:
    """Start the server with an empty bucket; give its URL."""
    Handler.objects.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
