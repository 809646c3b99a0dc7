"""The wire of the loopback Hub: HTTP, tokens, a record of what was asked, and faults on plan."""

from __future__ import annotations

import http.server
import json
import secrets
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hub_server.answers import Answers
from hub_server.gate import Answer, Question
from hub_server.state import Refused, Repository, User

MESSAGES = {
    "412": "A commit has happened since. Please refresh and try again.",
    "429": "We had to rate limit you",
    "503": "Service Unavailable",
}
# Faults of the wire: the request is lost, half of its body is read, or it is done and its answer is lost.
LOST, HALF, DONE = "lost", "half", "done"


@dataclass
class Fault:
    """`kind`: a status (`503`), or `LOST`, `HALF`, `DONE`. It strikes `times` times where path and method match."""

    kind: str
    where: str = ""
    method: str = ""
    times: int = 1
    skip: int = 0


@dataclass
class Seen:
    """One request as it came, and what was answered; 0 where nothing was."""

    method: str
    path: str
    status: int = 0
    token: str = ""
    received: int = 0
    sent: int = 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: LocalHub

    def do(self) -> None:
        parts = urlsplit(self.path.removeprefix(self.server.folder))
        headers = {name.lower(): value for name, value in self.headers.items()}
        length = int(headers.get("content-length", 0))
        token = headers.get("authorization", "").removeprefix("Bearer ")
        seen = Seen(self.command, parts.path, token=token)
        fault = self.server.note(seen)
        try:
            if fault in (LOST, HALF):
                seen.received = len(self.rfile.read(length // 2)) if fault == HALF else 0
                self.reset()
                return
            body = self.read_body(headers, length)
            seen.received = len(body)
            method = "GET" if self.command == "HEAD" else self.command
            if fault and fault.isdigit():
                answer = refusal(Refused(int(fault), MESSAGES.get(fault, "fault")), parts.path)
            else:
                answer = self.server.ask(method, parts.path, parse_qs(parts.query), headers, body, token)
            if fault == DONE:
                self.reset()
                return
            seen.status = answer.status
            self.say(answer, seen)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do

    def read_body(self, headers: dict[str, str], length: int) -> bytes:
        """Raises ConnectionError where the client is gone before it has sent all."""
        if headers.get("transfer-encoding", "") != "chunked":
            return self.read_whole(length)
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
            pieces.append(self.read_whole(size))
            self.rfile.readline()
        if not self.rfile.readline():
            raise ConnectionResetError
        return b"".join(pieces)

    def read_whole(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) < size:
            raise ConnectionResetError
        return data

    def say(self, answer: Answer, seen: Seen) -> None:
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
            seen.sent = len(answer.body)

    def reset(self) -> None:
        """Cut the connection so that the client is told at once."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def refusal(refused: Refused, path: str) -> Answer:
    headers = {"X-Error-Message": refused.message, "Content-Type": "application/json"}
    if refused.code:
        headers["X-Error-Code"] = refused.code
    if refused.status == 429:
        headers["Retry-After"] = "0"
    return Answer(refused.status, json.dumps({"error": refused.message}).encode(), headers)


class LocalHub(http.server.ThreadingHTTPServer):
    """A Hub on this machine. Its storage has another host name, as on the public one, so that no token goes there.

    The storage of each has a folder of its own. Xet's client keeps by address what it has sent, and a port comes back.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.folder = f"/{secrets.token_hex(8)}"
        self.answers = Answers(self.url, f"http://localhost:{self.server_port}{self.folder}")
        self.requests: list[Seen] = []
        self.faults: list[Fault] = []
        self.revoked: set[str] = set()
        self.errors: list[str] = []
        self.cut_at: int | None = None
        self.cut_kind = LOST
        self._lock = threading.Lock()

    # What tests set

    def user(
        self, name: str, token: str, *organizations: str, fullname: str = "", email: str = "", role: str = "admin"
    ) -> User:
        user = User(name, fullname or name.title(), email or f"{name}@example.org", organizations, role)
        self.answers.tokens[token] = user
        return user

    def fail(self, kind: str, *, where: str = "", method: str = "", times: int = 1, skip: int = 0) -> None:
        """Let `times` requests fail whose path holds `where`, after `skip` good ones."""
        self.faults.append(Fault(kind, where, method, times, skip))

    def cut(self, after: int, kind: str = LOST) -> None:
        """Pull the cable at one of the next requests: it ends as `kind` says, and all that follow are lost."""
        self.cut_at, self.cut_kind = len(self.requests) + after, kind

    def mend(self) -> None:
        """Put the cable back, and forget the planned faults."""
        self.cut_at = None
        self.faults.clear()

    def repository(self, name: str) -> Repository:
        return self.answers.repositories[name]

    def asked(self, where: str = "", method: str = "") -> list[Seen]:
        return [each for each in self.requests if where in each.path and method in ("", each.method)]

    # What the handler needs

    def note(self, seen: Seen) -> str | None:
        with self._lock:
            self.requests.append(seen)
            if self.cut_at is not None and len(self.requests) > self.cut_at:
                return self.cut_kind if len(self.requests) == self.cut_at + 1 else LOST
            for fault in self.faults:
                if fault.times and fault.where in seen.path and fault.method in ("", seen.method):
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault.kind
        return None

    def ask(self, method: str, path: str, query: Any, headers: dict[str, str], body: bytes, token: str) -> Answer:
        with self._lock:
            try:
                known = token in self.answers.tokens or token in self.answers.xet_tokens
                if token and (token in self.revoked or not known):
                    raise Refused(401, "Invalid credentials in Authorization header")
                user = self.answers.tokens.get(token)
                return self.answers.answer(Question(method, path, query, headers, body, user))
            except Refused as refused:
                return refusal(refused, path)
            except Exception:
                self.errors.append(traceback.format_exc())
                return refusal(Refused(500, "an error of this Hub, not of its client"), path)

    def handle_error(self, *_: Any) -> None:
        """Clients that went away are what tests want; other errors are this Hub's own."""
        if not isinstance(sys.exception(), ConnectionError):
            self.errors.append(traceback.format_exc())


@contextmanager
def serving_hub() -> Iterator[LocalHub]:
    """A Hub that runs in a thread; an error of its own is not taken for one of the client."""
    hub = LocalHub()
    thread = threading.Thread(target=hub.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
    assert not hub.errors, "\n".join(hub.errors)
