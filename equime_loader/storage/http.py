"""Byte ranges over HTTP, through the session of fsspec's HTTP filesystem: exact requests, answers that are bounded."""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote
from urllib.request import getproxies

from equime_loader.storage.errors import AccessError, CorruptionError, Failure, MissingError, one_line
from equime_loader.storage.process import PerProcess, fsspec_loop
from equime_loader.storage.retry import AGAIN, asked_wait_s
from equime_loader.storage.source import Source, Token

if TYPE_CHECKING:
    import asyncio

    import aiohttp

_Value = TypeVar("_Value")

# An answer that comes slower than this, bytes per second, is given up.
SLOWEST = 16 * 1024
# A server that knows no ranges sends the whole file. So much of it is read past to come to the range.
MAX_SKIPPED = 64 * 2**20
PIECE = 256 * 1024


class _Connection:
    """The session of one process, and where the Hub said that the bytes of a file lie.

    The filesystem is made for asynchronous use, so that fsspec leaves closing to us: its own way waits for the event
    loop inside the garbage collector, and with it for locks that the collecting thread may hold.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        import fsspec
        from fsspec.asyn import sync

        client = {"trust_env": bool(getproxies()), **options.get("client_kwargs", {})}
        own = {"client_kwargs": client, "asynchronous": True, "skip_instance_cache": True}
        filesystem = fsspec.filesystem("http", **{**options, **own})
        self.loop = fsspec_loop()
        self.session: aiohttp.ClientSession = sync(self.loop, filesystem.set_session)
        self.request: dict[str, Any] = dict(filesystem.kwargs)
        self.targets: dict[str, str] = {}
        weakref.finalize(self, _close_soon, self.loop, self.session, os.getpid())

    def run(self, coroutine: Callable[..., Coroutine[Any, Any, _Value]], *arguments: Any) -> _Value:
        """Run to its end on the loop, from any thread but the loop's."""
        from fsspec.asyn import sync

        return sync(self.loop, coroutine, *arguments)  # type: ignore[no-any-return]


def _close_soon(loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession, process: int) -> None:
    """Close a session that nobody closed, without waiting for it."""
    if process == os.getpid() and not session.closed and not loop.is_closed():
        loop.call_soon_threadsafe(lambda: loop.create_task(session.close()))


