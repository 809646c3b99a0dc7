"""Megatron-Energon: tar shards with its index, its own decoder of clips, two worker processes of its own loader."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
import torch
import webdataset
from harness import BATCH, FRAMES, SIZE, WORKERS, Batch, Clip, Job
from megatron.energon import (
    Cooker,
    DefaultTaskEncoder,
    Sample,
    WorkerConfig,
    basic_sample_keys,
    edataclass,
    get_loader,
    get_val_dataset,
    stateless,
)

SHARDS = 8
SETTINGS: list[dict[str, Any]] = [{"prefetch": 2}, {"prefetch": 4}]


def write(clips: list[Clip], folder: Path) -> None:
    """Tar shards by the writer its guide recommends, then `energon prepare` over them."""
    folder.mkdir(parents=True)
    with webdataset.ShardWriter(str(folder / "%03d.tar"), maxcount=math.ceil(len(clips) / SHARDS), verbose=0) as writer:
        for clip in clips:
            writer.write({"__key__": clip.key, "mp4": Path(clip.path).read_bytes(), "json": {"first": clip.first}})
    command = [str(Path(sys.executable).parent / "energon"), "prepare", str(folder), "--non-interactive"]
    command += ["--num-workers", "1", "--split-parts", "val:.*[.]tar", "--sample-type", "CrudeWebdataset"]
    subprocess.run(command, check=True, stdout=sys.stderr)


@edataclass
class Window(Sample):
    frames: torch.Tensor


@edataclass
class Windows(Sample):
    frames: torch.Tensor


@stateless
def cook(sample: dict[str, Any]) -> Window:
    """The sample's video is an `AVDecoder`, which decodes nothing until asked."""
    first = sample["json"]["first"]
    # Its range includes the end.
    clips, _ = sample["mp4"].get_video_clips([(first, first + FRAMES - 1)], "frames", (SIZE, SIZE))
    return Window(**basic_sample_keys(sample), frames=clips[0])


class Encoder(DefaultTaskEncoder[Window, Window, Windows, Windows]):
    cookers = (Cooker(cook),)


class Loader:
    def __init__(self, folder: Path, prefetch: int) -> None:
        config = WorkerConfig(rank=0, world_size=1, num_workers=WORKERS)
        dataset = get_val_dataset(
            folder, split_part="val", worker_config=config, batch_size=BATCH, task_encoder=Encoder()
        )
        self.loader = get_loader(dataset, prefetch_factor=prefetch)

    def __iter__(self) -> Iterator[Batch]:
        for windows in self.loader:
            yield Batch(list(windows.__key__), windows.frames)


def open_loader(folder: Path, clips: list[Clip], job: Job, *, prefetch: int) -> Loader:
    return Loader(folder, prefetch)


if __name__ == "__main__":
    harness.main(__name__)
