#!/usr/bin/env python3
"""Publish a folder to a Hub on loopback, in real processes that are killed, cut off and refused; count what comes out.

Half of the rounds are a first release into nothing, half a second version of a page that is public. At a random
request the process is killed (SIGKILL), or the cable is out for a second; the same command then goes on. What main
shows is read as a reader reads it, with a client of its own. All that every process and library logs at debug level is
kept, with what Xet writes into a folder of its own, and searched for the token. Large files go by Xet, or by LFS where
HF_HUB_DISABLE_XET is set.
"""

from __future__ import annotations

import copy
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import door
import huggingface_hub
import pyarrow.parquet as pq
from door import Count, Dataset
from hub_server import LocalHub, serving_hub
from hub_server.state import Asked, Repository
from huggingface_hub.errors import HfHubHTTPError

from equime_builder.documents.publication import Publication
from equime_builder.finish import INDEX, rewrite_texts
from equime_builder.hub.editing import edit_aside, withdrawal

NAME, TOKEN, READER, STRANGER = "lab/equime", "hf_" + "S3cretOfTheCurator", "hf_reader", "hf_stranger"
LOUD = "import logging; logging.basicConfig(level=logging.DEBUG); from equime_builder.cli import main; main()"
BY_LFS = os.environ.get("HF_HUB_DISABLE_XET", "").upper() in ("1", "ON", "YES", "TRUE")
RIGHT, BYTES = ("objects/batch", "/storage/") if BY_LFS else ("/xet-write-token/", "/v1/xorbs/")
Files = dict[str, str]


class Runs:
    """Commands against a Hub, and all that they wrote: into files, since a full pipe would hold them up."""

    def __init__(self, work: Path) -> None:
        self.log, self.home = work / "log", work / "home"
        self.letters, self.processes, self.leaks = 0, 0, 0

    def start(self, hub: LocalHub, folder: Path, *options: str) -> subprocess.Popen[bytes]:
        own = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(self.home), "HF_DEBUG": "1"}
        own |= {"HF_HUB_OFFLINE": "0", "no_proxy": "127.0.0.1,localhost", "RUST_LOG": "debug"}
        command = [sys.executable, "-c", LOUD, "publish", str(folder), NAME, *options]
        with open(self.log, "wb") as log:
            return subprocess.Popen(command, env={**os.environ, **own}, stdout=log, stderr=subprocess.STDOUT)

    def end(self, process: subprocess.Popen[bytes]) -> tuple[int, str]:
        """Exit code and last error of a process."""
        process.wait()
        words = self.log.read_text(encoding="utf-8", errors="replace")
        every = words + "".join(
            path.read_text(encoding="utf-8", errors="replace") for path in self.home.rglob("*") if path.is_file()
        )
        self.letters, self.processes = self.letters + len(every), self.processes + 1
        self.leaks += TOKEN.removeprefix("hf_") in every
        errors = [line for line in words.splitlines() if line.startswith("error: ")]
        return process.returncode, errors[-1] if errors else ""


def contents(folder: Path) -> Files:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def read(hub: LocalHub, token: str, revision: str = "main") -> Files:
    """SHA-256 of every file that this login can read, by path, with a client of its own and at one commit."""
    api, found = huggingface_hub.HfApi(endpoint=hub.url, token=token), {}
    try:
        commit = str(api.dataset_info(NAME, revision=revision).sha)
        entries = list(api.list_repo_tree(NAME, recursive=True, revision=commit, repo_type="dataset"))
    except HfHubHTTPError:
        return {}
    for path in [entry.path for entry in entries if hasattr(entry, "blob_id") and entry.path != ".gitattributes"]:
        url = huggingface_hub.hf_hub_url(NAME, path, endpoint=hub.url, revision=commit, repo_type="dataset")
        answer = huggingface_hub.get_session().get(
            url, headers={"Authorization": f"Bearer {token}"}, follow_redirects=True
        )
        if answer.status_code == 200:
            found[path] = hashlib.sha256(answer.content).hexdigest()
    return found


def fresh(hub: LocalHub, runs: Runs, repository: Repository | None = None) -> None:
    """A Hub with this repository or none, and a curator's machine without anything kept from earlier runs."""
    hub.mend()
    hub.answers.repositories.clear()
    if repository is not None:
        hub.answers.repositories[NAME] = copy.deepcopy(repository)
    hub.answers.xorbs.clear()
    hub.answers.xet_tokens.clear()
    hub.requests.clear()
    hub.revoked.clear()
    hub.answers.tokens.clear()
    hub.answers.quota = 2**40
    hub.user("curator", TOKEN, "lab")
    hub.user("reader", READER)
    hub.user("stranger", STRANGER)
    shutil.rmtree(runs.home, ignore_errors=True)


def wait_for(hub: LocalHub, count: int, process: subprocess.Popen[bytes]) -> None:
    while len(hub.requests) < count and process.poll() is None:
        time.sleep(0.001)


def cut(
    runs: Runs, hub: LocalHub, rounds: int, folder: Path, before: Repository | None, version: str, *options: str
) -> list[str]:
    """Kill or cut off at random requests, go on, and compare. `before`: the repository that it begins with."""
    fresh(hub, runs, before)
    old, expected = read(hub, READER) if before else {}, contents(folder)
    hub.requests.clear()
    runs.end(runs.start(hub, folder, *options))
    whole, once = len(hub.requests), bytes_sent(hub)
    draw, found = random.Random(6), Counter[str]()
    for number in range(rounds):
        fresh(hub, runs, before)
        kind, after = ("killed", "cable out")[number % 2], draw.randrange(1, whole)
        process = runs.start(hub, folder, *options)
        wait_for(hub, after, process)
        if kind == "killed":
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
        else:
            hub.cut(0)
            time.sleep(1)
            hub.mend()
            found["half visible to a reader"] += read(hub, READER) not in ({}, old, expected)
        code, _ = runs.end(process)
        found[f"{kind}, ended by it"] += code != 0
        found["half visible to a reader"] += read(hub, READER) not in ({}, old, expected)
        if code:
            code, _ = runs.end(runs.start(hub, folder, *options))
        found["bytes of large files sent"] += bytes_sent(hub)
        found["more than without a cut"] += bytes_sent(hub) - once
        _count(hub, found, expected, version, code == 0)
    rows = [f"| {what} | {count:,} |" for what, count in found.items()]
    return [f"{rounds} rounds, {whole} requests when nothing happens.", "", "| | |", "| --- | ---: |", *rows]


