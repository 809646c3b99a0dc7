"""Publish a folder to a Hub on loopback, in real processes that are killed, cut off and refused; count what comes out.

Every round begins with an empty Hub. At a random request the process is killed (SIGKILL), or the cable is out for a
second; the same command then goes on. All that every process and library logs at debug level is kept, and searched for
the token. usage: try_publishing.py FOLDER [ROUNDS]
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from hub_server import LocalHub, serving_hub

NAME, TOKEN = "lab/equime", "hf_" + "S3cretOfTheCurator"
LOUD = "import logging; logging.basicConfig(level=logging.DEBUG); from equime_builder.cli import main; main()"


class Runs:
    """Commands against a Hub, and all that they wrote: into a file, since a full pipe would hold them up."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder, self.log, self.letters, self.processes, self.leaks = folder, log, 0, 0, 0

    def start(self, hub: LocalHub, token: str = TOKEN) -> subprocess.Popen[bytes]:
        own = {"HF_ENDPOINT": hub.url, "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1", "HF_DEBUG": "1"}
        environment = {**os.environ, **own, "HF_HUB_OFFLINE": "0", "no_proxy": "127.0.0.1,localhost"}
        command = [sys.executable, "-c", LOUD, "publish", str(self.folder), NAME]
        with open(self.log, "wb") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)

    def end(self, process: subprocess.Popen[bytes], token: str = TOKEN) -> tuple[int, str]:
        """Exit code and last error of a process."""
        process.wait()
        words = self.log.read_text(encoding="utf-8", errors="replace")
        self.letters, self.processes = self.letters + len(words), self.processes + 1
        self.leaks += token.removeprefix("hf_") in words
        errors = [line for line in words.splitlines() if line.startswith("error: ")]
        return process.returncode, errors[-1] if errors else ""


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def on_main(hub: LocalHub) -> dict[str, str]:
    if NAME not in hub.answers.repositories:
        return {}
    files = hub.repository(NAME).files()
    return {path: blob.sha256 for path, blob in files.items() if path != ".gitattributes"}


def fresh(hub: LocalHub) -> None:
    hub.mend()
    hub.answers.repositories.clear()
    hub.requests.clear()
    hub.revoked.clear()
    hub.answers.tokens.clear()
    hub.answers.quota = 2**40
    hub.user("curator", TOKEN, "lab")


def wait_for(hub: LocalHub, count: int, process: subprocess.Popen[bytes]) -> None:
    while len(hub.requests) < count and process.poll() is None:
        time.sleep(0.001)


def cut(runs: Runs, hub: LocalHub, rounds: int) -> list[str]:
    """Kill or cut off at random requests, go on, and compare."""
    expected = contents(runs.folder)
    fresh(hub)
    runs.end(runs.start(hub))
    whole = len(hub.requests)
    draw, found = random.Random(6), Counter[str]()
    for number in range(rounds):
        fresh(hub)
        kind, after = ("killed", "cable out")[number % 2], draw.randrange(1, whole)
        process = runs.start(hub)
        wait_for(hub, after, process)
        if kind == "killed":
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
        else:
            hub.cut(0)
            found["half visible on main"] += on_main(hub) not in ({}, expected)
            time.sleep(1)
            hub.mend()
        code, _ = runs.end(process)
        found[f"{kind}, ended by it"] += code != 0
        found["half visible on main"] += on_main(hub) not in ({}, expected)
        if code:
            code, _ = runs.end(runs.start(hub))
        found["published in the end"] += code == 0
        repository = hub.repository(NAME)
        found["hashes right on main and tag"] += on_main(hub) == expected and (
            repository.references["refs/tags/v1.0.0"] == repository.references["refs/heads/main"]
        )
        found["large files sent twice"] += sum(count - 1 for count in repository.uploads.values())
        found["large files"] += len(repository.uploads)
        found["commits on main beside the first one"] += len(repository.history()) - 1
        found["left open"] += not repository.private or repository.gated != "manual"
    rows = [f"| {what} | {count} |" for what, count in found.items()]
    return [f"{rounds} rounds, {whole} requests when nothing happens.", "", "| | |", "| --- | ---: |", *rows]


def _fail(status: str, where: str) -> Callable[[LocalHub], str]:
    def plan(hub: LocalHub) -> str:
        hub.fail(status, where=where, times=3)
        return TOKEN

    return plan


def _wrong(hub: LocalHub) -> str:
    hub.answers.tokens.clear()
    return TOKEN


def _revoked(hub: LocalHub) -> str:
    hub.fail("401", where="/commit/", times=100)
    hub.fail("401", where="/preupload/", skip=1, times=100)
    return TOKEN


def _quota(hub: LocalHub) -> str:
    hub.answers.quota = 500_000
    return TOKEN


TROUBLES: dict[str, Callable[[LocalHub], str]] = {
    "none": lambda hub: TOKEN,
    "wrong token": _wrong,
    "token revoked during the upload": _revoked,
    "quota of 0.5 MB": _quota,
    **{f"{status} three times at commit": _fail(status, "/commit/") for status in ("412", "429", "503")},
    **{f"{status} three times at storage": _fail(status, "/storage/") for status in ("429", "503")},
    **{f"{status} three times at merge": _fail(status, "/merge") for status in ("412", "429", "503")},
}


def troubles(runs: Runs, hub: LocalHub) -> list[str]:
    expected, rows = contents(runs.folder), []
    for name, plan in TROUBLES.items():
        fresh(hub)
        token = plan(hub)
        start = time.monotonic()
        code, error = runs.end(runs.start(hub, token), token)
        seconds = time.monotonic() - start
        there = {True: "all", False: "nothing" if not on_main(hub) else "HALF"}[on_main(hub) == expected]
        ended = "published" if code == 0 else error.removeprefix(f"error: {NAME}: ")[:140]
        rows.append(f"| {name} | {ended} | {there} | {len(hub.requests)} | {seconds:.1f} |")
    return ["| trouble | ended | on main | requests | seconds |", "| --- | --- | --- | ---: | ---: |", *rows]


def main(folder: Path, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as work, serving_hub() as hub:
        runs = Runs(folder.resolve(), Path(work) / "log")
        print("\n".join([*cut(runs, hub, rounds), "", *troubles(runs, hub)]))
    print(f"\n{runs.processes} processes wrote {runs.letters:,} letters at debug level; with the token: {runs.leaks}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 30)
