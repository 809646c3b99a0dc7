"""WebDataset: tar shards, two worker processes that decode and make the batches."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import harness
import torch
import webdataset
from decoders import DECODERS, SETTINGS
from harness import BATCH, Clip, Job, PairLoader, collate, worker_options

SHARDS = 8

__all__ = ["SETTINGS", "open_loader", "write"]


def write(clips: list[Clip], folder: Path) -> None:
    folder.mkdir(parents=True)
    with webdataset.ShardWriter(str(folder / "%03d.tar"), maxcount=math.ceil(len(clips) / SHARDS), verbose=0) as writer:
        for clip in clips:
            writer.write({"__key__": clip.key, "mp4": Path(clip.path).read_bytes(), "json": {"first": clip.first}})


def open_loader(folder: Path, clips: list[Clip], job: Job, *, decoder: str, prefetch: int) -> PairLoader:
    decode = DECODERS[decoder]

    def window(sample: dict[str, Any]) -> tuple[str, torch.Tensor]:
        return sample["__key__"], decode(sample["mp4"], json.loads(sample["json"])["first"])

    shards = sorted(map(str, folder.glob("*.tar")))
    samples = webdataset.WebDataset(shards, shardshuffle=False).map(window)
    loader = webdataset.WebLoader(
        samples.batched(BATCH, collation_fn=collate),
        batch_size=None,
        **worker_options(prefetch),
    )
    return PairLoader(loader)


if __name__ == "__main__":
    harness.main(__name__)
