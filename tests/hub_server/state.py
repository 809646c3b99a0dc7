"""What a Hub knows: users and their tokens, dataset repositories with commits and references, requests for access."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

LARGE = (".parquet", ".tar", ".arrow", ".safetensors", ".mp4", ".png", ".zip")
ATTRIBUTES = ".gitattributes"


class Refused(Exception):
    """An answer other than the good one: status, `X-Error-Code` and `X-Error-Message`."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True)
class Blob:
    """A file's content. `oid` is the one of git, of an LFS file that of its pointer."""

    data: bytes
    large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def pointer(self) -> bytes:
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.data)}\n".encode()

    @property
    def file_oid(self) -> str:
        """The number by which the Hub lists and deletes a large file; its `oid` there is another one."""
        return self.sha256

    @property
    def oid(self) -> str:
        content = self.pointer if self.large else self.data
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True)
class Commit:
    number: str
    parent: str | None
    files: Mapping[str, Blob]
    title: str
    message: str = ""


@dataclass
class Pull:
    number: int
    title: str
    author: str
    status: str = "draft"
    description: str = ""
    base: str = "refs/heads/main"

    @property
    def reference(self) -> str:
        return f"refs/pr/{self.number}"


@dataclass
class Asked:
    """A request for access."""

    user: str
    status: str
    fields: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    email: str | None = None
    time: str = ""


@dataclass
class User:
    name: str
    fullname: str
    email: str
    organizations: tuple[str, ...] = ()
    role: str = "admin"


@dataclass(frozen=True)
class Seen:
    """How a repository stood at one time: the commit of main, its doors, and whether large files lay there."""

    main: str
    private: bool
    gated: str | bool
    holds: bool


@dataclass
class Repository:
    """A dataset repository. `stored` are its LFS objects, whether a commit names them or not; `notes` those of tags."""

    name: str
    private: bool
    gated: str | bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    pulls: dict[int, Pull] = field(default_factory=dict)
    requests: dict[str, Asked] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    uploads: Counter[str] = field(default_factory=Counter)
    seen: list[Seen] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        first = {ATTRIBUTES: Blob(b"".join(b"*%s filter=lfs\n" % kind.encode() for kind in LARGE), False)}
        self.commit("refs/heads/main", first, "initial commit")

    @property
    def owner(self) -> str:
        return self.name.split("/")[0]

    def commit(self, reference: str, files: Mapping[str, Blob], title: str, message: str = "") -> str:
        parent = self.references.get(reference)
        number = hashlib.sha1(f"{self.name} {next(self._numbers)} {title}".encode()).hexdigest()
        self.commits[number] = Commit(number, parent, dict(files), title, message)
        self.references[reference] = number
        return number

    def resolve(self, revision: str) -> Commit:
        for name in (revision, f"refs/heads/{revision}", f"refs/tags/{revision}"):
            if name in self.references:
                return self.commits[self.references[name]]
        found = [number for number in self.commits if len(revision) >= 7 and number.startswith(revision)]
        if not found:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[found[0]]

    def reference(self, revision: str) -> str:
        """The full name of a branch or pull request that may be written to."""
        name = revision if revision.startswith("refs/") else f"refs/heads/{revision}"
        if name not in self.references:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return name

    def meeting(self, one: str, other: str) -> Commit:
        """The newest commit that two have in their history.

        Raises:
            Refused: there is none.
        """
        numbers = {commit.number for commit in self.history(other)}
        for commit in self.history(one):
            if commit.number in numbers:
                return commit
        raise Refused(409, "This pull request has conflicts with its base")

    def forget(self, gone: set[str], rewrite: bool) -> None:
        """Delete large files; `rewrite` takes them out of every commit, which is another one then."""
        for sha256 in gone:
            self.stored.pop(sha256, None)
        if not rewrite:
            return
        moved: dict[str, str] = {}
        for number, commit in list(self.commits.items()):  # parents come first
            kept = {path: blob for path, blob in commit.files.items() if not (blob.large and blob.sha256 in gone)}
            parent = moved.get(commit.parent or "", commit.parent)
            if kept != commit.files or parent != commit.parent:
                moved[number] = hashlib.sha1(f"{number} rewritten".encode()).hexdigest()
                del self.commits[number]
            self.commits[moved.get(number, number)] = Commit(
                moved.get(number, number), parent, kept, commit.title, commit.message
            )
        self.references = {name: moved.get(number, number) for name, number in self.references.items()}

    def files(self, revision: str = "main") -> dict[str, Blob]:
        return dict(self.resolve(revision).files)

    def history(self, revision: str = "main") -> list[Commit]:
        """Commits from the newest to the first."""
        found, here = [], self.resolve(revision).number
        while here:
            found.append(self.commits[here])
            here = self.commits[here].parent or ""
        return found


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
