"""Hugging Face `datasets`, streaming: Parquet with the video embedded, two worker processes.

Its own `Video` feature gives a decoder, and torch scales; the other settings take the bytes and decode them themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import harness
import torch
from decoders import DECODERS, interpolate
from harness import BATCH, FRAMES, Clip, Job, PairLoader, collate, worker_options

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


def open_loader(folder: Path, clips: list[Clip], job: Job, *, decoder: str, prefetch: int) -> PairLoader:
    files = sorted(map(str, folder.glob("*.parquet")))
    samples = datasets.load_dataset(
        "parquet", data_files=files, split="train", streaming=True, cache_dir=job.cache or None
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

    loader = torch.utils.data.DataLoader(
        samples,
        batch_size=BATCH,
        collate_fn=gather,
        **worker_options(prefetch),
    )
    return PairLoader(loader)


if __name__ == "__main__":
    harness.main(__name__)
