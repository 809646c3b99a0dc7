"""Commits, large files and pull requests."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import yaml

from hub_server.gate import Answer, Gate, Question, said
from hub_server.state import LARGE, Blob, Pull, Refused, Repository, now

PART = 4 * 2**20


class Commits(Gate):
    """What is written to a repository."""

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
        files = self.writable(asked, name, revision).resolve(revision).files
        rows = []
        for row in asked.json()["files"]:
            path, here = row["path"], files.get(row["path"])
            oid = {"oid": here.sha256 if here.large else here.oid} if here else {}
            large = path.endswith(LARGE) or row["size"] > 10 * 2**20
            rows.append({"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, **oid})
        return said({"files": rows})

    def batch(self, asked: Question, name: str) -> Answer:
        repository = self.writable(asked, name, asked.json().get("ref", {}).get("name", ""))
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
        self.keep(repository, oid, asked.body)
        return Answer(200, b"", {"ETag": f'"{oid}"'})

    def complete(self, asked: Question, name: str) -> Answer:
        repository, oid = self.repositories[name], asked.json()["oid"]
        parts = sorted(key for key in repository.stored if key.startswith(f"part {oid} "))
        self.keep(repository, oid, b"".join(repository.stored.pop(key) for key in parts))
        return said({})

    def verify(self, asked: Question, name: str) -> Answer:
        wanted = asked.json()
        if len(self.open(asked, name).stored.get(wanted["oid"], b"")) != wanted["size"]:
            raise Refused(400, "object is not there")
        return said({})

    def commit(self, asked: Question, name: str, revision: str) -> Answer:
        repository = self.writable(asked, name, revision)
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
            self.note(repository)
        url = f"{self.url}/datasets/{name}/commit/{number}"
        return said({"success": True, "commitOid": number, "commitUrl": url, "hookOutput": ""})

    def large_files(self, asked: Question, name: str) -> Answer:
        repository = self.writable(asked, name)
        return said(
            [
                {"fileOid": blob.file_oid, "filename": "?", "oid": blob.oid, "pushedAt": now(), "size": len(blob.data)}
                for blob in (Blob(data, True) for data in repository.stored.values())
            ]
        )

    def delete_large(self, asked: Question, name: str) -> Answer:
        repository = self.writable(asked, name)
        wanted = asked.json()["deletions"]
        repository.forget(set(wanted["sha"]), wanted["rewriteHistory"])
        return said({})

    def pulls(self, asked: Question, name: str) -> Answer:
        repository = self.open(asked, name)
        if asked.method == "POST":
            if asked.user is None:
                raise Refused(401, "Invalid username or password.")
            wanted, number = asked.json(), len(repository.pulls) + 1  # whoever sees a page may open one
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
        pull = self.writable(asked, name, f"refs/pr/{number}").pulls[int(number)]
        pull.status = asked.json()["status"]
        event = {"id": "1", "type": "status-change", "createdAt": now(), "data": {"status": pull.status}}
        return said({"newStatus": event})

    def merge(self, asked: Question, name: str, number: str) -> Answer:
        repository = self.writable(asked, name)
        pull, head = repository.pulls[int(number)], repository.resolve(f"refs/pr/{number}")
        if pull.status != "open":
            raise Refused(400, f"This pull request is {pull.status}")
        base = repository.meeting(head.number, pull.base).files
        files = repository.files(pull.base)
        for path in {path for path in (*base, *head.files) if base.get(path) != head.files.get(path)}:
            if files.get(path) not in (base.get(path), head.files.get(path)):
                raise Refused(409, "This pull request has conflicts with its base")
            if path in head.files:
                files[path] = head.files[path]
            else:
                files.pop(path, None)
        pull.status = "merged"
        repository.commit(pull.base, files, f"{pull.title} (#{number})", pull.description)
        self.note(repository)
        return said({})
