"""How batches come about: planned by the order, filled by threads or processes, given out in order."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from equime_loader.order import Share
from equime_loader.order.keys import keys_of
from equime_loader.reading import ClipReader
from equime_loader.shared_memory import Spare
from equime_loader.video.frames import Clip
from equime_loader.window_reader import SampleFault, WindowReader
from equime_loader.worker_processes import crew

FETCH_THREADS = 2
# Batches that have memory besides those ahead: the one given out, the one before, and some for what a consumer does.
BESIDE = 4

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
        """Where the frames of a batch go, (B, T, h, w, C) uint8; None where the clips decide on its shape."""
        shape = self.reader.shape(len(planned.positions))
        if shape is None:
            return None
        if self.pin:
            return torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        return torch.from_numpy(buffers.get(shape))

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


def make_batch(make: MakeBatch, planned: Planned, buffers: Buffers) -> Made:
    """A batch, made here and now."""
    room = make.room(planned, buffers)
    clips = make.reader.attempt(planned.positions.tolist(), None if room is None else room.numpy())
    return make.finish(planned, room, clips)


@dataclass(frozen=True, slots=True, eq=False)
class _Begun:
    """A batch that threads work on; each takes the next of its slots until none is left."""

    positions: Sequence[int]
    parts: list[NDArray[np.uint8] | None]
    fetched: Future[Any]
    slots: Iterator[int]
    clips: list[Any]
    threads: list[Future[None]]

    def work(self, reader: WindowReader) -> None:
        try:
            fetched = self.fetched.result()
        except CancelledError:  # kept, it would refer to this batch, and hold its memory until it is collected
            return
        for slot in self.slots:
            self.clips[slot] = reader.attempt_one(self.positions[slot], fetched[slot], self.parts[slot])

    def answer(self) -> list[Clip | SampleFault]:
        """The clips, once all have been read."""
        for thread in self.threads:
            thread.result()
        # A thread that has done its work may refer to this for a moment more; its memory is the consumer's now.
        clips = list(self.clips)
        for held in (self.clips, self.parts, self.fetched.result()):
            held.clear()
        return clips

    def cancel(self) -> None:
        """What no thread has taken up is not done any more."""
        for future in (self.fetched, *self.threads):
            future.cancel()
        for _ in self.slots:
            pass


class Threads:
    """Threads that read batches, see `decoding_threads`."""

    def __init__(
        self, reader: WindowReader, workers: int, fetching: ThreadPoolExecutor, decoding: ThreadPoolExecutor
    ) -> None:
        self._reader, self._workers, self._fetching, self._decoding = reader, workers, fetching, decoding
        self._begun: deque[_Begun] = deque()

    def begin(self, planned: Planned, room: NDArray[np.uint8] | None) -> Callable[[], list[Clip | SampleFault]]:
        """Have a batch read, to `room` where there is one. What is returned waits for its clips."""
        positions = planned.positions.tolist()
        parts: list[NDArray[np.uint8] | None] = [None] * len(positions) if room is None else list(room)
        fetched = self._fetching.submit(self._reader.fetch, positions, parts)
        batch = _Begun(positions, parts, fetched, iter(range(len(parts))), [None] * len(parts), [])
        workers = min(self._workers, len(parts))
        batch.threads.extend(self._decoding.submit(batch.work, self._reader) for _ in range(workers))
        self._begun.append(batch)

        def answer() -> list[Clip | SampleFault]:
            clips = batch.answer()
            self._begun.remove(batch)  # what it refers to is the consumer's
            return clips

        return answer

    def cancel(self) -> None:
        """What has been begun ends."""
        for batch in self._begun:
            batch.cancel()


@contextmanager
def decoding_threads(reader: WindowReader, workers: int) -> Iterator[Threads]:
    """Threads that are made when there is work, and end with the block."""
    with (
        ThreadPoolExecutor(workers, "equime-decode") as decoding,
        ThreadPoolExecutor(FETCH_THREADS, "equime-fetch") as fetching,
    ):
        threads = Threads(reader, workers, fetching, decoding)
        try:
            yield threads
        except KeyboardInterrupt:
            reader.store.close()  # a server that does not answer would be waited for
            raise
        finally:
            # Leaving the block waits for what threads have taken up.
            threads.cancel()


@contextmanager
def thread_batches(
    make: MakeBatch, share: Share, *, workers: int, prefetch: int, buffers: Buffers
) -> Iterator[Iterator[Made]]:
    """Batches in order, filled by threads that end with the block; by the caller's where `workers` is 0."""
    if not workers:
        yield (make_batch(make, planned, buffers) for planned in planned_batches(share))
        return
    with decoding_threads(make.reader, workers) as threads:

        def begin(number: int) -> Callable[[], Made]:
            planned = planned_batch(share, number)
            room = make.room(planned, buffers)
            answer = threads.begin(planned, None if room is None else room.numpy())
            return lambda: make.finish(planned, room, answer())

        yield _in_turn(begin, len(share), prefetch)


@contextmanager
def process_batches(
    make: MakeBatch, share: Share, *, workers: int, prefetch: int, spare: Spare
) -> Iterator[Iterator[Made]]:
    """Batches in order, made by worker processes that end with the block; their memory is then `spare`.

    Threads make those that are asked for before the processes have come.
    """
    shape, workers = make.reader.shape(share.batch_size), min(workers, len(share))
    with ExitStack() as stack:
        memory = None
        if shape is not None:
            memory = stack.enter_context(spare.memory(prefetch + BESIDE, shape, free=prefetch + 2))
        working = stack.enter_context(crew(make.reader, share, memory, workers=workers))
        # One less, since the workers' server begins meanwhile.
        threads = stack.enter_context(decoding_threads(make.reader, max(1, workers - 1)))

        def begin(number: int) -> Callable[[], Made]:
            planned, place = planned_batch(share, number), None if memory is None else memory.take()
            if working.comes():
                answer = working.ask(number, place)
            elif memory is None or place is None:
                answer = threads.begin(planned, None)
            else:
                memory.reserve(place)
                answer = threads.begin(planned, memory.at(place, len(planned.positions)))

            def finish() -> Made:
                clips, given = answer(), None
                if memory is not None and place is not None:
                    given = torch.from_numpy(memory.give(place, len(planned.positions)))
                return make.finish(planned, given, clips)

            return finish

        yield _in_turn(begin, len(share), min(prefetch, working.most - 1))


def _in_turn(begin: Callable[[int], Callable[[], Made]], batches: int, prefetch: int) -> Iterator[Made]:
    """Each batch in turn, while `prefetch` behind it are worked on. What `begin` returns waits for its batch."""
    begun: deque[Callable[[], Made]] = deque()
    # Whatever else is begun takes its time from the first batch, which somebody waits for.
    numbers, ahead = iter(range(batches)), 1
    while True:
        begun.extend(map(begin, islice(numbers, ahead + 1 - len(begun))))
        if not begun:
            return
        yield begun.popleft()()  # nothing here refers to it: once nobody does, its memory is for the next
        ahead = prefetch
