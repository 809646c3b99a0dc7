"""A loopback HTTP server with byte ranges that fails when it is told to, and one that gates datasets as the Hub does.

Both count what was asked of them and what they sent. Nothing leaves the machine.
"""

from __future__ import annotations

import http.server
import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

STALL_S = 5.0  # how long a server that does not answer keeps silent; tests are less patient


@dataclass
class Request:
    """One request as it came, header names in lower case, and what was sent for it."""

    path: str
    start: int | None
    end: int | None
    headers: Mapping[str, str]
    query: str = ""
    status: int = 0
    sent: int = 0


@dataclass
class Answer:
    """What a server without faults would say."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the body waits for the headers to be acknowledged
    server: RangeServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path).lstrip("/")
        start, _, end = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        span = int(start) if start else None, int(end) + 1 if end else None
        request = Request(path, *span, {name.lower(): value for name, value in self.headers.items()}, parts.query)
        fault = self.server.seen(request)
        self.request_seen = request
        try:
            (FAULTS[fault] if fault else send)(self, self.server.answer(request))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def begin(self, answer: Answer) -> None:
        self.request_seen.status = answer.status
        self.send_response(answer.status)
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        if "Transfer-Encoding" in headers:
            del headers["Content-Length"]
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, data: bytes) -> None:
        self.request_seen.sent += len(data)  # first, so that who has the bytes finds them counted
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class RangeServer(http.server.ThreadingHTTPServer):
    """Shows `files` (path to bytes, or a folder). `fail` says which of the next requests fail and how."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, files: Mapping[str, bytes] | Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.requests: list[Request] = []
        self.faults: deque[str | None] = deque()
        self.always: str | None = None
        self.where = ""
        self.silence = threading.Event()
        self._lock = threading.Lock()

    def fail(self, *faults: str | None, always: str | None = None, where: str = "") -> None:
        """Let the next requests whose path holds `where` fail, one by one; None is a good answer. Then, `always`."""
        self.faults, self.always, self.where = deque(faults), always, where

    def seen(self, request: Request) -> str | None:
        with self._lock:
            self.requests.append(request)
            if self.where not in request.path:
                return None
            return self.faults.popleft() if self.faults else self.always

    def content(self, path: str) -> bytes | None:
        if isinstance(self.files, Path):
            target = self.files / path
            return target.read_bytes() if target.is_file() else None
        return self.files.get(path)

    def answer(self, request: Request) -> Answer:
        """The right answer."""
        data = self.content(request.path)
        if data is None:
            return Answer(404, b"")
        if request.start is None:
            return Answer(200, data)
        if request.start >= len(data):
            return Answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        body = data[request.start : request.end]
        span = f"bytes {request.start}-{request.start + len(body) - 1}/{len(data)}"
        return Answer(206, body, {"Content-Range": span})

    @property
    def sent(self) -> int:
        """Bytes of all bodies."""
        return sum(request.sent for request in self.requests)

    def forget(self) -> None:
        """Set the counters to zero."""
        self.requests.clear()

    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients that went away."""


def send(handler: Handler, answer: Answer) -> None:
    handler.begin(answer)
    handler.send(answer.body)


def status(code: int, **headers: str) -> Callable[[Handler, Answer], None]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, answer: send(handler, Answer(code, b"an error page", named))


def cut(handler: Handler, answer: Answer) -> None:
    handler.begin(answer)
    handler.send(answer.body[: len(answer.body) // 2])
    handler.close_connection = True


def reset(handler: Handler, answer: Answer) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def garbage(handler: Handler, answer: Answer) -> None:
    handler.send(b"this is no HTTP\r\n\r\n")
    handler.close_connection = True


def short(handler: Handler, answer: Answer) -> None:
    send(handler, Answer(answer.status, answer.body[:-1], answer.headers))


def long(handler: Handler, answer: Answer) -> None:
    send(handler, Answer(answer.status, answer.body + b"more", answer.headers))


def corrupt(handler: Handler, answer: Answer) -> None:
    body = bytearray(answer.body)
    body[len(body) // 2] ^= 1
    send(handler, Answer(answer.status, bytes(body), answer.headers))


def whole(handler: Handler, answer: Answer) -> None:
    send(handler, Answer(200, handler.server.content(handler.request_seen.path) or b""))


def elsewhere(handler: Handler, answer: Answer) -> None:
    request = handler.request_seen
    moved = Request(request.path, (request.start or 0) + 7, (request.end or 7) + 7, {})
    send(handler, handler.server.answer(moved))


def silent(handler: Handler, answer: Answer) -> None:
    handler.server.silence.wait(STALL_S)
    handler.close_connection = True


def stalled(handler: Handler, answer: Answer) -> None:
    handler.begin(answer)
    handler.send(answer.body[:1])
    silent(handler, answer)


def dripping(handler: Handler, answer: Answer) -> None:
    handler.begin(answer)
    for byte in answer.body:
        handler.send(bytes([byte]))
        if handler.server.silence.wait(0.05):
            return


def endless(handler: Handler, answer: Answer) -> None:
    """Bytes without end and without a stated length."""
    handler.begin(Answer(answer.status, b"", {**answer.headers, "Transfer-Encoding": "chunked"}))
    until = time.monotonic() + STALL_S
    while time.monotonic() < until:
        handler.send(b"10000\r\n" + bytes(0x10000) + b"\r\n")


def web_page(handler: Handler, answer: Answer) -> None:
    send(handler, Answer(200, b"<html>log in to this network</html>" * 10_000, {"Content-Type": "text/html"}))


def compressed(handler: Handler, answer: Answer) -> None:
    import gzip

    send(handler, Answer(answer.status, gzip.compress(answer.body), {**answer.headers, "Content-Encoding": "gzip"}))


FAULTS: dict[str, Callable[[Handler, Answer], None]] = {
    "429": status(429, Retry_After="0"),
    "500": status(500),
    "502": status(502),
    "503": status(503),
    "504": status(504),
    "401": status(401),
    "403": status(403),
    "404": status(404),
    "connection reset": reset,
    "connection cut in the body": cut,
    "no HTTP": garbage,
    "short answer": short,
    "long answer": long,
    "other range": elsewhere,
    "whole file instead of the range": whole,
    "endless answer": endless,
    "corrupted bytes": corrupt,
    "no answer": silent,
    "stalled body": stalled,
    "dripping body": dripping,
    "web page": web_page,
    "compressed": compressed,
}


COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubServer(RangeServer):
    """A dataset repository behind a gate, speaking as much of the Hub as its client and the loader ask for.

    `tokens` says for each token whether it is "approved", "pending" or "stranger". The bytes lie on another server,
    where a redirect leads with a signature that expires.
    """

    def __init__(self, files: Mapping[str, bytes] | Path, tokens: Mapping[str, str], name: str = "lab/equime") -> None:
        super().__init__({})
        self.storage = StorageServer(files)
        self.tokens, self.name, self.private = tokens, name, False

    def answer(self, request: Request) -> Answer:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        standing = self.tokens.get(token, "nobody")
        if self.private and standing != "approved":
            return refused(401 if standing == "nobody" else 404, "RepoNotFound", "Repository not found")
        if request.path.startswith(f"api/datasets/{self.name}/revision/"):
            return self.info(request.path.rsplit("/", 1)[1])
        path = request.path.removeprefix(f"datasets/{self.name}/resolve/{COMMIT}/")
        if path == request.path:
            return refused(404 if standing != "nobody" else 401, "RepoNotFound", "Repository not found")
        if standing == "nobody":
            return refused(401, "GatedRepo", f"Access to dataset {self.name} is restricted. Please log in.")
        if standing != "approved":
            said = "is awaiting a review" if standing == "pending" else "is restricted: you are not in the list"
            return refused(403, "GatedRepo", f"Your access to dataset {self.name} {said}, {token}")
        if self.storage.content(path) is None:
            return refused(404, "EntryNotFound", "Entry not found")
        return Answer(302, b"", {"Location": f"{self.storage.url}/{path}?X-Signature={self.storage.signature}"})

    def info(self, revision: str) -> Answer:
        if revision not in ("main", "v1", COMMIT):
            return refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        content = {"_id": "1", "id": self.name, "sha": COMMIT, "private": False, "gated": "manual", "siblings": []}
        return Answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})


class StorageServer(RangeServer):
    """Where the Hub redirects to: bytes for whoever brings the signature of the hour."""

    signature = "first"

    def answer(self, request: Request) -> Answer:
        return super().answer(request) if request.query == f"X-Signature={self.signature}" else Answer(403, b"expired")


def refused(code: int, error: str, message: str) -> Answer:
    return Answer(code, b"", {"X-Error-Code": error, "X-Error-Message": message})


@contextmanager
def serving(server: Any) -> Iterator[Any]:
    """Run a server, and the one that it redirects to, in threads of their own."""
    servers = [server, *([server.storage] if hasattr(server, "storage") else [])]
    threads = [threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True) for one in servers]
    for thread in threads:
        thread.start()
    try:
        yield server
    finally:
        for one, thread in zip(servers, threads, strict=True):
            one.silence.set()
            one.shutdown()
            one.server_close()
            thread.join()
