"""Repositories, their settings, references, listings and files."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from hub_server.gate import Answer, Gate, Question, ranged, said
from hub_server.state import Blob, Commit, Refused, Repository, now

OPEN_FILES = ("README.md", "LICENSE", "LICENSE.md", "LICENSE.txt")
PAGE = 10  # few, so that clients must turn pages


class Pages(Gate):
    """What is read of a repository, and its settings."""

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
        self.note(self.repositories[name])
        return said({"url": url, "name": name, "id": "1"})

    def settings(self, asked: Question, name: str) -> Answer:
        repository, wanted = self.owned(asked, name), asked.json()
        if wanted.get("gated", False) not in (False, "auto", "manual"):
            raise Refused(400, "* Invalid option: expected false, auto or manual * at gated")
        if wanted.get("visibility", "private") not in ("private", "public"):
            raise Refused(400, "* Invalid option: expected public or private * at visibility")
        if "gated" in wanted:
            repository.gated = wanted["gated"]
        if "visibility" in wanted or "private" in wanted:
            repository.private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        self.note(repository)
        return said(wanted)

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
        repository.notes[full] = asked.json().get("message", "")
        return said({})

    def squash(self, asked: Question, name: str, branch: str) -> Answer:
        repository = self.writable(asked, name)
        files = repository.files(branch)
        del repository.references[f"refs/heads/{branch}"]
        repository.commit(f"refs/heads/{branch}", files, asked.json().get("message", "squash"))
        return said({})

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
