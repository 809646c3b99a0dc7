"""A decoder and a pool of two threads: the plainest loader there is, the baselines of PyAV and torchcodec."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from decoders import DECODERS
from harness import BATCH, WORKERS, Batch, Clip, Job, batched


def write(clips: list[Clip], folder: Path) -> None:
    """The clips are read as the files they are."""


class ThreadLoader:
    """Windows in the clips' order, decoded ahead by the pool. At most four batches are under way."""

    def __init__(self, clips: list[Clip], decode: Callable[[Clip], torch.Tensor]) -> None:
        self.clips, self.decode, self.pool = clips, decode, ThreadPoolExecutor(WORKERS)

    def windows(self) -> Iterator[tuple[str, torch.Tensor]]:
        ahead = 4 * BATCH
        pending = [(clip.key, self.pool.submit(self.decode, clip)) for clip in self.clips[:ahead]]
        for clip in self.clips[ahead:]:
            key, window = pending.pop(0)
            yield key, window.result()
            pending.append((clip.key, self.pool.submit(self.decode, clip)))
        for key, window in pending:
            yield key, window.result()

    def __iter__(self) -> Iterator[Batch]:
        return batched(self.windows())


def open_loader(folder: Path, clips: list[Clip], job: Job, *, decoder: str) -> ThreadLoader:
    function = DECODERS[decoder]
    return ThreadLoader(clips, lambda clip: function(Path(clip.path).read_bytes(), clip.first))
