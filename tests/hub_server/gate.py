"""Questions, answers, and who may what: private pages, and the gate in the words of the public Hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hub_server.state import Blob, Refused, Repository, Seen, User


@dataclass(frozen=True)
class Question:
    """A request, with the user whose token came, None for nobody."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    user: User | None

    def json(self) -> Any:
        return json.loads(self.body or b"{}")


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def said(value: Any, **headers: str) -> Answer:
    return Answer(200, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})


class Gate:
    """What the Hub knows, and who may see and change it."""

    def __init__(self, url: str, storage: str) -> None:
        self.url, self.storage = url, storage
        self.tokens: dict[str, User] = {}
        self.repositories: dict[str, Repository] = {}
        self.quota = 2**40
        self.xorbs: dict[str, list[bytes]] = {}
        self.xet_tokens: dict[str, Repository] = {}

    def open(self, asked: Question, name: str) -> Repository:
        """A repository whose page the user may see."""
        repository = self.repositories.get(name)
        if repository is None or (repository.private and not self.member(asked.user, repository)):
            raise Refused(404 if asked.user else 401, "Repository not found", "RepoNotFound")
        return repository

    def writable(self, asked: Question, name: str, revision: str = "") -> Repository:
        """A repository that the user may write to; a pull request may be written to by who opened it, too."""
        repository = self.open(asked, name)
        if asked.user is None:
            raise Refused(401, "Invalid username or password.")
        own = [pull.reference for pull in repository.pulls.values() if pull.author == asked.user.name]
        if not self.member(asked.user, repository) and revision not in own:
            raise Refused(403, "You have read access but not the required permissions for this operation")
        return repository

    def owned(self, asked: Question, name: str) -> Repository:
        """A repository whose settings the user may change: its owner, or an administrator of the organization."""
        repository = self.writable(asked, name)
        assert asked.user is not None
        if asked.user.name != repository.owner and asked.user.role != "admin":
            raise Refused(403, "You need to be an admin of the organization to change the settings of this repo")
        return repository

    def keep(self, repository: Repository, oid: str, data: bytes) -> None:
        """Store a large file, whichever way its bytes have come."""
        if Blob(data, True).sha256 != oid:
            raise Refused(400, "the bytes are not those of the oid")
        repository.stored[oid] = data
        repository.uploads[oid] += 1
        self.note(repository)

    def readable(self, asked: Question, name: str) -> Repository:
        """A repository whose files the user may read: here the gate is."""
        repository = self.open(asked, name)
        if not repository.gated or self.member(asked.user, repository):
            return repository
        if asked.user is None:
            raise Refused(
                401,
                f"Access to dataset {name} is restricted. You must have access to it and be authenticated to access "
                "it. Please log in.",
                "GatedRepo",
            )
        request = repository.requests.get(asked.user.name)
        if request is None:
            raise Refused(
                403,
                f"Access to dataset {name} is restricted and you are not in the authorized list. Visit "
                f"{self.url}/datasets/{name} to ask for access.",
                "GatedRepo",
            )
        if request.status != "accepted":
            what = {
                "pending": "is awaiting a review from the repo authors.",
                "rejected": "has been rejected by the repo's authors.",
            }[request.status]
            raise Refused(403, f"Your request to access dataset {name} {what}", "GatedRepo")
        return repository

    def note(self, repository: Repository) -> None:
        """What could be seen from now on, for tests of the order of steps; once while nothing changes."""
        now = Seen(
            repository.references["refs/heads/main"], repository.private, repository.gated, bool(repository.stored)
        )
        if repository.seen[-1:] != [now]:
            repository.seen.append(now)

    def member(self, user: User | None, repository: Repository) -> bool:
        return user is not None and repository.owner in (user.name, *user.organizations)


def ranged(asked: Question, data: bytes, headers: dict[str, str]) -> Answer:
    start, _, end = asked.headers.get("range", "").removeprefix("bytes=").partition("-")
    if not start:
        return Answer(200, data, headers)
    first, last = int(start), min(int(end) if end else len(data) - 1, len(data) - 1)
    if first >= len(data):
        return Answer(416, b"", {**headers, "Content-Range": f"bytes */{len(data)}"})
    span = f"bytes {first}-{last}/{len(data)}"
    return Answer(206, data[first : last + 1], {**headers, "Content-Range": span})