class HttpSource(Source):
    """A folder that an HTTP server shows.

    Args:
        root: the URL for messages. base: the URL that paths are put behind.
        token: sent as ``Authorization: Bearer`` to the host of `base`, and to no other that it leads to.
        page: where to ask for access.
        version: see `Source`.
        keep_targets: whether files never change, so that where a redirect led may be asked directly from then on.
        timeout_s: see `Retries`.
        options: of fsspec's HTTP filesystem.
    """

    def __init__(
        self,
        root: str,
        *,
        base: str,
        token: Token | None,
        page: str,
        timeout_s: float,
        options: Mapping[str, Any],
        version: str | None = None,
        keep_targets: bool = False,
    ) -> None:
        self.root, self.version = root, version
        self._base, self._token, self._page = base.rstrip("/"), token, page
        self._timeout_s, self._options, self._keep_targets = timeout_s, dict(options), keep_targets
        self._connected: PerProcess[_Connection] = PerProcess()

    def __repr__(self) -> str:
        return f"HttpSource({self.root!r})"

    def fetch(self, path: str, start: int, length: int, *, at_most: bool = False) -> bytes | Failure:
        """See `Source.fetch`."""
        connection = self._connected.get(lambda: _Connection(self._options))
        answer = connection.run(self._follow, connection, path, start, length)
        if isinstance(answer, bytes) and len(answer) < length and not at_most:
            reason = f"the file ends before byte {start + length - 1}; it is cut, or of another build"
            return Failure(reason, again=False, error=CorruptionError)
        return answer

    def close(self) -> None:
        """See `Source.close`."""
        if connection := self._connected.drop():
            connection.run(connection.session.close)

    async def _follow(self, connection: _Connection, path: str, start: int, length: int) -> bytes | Failure:
        """Ask where a redirect led the last time, else, or when that is refused by now, at the front."""
        if target := connection.targets.get(path):
            answer, _ = await self._get(connection, target, {}, start, length)
            if not isinstance(answer, Failure):
                return answer
            connection.targets.pop(path, None)
            if answer.again:
                return answer
        login = {"Authorization": f"Bearer {self._token.secret}"} if self._token else {}
        answer, target = await self._get(connection, f"{self._base}/{quote(path)}", login, start, length)
        if target and self._keep_targets and not isinstance(answer, Failure):
            connection.targets[path] = target
        return answer

    async def _get(
        self, connection: _Connection, url: str, login: Mapping[str, str], start: int, length: int
    ) -> tuple[bytes | Failure, str | None]:
        """One request; the answer, and where it came from if a redirect led to another host."""
        import aiohttp
        import yarl

        request = dict(connection.request)
        # A compressed answer would be one of other bytes than those that were asked for.
        wanted = {"Range": f"bytes={start}-{start + length - 1}", "Accept-Encoding": "identity"}
        request["headers"] = {**request.get("headers", {}), **wanted, **login}
        request["timeout"] = aiohttp.ClientTimeout(
            total=self._timeout_s + length / SLOWEST, sock_connect=self._timeout_s, sock_read=self._timeout_s
        )
        try:
            async with connection.session.get(yarl.URL(url, encoded=True), **request) as response:
                answer = await self._answer(response, start, length)
                elsewhere = response.history and response.url.origin() != response.history[0].url.origin()
                return answer, str(response.url) if elsewhere else None
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            return _failed(error, self._timeout_s), None

    async def _answer(self, response: aiohttp.ClientResponse, start: int, length: int) -> bytes | Failure:
        if failure := self.refusal(response.status, response.headers):
            return failure
        if response.status == 416:
            return b""
        if response.headers.get("Content-Encoding", "identity") != "identity":
            return Failure("the server compresses, so it has no exact ranges", again=False)
        if response.content_type == "text/html":
            return Failure("a web page came instead of data", again=True)
        if response.status == 200:
            return await _cut_out(response, start, length)
        stated = re.fullmatch(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", response.headers.get("Content-Range", ""))
        if stated is None:
            return Failure("the server answers with something else than the range", again=True)
        first, last = int(stated[1]), int(stated[2])
        ends = stated[3] != "*" and last + 1 == int(stated[3])
        if first != start or not start <= last < start + length or (last < start + length - 1 and not ends):
            return Failure(f"the server answers with bytes {first}-{last} instead", again=True)
        return await _read(response, last + 1 - first)

    def refusal(self, status: int, headers: Mapping[str, str]) -> Failure | None:
        """What a status says, None where it brings bytes (200, 206) or tells that there are none (416)."""
        if status in (200, 206, 416):
            return None
        if status in AGAIN:
            return Failure(f"HTTP {status}", again=True, wait_s=asked_wait_s(headers))
        if status in (404, 410) and headers.get("X-Error-Code") != "RepoNotFound":
            return Failure("no such file (HTTP 404)", again=False, error=MissingError)
        if status in (401, 403, 404):
            return self.closed(status, headers)
        return Failure(f"HTTP {status}", again=False)

    def closed(self, status: int, headers: Mapping[str, str]) -> Failure:
        """Why a dataset is closed and how it is opened, in one line."""
        said = headers.get("X-Error-Message", "")
        said = one_line(said.replace(self._token.secret, "***") if self._token else said)
        what = (
            "no such dataset, or access refused" if headers.get("X-Error-Code") == "RepoNotFound" else "access refused"
        )
        login = "the token that was sent is not enough" if self._token else "no token was sent"
        reason = (
            f"{what} (HTTP {status}; {login}); ask for access at {self._page} (a request may be pending until its "
            "owners decide), then log in with `hf auth login` or pass token=..."
            f"{f'; the server says: {said}' if said else ''}"
        )
        return Failure(reason, again=False, error=AccessError)


async def _read(response: aiohttp.ClientResponse, length: int) -> bytes | Failure:
    """The body, which must have `length` bytes; no more than one piece above that is ever held."""
    pieces, total = [], 0
    async for piece in response.content.iter_chunked(PIECE):
        pieces.append(piece)
        total += len(piece)
        if total > length:
            response.close()
            break
    if total != length:
        return Failure(f"{total} bytes or more came, {length} were announced", again=True, error=CorruptionError)
    return b"".join(pieces)


async def _cut_out(response: aiohttp.ClientResponse, start: int, length: int) -> bytes | Failure:
    """The range out of a whole file. What comes before it is read past, what comes after it is left."""
    if start > MAX_SKIPPED:
        response.close()
        return Failure(
            "the server knows no byte ranges; copy the dataset to a folder, or serve it otherwise", again=True
        )
    pieces, position = [], 0
    async for piece in response.content.iter_chunked(PIECE):
        pieces.append(piece[max(0, start - position) : max(0, start + length - position)])
        position += len(piece)
        if position >= start + length:
            response.close()
            break
    return b"".join(pieces)


def _failed(error: Exception, timeout_s: float) -> Failure:
    """A request that brought no answer, for people: never with the request itself, whose headers hold the token."""
    import aiohttp

    if isinstance(error, aiohttp.InvalidURL | aiohttp.TooManyRedirects):
        return Failure("leads to no address that can be asked", again=False)
    kinds: tuple[tuple[type[Exception], str], ...] = (
        (TimeoutError, f"no answer in time (timeout_s={timeout_s:g})"),
        (aiohttp.ClientPayloadError, "the connection was cut in the middle of the answer"),
        (aiohttp.ClientResponseError, "the answer is no HTTP"),
        (aiohttp.ClientConnectorError, "cannot connect"),
        (aiohttp.ClientConnectionError, "the connection was closed without an answer"),
    )
    said = next((text for kind, text in kinds if isinstance(error, kind)), type(error).__name__)
    why = getattr(getattr(error, "os_error", error), "strerror", None)
    return Failure(one_line(f"{said} ({why})" if why else said), again=True)
