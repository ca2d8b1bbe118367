"""An S3 server of this machine for tests, and a wire to it that can be cut."""

import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
    "AWS_SECRET_ACCESS_KEY": "canary-secret-of-a-test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


HANG_S = 3.0


@contextmanager
def moto_server() -> Iterator[str]:
    """Start `moto_server` in a process of its own; give its URL."""
    with socket.socket() as spare:
        spare.bind(("127.0.0.1", 0))
        port = spare.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **KEYS}
    )
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, "moto_server ended"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def new_bucket(url: str) -> str:
    """Make a bucket of a new name and return it."""
    import boto3

    name = f"b-{uuid.uuid4().hex[:12]}"
    client = boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    client.create_bucket(Bucket=name)
    return name


class Wire:
    """A TCP relay to the server, one request a connection; not all of them pass as they are.

    `rule` gets the number of a request, from 1, and its first line, and says what is done to it:
    "" it passes; "request": cut in the middle of its body; "answer": it is heard, and the answer
    is lost; "short": the answer is cut; "503" and "501": answered so; "hang": heard, and silence;
    "plain": the condition is taken out.
    """

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._to = (host, int(port))
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.rule: Callable[[int, str], str] = lambda number, line: ""
        self.refused = ""  # what every request is answered, as forbidden
        self.refuse_conditions = False  # answer "create if absent" with 501
        self.count = 0  # requests
        self.done: list[str] = []  # what was done to which
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """Pass one request a connection: both ends are told to close after it."""
        with client, suppress(OSError, ValueError):
            head, rest = _head(client)
            line = head.split(b"\r\n", 1)[0].decode()
            with self._lock:
                self.count += 1
                act = self.rule(self.count, line)
                if act:
                    self.done.append(f"{act}: {line}")
            length = int(_field(head, b"content-length") or 0)
            if b"100-continue" in head.lower():
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = rest
            wanted = length // 2 if act == "request" else length
            while len(body) < wanted:
                body += client.recv(min(65536, wanted - len(body)))
            if act == "503":
                client.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n")
                return
            if act == "403" or self.refused:
                text = (self.refused or "Access Denied").encode()
                text = b"<Error><Code>AccessDenied</Code><Message>" + text + b"</Message></Error>"
                client.sendall(
                    b"HTTP/1.1 403 No\r\nContent-Type: application/xml\r\nContent-Length: "
                    + str(len(text)).encode() + b"\r\nConnection: close\r\n\r\n" + text
                )  # fmt: skip
                return
            if act == "501" or (self.refuse_conditions and _field(head, b"if-none-match")):
                text = b"<Error><Code>NotImplemented</Code><Message>no</Message></Error>"
                client.sendall(
                    b"HTTP/1.1 501 No\r\nContent-Type: application/xml\r\nContent-Length: "
                    + str(len(text)).encode() + b"\r\nConnection: close\r\n\r\n" + text
                )  # fmt: skip
                return
            if act == "plain":
                head = _without(head, b"if-none-match")
            head = _without(_without(head, b"expect"), b"connection")
            with socket.create_connection(self._to) as server:
                server.sendall(head[:-2] + b"Connection: close\r\n\r\n" + body)
                if act == "request":
                    return
                answer = b""
                while data := server.recv(65536):
                    answer += data
                if act == "hang":
                    time.sleep(HANG_S)
                elif act != "answer":
                    client.sendall(answer[: len(answer) // 2] if act == "short" else answer)


def _head(client: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more:
            raise ValueError("closed")
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _field(head: bytes, name: bytes) -> bytes | None:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(name + b":"):
            return line.partition(b":")[2].strip()
    return None


def _without(head: bytes, name: bytes) -> bytes:
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(name + b":"))
