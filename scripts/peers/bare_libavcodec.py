"""The yardstick: what libavcodec needs to decode the frames, through PyAV, without converting or delivering them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import harness
from harness import BATCH, FRAMES, WORKERS, Batch, Clip, Job

SETTINGS: list[dict[str, Any]] = [{}]


def write(clips: list[Clip], folder: Path) -> None:
    """The clips are read as the files they are."""


def decode(clip: Clip) -> str:
    """Open, seek to the keyframe before the window, decode to its last frame."""
    data, got = Path(clip.path).read_bytes(), 0
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        step = round(1 / (stream.average_rate * stream.time_base))
        container.seek(clip.first * step, stream=stream, backward=True)
        for frame in container.decode(stream):
            number = frame.pts // step - clip.first
            got += number >= 0
            if number == FRAMES - 1:
                break
    if got != FRAMES:
        raise ValueError(f"{clip.key}: {got} frames of the window, not {FRAMES}")
    return clip.key


class Loader:
    def __init__(self, clips: list[Clip]) -> None:
        self.clips, self.pool = clips, ThreadPoolExecutor(WORKERS)

    def __iter__(self) -> Iterator[Batch]:
        keys = list[str]()
        for key in self.pool.map(decode, self.clips):
            keys.append(key)
            if len(keys) == BATCH:
                yield Batch(keys, None)
                keys = []
        if keys:
            yield Batch(keys, None)


def open_loader(folder: Path, clips: list[Clip], job: Job) -> Loader:
    return Loader(clips)


if __name__ == "__main__":
    harness.main(__name__)
