"""MosaicML Streaming: MDS shards, two worker processes of its own data loader."""

from __future__ import annotations

from pathlib import Path

import harness
import torch
from decoders import DECODERS, SETTINGS
from harness import BATCH, Clip, Job, PairLoader, collate, worker_options
from streaming import MDSWriter, StreamingDataLoader, StreamingDataset
from streaming.base.util import clean_stale_shared_memory

__all__ = ["SETTINGS", "open_loader", "write"]


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


def open_loader(folder: Path, clips: list[Clip], job: Job, *, decoder: str, prefetch: int) -> PairLoader:
    clean_stale_shared_memory()
    loader = StreamingDataLoader(
        Windows(folder, decoder),
        batch_size=BATCH,
        collate_fn=collate,
        **worker_options(prefetch),
    )
    return PairLoader(loader)


if __name__ == "__main__":
    harness.main(__name__)
