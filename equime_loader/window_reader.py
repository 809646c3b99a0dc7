"""Windows of clips, one by one: bytes by range, the frames of a window. It needs neither pyarrow nor torch.

Worker processes import this and no more, so that they come soon.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from equime_loader.blocks import Answer, BlockReader, Blocks, blocks_of
from equime_loader.error_lines import kind_and_line
from equime_loader.storage.errors import StorageError
from equime_loader.storage.store import Store
from equime_loader.strings import Strings
from equime_loader.video.backends import module_of
from equime_loader.video.faults import VideoFault
from equime_loader.video.frames import Clip, View, read_frames
from equime_loader.windows import Event

if TYPE_CHECKING:
    from equime_loader.window_cache import WindowCache

Fetch = Callable[[Sequence[int]], Sequence[Answer]]


# As torch says it of a worker: with a traceback, of which the message is the last line.
_OF_A_WORKER = re.compile(r"SampleFault: (.+?): sample ([0-9A-Za-z_-]+): (.+)\s*\Z")


class SampleFault(ValueError):
    """A sample that cannot be read: `shard`, `key`, `reason`, in one line.

    In the workers of a `DataLoader` it stays what it is: torch makes errors anew out of one text.
    """

    def __init__(self, shard: str, key: str = "", reason: str = "") -> None:
        if told := _OF_A_WORKER.search(shard):
            shard, key, reason = told.groups()
        super().__init__(f"{shard}: sample {key}: {reason}")
        self.shard, self.key, self.reason = shard, key, reason

    def __reduce__(self) -> tuple[type[SampleFault], tuple[str, str, str]]:
        return SampleFault, (self.shard, self.key, self.reason)


@dataclass(frozen=True, eq=False)
class Places:
    """Where the videos of a selection lie: shard as a code into `shards`, offset and length in it, hash where asked."""

    shard: NDArray[np.int32]
    shards: tuple[str, ...]
    offset: NDArray[np.int64]
    length: NDArray[np.int64]
    sha256: Strings | None

    @cached_property
    def blocks(self) -> Blocks:
        """Clips that one request brings."""
        return blocks_of(self.shard, self.offset, self.length)


class WindowReader:
    """Reads the windows of clips by position. It can be pickled and shared between threads and processes.

    Args:
        store: of the dataset. places, keys: of each clip.
        events: (n, 4) int64, onset, apex, offset and number of frames. fps: (n,) float.
        windows: a cache of them.
        ahead: read the neighbors of a clip with it, for when they are asked for; see `blocks`. Such a reader stays
            in its process.
    """

    def __init__(
        self,
        view: View,
        store: Store,
        places: Places,
        *,
        keys: Strings,
        events: NDArray[np.int64],
        fps: NDArray[Any],
        windows: WindowCache | None,
        ahead: bool = False,
    ) -> None:
        self.view, self.store, self.places = view, store, places
        self._keys, self._events, self._fps, self._windows = keys, events, fps, windows
        # Not a method: a reader that refers to itself would keep its cache and its memory until they are collected.
        self._bytes: Fetch = partial(_bytes, store, places)
        self._read = BlockReader(places.blocks, self._bytes).fetch if ahead else self._bytes

    def bare(self) -> WindowReader:
        """This reader, for workers in other processes: it reads nothing ahead, and has nothing besides."""
        fields = {"keys": self._keys, "events": self._events, "fps": self._fps, "windows": self._windows}
        return WindowReader(self.view, self.store, self.places, **fields)  # type: ignore[arg-type]

    def modules(self) -> set[str]:
        """Modules that a process needs which this reader is sent to."""
        parts = [self.store, *([] if self._windows is None else [self._windows])]
        return {type(part).__module__ for part in parts} | {module_of(self.view.backend)}

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, position: int) -> str:
        """The clip's key."""
        return self._keys[position]

    def event(self, position: int) -> Event:
        """When the clip's expression happens.

        Raises:
            SampleFault: it happens outside the clip, or in no order.
        """
        onset, apex, offset, frames = self._events[position].tolist()
        try:
            return Event(onset, apex, offset, frames, float(self._fps[position]))
        except ValueError as error:
            raise self.fault(position, error) from error

    def fault(self, position: int, reason: object) -> SampleFault:
        """The error that names a clip and what is wrong with it."""
        return SampleFault(self.places.shards[self.places.shard[position]], self.key(position), str(reason))

    def fetch(
        self, positions: Sequence[int], rooms: Sequence[NDArray[np.uint8] | None] | None = None
    ) -> list[bytes | Clip | SampleFault]:
        """What it takes to read some clips, in few requests: a window that is in the cache, or the bytes of a clip.

        A clip that cannot be read gives its fault in its place.

        Args:
            rooms: where windows go, as in `read`.
        """
        rooms = rooms or [None] * len(positions)
        answers: list[Any] = [None] * len(positions)
        if self._windows is not None:
            answers = [self._windows.read(position, room) for position, room in zip(positions, rooms, strict=True)]
        slots = [slot for slot, answer in enumerate(answers) if answer is None]
        for slot, answer in zip(slots, self._read([positions[slot] for slot in slots]), strict=True):
            answers[slot] = self.fault(positions[slot], answer) if isinstance(answer, StorageError) else answer
        return answers

    def read(
        self, position: int, data: bytes | Clip | SampleFault | None = None, out: NDArray[np.uint8] | None = None
    ) -> Clip:
        """The window of a clip.

        Args:
            data: what `fetch` gave, where it was asked. out: see `read_frames`.

        Raises:
            SampleFault: the clip cannot be read.
        """
        if data is None:
            (data,) = self.fetch([position], [out])
        if isinstance(data, Clip):
            return data
        if isinstance(data, SampleFault):
            raise data
        event = self.event(position)
        try:
            clip = read_frames(data, event, self.view, out)
        except VideoFault as error:
            raise self.fault(position, error) from error
        except Exception as error:
            # Bytes can make a decoder raise anything; whatever it is, it costs this sample and no other.
            raise self.fault(position, kind_and_line(error)) from error
        if self._windows is not None:
            self._windows.write(position, clip)
        return clip

    def attempt(self, positions: Sequence[int], room: NDArray[np.uint8] | None = None) -> list[Clip | SampleFault]:
        """The windows of some clips, or the faults of those that cannot be read.

        Args:
            room: (len(positions), T, h, w, C) uint8, contiguous, where the frames are to be written.
        """
        rooms = [None] * len(positions) if room is None else list(room)
        fetched = self.fetch(positions, rooms)
        return [self.attempt_one(*each) for each in zip(positions, fetched, rooms, strict=True)]

    def attempt_one(
        self, position: int, data: bytes | Clip | SampleFault | None, out: NDArray[np.uint8] | None
    ) -> Clip | SampleFault:
        """As `read`; where it raises a fault, that fault."""
        try:
            return self.read(position, data, out)
        except SampleFault as fault:
            # Without the traceback, which would hold the batch's memory for as long as the fault is kept.
            return SampleFault(fault.shard, fault.key, fault.reason)

    def shape(self, count: int) -> tuple[int, ...] | None:
        """(count, T, h, w, C), of windows of this many clips; None where the clips decide on it.

        What a clip says of its length is not believed before its video was read.
        """
        size, frames = self.view.scaling.size, self.view.window.frames
        return None if size is None or frames is None else (count, frames, *size, self.view.scaling.channels)


def _bytes(store: Store, places: Places, positions: Sequence[int]) -> list[Answer]:
    """The bytes of some clips, those of a shard in one request, or what is wrong with each."""
    answers: dict[int, Answer] = {}
    by_shard: dict[int, list[int]] = {}
    for slot, position in enumerate(positions):
        by_shard.setdefault(int(places.shard[position]), []).append(slot)
    for shard, slots in by_shard.items():
        chosen = [positions[slot] for slot in slots]
        ranges = [(int(places.offset[p]), int(places.length[p])) for p in chosen]
        hashes = None if places.sha256 is None else [places.sha256[p] for p in chosen]
        try:
            read: Sequence[Answer] = store.read_each(places.shards[shard], ranges, sha256=hashes)
        except StorageError as error:
            read = [error] * len(chosen)
        answers |= dict(zip(slots, read, strict=True))
    return [answers[slot] for slot in range(len(positions))]
