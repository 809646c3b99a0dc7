#!/usr/bin/env python3
"""Kill a build with SIGKILL at random moments, resume it, and compare the folder with an uninterrupted one.

Every round starts a fresh folder, kills the build once or several times before it ends, lets it finish and compares all
files byte by byte.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import door
from door import Count

Command = Callable[[Path, int], list[str]]


def equime(*arguments: str | Path | int) -> list[str]:
    """A command of the builder, for a folder in all formats."""
    return [sys.executable, "-m", "equime_builder", *map(str, arguments), "--formats", "webdataset,parquet,arrow"]


def tree(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def run(arguments: list[str], seconds: float | None = None) -> bool:
    """Run to the end, or kill after `seconds`; whether it was killed."""
    child = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _, errors = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
        child.communicate()
        return True
    if child.returncode:
        sys.exit(f"{' '.join(arguments)} failed: {errors.decode()}")
    return False


def kill_and_compare(rounds: int, command: Command) -> None:
    """Interrupt `rounds` runs of a command, which is asked for by folder and workers, and print how each ended."""
    draw = random.Random(20)
    with tempfile.TemporaryDirectory() as work:
        whole = Path(work) / "whole"
        start = time.monotonic()
        run(command(whole, 1))
        seconds, expected = time.monotonic() - start, tree(whole)
        print(f"uninterrupted: {seconds:.1f} s, {len(expected)} files")
        kills = equal = 0
        for attempt in range(rounds):
            root, workers = Path(work) / "killed", 1 + attempt % 2
            moment = draw.uniform(0.3, 0.95 * seconds / workers)
            killed = run(command(root, workers), moment)
            left = len(tree(root)) if root.exists() else 0
            run(command(root, workers))
            same = tree(root) == expected
            kills, equal = kills + killed, equal + same
            state = f"killed after {moment:.2f} s with {left} files there" if killed else "ended before the kill"
            print(f"{attempt + 1}: {workers} workers, {state}; resumed {'equal' if same else 'DIFFERENT'}", flush=True)
            shutil.rmtree(root)
        print(f"{kills} kills, {equal} of {rounds} folders byte-identical")


def main(rounds: Count = 20, subjects: Count = 12) -> None:
    kill_and_compare(
        rounds,
        lambda root, workers: equime("build", root, "--profile", "demo", "--subjects", subjects, "--workers", workers),
    )


if __name__ == "__main__":
    door.run(main)
