"""How batches come about: planned by the order, filled by threads or processes, given out in order."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from equime_loader.order import Share
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

    An array is free when this is the only one that refers to it; tensors made of it refer to it.
    """

    def __init__(self) -> None:
        self._arrays: list[NDArray[np.uint8]] = []

    def get(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        for place, array in enumerate(self._arrays):
            # The list, the loop's name and the argument of getrefcount.
            if sys.getrefcount(array) == 3:
                if array.shape == shape:
                    return array
                del self._arrays[place]
                break
        array = np.empty(shape, np.uint8)
        self._arrays.append(array)
        return array


@dataclass(slots=True, eq=False)
class MakeBatch:
    """Turns planned positions into a batch."""

    reader: ClipReader
    seed: int
    epoch: int
    pin: bool

    def room(self, planned: Planned, buffers: Buffers) -> NDArray[np.uint8] | None:
        """Where the frames of a batch go, (B, T, h, w, C); None where the clips' own size decides."""
        size = self.reader.view.scaling.size
        if size is None:
            return None
        frames = max(self.reader.length(int(position)) for position in planned.positions)
        shape = (len(planned.positions), frames, *size, self.reader.view.scaling.channels)
        if self.pin and torch.cuda.is_available():
            return torch.empty(shape, dtype=torch.uint8, pin_memory=True).numpy()
        return buffers.get(shape)

    def fill(self, position: int, data: Any, room: NDArray[np.uint8] | None) -> Clip | SampleFault:
        """One clip of a batch; `room` (T, h, w, C) is its part of the batch."""
        try:
            if room is None:
                return self.reader.read(position, data)
            frames = self.reader.length(position)
            room[frames:] = 0
            return self.reader.read(position, data, room[:frames])
        except SampleFault as fault:
            return fault

    def finish(self, planned: Planned, room: NDArray[np.uint8] | None, clips: Sequence[Clip | SampleFault]) -> Made:
        """The batch, without the samples that could not be read; None where none could."""
        faults = [clip for clip in clips if isinstance(clip, SampleFault)]
        good = [slot for slot, clip in enumerate(clips) if isinstance(clip, Clip)]
        if not good:
            return None, faults
        read = [clip for clip in clips if isinstance(clip, Clip)]
        positions = planned.positions[good]
        if room is None:
            room = _stack([clip.frames for clip in read])
        elif faults:
            room = room[good]
        mask = np.zeros(room.shape[:2], np.bool_)
        for row, clip in zip(mask, read, strict=True):
            row[: len(clip.mask)] = clip.mask
        batch: dict[str, Any] = {
            "video": torch.from_numpy(room).permute(0, 4, 1, 2, 3),
            "mask": torch.from_numpy(mask),
            "key": [self.reader.key(int(position)) for position in positions],
            "repeated": torch.from_numpy(planned.repeated[good]),
            "seed": torch.from_numpy(sample_seeds(self.seed, self.epoch, planned.places[good])),
        }
        if self.reader.view.flow:
            batch["flow"] = torch.from_numpy(np.stack([clip.flow for clip in read if clip.flow is not None]))
        for name, values in self.reader.labels.items():
            batch[name] = torch.from_numpy(values[positions])
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
    """A number of 63 bits for each place in an epoch's order: SplitMix64 (Steele et al. 2014) of seed, epoch, place."""
    with np.errstate(over="ignore"):
        mixed = places.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(epoch + 1)
        mixed ^= np.uint64(seed & (2**64 - 1)) * np.uint64(0xD1342543DE82EF95)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(1)).astype(np.int64)


@contextmanager
def thread_batches(make: MakeBatch, share: Share, *, workers: int, prefetch: int) -> Iterator[Iterator[Made]]:
    """Batches in order, filled by threads that end with the block; by the caller's where `workers` is 0."""
    if not workers:
        buffers = Buffers()
        yield (_make(make, planned, buffers) for planned in planned_batches(share))
        return
    with (
        ThreadPoolExecutor(workers, "equime-decode") as decoding,
        ThreadPoolExecutor(FETCH_THREADS, "equime-fetch") as fetching,
    ):
        try:
            yield _ahead(make, share, prefetch, decoding, fetching)
        finally:
            # What was not begun is not begun any more; leaving the block waits for what was.
            fetching.shutdown(wait=False, cancel_futures=True)
            decoding.shutdown(wait=False, cancel_futures=True)


def _make(make: MakeBatch, planned: Planned, buffers: Buffers) -> Made:
    room = make.room(planned, buffers)
    positions = planned.positions.tolist()
    fetched = make.reader.fetch(positions)
    clips = [make.fill(p, fetched[slot], _part(room, slot)) for slot, p in enumerate(positions)]
    return make.finish(planned, room, clips)


def _ahead(
    make: MakeBatch, share: Share, prefetch: int, decoding: ThreadPoolExecutor, fetching: ThreadPoolExecutor
) -> Iterator[Made]:
    buffers = Buffers()
    waiting: deque[tuple[Planned, NDArray[np.uint8] | None, list[Future[Clip | SampleFault]]]] = deque()

    def finished() -> Made:
        planned, room, clips = waiting.popleft()
        return make.finish(planned, room, [clip.result() for clip in clips])

    for planned in planned_batches(share):
        room = make.room(planned, buffers)
        positions = planned.positions.tolist()
        fetched = fetching.submit(make.reader.fetch, positions)
        clips = [decoding.submit(_fill, make, fetched, slot, p, _part(room, slot)) for slot, p in enumerate(positions)]
        waiting.append((planned, room, clips))
        del room
        if len(waiting) > prefetch:
            yield finished()
    while waiting:
        yield finished()


def _fill(make: MakeBatch, fetched: Future[Any], slot: int, position: int, room: Any) -> Clip | SampleFault:
    return make.fill(position, fetched.result()[slot], room)


def _part(room: NDArray[np.uint8] | None, slot: int) -> NDArray[np.uint8] | None:
    return None if room is None else room[slot]


class _Batches(Dataset[Made]):
    """Batches by number, each made whole in one process."""

    def __init__(self, make: MakeBatch, share: Share) -> None:
        self._make, self._share = make, share

    def __len__(self) -> int:
        return len(self._share)

    def __getitem__(self, number: int) -> Made:
        return _make(self._make, planned_batch(self._share, number), Buffers())


@contextmanager
def process_batches(make: MakeBatch, share: Share, *, workers: int, prefetch: int) -> Iterator[Iterator[Made]]:
    """Batches in order, made by worker processes that end with the block."""
    made = DataLoader(
        _Batches(make, share),
        batch_size=None,
        shuffle=False,
        num_workers=workers,
        prefetch_factor=max(1, -(-prefetch // workers)),
        # A fork would inherit this process's threads and decoders in whatever state they are.
        multiprocessing_context="forkserver",
        pin_memory=make.pin and torch.cuda.is_available(),
    )
    batches = iter(made)
    try:
        yield batches
    finally:
        del batches