def bytes_sent(hub: LocalHub) -> int:
    """Bytes of large files that came to the Hub's storage, kept or lost."""
    return sum(seen.received for seen in hub.asked(BYTES) if seen.method in ("POST", "PUT"))


def _count(hub: LocalHub, found: Counter[str], expected: Files, version: str, done: bool) -> None:
    """What came out of a round: by the server's own files, and by what people of the page can read."""
    repository = hub.repository(NAME)
    files = {path: blob.sha256 for path, blob in repository.files().items() if path != ".gitattributes"}
    found["published in the end"] += done
    found["hashes right on main and tag"] += files == expected and (
        repository.references[f"refs/tags/{version}"] == repository.references["refs/heads/main"]
    )
    found["times that main changed, its first commit not counted"] += len(repository.history()) - 1
    found["left open, or with another gate"] += any(
        seen.holds and seen.gated != "manual" for seen in repository.seen
    ) or (repository.private != (version == "v1.0.0"))
    pulls = [name for name in repository.references if name.startswith("refs/pr/")]
    closed = [
        path for name in ("main", *pulls) for path in read(hub, STRANGER, name) if path not in ("README.md", "LICENSE")
    ]
    found["files that a stranger could read, pull requests among them"] += len(closed)


def _fail(status: str, where: str, times: int = 3) -> Callable[[LocalHub], None]:
    return lambda hub: hub.fail(status, where=where, times=times)


def _wrong(hub: LocalHub) -> None:
    hub.answers.tokens.clear()


def _revoked(hub: LocalHub) -> None:
    hub.fail("401", skip=40, times=1000)


def _quota(hub: LocalHub) -> None:
    hub.answers.quota = 500_000


TROUBLES: dict[str, Callable[[LocalHub], None]] = {
    "none": lambda hub: None,
    "wrong token": _wrong,
    "token revoked during the upload": _revoked,
    "quota of 0.5 MB": _quota,
    "403 where the right to send is asked for": _fail("403", RIGHT, 1000),
    **({} if BY_LFS else {"a Hub without Xet": _fail("404", RIGHT, 1000)}),
    **{f"{status} three times at the right to send": _fail(status, RIGHT) for status in ("429", "503")},
    **{f"{status} three times where bytes go": _fail(status, BYTES) for status in ("429", "503")},
    **{f"{status} three times at commit": _fail(status, "/commit/") for status in ("412", "429", "503")},
    **{f"{status} three times at merge": _fail(status, "/merge") for status in ("412", "429", "503")},
}


def troubles(runs: Runs, hub: LocalHub, folder: Path) -> list[str]:
    expected, rows = contents(folder), []
    for name, plan in TROUBLES.items():
        fresh(hub, runs)
        plan(hub)
        start = time.monotonic()
        code, error = runs.end(runs.start(hub, folder))
        seconds, asked = time.monotonic() - start, len(hub.requests)
        files = hub.repository(NAME).files() if NAME in hub.answers.repositories else {}
        on_main = {path: blob.sha256 for path, blob in files.items() if path != ".gitattributes"}
        there = {True: "all", False: "nothing" if not on_main else "HALF"}[on_main == expected]
        ended = "published" if code == 0 else error.removeprefix(f"error: {NAME}: ")[:140]
        rows.append(f"| {name} | {ended} | {there} | {asked} | {seconds:.1f} |")
    return ["| trouble | ended | on main | requests | seconds |", "| --- | --- | --- | ---: | ---: |", *rows]


def main(folder: Dataset, rounds: Count = 30) -> None:
    os.environ["no_proxy"] = "127.0.0.1,localhost"
    work = Path(tempfile.mkdtemp(dir=folder.resolve().parent))
    try:
        folder = Path(shutil.copytree(folder, work / "folder"))
        rewrite_texts(folder, Publication(NAME, "2026-01-01"))
        with serving_hub() as hub:
            runs = Runs(work)
            gone = min(pq.read_table(folder / INDEX, columns=["subject"])["subject"].to_pylist())
            second, _ = edit_aside(folder, [partial(withdrawal, subjects=[gone])], work / "editions")
            fresh(hub, runs)
            runs.end(runs.start(hub, folder, "--public"))
            public = copy.deepcopy(hub.repository(NAME))
            public.requests["reader"] = Asked("reader", "accepted")
            print(f"Large files by {'LFS' if BY_LFS else 'Xet'}. A first release into nothing:", end="\n\n")
            print("\n".join(cut(runs, hub, rounds - rounds // 2, folder, None, "v1.0.0")), end="\n\n")
            print("A second version of a page that is public:", end="\n\n")
            print("\n".join(cut(runs, hub, rounds // 2, second, public, "v1.1.0", "--public")), end="\n\n")
            print("\n".join(troubles(runs, hub, folder)))
    finally:
        shutil.rmtree(work)
    print(f"\n{runs.processes} processes wrote {runs.letters:,} letters at debug level; with the token: {runs.leaks}")


if __name__ == "__main__":
    door.run(main)
