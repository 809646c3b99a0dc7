"""The page behind HTTP: one process, on this machine unless asked otherwise, nothing loaded from anywhere else.

Whoever has the link, with its token, may review. The token stands behind `#`, which browsers send to no one; the page
sends it back in a header, so that no other site can speak for a reviewer. Host and Origin are checked as well, which
stops other sites that let their name point here. Pages come from a fixed table; no path is ever made from a URL.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from equime_builder.facs import ACTION_UNITS
from equime_builder.manifest import FolderError
from equime_builder.review.clips import Clips, opaque_names
from equime_builder.review.judgments import (
    LABELS,
    MAX_CONFIDENCE,
    MAX_NAME,
    MAX_NOTES,
    MIN_CONFIDENCE,
    VERDICTS,
    Judgment,
    parse_judgment,
    reviewer_name,
)
from equime_builder.review.sample import order_for
from equime_builder.review.store import Store

# A note of MAX_NOTES characters, each written as two escapes of six bytes, fits; not much else does.
MAX_BODY = 64 * 2**10
DECODERS = 2
EVERYWHERE = ("0.0.0.0", "::")
PAGES: Mapping[str, tuple[str, str]] = {
    "/": ("index.html", "text/html"),
    "/review.css": ("review.css", "text/css"),
    **{f"/{name}.js": (f"{name}.js", "text/javascript") for name in ("main", "player", "plot", "form", "server")},
}
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, eq=False)
class Review:
    """What the server answers from. `keys`: key of each clip by its opaque name. `turns`: bounds decoding at once."""

    store: Store
    clips: Clips
    keys: Mapping[str, str]
    turns: asyncio.Semaphore


REVIEW = web.AppKey("review", Review)


def application(store: Store, clips: Clips, *, host: str) -> web.Application:
    """The server of a review, as an aiohttp application.

    Args:
        host: name or address that it will be reached at; the machine's addresses and own names work as well.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await _guarded(request, handler, store.token, host)
        response.headers.update(HEADERS)
        return response

    app = web.Application(client_max_size=MAX_BODY, middlewares=[guard])
    keys = opaque_names(store.clips, store.secret)
    app[REVIEW] = Review(store, clips, keys, asyncio.Semaphore(DECODERS))
    app.router.add_routes([web.get(path, _page) for path in PAGES])
    app.router.add_post("/api/session", _session)
    app.router.add_get("/api/clips/{name}", _clip)
    app.router.add_post("/api/judgments", _judge)
    return app


async def _guarded(request: web.Request, handler: Handler, token: str, host: str) -> web.StreamResponse:
    """Refuse what does not come from the page; turn every refusal into a line of JSON."""
    origin = request.headers.get("Origin")
    if not known_host(request.host, host) or (origin is not None and origin.partition("://")[2] != request.host):
        return _refusal(403, "this address is not the review's; open the link that the command printed")
    given = request.headers.get("X-Review-Token", "").encode(errors="surrogateescape")
    if request.path not in PAGES and not hmac.compare_digest(given, token.encode()):
        return _refusal(403, "the link is not complete; open the one that the command printed")
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge:
        return _refusal(413, f"the judgment is too long; notes may have {MAX_NOTES:,} characters")
    except web.HTTPException as error:
        return _refusal(error.status, error.reason)
    except FolderError as error:
        return _refusal(500, str(error))
    except OSError:
        return _refusal(503, "the disk did not take it; it is not saved yet")
    except ValueError as error:
        return _refusal(400, str(error))


def known_host(given: str, host: str) -> bool:
    """Whether a Host header names this server by an address, as localhost, by `host`, or by the machine's name."""
    try:
        name = urlsplit(f"//{given}").hostname or ""
    except ValueError:
        return False
    return name in {"localhost", host.lower(), *_own_names()} or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=1)
def _own_names() -> frozenset[str]:
    return frozenset(name.lower() for name in (socket.gethostname(), socket.getfqdn()))


def _refusal(status: int, why: str) -> web.Response:
    return web.json_response({"error": " ".join(why.split())}, status=status)


async def _page(request: web.Request) -> web.Response:
    name, kind = PAGES[request.path]
    page = resources.files("equime_builder.review").joinpath("page", name).read_bytes()
    return web.Response(body=page, content_type=kind, charset="utf-8")


async def _read(request: web.Request) -> Any:
    """The body as JSON. The type is asked for, since a form of another site cannot send it unasked."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(reason="send application/json")
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None


async def _session(request: web.Request) -> web.Response:
    """Everything that the page needs to begin or to go on: words to choose from, the reviewer's order and answers."""
    review, value = request.app[REVIEW], await _read(request)
    reviewer = reviewer_name(value.get("reviewer") if isinstance(value, dict) else None)
    settings = review.store.settings
    names = {key: name for name, key in review.keys.items()}
    order = order_for(list(review.store.clips), reviewer=reviewer, seed=settings.seed)
    kept = review.store.kept(reviewer=reviewer)
    answers = {names[one.judgment.clip]: _answer(one.number, one.judgment) for one in kept}
    return web.json_response(
        {
            "reviewer": reviewer,
            "blind": settings.blind,
            "order": [names[key] for key in order],
            "answers": answers,
            "verdicts": VERDICTS,
            "labels": LABELS,
            "aus": [{"au": unit.au, "name": unit.name, "region": unit.region} for unit in ACTION_UNITS.values()],
            "bounds": {"name": MAX_NAME, "notes": MAX_NOTES, "confidence": [MIN_CONFIDENCE, MAX_CONFIDENCE]},
        }
    )


def _answer(number: int, said: Judgment) -> dict[str, Any]:
    """A judgment as it is kept, for the reviewer who made it."""
    return {
        "number": number,
        **{name: getattr(said, name) for name in ("verdict", "label", "aus", "confidence", "notes")},
    }


async def _clip(request: web.Request) -> web.Response:
    review = request.app[REVIEW]
    key = review.keys.get(request.match_info["name"])
    if key is None:
        return _refusal(404, "no such clip in this review")
    async with review.turns:
        try:
            packed = await asyncio.to_thread(lambda: review.clips.view(key).packed())
        except (FolderError, ValueError, OSError) as error:
            # The reason may name the clip: it goes to a reviewer only where the review is open.
            why = "this clip cannot be shown" if review.clips.blind else f"this clip cannot be shown: {error}"
            return _refusal(422, why)
    return web.Response(body=packed, content_type="application/octet-stream")


async def _judge(request: web.Request) -> web.Response:
    """Keep a judgment; the answer comes when it is on disk."""
    review = request.app[REVIEW]
    judgment = parse_judgment(await _read(request), review.keys)
    return web.json_response(_answer(review.store.add(judgment), judgment))


def bind(host: str, port: int) -> socket.socket:
    """A listening socket, port 0 for any that is free.

    Raises:
        ValueError: a port outside 0..65535. OSError: the address is in use or not this machine's.
    """
    if not 0 <= port <= 65_535:
        raise ValueError(f"{port=} must lie within 0..65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise OSError(f"{host}:{port} cannot be used ({error.strerror or error}); choose another --port") from error


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def link(host: str, port: int, token: str) -> str:
    """The link that opens the page; by the machine's name where it is served at every address."""
    named = socket.gethostname() if host in EVERYWHERE else host
    name = f"[{named}]" if ":" in named else named
    return f"http://{name}:{port}/#{token}"


def serve(app: web.Application, listener: socket.socket) -> None:
    """Serve until the process is told to stop (SIGINT or SIGTERM)."""
    web.run_app(app, sock=listener, print=lambda *_: None, access_log=None, shutdown_timeout=2)
