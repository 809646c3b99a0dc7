#!/usr/bin/env python3
"""Does a process that reads windows for long grow? Memory, descriptors and threads over many epochs of many loaders.

Loaders of several views take turns, each for one epoch with threads or worker processes of its own; one of each kind
has a cache of windows. After each tenth of the reads: resident memory, open descriptors and threads of this process,
then the processes below it and the memory that is theirs alone. Without a folder, a small dataset is built.
"""

from __future__ import annotations

import itertools
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated

import door
import psutil
import typer
from door import Count

from equime_builder.build import Request, build
from equime_builder.profiles import load_profile
from equime_builder.sources.drawn import ProceduralSource
from equime_loader import Loader, Selection, View, Window, WindowCacheSettings, open_dataset

READS = 50_000
STEPS = 10
MOMENT_S = 0.5  # what ended with the epoch takes a moment to be put away
WAYS = (False, True)  # threads, worker processes
VIEWS = {
    "16 frames at 112": View(Window.around("apex", 16), 112),
    "8 gray frames from onset to offset at 64": View(Window.spread(8), 64, gray=True),
    "100 ms around the onset at 96 x 80": View(Window.around_ms("onset", 100), (96, 80)),
    "4 frames at 56, flow": View(Window.around("apex", 4), 56, flow="dis"),
    "48 frames of their own size": View(Window.around("apex", 48), None),
}


def loaders(clips: Selection, cache: Path) -> list[Loader]:
    first, settings = next(iter(VIEWS.values())), WindowCacheSettings(cache, 2**30)
    return [
        *(Loader(clips, view, workers=2, processes=processes) for view in VIEWS.values() for processes in WAYS),
        *(Loader(clips, first, workers=2, processes=processes, cache=settings) for processes in WAYS),
    ]


def measure(folder: Path, reads: int, cache: Path) -> None:
    clips = open_dataset(folder)
    print(f"{reads:,} windows of {len(clips)} clips: {'; '.join(VIEWS)}; the first again from a cache\n")
    print("| windows read | resident MiB | descriptors | threads | processes below | their MiB | s |")
    print(f"|{' ---: |' * 7}")
    turns = itertools.cycle(loaders(clips, cache))
    start, done, this = time.perf_counter(), 0, psutil.Process()

    def tell() -> None:
        time.sleep(MOMENT_S)
        resident, below = this.memory_info().rss / 2**20, this.children(recursive=True)
        theirs = sum(process.memory_full_info().uss for process in below) / 2**20
        open_files, threads, seconds = this.num_fds(), threading.active_count(), time.perf_counter() - start
        figures = (f"{resident:.0f}", open_files, threads, len(below), f"{theirs:.0f}", f"{seconds:.0f}")
        print(f"| {done:,} | {' | '.join(map(str, figures))} |", flush=True)

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
