"""What the Hub answers: every route that `huggingface_hub` and `datasets` ask for in these tests.

Words and codes of refusals are those that the public Hub sends (observed in October 2026).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

from hub_server.commits import Commits
from hub_server.gate import Answer, Question
from hub_server.pages import Pages
from hub_server.requests import Requests
from hub_server.state import Refused
from hub_server.xet import Xet


class Answers(Pages, Commits, Requests, Xet):
    """The routes, over what the Hub knows."""

    def answer(self, asked: Question) -> Answer:
        for method, pattern, route in ROUTES:
            found = re.fullmatch(pattern, asked.path)
            if method == asked.method and found:
                return route(self, asked, **{name: unquote(value or "") for name, value in found.groupdict().items()})
        raise Refused(404, f"no route {asked.method} {asked.path}")


_NAME = r"(?P<name>[\w.-]+/[\w.-]+?)"
_API = rf"/api/datasets/{_NAME}"
_REVISION = r"(?P<revision>refs(?:/|%2F)pr(?:/|%2F)\d+|[^/]+)"
Route = Callable[..., Answer]
ROUTES: tuple[tuple[str, str, Route], ...] = (
    ("GET", "/api/whoami-v2", Answers.who),
    ("POST", "/api/repos/create", Answers.create),
    ("POST", "/api/validate-yaml", Answers.card),
    ("POST", rf"/api/complete/{_NAME}", Answers.complete),
    ("GET", _API, Answers.info),
    ("GET", rf"{_API}/revision/{_REVISION}", Answers.info),
    ("GET", rf"{_API}/auth-check", Answers.check),
    ("PUT", rf"{_API}/settings", Answers.settings),
    ("GET", rf"{_API}/refs", Answers.references),
    ("GET", rf"{_API}/commits/{_REVISION}", Answers.commits),
    ("GET", rf"{_API}/tree/{_REVISION}(?:/(?P<folder>.*))?", Answers.tree),
    ("POST", rf"{_API}/paths-info/{_REVISION}", Answers.paths),
    ("POST", rf"{_API}/branch/(?P<branch>[^/]+)", Answers.branch),
    ("DELETE", rf"{_API}/branch/(?P<branch>[^/]+)", Answers.branch),
    ("POST", rf"{_API}/tag/{_REVISION}", Answers.tag),
    ("DELETE", rf"{_API}/tag/{_REVISION}", Answers.tag),
    ("POST", rf"{_API}/super-squash/(?P<branch>[^/]+)", Answers.squash),
    ("POST", rf"{_API}/preupload/{_REVISION}", Answers.preupload),
    ("POST", rf"{_API}/commit/{_REVISION}", Answers.commit),
    ("GET", rf"{_API}/xet-write-token/{_REVISION}", Answers.write_token),
    ("POST", r"/v1/xorbs/default/(?P<number>[0-9a-f]{64})", Answers.xorb),
    ("POST", "/v1/shards", Answers.shard),
    ("GET", r"/v1/chunks/.*", Answers.unknown),
    ("POST", r"/v1/xorb-grants/.*|/v1/telemetry|/v2/.*", Answers.unknown),
    ("GET", rf"{_API}/lfs-files", Answers.large_files),
    ("POST", rf"{_API}/lfs-files/batch", Answers.delete_large),
    ("GET", rf"{_API}/discussions", Answers.pulls),
    ("POST", rf"{_API}/discussions", Answers.pulls),
    ("GET", rf"{_API}/discussions/(?P<number>\d+)", Answers.pull),
    ("POST", rf"{_API}/discussions/(?P<number>\d+)/status", Answers.status),
    ("POST", rf"{_API}/discussions/(?P<number>\d+)/merge", Answers.merge),
    ("GET", rf"{_API}/user-access-request/(?P<status>pending|accepted|rejected)", Answers.requests),
    ("POST", rf"{_API}/user-access-request/handle", Answers.handle),
    ("POST", rf"{_API}/user-access-request/grant", Answers.grant),
    ("POST", rf"/datasets/{_NAME}/ask-access", Answers.ask),
    ("POST", rf"/datasets/{_NAME}\.git/info/lfs/objects/batch", Answers.batch),
    ("POST", rf"/datasets/{_NAME}\.git/info/lfs/objects/verify", Answers.verify),
    ("GET", rf"/datasets/{_NAME}/resolve/{_REVISION}/(?P<path>.+)", Answers.file),
    ("PUT", rf"/storage/{_NAME}/(?P<oid>[0-9a-f]{{64}})(?:/(?P<part>\d+))?", Answers.store),
    ("GET", rf"/storage/{_NAME}/(?P<oid>[0-9a-f]{{64}})", Answers.stored),
)
