#!/usr/bin/env python3
"""Does a process that reads windows for long grow? Memory, descriptors and threads over many epochs of many loaders.

Loaders of several views take turns, each for one epoch with threads of its own; one has a cache of windows. After each
tenth of the reads: resident memory, open descriptors, threads. Without a folder, a small dataset is built.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated

import door
import typer
from door import Count

from equime_builder.build import Request, build
from equime_builder.profiles import load_profile
from equime_builder.sources.drawn import ProceduralSource
from equime_loader import Loader, Selection, View, Window, WindowCacheSettings, open_dataset

READS = 50_000
STEPS = 10
VIEWS = {
    "16 frames at 112": View(Window.around("apex", 16), 112),
    "8 gray frames from onset to offset at 64": View(Window.spread(8), 64, gray=True),
    "100 ms around the onset at 96 x 80": View(Window.around_ms("onset", 100), (96, 80)),
    "4 frames at 56, flow": View(Window.around("apex", 4), 56, flow="dis"),
    "48 frames of their own size": View(Window.around("apex", 48), None),
}


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) - 1  # without that of the listing


def loaders(clips: Selection, cache: Path) -> list[Loader]:
    plain = [Loader(clips, view, workers=2) for view in VIEWS.values()]
    settings = WindowCacheSettings(cache, 2**30)
    return [*plain, Loader(clips, next(iter(VIEWS.values())), workers=2, cache=settings)]


def measure(folder: Path, reads: int, cache: Path) -> None:
    clips = open_dataset(folder)
    print(f"{reads:,} windows of {len(clips)} clips: {'; '.join(VIEWS)}; the first again from a cache\n")
    print(f"| windows read | resident MiB | descriptors | threads | s |\n|{' ---: |' * 5}")
    turns = itertools.cycle(loaders(clips, cache))
    start, done = time.perf_counter(), 0

    def tell() -> None:
        threads, seconds = threading.active_count(), time.perf_counter() - start
        print(f"| {done:,} | {resident_mib():.0f} | {descriptors()} | {threads} | {seconds:.0f} |", flush=True)

    tell()
    for step in range(1, STEPS + 1):
        while done < reads * step // STEPS:
            done += sum(len(batch["key"]) for batch in next(turns))
        tell()


def main(
    reads: Count = READS, folder: Annotated[Path | None, typer.Argument(exists=True, file_okay=False)] = None
) -> None:
    with tempfile.TemporaryDirectory() as work:
        if folder is None:
            folder = Path(work) / "equime"
            assert build(folder, Request(load_profile("micro", subjects=6), ProceduralSource()))
        measure(folder, reads, Path(work) / "windows")


if __name__ == "__main__":
    door.run(main)
