"""How batches come about: planned by the order, filled by threads or processes, given out in order."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from equime_loader.order import Share
from equime_loader.order.keys import keys_of
from equime_loader.reading import ClipReader, SampleFault
from equime_loader.video.frames import Clip

FETCH_THREADS = 2

Made = tuple[dict[str, Any] | None, list[SampleFault]]


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """A batch to be made.

    positions: (b,) int64, within the selection. repeated: (b,) bool, fills the end only. places: (b,) int64, each
    sample's place in the epoch's order over all ranks.
    """

    positions: NDArray[np.int64]
    repeated: NDArray[np.bool_]
    places: NDArray[np.int64]


def planned_batch(share: Share, number: int) -> Planned:
    """The batch of this number of a rank's share."""
    positions, repeated = share[number]
    first = share.start + share.rank + number * share.batch_size * share.ranks
    return Planned(positions, repeated, first + share.ranks * np.arange(len(positions)))


def planned_batches(share: Share) -> Iterator[Planned]:
    """All batches of a rank's share, in order."""
    return (planned_batch(share, number) for number in range(len(share)))


class Buffers:
    """Memory for batches, used again once nobody holds what was given out: fresh pages cost as much as decoding.

    An array is free when nothing but this refers to it; tensors made of it, and all views of them, refer to it. Threads
    may share it; a copy in another process begins empty.

    Args:
        most: arrays to keep. One that a consumer holds on to beyond that is left to the consumer.
    """

    def __init__(self, most: int = 1) -> None:
        self._most = most
        self._arrays: list[NDArray[np.uint8]] = []
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Buffers], tuple[int]]:
        return Buffers, (self._most,)

    def get(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """An array of this shape with contents of any kind."""
        with self._lock:
            for place in range(len(self._arrays)):
                # A free array has two references: the list's and that of getrefcount's argument.
                if sys.getrefcount(self._arrays[place]) == 2:
                    # The last batch of an epoch may be smaller.
                    if self._arrays[place].shape[1:] == shape[1:] and len(self._arrays[place]) >= shape[0]:
                        return self._arrays[place][: shape[0]]
                    del self._arrays[place]
                    break
            if len(self._arrays) >= self._most:
                del self._arrays[0]
            self._arrays.append(np.empty(shape, np.uint8))
            return self._arrays[-1][:]


@dataclass(frozen=True, slots=True, eq=False)
class MakeBatch:
    """Turns planned positions into a batch."""

    reader: ClipReader
    seed: int
    epoch: int
    pin: bool

    def room(self, planned: Planned, buffers: Buffers) -> torch.Tensor | None:
        """Where the frames of a batch go, (B, T, h, w, C) uint8; None where the clips decide on its shape.

        What a clip says of its length is not believed before its video was read.
        """
        size, frames = self.reader.view.scaling.size, self.reader.view.window.frames
        if size is None or frames is None:
            return None
        shape = (len(planned.positions), frames, *size, self.reader.view.scaling.channels)
        if self.pin:
            return torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        return torch.from_numpy(buffers.get(shape))

    def fill(self, position: int, data: Any, room: NDArray[np.uint8] | None) -> Clip | SampleFault:
        """One clip of a batch; `room` (T, h, w, C) is its part of the batch."""
        try:
            return self.reader.read(position, data, room)
        except SampleFault as fault:
            # Without the traceback, which would hold the batch's memory for as long as the fault is kept.
            return SampleFault(fault.shard, fault.key, fault.reason)

    def finish(self, planned: Planned, room: torch.Tensor | None, clips: Sequence[Clip | SampleFault]) -> Made:
        """The batch, without the samples that could not be read; None where none could."""
        # A sample that only fills the end was counted where it stood.
        pairs = zip(clips, planned.repeated, strict=True)
        faults = [clip for clip, again in pairs if isinstance(clip, SampleFault) and not again]
        good = [slot for slot, clip in enumerate(clips) if isinstance(clip, Clip)]
        if not good:
            return None, faults
        read = [clip for clip in clips if isinstance(clip, Clip)]
        positions = planned.positions[good]
        if room is None:
            room = torch.from_numpy(_stack([clip.frames for clip in read]))
        elif len(good) < len(clips):
            room = room[good]
        mask = np.zeros(tuple(room.shape[:2]), np.bool_)
        for row, clip in zip(mask, read, strict=True):
            row[: len(clip.mask)] = clip.mask
        batch: dict[str, Any] = {
            "video": room.permute(0, 4, 1, 2, 3),
            "mask": torch.from_numpy(mask),
            "key": [self.reader.key(int(position)) for position in positions],
            "repeated": torch.from_numpy(planned.repeated[good]),
            "seed": torch.from_numpy(sample_seeds(self.seed, self.epoch, planned.places[good])),
        }
        if self.reader.view.flow:
            batch["flow"] = torch.from_numpy(np.stack([clip.flow for clip in read if clip.flow is not None]))
        for name, values in self.reader.labels.items():
            batch[name] = torch.from_numpy(values[positions])
        if self.pin:
            batch = {name: value if name == "key" else value.pin_memory() for name, value in batch.items()}
        return batch, faults


def _stack(frames: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    sizes = {clip.shape[1:] for clip in frames}
    if len(sizes) > 1:
        told = ", ".join(f"{height} x {width}" for height, width, _ in sorted(sizes))
        raise ValueError(f"clips of a batch have different sizes ({told}); give the view a size")
    room = np.zeros((len(frames), max(map(len, frames)), *sizes.pop()), np.uint8)
    for part, clip in zip(room, frames, strict=True):
        part[: len(clip)] = clip
    return room


def sample_seeds(seed: int, epoch: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number of 63 bits for each place in an epoch's order."""
    return (keys_of(places, "sample", seed, epoch) >> np.uint64(1)).astype(np.int64)


@contextmanager
def thread_batches(
    make: MakeBatch, share: Share, *, workers: int, prefetch: int, buffers: Buffers
) -> Iterator[Iterator[Made]]:
    """Batches in order, filled by threads that end with the block; by the caller's where `workers` is 0."""
    if not workers:
        yield (make_batch(make, planned, buffers) for planned in planned_batches(share))
        return
    begun: deque[_Begun] = deque()
    with (
        ThreadPoolExecutor(workers, "equime-decode") as decoding,
        ThreadPoolExecutor(FETCH_THREADS, "equime-fetch") as fetching,
    ):
        begin = partial(_begin, make, buffers, fetching, decoding, workers)
        try:
            yield _ahead(map(begin, planned_batches(share)), begun, make, prefetch)
        except KeyboardInterrupt:
            make.reader.store.close()  # a server that does not answer would be waited for
            raise
        finally:
            # Leaving the block waits for what threads have taken up.
            for batch in begun:
                batch.cancel()


def make_batch(make: MakeBatch, planned: Planned, buffers: Buffers) -> Made:
    """A batch, made here and now."""
    room = make.room(planned, buffers)
    positions, parts = planned.positions.tolist(), _parts(planned, room)
    fetched = make.reader.fetch(positions, parts)
    return make.finish(planned, room, list(map(make.fill, positions, fetched, parts)))


@dataclass(frozen=True, slots=True, eq=False)
class _Begun:
    """A batch that threads work on; each takes the next of its slots until none is left."""

    planned: Planned
    room: torch.Tensor | None
    parts: list[NDArray[np.uint8] | None]
    fetched: Future[Any]
    slots: Iterator[int]
    clips: list[Any]
    threads: list[Future[None]]

    def work(self, make: MakeBatch) -> None:
        fetched = self.fetched.result()
        for slot in self.slots:
            self.clips[slot] = make.fill(int(self.planned.positions[slot]), fetched[slot], self.parts[slot])

    def finish(self, make: MakeBatch) -> Made:
        for thread in self.threads:
            thread.result()
        return make.finish(self.planned, self.room, self.clips)

    def cancel(self) -> None:
        """What no thread has taken up is not done any more."""
        for future in (self.fetched, *self.threads):
            future.cancel()
        for _ in self.slots:
            pass


def _begin(
    make: MakeBatch,
    buffers: Buffers,
    fetching: ThreadPoolExecutor,
    decoding: ThreadPoolExecutor,
    workers: int,
    planned: Planned,
) -> _Begun:
    room = make.room(planned, buffers)
    positions, parts = planned.positions.tolist(), _parts(planned, room)
    fetched = fetching.submit(make.reader.fetch, positions, parts)
    batch = _Begun(planned, room, parts, fetched, iter(range(len(parts))), [None] * len(parts), [])
    batch.threads.extend(decoding.submit(batch.work, make) for _ in range(min(workers, len(parts))))
    return batch


def _ahead(batches: Iterator[_Begun], begun: deque[_Begun], make: MakeBatch, prefetch: int) -> Iterator[Made]:
    """Each batch in turn, while those behind it are begun as they are taken from `batches`."""
    # Whatever else is begun takes its time from the first batch, which somebody waits for.
    ahead = 1
    while True:
        begun.extend(islice(batches, ahead + 1 - len(begun)))
        if not begun:
            return
        yield begun[0].finish(make)
        begun.popleft()
        ahead = prefetch


def _parts(planned: Planned, room: torch.Tensor | None) -> list[NDArray[np.uint8] | None]:
    """The place of each clip of a batch in its memory."""
    return [None] * len(planned.positions) if room is None else list(room.numpy())


class _Batches(Dataset[Made]):
    """Batches by number, each made whole in one process."""

    def __init__(self, make: MakeBatch, share: Share) -> None:
        self._make, self._share = make, share

    def __len__(self) -> int:
        return len(self._share)

    def __getitem__(self, number: int) -> Made:
        return make_batch(self._make, planned_batch(self._share, number), Buffers())


@contextmanager
def process_batches(make: MakeBatch, share: Share, *, workers: int, prefetch: int) -> Iterator[Iterator[Made]]:
    """Batches in order, made by worker processes that end with the block."""
    # A fork would inherit this process's threads and decoders in whatever state they are. The server, once it has
    # imported what workers need, has them ready in every epoch at the cost of a fork.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", __name__])
    made = DataLoader(
        # Pinning is for the process that copies to the GPU; the others leave it alone.
        _Batches(replace(make, pin=False), share),
        batch_size=None,
        shuffle=False,
        num_workers=workers,
        prefetch_factor=max(1, -(-prefetch // workers)),
        multiprocessing_context=context,
        pin_memory=make.pin,
    )
    batches: Any = iter(made)
    try:
        yield batches
    finally:
        # Letting go of the iterator would do as well, if no traceback held on to it.
        batches._shutdown_workers()
