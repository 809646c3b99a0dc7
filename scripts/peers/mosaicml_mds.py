"""MosaicML Streaming: MDS shards, two worker processes of its own data loader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
import torch
from decoders import DECODERS
from harness import BATCH, WORKERS, Batch, Clip, Job, collate
from streaming import MDSWriter, StreamingDataLoader, StreamingDataset
from streaming.base.util import clean_stale_shared_memory

SETTINGS: list[dict[str, Any]] = [
    {"decoder": "torchcodec_interpolate", "prefetch": 2},
    {"decoder": "torchcodec_interpolate", "prefetch": 4},
    {"decoder": "torchcodec_transform", "prefetch": 2},
    {"decoder": "pyav", "prefetch": 2},
]


def write(clips: list[Clip], folder: Path) -> None:
    with MDSWriter(out=str(folder), columns={"key": "str", "first": "int", "video": "bytes"}) as writer:
        for clip in clips:
            writer.write({"key": clip.key, "first": clip.first, "video": Path(clip.path).read_bytes()})


class Windows(StreamingDataset):
    def __init__(self, folder: Path, decoder: str) -> None:
        super().__init__(local=str(folder), batch_size=BATCH, shuffle=False, num_canonical_nodes=1)
        self.decoder = decoder

    def __getitem__(self, at: int) -> tuple[str, torch.Tensor]:
        sample = super().__getitem__(at)
        return sample["key"], DECODERS[self.decoder](sample["video"], int(sample["first"]))


class Loader:
    def __init__(self, folder: Path, decoder: str, prefetch: int) -> None:
        clean_stale_shared_memory()
        self.loader = StreamingDataLoader(
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
