"""WebDataset: tar shards, two worker processes that decode and make the batches."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
import torch
import webdataset
from decoders import DECODERS
from harness import BATCH, WORKERS, Batch, Clip, Job, collate

SHARDS = 8
SETTINGS: list[dict[str, Any]] = [
    {"decoder": "torchcodec_interpolate", "prefetch": 2},
    {"decoder": "torchcodec_interpolate", "prefetch": 4},
    {"decoder": "torchcodec_transform", "prefetch": 2},
    {"decoder": "pyav", "prefetch": 2},
]


def write(clips: list[Clip], folder: Path) -> None:
    folder.mkdir(parents=True)
    with webdataset.ShardWriter(str(folder / "%03d.tar"), maxcount=math.ceil(len(clips) / SHARDS), verbose=0) as writer:
        for clip in clips:
            writer.write({"__key__": clip.key, "mp4": Path(clip.path).read_bytes(), "json": {"first": clip.first}})


class Loader:
    def __init__(self, folder: Path, decoder: str, prefetch: int) -> None:
        decode = DECODERS[decoder]

        def window(sample: dict[str, Any]) -> tuple[str, torch.Tensor]:
            return sample["__key__"], decode(sample["mp4"], json.loads(sample["json"])["first"])

        shards = sorted(map(str, folder.glob("*.tar")))
        samples = webdataset.WebDataset(shards, shardshuffle=False).map(window)
        self.loader = webdataset.WebLoader(
            samples.batched(BATCH, collation_fn=collate),
            batch_size=None,
            num_workers=WORKERS,
            persistent_workers=True,
            prefetch_factor=prefetch,
        )

    def __iter__(self) -> Iterator[Batch]:
        for keys, frames in self.loader:
            yield Batch(keys, frames)


def open_loader(folder: Path, clips: list[Clip], job: Job, *, decoder: str, prefetch: int) -> Loader:
    return Loader(folder, decoder, prefetch)


if __name__ == "__main__":
    harness.main(__name__)
