#!/usr/bin/env python3
"""How many bytes a subset of a dataset costs over HTTP, from a server on this machine that counts them.

A random share of the clips is read through the loader, in the windowed order; the second pass has a cache of ranges.
"""

from __future__ import annotations

import tempfile
import time
from typing import Annotated

import door
import numpy as np
import typer
from door import Dataset
from httpserver import RangeServer, serving

from equime_loader import CacheSettings, Loader, Selection, open_dataset


def subset(clips: Selection, share: float) -> Selection:
    count = max(1, round(share * len(clips)))
    chosen = np.random.default_rng(0).choice(len(clips), count, replace=False)
    return clips.narrowed(chosen, f"{share:.0%} at random")


def main(folder: Dataset, share: Annotated[float, typer.Argument(min=0, max=1)] = 0.05) -> None:
    heads = "| | clips | MP4 bytes | bytes sent | ratio | requests | seconds |"
    print(f"{heads}\n| --- |{' ---: |' * 6}")
    with serving(RangeServer(folder)) as server, tempfile.TemporaryDirectory() as cache:
        for name in ("first epoch", "from the cache of ranges"):
            server.forget()
            start = time.perf_counter()
            clips = subset(open_dataset(server.url, cache=CacheSettings(cache)), share)
            opening = server.sent
            videos = int(clips.index.integers("mp4_length")[clips.rows].sum())
            keys = [key for batch in Loader(clips) for key in batch["key"]]
            assert set(keys) == {row["key"] for row in clips.labels(["key"])}
            seconds, sent = time.perf_counter() - start, server.sent
            ratio, requests = sent / videos, len(server.requests)
            print(
                f"| {100 * share:g}%, {name} | {len(clips)} | {videos:,} | {sent:,} (index {opening:,}) | {ratio:.3f} "
                f"| {requests} | {seconds:.2f} |"
            )


if __name__ == "__main__":
    door.run(main)
