"""Hugging Face `datasets`, streaming: Parquet with the video embedded, two worker processes.

Its own `Video` feature gives a decoder, and torch scales; the other settings take the bytes and decode them themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import harness
import torch
from decoders import DECODERS, interpolate
from harness import BATCH, FRAMES, WORKERS, Batch, Clip, Job, collate

SHARDS = 8
SETTINGS: list[dict[str, Any]] = [
    {"decoder": "feature", "prefetch": 2},
    {"decoder": "feature", "prefetch": 4},
    {"decoder": "torchcodec_transform", "prefetch": 2},
    {"decoder": "pyav", "prefetch": 2},
]


def write(clips: list[Clip], folder: Path) -> None:
    folder.mkdir(parents=True)
    features = datasets.Features(
        {"key": datasets.Value("string"), "first": datasets.Value("int32"), "video": datasets.Video()}
    )
    columns = {
        "key": [clip.key for clip in clips],
        "first": [clip.first for clip in clips],
        "video": [{"bytes": Path(clip.path).read_bytes(), "path": f"{clip.key}.mp4"} for clip in clips],
    }
    table = datasets.Dataset.from_dict(columns, features=features)
    for number in range(SHARDS):
        table.shard(SHARDS, number).to_parquet(folder / f"train-{number:05d}-of-{SHARDS:05d}.parquet")


class Loader:
    def __init__(self, folder: Path, cache: str, decoder: str, prefetch: int) -> None:
        files = sorted(map(str, folder.glob("*.parquet")))
        samples = datasets.load_dataset(
            "parquet", data_files=files, split="train", streaming=True, cache_dir=cache or None
        )
        own = decoder == "feature"
        feature = datasets.Video(decode=own, seek_mode="approximate", num_ffmpeg_threads=1)
        samples = samples.cast_column("video", feature)

        def window(sample: dict[str, Any]) -> tuple[str, torch.Tensor]:
            first = sample["first"]
            if own:
                return sample["key"], interpolate(sample["video"].get_frames_in_range(first, first + FRAMES).data)
            return sample["key"], DECODERS[decoder](sample["video"]["bytes"], first)

        def gather(rows: list[dict[str, Any]]) -> tuple[list[str], torch.Tensor]:
            return collate([window(row) for row in rows])

        self.loader = torch.utils.data.DataLoader(
            samples,
            batch_size=BATCH,
            num_workers=WORKERS,
            collate_fn=gather,
            persistent_workers=True,
            prefetch_factor=prefetch,
        )

    def __iter__(self) -> Iterator[Batch]:
        for keys, frames in self.loader:
            yield Batch(keys, frames)


def open_loader(folder: Path, clips: list[Clip], job: Job, *, decoder: str, prefetch: int) -> Loader:
    return Loader(folder, job.cache, decoder, prefetch)


if __name__ == "__main__":
    harness.main(__name__)
