"""What the Hub answers: every route that `huggingface_hub` and `datasets` ask for in these tests.

Words and codes of refusals are those that the public Hub sends (observed in October 2026).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

import yaml

from hub_server.state import LARGE, Asked, Blob, Commit, Pull, Refused, Repository, User, now

OPEN_FILES = ("README.md", "LICENSE", "LICENSE.md", "LICENSE.txt")
PAGE = 10  # few, so that clients must turn pages
PART = 4 * 2**20


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


class Answers:
    """The routes, over what the Hub knows."""

    def __init__(self, url: str, storage: str) -> None:
        self.url, self.storage = url, storage
        self.tokens: dict[str, User] = {}
        self.repositories: dict[str, Repository] = {}
        self.quota = 2**40

    def answer(self, asked: Question) -> Answer:
        for method, pattern, route in ROUTES:
            found = re.fullmatch(pattern, asked.path)
            if method == asked.method and found:
                return route(self, asked, **{name: unquote(value or "") for name, value in found.groupdict().items()})
        raise Refused(404, f"no route {asked.method} {asked.path}")

    # Who may what

    def open(self, asked: Question, name: str) -> Repository:
        """A repository whose page the user may see."""
        repository = self.repositories.get(name)
        if repository is None or (repository.private and not self.member(asked.user, repository)):
            raise Refused(404 if asked.user else 401, "Repository not found", "RepoNotFound")
        return repository

    def writable(self, asked: Question, name: str) -> Repository:
        repository = self.open(asked, name)
        if asked.user is None:
            raise Refused(401, "Invalid username or password.")
        if not self.member(asked.user, repository):
            raise Refused(403, "You have read access but not the required permissions for this operation")
        return repository

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

    def member(self, user: User | None, repository: Repository) -> bool:
        return user is not None and repository.owner in (user.name, *user.organizations)

    # Repositories and references

    def who(self, asked: Question) -> Answer:
        if asked.user is None:
            raise Refused(401, "Invalid username or password.")
        user = asked.user
        return said({"type": "user", "name": user.name, "fullname": user.fullname, "orgs": [], "auth": {}})

    def create(self, asked: Question) -> Answer:
        wanted = asked.json()
        if asked.user is None:
            raise Refused(401, "Invalid username or password.")
        owner = wanted.get("organization") or asked.user.name
        name = f"{owner}/{wanted['name']}"
        if owner not in (asked.user.name, *asked.user.organizations):
            raise Refused(403, f'You don\'t have the rights to create a dataset under the namespace "{owner}"')
        url = f"{self.url}/datasets/{name}"
        if name in self.repositories:
            answer = said({"error": "You already created this dataset repo", "url": url})
            return Answer(409, answer.body, answer.headers)
        private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        self.repositories[name] = Repository(name, private)
        self._note(self.repositories[name])
        return said({"url": url, "name": name, "id": "1"})

    def settings(self, asked: Question, name: str) -> Answer:
        repository, wanted = self.writable(asked, name), asked.json()
        if "gated" in wanted:
            repository.gated = wanted["gated"]
        if "visibility" in wanted or "private" in wanted:
            repository.private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        self._note(repository)
        return said(wanted)

    def _note(self, repository: Repository) -> None:
        """What could be seen from now on, for tests of the order of steps."""
        repository.seen.append((repository.references["refs/heads/main"], repository.private, repository.gated))

    def info(self, asked: Question, name: str, revision: str = "") -> Answer:
        repository = self.open(asked, name)
        commit = repository.resolve(revision or "main")
        return said(
            {
                "_id": "1",
                "id": name,
                "author": repository.owner,
                "sha": commit.number,
                "private": repository.private,
                "gated": repository.gated,
                "disabled": False,
                "lastModified": now(),
                "createdAt": now(),
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [{"rfilename": path} for path in sorted(commit.files)],
            }
        )

    def check(self, asked: Question, name: str) -> Answer:
        self.readable(asked, name)
        return Answer(200, b"OK")

    def references(self, asked: Question, name: str) -> Answer:
        repository = self.open(asked, name)
        kinds: dict[str, list[dict[str, str]]] = {"branches": [], "converts": [], "tags": [], "pullRequests": []}
        for full, number in repository.references.items():
            kind = next(
                kind
                for kind, start in (("branches", "heads/"), ("tags", "tags/"), ("pullRequests", "pr/"))
                if full.startswith(f"refs/{start}")
            )
            short = full if kind == "pullRequests" else full.split("/", 2)[2]
            kinds[kind].append({"name": short, "ref": full, "targetCommit": number})
        return said(kinds)

    def commits(self, asked: Question, name: str, revision: str) -> Answer:
        history = self.open(asked, name).history(revision)
        return said(
            [
                {"id": commit.number, "title": commit.title, "message": commit.message, "authors": [], "date": now()}
                for commit in history
            ]
        )

    def tree(self, asked: Question, name: str, revision: str, folder: str = "") -> Answer:
        repository = self.open(asked, name)
        commit = repository.resolve(revision)
        recursive = asked.query.get("recursive", ["false"])[0].lower() == "true"
        prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
        entries: dict[str, dict[str, Any]] = {}
        for path, blob in sorted(commit.files.items()):
            if path.startswith(prefix):
                parts = path[len(prefix) :].split("/")
                for depth in range(1, len(parts) if recursive else min(2, len(parts))):
                    above = prefix + "/".join(parts[:depth])
                    entries.setdefault(above, {"type": "directory", "oid": "0" * 40, "size": 0, "path": above})
                if recursive or len(parts) == 1:
                    entries[path] = self._entry(asked, repository, commit, path, blob)
        if prefix and not entries:
            raise Refused(404, f"{folder} does not exist on {revision}", "EntryNotFound")
        rows = list(entries.values())
        start = int(asked.query.get("cursor", ["0"])[0])
        headers = {}
        if start + PAGE < len(rows):
            query = f"recursive={recursive}&cursor={start + PAGE}"
            headers["Link"] = f'<{self.url}{asked.path}?{query}>; rel="next"'
        return said(rows[start : start + PAGE], **headers)

    def paths(self, asked: Question, name: str, revision: str) -> Answer:
        repository = self.open(asked, name)
        commit = repository.resolve(revision)
        if asked.headers.get("content-type", "").startswith("application/json"):
            wanted = asked.json()["paths"]
        else:
            wanted = parse_qs(asked.body.decode()).get("paths", [])
        rows = []
        for path in wanted:
            if path in commit.files:
                rows.append(self._entry(asked, repository, commit, path, commit.files[path]))
            elif any(other.startswith(f"{path}/") for other in commit.files):
                rows.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": path})
        return said(rows)

    def _entry(self, asked: Question, repository: Repository, commit: Commit, path: str, blob: Blob) -> dict[str, Any]:
        entry: dict[str, Any] = {"type": "file", "oid": blob.oid, "size": len(blob.data), "path": path}
        if blob.large:
            try:
                self.readable(asked, repository.name)
                oid = blob.sha256
            except Refused:
                oid = "*" * 64  # the Hub masks it for who has no access
            entry["lfs"] = {"oid": oid, "size": len(blob.data), "pointerSize": len(blob.pointer)}
        last = next(each for each in self._history(repository, commit) if path in each.files)
        entry["lastCommit"] = {"id": last.number, "title": last.title, "date": now()}
        return entry

    def _history(self, repository: Repository, commit: Commit) -> list[Commit]:
        return repository.history(commit.number)

    def branch(self, asked: Question, name: str, branch: str) -> Answer:
        repository = self.writable(asked, name)
        full = f"refs/heads/{branch}"
        if asked.method == "DELETE":
            if repository.references.pop(full, None) is None:
                raise Refused(404, "Reference does not exist", "RevisionNotFound")
            return said({})
        if full in repository.references:
            raise Refused(409, f"Reference already exists: {full}")
        repository.references[full] = repository.resolve(asked.json().get("startingPoint", "main")).number
        return said({})

    def tag(self, asked: Question, name: str, revision: str) -> Answer:
        repository = self.writable(asked, name)
        if asked.method == "DELETE":
            if repository.references.pop(f"refs/tags/{revision}", None) is None:
                raise Refused(404, "Tag does not exist", "RevisionNotFound")
            return said({})
        full = f"refs/tags/{asked.json()['tag']}"
        if full in repository.references:
            raise Refused(409, f"Tag reference exists already: {full}")
        repository.references[full] = repository.resolve(revision).number
        return said({})

    def squash(self, asked: Question, name: str, branch: str) -> Answer:
        repository = self.writable(asked, name)
        files = repository.files(branch)
        del repository.references[f"refs/heads/{branch}"]
        repository.commit(f"refs/heads/{branch}", files, asked.json().get("message", "squash"))
        return said({})

    # Commits

    def card(self, asked: Question) -> Answer:
        head = re.match(r"---\n(.*?)\n---\n", asked.json()["content"], re.DOTALL)
        try:
            content = yaml.safe_load(head[1]) if head else None
            errors = [] if isinstance(content, dict) else [{"message": "no metadata"}]
        except yaml.YAMLError as error:
            errors = [{"message": str(error)}]
        answer = said({"errors": errors, "warnings": []})
        return Answer(400 if errors else 200, answer.body, answer.headers)

    def preupload(self, asked: Question, name: str, revision: str) -> Answer:
        files = self.writable(asked, name).resolve(revision).files
        rows = []
        for row in asked.json()["files"]:
            path, here = row["path"], files.get(row["path"])
            oid = {"oid": here.sha256 if here.large else here.oid} if here else {}
            large = path.endswith(LARGE) or row["size"] > 10 * 2**20
            rows.append({"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, **oid})
        return said({"files": rows})

    def batch(self, asked: Question, name: str) -> Answer:
        repository = self.writable(asked, name)
        used = sum(len(data) for each in self.repositories.values() for data in each.stored.values())
        objects = []
        for row in asked.json()["objects"]:
            oid, size = row["oid"], row["size"]
            if oid in repository.stored:
                objects.append({"oid": oid, "size": size})
                continue
            if used + size > self.quota:
                raise Refused(
                    403,
                    "Private repository storage limit reached, please upgrade your plan to increase your private "
                    "storage limit",
                )
            used += size
            base = f"{self.storage}/storage/{name}/{oid}"
            upload: dict[str, Any] = {"href": f"{base}?signature={size}", "header": {}}
            if size > PART:
                count = -(-size // PART)
                header = {f"{n:05d}": f"{base}/{n}?signature={size}" for n in range(1, count + 1)}
                upload = {"href": f"{self.url}/api/complete/{name}", "header": {"chunk_size": str(PART), **header}}
            verify = {"href": f"{self.url}/datasets/{name}.git/info/lfs/objects/verify", "header": {}}
            objects.append({"oid": oid, "size": size, "actions": {"upload": upload, "verify": verify}})
        return said({"transfer": "basic", "objects": objects})

    def store(self, asked: Question, name: str, oid: str, part: str = "") -> Answer:
        if "signature" not in asked.query or "authorization" in asked.headers:
            raise Refused(403, "the signature is missing, or a token came along")
        repository = self.repositories[name]
        if part:
            repository.stored[f"part {oid} {int(part):05d}"] = asked.body
            return Answer(200, b"", {"ETag": f'"{part}"'})
        self._keep(repository, oid, asked.body)
        return Answer(200, b"", {"ETag": f'"{oid}"'})

    def complete(self, asked: Question, name: str) -> Answer:
        repository, oid = self.repositories[name], asked.json()["oid"]
        parts = sorted(key for key in repository.stored if key.startswith(f"part {oid} "))
        self._keep(repository, oid, b"".join(repository.stored.pop(key) for key in parts))
        return said({})

    def _keep(self, repository: Repository, oid: str, data: bytes) -> None:
        if Blob(data, True).sha256 != oid:
            raise Refused(400, "the bytes are not those of the oid")
        repository.stored[oid] = data
        repository.uploads[oid] += 1

    def verify(self, asked: Question, name: str) -> Answer:
        wanted = asked.json()
        if len(self.writable(asked, name).stored.get(wanted["oid"], b"")) != wanted["size"]:
            raise Refused(400, "object is not there")
        return said({})

    def commit(self, asked: Question, name: str, revision: str) -> Answer:
        repository = self.writable(asked, name)
        reference = repository.reference(revision)
        files = repository.files(reference)
        lines = [json.loads(line) for line in asked.body.splitlines() if line]
        head = next(line["value"] for line in lines if line["key"] == "header")
        if head.get("parentCommit", repository.references[reference]) != repository.references[reference]:
            raise Refused(412, "A commit has happened since. Please refresh and try again.")
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = Blob(base64.b64decode(value["content"]), False)
            elif line["key"] == "lfsFile":
                if value["oid"] not in repository.stored:
                    raise Refused(400, f"LFS pointer pointed to a file that does not exist: {value['path']}")
                files[value["path"]] = Blob(repository.stored[value["oid"]], True)
            elif line["key"] == "deletedFile" and files.pop(value["path"], None) is None:
                raise Refused(404, f"A file with this name doesn't exist: {value['path']}", "EntryNotFound")
        number = repository.commit(reference, files, head["summary"], head.get("description", ""))
        if reference == "refs/heads/main":
            self._note(repository)
        url = f"{self.url}/datasets/{name}/commit/{number}"
        return said({"success": True, "commitOid": number, "commitUrl": url, "hookOutput": ""})

    def large_files(self, asked: Question, name: str) -> Answer:
        repository = self.writable(asked, name)
        return said(
            [
                {"fileOid": oid, "filename": oid, "oid": oid, "pushedAt": now(), "size": len(data), "ref": "main"}
                for oid, data in repository.stored.items()
            ]
        )

    def delete_large(self, asked: Question, name: str) -> Answer:
        repository = self.writable(asked, name)
        for oid in asked.json()["deletions"]["sha"]:
            repository.stored.pop(oid, None)
            for number, commit in repository.commits.items():
                kept = {path: blob for path, blob in commit.files.items() if not (blob.large and blob.sha256 == oid)}
                repository.commits[number] = Commit(number, commit.parent, kept, commit.title, commit.message)
        return said({})

    # Pull requests

    def pulls(self, asked: Question, name: str) -> Answer:
        repository = self.open(asked, name)
        if asked.method == "POST":
            self.writable(asked, name)
            wanted, number = asked.json(), len(repository.pulls) + 1
            assert asked.user is not None
            pull = Pull(number, wanted["title"], asked.user.name, description=wanted["description"])
            repository.pulls[number] = pull
            repository.references[f"refs/pr/{number}"] = repository.references[pull.base]
            return said({"num": number, "pullRequest": True})
        status = asked.query.get("status", ["all"])[0]
        shown = [pull for pull in repository.pulls.values() if status == "all" or self._is(pull, status)]
        rows = [self._pull(repository, pull) for pull in shown]
        return said({"discussions": rows, "count": len(rows), "start": 0})

    def _is(self, pull: Pull, status: str) -> bool:
        return (pull.status in ("open", "draft")) == (status == "open")

    def _pull(self, repository: Repository, pull: Pull) -> dict[str, Any]:
        return {
            "num": pull.number,
            "title": pull.title,
            "author": {"name": pull.author},
            "createdAt": now(),
            "status": pull.status,
            "repo": {"name": repository.name, "type": "dataset"},
            "isPullRequest": True,
            "changes": {"base": pull.base},
            "filesWithConflicts": [],
            "events": [],
        }

    def pull(self, asked: Question, name: str, number: str) -> Answer:
        repository = self.open(asked, name)
        return said(self._pull(repository, repository.pulls[int(number)]))

    def status(self, asked: Question, name: str, number: str) -> Answer:
        pull = self.writable(asked, name).pulls[int(number)]
        pull.status = asked.json()["status"]
        event = {"id": "1", "type": "status-change", "createdAt": now(), "data": {"status": pull.status}}
        return said({"newStatus": event})

    def merge(self, asked: Question, name: str, number: str) -> Answer:
        repository = self.writable(asked, name)
        pull, head = repository.pulls[int(number)], repository.resolve(f"refs/pr/{number}")
        if pull.status != "open":
            raise Refused(400, f"This pull request is {pull.status}")
        base = repository.references[pull.base]
        if base not in [commit.number for commit in repository.history(head.number)]:
            raise Refused(409, "This pull request has conflicts with its base")
        pull.status = "merged"
        repository.commit(pull.base, head.files, f"{pull.title} (#{number})", pull.description)
        self._note(repository)
        return said({})

    # Reading

    def file(self, asked: Question, name: str, revision: str, path: str) -> Answer:
        repository = self.open(asked, name) if path in OPEN_FILES else self.readable(asked, name)
        commit = repository.resolve(revision)
        blob = commit.files.get(path)
        if blob is None:
            raise Refused(404, "Entry not found", "EntryNotFound")
        headers = {"X-Repo-Commit": commit.number, "Accept-Ranges": "bytes"}
        if not blob.large:
            return ranged(asked, blob.data, {**headers, "ETag": f'"{blob.oid}"'})
        linked = {"X-Linked-ETag": f'"{blob.sha256}"', "X-Linked-Size": str(len(blob.data))}
        target = f"{self.storage}/storage/{name}/{blob.sha256}?signature=read"
        return Answer(302, b"", {**headers, **linked, "Location": target})

    def stored(self, asked: Question, name: str, oid: str) -> Answer:
        data = self.repositories[name].stored.get(oid)
        if data is None or "signature" not in asked.query or "authorization" in asked.headers:
            raise Refused(403, "the signature is missing, or a token came along")
        return ranged(asked, data, {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"})

    # Requests for access

    def ask(self, asked: Question, name: str) -> Answer:
        repository = self.open(asked, name)
        if asked.user is None:
            raise Refused(401, "Invalid username or password.")
        if asked.user.name not in repository.requests:
            status = "accepted" if repository.gated == "auto" else "pending"
            request = Asked(asked.user.name, status, asked.json(), email=asked.user.email, time=now())
            repository.requests[asked.user.name] = request
        return Answer(303, b"", {"Location": f"{self.url}/datasets/{name}"})

    def requests(self, asked: Question, name: str, status: str) -> Answer:
        people = {user.name: user for user in self.tokens.values()}
        rows = []
        for number, request in enumerate(self.writable(asked, name).requests.values()):
            if request.status == status:
                person = people[request.user]
                user = {"_id": "1", "user": person.name, "fullname": person.fullname, "type": "user"}
                row = {"user": user | ({"email": request.email} if request.email else {}), "requestId": str(number)}
                rows.append(row | {"timestamp": request.time, "status": status, "fields": dict(request.fields)})
        return said(rows)

    def handle(self, asked: Question, name: str) -> Answer:
        wanted, repository = asked.json(), self.writable(asked, name)
        if len(wanted.get("rejectionReason") or "") > 200:
            raise Refused(400, "* Too big: expected string to have <=200 characters * at rejectionReason")
        if wanted["user"] not in [user.name for user in self.tokens.values()]:
            raise Refused(404, "User not found")
        request = repository.requests.get(wanted["user"])
        if request is None or request.status == wanted["status"]:
            raise Refused(404, "No access request found matching your criteria")
        request.status, request.reason = wanted["status"], wanted.get("rejectionReason")
        return said({})

    def grant(self, asked: Question, name: str) -> Answer:
        user, repository = asked.json()["user"], self.writable(asked, name)
        if user not in [each.name for each in self.tokens.values()]:
            raise Refused(404, "User not found")
        if user in repository.requests and repository.requests[user].status == "accepted":
            raise Refused(400, "That user already has access to the repo")
        repository.requests[user] = Asked(user, "accepted", time=now())
        return said({})


def ranged(asked: Question, data: bytes, headers: dict[str, str]) -> Answer:
    start, _, end = asked.headers.get("range", "").removeprefix("bytes=").partition("-")
    if not start:
        return Answer(200, data, headers)
    first, last = int(start), min(int(end) if end else len(data) - 1, len(data) - 1)
    if first >= len(data):
        return Answer(416, b"", {**headers, "Content-Range": f"bytes */{len(data)}"})
    span = f"bytes {first}-{last}/{len(data)}"
    return Answer(206, data[first : last + 1], {**headers, "Content-Range": span})


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
