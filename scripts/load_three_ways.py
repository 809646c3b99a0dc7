"""Load a dataset folder in three ways and print the first sample of each.

usage: load_three_ways.py FOLDER
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")

import webdataset
from datasets import load_dataset

from equime_loader import read_video


def main(folder: Path) -> None:
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
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
