"""Clips of a selection, one by one: bytes by range, the frames of a window, labels as numbers. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equime_loader.arguments import check_kind
from equime_loader.arrays import from_numpy, nulls, to_numpy
from equime_loader.blocks import Answer, BlockReader, Blocks, blocks_of
from equime_loader.index import Codes, IndexFault
from equime_loader.renditions import index_path
from equime_loader.schema import AUS
from equime_loader.selection import Selection, label_field
from equime_loader.storage import PathError, StorageError, Store
from equime_loader.storage.paths import check_path
from equime_loader.tables import counted
from equime_loader.video import VideoFault, View, read_frames
from equime_loader.video.frames import Clip
from equime_loader.window_cache import WindowCache, WindowCacheSettings
from equime_loader.windows import Event

Fetch = Callable[[Sequence[int]], Sequence[Answer]]
EVENT_COLUMNS = ("onset_frame", "apex_frame", "offset_frame", "frames")


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
    sha256: pa.Array | None

    @classmethod
    def of(cls, selection: Selection, *, hashed: bool, rendition: int | None = None) -> Places:
        """Where clips lie, or their renditions.

        Raises:
            MissingError: no such rendition. IndexFault: a clip has no shard, a place that cannot be, no hash though it
                is asked for, or no rendition.
        """
        index, rows = selection.index, from_numpy(selection.rows)
        table = None if rendition is None else index.rendition(rendition)
        path = index.path if rendition is None else f"{index.root}/{index_path(rendition)}"

        def column(name: str) -> pa.Array:
            return (index.column(name) if table is None else table[name].combine_chunks()).take(rows)

        if table is None:
            shards = selection.codes("shard")
            remedy = "without a tar; build the dataset with --formats webdataset,parquet"
        else:
            coded = column("shard").dictionary_encode()
            codes = np.where(nulls(coded.indices), np.int32(-1), to_numpy(coded.indices))
            shards = Codes(codes, tuple(coded.dictionary.to_pylist()))
            remedy = f"without a rendition of {rendition} pixels; run `equime rendition` again"
        if lacking := int((shards.codes < 0).sum()):
            raise IndexFault(f"{path}: {counted(lacking, 'clip')} {remedy}")
        try:
            for shard in shards.words:
                check_path(shard)
        except PathError as error:
            raise IndexFault(f"{path}: {error}") from error
        index.check(selection.rows)
        offset, length = (to_numpy(column(f"mp4_{what}").cast(pa.int64())) for what in ("offset", "length"))
        hashes = column("mp4_sha256") if hashed else None
        if hashes is not None and hashes.null_count:
            lacking_hash = counted(hashes.null_count, "clip")
            raise IndexFault(f"{index.path}: {lacking_hash} without mp4_sha256 to check; pass check=False")
        return cls(shards.codes, shards.words, offset, length, hashes)

    @cached_property
    def blocks(self) -> Blocks:
        """Clips that one request brings."""
        return blocks_of(self.shard, self.offset, self.length)


class ClipReader:
    """Reads clips of a selection by position. It can be pickled and shared between threads and processes.

    Args:
        labels: names of labels to give with each clip. Words become codes into `words`, `aus` the peak intensity of
            each AU, (18,) float32, in the order of `schema.AUS`: 0 where it does not act, NaN where it acts and was not
            graded, and everywhere where it is not told which AUs act; numbers float32, NaN where there is none.
        check: whether a video's bytes are compared with their SHA-256 in the index.
        ahead: read the neighbors of a clip with it, for when they are asked for; see `blocks`. Such a reader stays
            in its process.

    Raises:
        IndexFault: the index speaks of places or events that cannot be. TypeError: labels that are no list of names.
        ValueError: a label that there is not.
    """

    def __init__(
        self,
        selection: Selection,
        view: View,
        *,
        labels: Sequence[str] = (),
        check: bool = False,
        cache: WindowCacheSettings | None = None,
        ahead: bool = False,
    ) -> None:
        check_labels(labels)
        self.view = view
        self.store: Store = selection.index.store
        self.places = Places.of(selection, hashed=check, rendition=view.rendition)
        self.rows = selection.rows
        self._keys: pa.Array = selection.index.column("key").take(from_numpy(selection.rows))
        self._events = np.stack([selection.index.integers(name)[selection.rows] for name in EVENT_COLUMNS], axis=1)
        self._fps = selection.numbers("fps")
        coded: dict[str, Codes] = {name: selection.codes(name) for name in labels if _is_words(name)}
        self.words: Mapping[str, tuple[str, ...]] = {name: codes.words for name, codes in coded.items()}
        self.labels: Mapping[str, NDArray[Any]] = {name: _label(selection, name, coded) for name in labels}
        self._windows = None if cache is None else WindowCache.open(cache, selection, view)
        # Not a method: a reader that refers to itself would keep its cache and its memory until they are collected.
        self._bytes: Fetch = partial(_bytes, self.store, self.places)
        self._read = BlockReader(self.places.blocks, self._bytes).fetch if ahead else self._bytes

    def __len__(self) -> int:
        return len(self.rows)

    def key(self, position: int) -> str:
        """The clip's key."""
        return str(self._keys[position].as_py())

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
            raise self.fault(position, f"{type(error).__name__}: {' '.join(str(error).split())}") from error
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


def check_labels(labels: Any) -> None:
    """Raises TypeError where labels are no list of names."""
    check_kind("labels", labels, (list, tuple), 'a list of names, such as ["emotion"]')


def _bytes(store: Store, places: Places, positions: Sequence[int]) -> list[Answer]:
    """The bytes of some clips, those of a shard in one request, or what is wrong with each."""
    answers: dict[int, Answer] = {}
    by_shard: dict[int, list[int]] = {}
    for slot, position in enumerate(positions):
        by_shard.setdefault(int(places.shard[position]), []).append(slot)
    for shard, slots in by_shard.items():
        chosen = [positions[slot] for slot in slots]
        ranges = [(int(places.offset[p]), int(places.length[p])) for p in chosen]
        hashes = None if places.sha256 is None else [places.sha256[p].as_py() for p in chosen]
        try:
            read: Sequence[Answer] = store.read_each(places.shards[shard], ranges, sha256=hashes)
        except StorageError as error:
            read = [error] * len(chosen)
        answers |= dict(zip(slots, read, strict=True))
    return [answers[slot] for slot in range(len(positions))]


def _is_words(name: str) -> bool:
    return bool(pa.types.is_string(label_field(name).kind))


def _label(selection: Selection, name: str, coded: Mapping[str, Codes]) -> NDArray[Any]:
    if name in coded:
        return coded[name].codes.astype(np.int64)
    if name == "aus":
        index = selection.index
        peaks = np.stack([index.au_intensity(au) for au in AUS], axis=1)
        return np.where(index.au_told()[:, None], peaks, np.float32(np.nan))[selection.rows]
    return selection.numbers(name).astype(np.float32)
