#!/usr/bin/env python3
"""Load a dataset folder in three ways and print the first sample of each."""

from __future__ import annotations

import os

os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")

import door
import webdataset
from datasets import load_dataset
from door import Dataset

from equime_loader import read_video


def main(folder: Dataset) -> None:
    samples = load_dataset("equime", split="train", streaming=True, data_dir=str(folder))
    sample = next(iter(samples))
    frames = read_video(sample["video"])
    print(f'load_dataset("equime")   {sample["key"]}: {sample["au_text"]}, frames {frames.shape} {frames.dtype}')

    table = load_dataset(str(folder), "metadata", split="clips", cache_dir=str(folder.parent / "cache"))
    print(f'load_dataset("{folder.name}")   {len(table)} clips; {table[0]["caption"]}')

    shard = sorted((folder / "wds").glob("train-*.tar"))[0]
    first = next(iter(webdataset.WebDataset(str(shard), shardshuffle=False).decode()))
    curves = first["au.npy"]
    print(f"webdataset.WebDataset    {first['__key__']}: {sorted(first['json'])[:3]}…, AU curves {curves.shape}")


if __name__ == "__main__":
    door.run(main)
