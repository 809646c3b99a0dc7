"""LitData: its optimized chunks, two worker processes of its own data loader."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

os.environ["LITDATA_DISABLE_VERSION_CHECK"] = "1"  # it would ask the package index while it is being timed

import harness
import litdata
import torch
from decoders import DECODERS, SETTINGS
from harness import BATCH, Clip, Job, PairLoader, collate, worker_options

CHUNKS = 8

__all__ = ["SETTINGS", "open_loader", "write"]


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


def open_loader(folder: Path, clips: list[Clip], job: Job, *, decoder: str, prefetch: int) -> PairLoader:
    loader = litdata.StreamingDataLoader(
        Windows(folder, decoder),
        batch_size=BATCH,
        collate_fn=collate,
        **worker_options(prefetch),
    )
    return PairLoader(loader)


if __name__ == "__main__":
    harness.main(__name__)
