"""What every peer's file has in common: the job it is given, how it is timed, how it answers.

A peer is a module with `SETTINGS` (keyword arguments to choose the best of), `write(clips, folder)` (the clips in its
own format, by its own writer) and `open_loader(folder, clips, job, **settings)`: an object that is iterated once per
epoch, giving batches, and closed at the end where it has `close`. Run alone, it takes a job as JSON, as its argument,
and prints one line of JSON. Its environment is its own, so its door is argparse.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

FRAMES, SIZE, BATCH, WORKERS = 16, 112, 16, 2
# The rows of each frame that are kept, from every epoch that is timed, to compare with the reference afterwards.
KEPT_ROWS = slice(14, None, 28)

VERSIONS = (
    *("torch", "torchcodec", "torchvision", "av", "numpy", "pyarrow", "opencv-contrib-python", "equime"),
    *("webdataset", "datasets", "litdata", "mosaicml-streaming", "spdl", "megatron-energon", "lerobot"),
)


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip as a file, and the first frame of the window that is wanted of it."""

    key: str
    path: str
    first: int
    fps: float
    frames: int

    @property
    def seconds(self) -> tuple[float, float]:
        """The window in seconds, its ends half a frame outside the first and last frame."""
        return (self.first - 0.5) / self.fps, (self.first + FRAMES - 0.5) / self.fps


@dataclass(frozen=True, slots=True)
class Job:
    """What to do: `write` the clips to `folder` in the peer's format, or `read` them from it for some epochs.

    `clips` is the list of clips as JSON lines; `kept` where the rows of all frames go, for the comparison.
    """

    action: str
    clips: str
    folder: str
    settings: dict[str, Any] = field(default_factory=dict)
    epochs: int = 2
    kept: str = ""
    root: str = ""
    cache: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """Keys and their frames, (batch, frames, 3, height, width) uint8 in any memory layout; None where only decoded."""

    keys: list[str]
    frames: torch.Tensor | None


class PeerModule(Protocol):
    SETTINGS: list[dict[str, Any]]
    write: Callable[[list[Clip], Path], None]
    open_loader: Callable[..., Iterable[Batch]]


def read_clips(path: str | Path) -> list[Clip]:
    return [Clip(**json.loads(line)) for line in Path(path).read_text().splitlines()]


def versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def cpu_seconds() -> float:
    """Processor time of this process and of all its living and reaped descendants (Linux)."""
    spent: dict[int, tuple[int, int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                fields = Path(entry.path, "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:  # it ended meanwhile
                continue
            spent[int(entry.name)] = (int(fields[1]), sum(map(int, fields[11:15])))
    wanted = {os.getpid()}
    while grown := {pid for pid, (parent, _) in spent.items() if parent in wanted} - wanted:
        wanted |= grown
    return sum(spent[pid][1] for pid in wanted) / os.sysconf("SC_CLK_TCK")


def timed_epoch(
    loader: Iterable[Batch], start: float, cpu: float
) -> tuple[dict[str, Any], list[str], list[torch.Tensor]]:
    """Go through one epoch: when each batch came, the keys in order, and some rows of all frames.

    `start` and `cpu`: the clock, and the processor time spent, when it began.
    """
    arrivals: list[tuple[float, int]] = []
    keys: list[str] = []
    kept: list[torch.Tensor] = []
    for batch in loader:
        arrivals.append((time.perf_counter() - start, len(batch.keys)))
        keys += batch.keys
        if batch.frames is not None:
            expected = (len(batch.keys), FRAMES, 3, SIZE, SIZE)
            if tuple(batch.frames.shape) != expected or batch.frames.dtype != torch.uint8:
                raise ValueError(f"batch is {tuple(batch.frames.shape)} {batch.frames.dtype}, not {expected} uint8")
            kept.append(batch.frames[:, :, :, KEPT_ROWS].clone())
    if not arrivals:
        raise ValueError("the loader gave no batch")
    (first, count), (last, _) = arrivals[0], arrivals[-1]
    # Without what came first: the rate once all workers are at work. One batch alone has no more than its own.
    after = (len(keys) - count) / (last - first) if len(arrivals) > 1 else len(keys) / last
    figures = {
        "clips": len(keys),
        "first_batch_s": round(first, 4),
        "seconds": round(last, 4),
        "rate": round(len(keys) / last, 2),
        "steady": round(after, 2),
        "cpu_ms": round(1000 * (cpu_seconds() - cpu) / len(keys), 3),
    }
    return figures, keys, kept


def read(peer: PeerModule, job: Job) -> dict[str, Any]:
    """Time the epochs of a job. The first one starts before the loader is made."""
    torch.set_num_threads(1)
    clips = read_clips(job.clips)
    epochs, all_keys, all_kept = [], [], []
    cpu, start = cpu_seconds(), time.perf_counter()
    loader = peer.open_loader(Path(job.folder), clips, job, **job.settings)
    for number in range(job.epochs):
        if number:
            cpu, start = cpu_seconds(), time.perf_counter()
        figures, keys, kept = timed_epoch(loader, start, cpu)
        epochs.append(figures)
        all_keys.append(keys)
        all_kept.append(torch.cat(kept).numpy() if kept else None)
    if job.kept:
        arrays: dict[str, Any] = {f"rows{number}": rows for number, rows in enumerate(all_kept) if rows is not None}
        np.savez(job.kept, keys=np.array(all_keys), **arrays)
    getattr(loader, "close", lambda: None)()
    return {"epochs": epochs, "versions": versions()}


def write(peer: PeerModule, job: Job) -> dict[str, Any]:
    start, folder = time.perf_counter(), Path(job.folder)
    peer.write(read_clips(job.clips), folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0
    return {"seconds": time.perf_counter() - start, "bytes": size, "settings": peer.SETTINGS}


def carry_out(peer: PeerModule, job: Job) -> dict[str, Any]:
    return {"write": write, "read": read}[job.action](peer, job)


def main(name: str) -> None:
    """Carry out the job of the command line. Whatever a library prints goes to standard error."""
    imported = time.time()
    parser = argparse.ArgumentParser(description=sys.modules[name].__doc__)
    parser.add_argument("job", type=json.loads, help="as JSON: the fields of Job")
    request = parser.parse_args().job
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    spawned = request.pop("spawned", imported)
    result = carry_out(sys.modules[name], Job(**request))
    print(json.dumps({"import_s": round(imported - spawned, 3), **result}), file=answer, flush=True)


def batched(samples: Iterable[tuple[str, torch.Tensor]]) -> Iterator[Batch]:
    """Gather (key, frames) into batches, the last one perhaps smaller."""
    keys: list[str] = []
    frames: list[torch.Tensor] = []
    for key, window in samples:
        keys.append(key)
        frames.append(window)
        if len(keys) == BATCH:
            yield Batch(keys, torch.stack(frames))
            keys, frames = [], []
    if keys:
        yield Batch(keys, torch.stack(frames))


def collate(samples: list[tuple[str, torch.Tensor]]) -> tuple[list[str], torch.Tensor]:
    """For loaders whose worker processes make the batches: plain tuples travel, not our class."""
    keys, frames = zip(*samples, strict=True)
    return list(keys), torch.stack(frames)


class PairLoader:
    """A loader whose worker processes give what `collate` makes: keys and frames."""

    def __init__(self, loader: Iterable[tuple[list[str], torch.Tensor]]) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Batch]:
        for keys, frames in self.loader:
            yield Batch(keys, frames)


def worker_options(prefetch: int) -> dict[str, Any]:
    """How a data loader of PyTorch's kind is told to decode in worker processes that stay through all epochs."""
    return {"num_workers": WORKERS, "persistent_workers": True, "prefetch_factor": prefetch}
