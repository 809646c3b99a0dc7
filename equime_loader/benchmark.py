"""How fast this machine reads windows of a dataset: the loader, its cache, and libavcodec alone as the yardstick.

All ways read the same windows of the same clips, in turns, so that what else the machine does falls on all of them.
"""

from __future__ import annotations

import io
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import av
import cv2
import torch

from equime_loader.loader import Loader, LoaderFault
from equime_loader.reading import ClipReader, SampleFault
from equime_loader.selection import Selection
from equime_loader.video import View
from equime_loader.window_cache import WindowCacheSettings

CACHE_BYTES = 8 * 2**30
LIBRARIES = ("equime", "av", "opencv-contrib-python", "torch", "numpy", "pyarrow")
YARDSTICK = "libavcodec alone, no pictures"


@dataclass(frozen=True, slots=True)
class Reading:
    """One way of reading: clips per second and milliseconds to the first batch, of each round."""

    name: str
    clips_per_s: list[float]
    first_batch_ms: list[float]

    @property
    def median(self) -> float:
        """Median clips per second."""
        return statistics.median(self.clips_per_s)


@dataclass(frozen=True, slots=True)
class LoaderReport:
    """Readings of all ways, and what they were taken with."""

    clips: int
    view: str
    batch_size: int
    workers: int
    readings: list[Reading]
    machine: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, ready for JSON."""
        return asdict(self)

    def rows(self) -> Iterator[tuple[str, str, str, str, str]]:
        """Name, median clips/s, least-most, median ms to the first batch, ratio to libavcodec alone."""
        bare = next(reading.median for reading in self.readings if reading.name == YARDSTICK)
        for reading in self.readings:
            least, most = min(reading.clips_per_s), max(reading.clips_per_s)
            first = statistics.median(reading.first_batch_ms)
            yield (
                reading.name,
                f"{reading.median:.0f}",
                f"{least:.0f}-{most:.0f}",
                f"{first:.0f}",
                f"{reading.median / bare:.2f}",
            )


def measure(clips: Selection, view: View, *, batch_size: int, workers: int, rounds: int) -> LoaderReport:
    """Read all windows of a selection in every way, `rounds` times in turns after one round to warm up.

    Raises:
        ValueError: a number below 1, a clip that cannot be read, or more of them than `Loader` tolerates.
    """
    for name, value in (("batch_size", batch_size), ("workers", workers), ("rounds", rounds)):
        if value < 1:
            raise ValueError(f"{name}={value} must be at least 1")
    with _one_thread_each(), tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {"view": view, "batch_size": batch_size, "workers": workers}
        cached = Loader(clips, **options, cache=WindowCacheSettings(folder, CACHE_BYTES))
        ways: dict[str, Callable[[], tuple[float, float]]] = {
            "threads": lambda: _time(Loader(clips, **options)),
            "processes": lambda: _time(Loader(clips, **options, processes=True)),
            "window cache": lambda: _time(cached),
            YARDSTICK: lambda: _time_bare(ClipReader(clips, view), batch_size, workers),
        }
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for number in range(rounds + 1):
            for name, way in ways.items():
                try:
                    figures = way()
                except LoaderFault as error:
                    raise ValueError(f"{clips.index.root}: {error}") from error
                if number:
                    taken[name].append(figures)
    readings = [
        Reading(name, [clips for clips, _ in figures], [first for _, first in figures])
        for name, figures in taken.items()
    ]
    return LoaderReport(len(clips), str(view), batch_size, workers, readings, _machine())


def _time(loader: Loader) -> tuple[float, float]:
    """Clips per second and milliseconds to the first batch."""
    start = time.perf_counter()
    first, count = 0.0, 0
    for batch in loader:
        first = first or time.perf_counter() - start
        count += len(batch["key"])
    return count / (time.perf_counter() - start), 1000 * first


def _time_bare(reader: ClipReader, batch_size: int, workers: int) -> tuple[float, float]:
    start = time.perf_counter()
    first = 0.0
    with ThreadPoolExecutor(workers) as pool:
        for number, _ in enumerate(pool.map(lambda position: _decode_bare(reader, position), range(len(reader))), 1):
            if number == min(batch_size, len(reader)):
                first = time.perf_counter() - start
    return len(reader) / (time.perf_counter() - start), 1000 * first


def _decode_bare(reader: ClipReader, position: int) -> None:
    """What libavcodec needs to decode a window: open, seek to the key frame, decode to the last frame."""
    (data,) = reader.fetch([position])
    if isinstance(data, SampleFault):
        raise data
    assert isinstance(data, bytes)  # there is no window cache
    event = reader.event(position)
    indices, _ = reader.view.window.indices(event)
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        assert stream.time_base is not None
        ticks = 1 / (event.fps * stream.time_base)
        container.seek(round(indices[0] * ticks), stream=stream, backward=True)
        for frame in container.decode(stream):
            if frame.pts is None or frame.pts >= round(indices[-1] * ticks):
                return


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """One thread in each library, so that the workers alone make use of the cores."""
    torch_threads, cv2_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(torch_threads)
        cv2.setNumThreads(cv2_threads)


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }
