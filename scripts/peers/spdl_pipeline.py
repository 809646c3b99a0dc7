"""SPDL: demux by timestamp, scale in the filter graph, two decoding threads, one copy from frames to a batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
import spdl.io
import torch
from harness import BATCH, FRAMES, SIZE, WORKERS, Batch, Clip, Job
from spdl.pipeline import PipelineBuilder

# How the filter graph scales. The last one scales the planes first and converts the small frame. FFmpeg's
# `fast_bilinear` is not among them: it does not filter what it leaves out, which the comparison refuses.
SCALES = {
    "area": f"scale=w={SIZE}:h={SIZE}:flags=area,format=pix_fmts=rgb24",
    "bilinear": f"scale=w={SIZE}:h={SIZE}:flags=bilinear,format=pix_fmts=rgb24",
    "planes": f"scale=w={SIZE}:h={SIZE}:flags=area,format=pix_fmts=yuv420p,scale=flags=area,format=pix_fmts=rgb24",
}
SETTINGS: list[dict[str, Any]] = [
    *({"scale": scale, "threads": WORKERS} for scale in SCALES),
    {"scale": "planes", "threads": WORKERS + 1},
]


def write(clips: list[Clip], folder: Path) -> None:
    """SPDL has no format of its own: it reads the files as they are."""


class Loader:
    """One pipeline that lives through all epochs."""

    def __init__(self, clips: list[Clip], scale: str, threads: int) -> None:
        def decode(clip: Clip) -> tuple[str, spdl.io.VideoFrames]:
            start, end = clip.seconds
            packets = spdl.io.demux_video(clip.path, timestamp=(start, end))
            graph = f"trim=start={start}:end={end},{SCALES[scale]}"
            return clip.key, spdl.io.decode_packets(packets, filter_desc=graph)

        def gather(samples: list[tuple[str, spdl.io.VideoFrames]]) -> Batch:
            keys, frames = zip(*samples, strict=True)
            pixels = spdl.io.to_torch(spdl.io.convert_frames(list(frames)))
            return Batch(list(keys), pixels.reshape(len(keys), FRAMES, SIZE, SIZE, 3).permute(0, 1, 4, 2, 3))

        self.pipeline = (
            PipelineBuilder()
            .add_source(clips, continuous=True)
            .pipe(decode, concurrency=threads)
            .aggregate(BATCH)
            .pipe(gather)
            .add_sink(4)
            .build(num_threads=threads + 1, max_failures=0, use_thread_output_queue=True)
        )
        self.pipeline.start()

    def __iter__(self) -> Iterator[Batch]:
        yield from self.pipeline.get_iterator(timeout=60)

    def close(self) -> None:
        self.pipeline.stop()


def open_loader(folder: Path, clips: list[Clip], job: Job, *, scale: str, threads: int) -> Loader:
    torch.set_num_threads(1)
    return Loader(clips, scale, threads)


if __name__ == "__main__":
    harness.main(__name__)
