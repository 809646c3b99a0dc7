"""LitData: its optimized chunks, two worker processes of its own data loader."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["LITDATA_DISABLE_VERSION_CHECK"] = "1"  # it would ask the package index while it is being timed

import harness
import litdata
import torch
from decoders import DECODERS
from harness import BATCH, WORKERS, Batch, Clip, Job, collate

CHUNKS = 8
SETTINGS: list[dict[str, Any]] = [
    {"decoder": "torchcodec_interpolate", "prefetch": 2},
    {"decoder": "torchcodec_interpolate", "prefetch": 4},
    {"decoder": "torchcodec_transform", "prefetch": 2},
    {"decoder": "pyav", "prefetch": 2},
]


def sample_of(clip: Clip) -> dict[str, Any]:
    return {"key": clip.key, "first": clip.first, "video": Path(clip.path).read_bytes()}


def write(clips: list[Clip], folder: Path) -> None:
    size = math.ceil(len(clips) / CHUNKS)
    litdata.optimize(sample_of, clips, str(folder), chunk_size=size, num_workers=1, verbose=False)


class Windows(litdata.StreamingDataset):
    def __init__(self, folder: Path, decoder: str) -> None:
        super().__init__(str(folder), shuffle=False, drop_last=False)
        self.decoder = decoder

    def __getitem__(self, index: Any) -> tuple[str, torch.Tensor]:
        sample = super().__getitem__(index)
        return sample["key"], DECODERS[self.decoder](sample["video"], sample["first"])


class Loader:
    def __init__(self, folder: Path, decoder: str, prefetch: int) -> None:
        self.loader = litdata.StreamingDataLoader(
            Windows(folder, decoder),
            batch_size=BATCH,
            num_workers=WORKERS,
            collate_fn=collate,
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
