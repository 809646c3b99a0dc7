"""Clips as PyTorch tensors: a map-style dataset, and a loader whose order survives anything.

`Loader` decodes with threads, which wait for each other for Python's lock. `processes=True` decodes in worker
processes, into memory that they share with this one: faster, and the more so the more cores there are. Until they have
come, after some tenths of a second in a program's first epoch, threads decode. Workers import what decoding takes, not
the script: it needs no main guard, and may be a notebook. Not on Windows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from types import NoneType
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from equime_loader.arguments import check_kind
from equime_loader.batches import BESIDE, Buffers, MakeBatch, Planned, make_batch, process_batches, thread_batches
from equime_loader.order import (
    Balanced,
    Order,
    Position,
    Sampling,
    Share,
    Uniform,
    Weighted,
    epoch_order,
    load_state_dict,
    rank_share,
    state_dict,
)
from equime_loader.order.division import Ends
from equime_loader.reading import ClipReader, SampleFault, check_labels
from equime_loader.selection import Selection
from equime_loader.shared_memory import Spare
from equime_loader.video import View
from equime_loader.window_cache import WindowCacheSettings
from equime_loader.worker_processes import begin_server

log = logging.getLogger(__name__)
Batch = dict[str, Any]
DEFAULT_LABELS = ("emotion",)
SAMPLINGS = (NoneType, Uniform, Balanced, Weighted)
# What every batch has of its own; labels of these names would hide it.
OWN_ENTRIES = ("video", "mask", "flow", "key", "repeated", "seed")


class LoaderFault(RuntimeError):
    """More samples of an epoch cannot be read than is tolerated."""


class ClipDataset(Dataset[Batch]):
    """Clips of a selection by position, for PyTorch's own samplers and `DataLoader`.

    A sample is a dictionary: ``video`` (C, T, h, w) uint8, ``mask`` (T,) bool, ``flow`` (2, h, w) float32 where the
    view asks for it, ``key``, and the labels. Batches need windows of one length.

    Args:
        labels: see `ClipReader`. transform: called with each sample, after the cache.
        check: compare each video with its SHA-256; by default where the dataset is remote.

    Raises:
        as `ClipReader`; `SampleFault` from reading a sample.
    """

    def __init__(
        self,
        clips: Selection,
        view: View | None = None,
        *,
        labels: Sequence[str] = DEFAULT_LABELS,
        transform: Callable[[Batch], Batch] | None = None,
        cache: WindowCacheSettings | None = None,
        check: bool | None = None,
    ) -> None:
        _check_kinds(clips, view, cache)
        self.reader = _reader(clips, view, labels, check, cache)
        self._transform = transform

    @property
    def words(self) -> Mapping[str, tuple[str, ...]]:
        """What the codes of each label of words stand for."""
        return self.reader.words

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, position: int) -> Batch:
        return self.__getitems__([position])[0]

    def __getitems__(self, positions: list[int]) -> list[Batch]:
        """Several samples, their bytes in few requests."""
        for position in positions:
            check_kind("position", position, Integral, "a whole number")
            if not -len(self) <= position < len(self):
                raise IndexError(f"{position=} must lie within {-len(self)}..{len(self) - 1}")
        positions = [position % len(self) for position in positions]
        fetched = self.reader.fetch(positions)
        return [self._sample(position, data) for position, data in zip(positions, fetched, strict=True)]

    def _sample(self, position: int, data: Any) -> Batch:
        clip = self.reader.read(position, data)
        sample: Batch = {
            "video": torch.from_numpy(clip.frames).permute(3, 0, 1, 2),
            "mask": torch.from_numpy(clip.mask),
            "key": self.reader.key(position),
        }
        if clip.flow is not None:
            sample["flow"] = torch.from_numpy(clip.flow)
        for name, values in self.reader.labels.items():
            sample[name] = torch.tensor(values[position])  # a copy: what is done to a sample stays there
        return self._transform(sample) if self._transform else sample


class Loader:
    """Batches of clips, epoch after epoch: ``for batch in loader`` is one epoch, the next ``for`` the next.

    A loop that is broken off leaves nothing running, and the next ``for`` begins its epoch anew.

    A batch is a dictionary: ``video`` (B, C, T, h, w) uint8 (in memory B, T, h, w, C: `torch.channels_last_3d`),
    ``mask`` (B, T) bool, False where a window reaches beyond its clip; ``flow`` (B, 2, h, w) float32 where the view
    asks for it; ``key``, a list; ``repeated`` (B,) bool, True for samples that only fill the last batch; ``seed`` (B,)
    int64, a number of each sample and epoch for reproducible augmentation; and the labels: words as int64 codes into
    `words` (-1: not labeled), numbers as float32 (NaN: not measured), `aus` (B, 18) float32 as `ClipReader` says (NaN:
    not told, or not graded). Shorter windows of a batch are padded at their end.

    The order of samples is a function of seed, epoch and selection alone: not of `workers`, and rank r of R has every
    R-th sample of it. Under `torch.distributed` rank and ranks are taken from the process group.

    Args:
        batch_size: clips of a batch, of this rank.
        shuffle: False for the order of the index. seed: of order and augmentation.
        sampling: None for each clip once; `balance(clips, "emotion")` makes each class as frequent; or `Weighted`.
        window: clips over which those of one block are spread, neighbors in a shard that one request brings; None for
            all. By default all of a folder, and for a URL as many as 128 MiB hold.
        labels, check, cache: see `ClipDataset`.
        workers: threads or processes that decode; 0 decodes in the caller's. processes: see above.
        prefetch: batches that are worked on ahead.
        pin_memory: page-locked memory, for copies to a GPU that do not wait.
        ends: what happens to an end that does not fill a batch on every rank: `pad`, `drop` or `uneven`.
        transform: called with each batch, after the cache.
        tolerance: share of an epoch's clips that may be unreadable; each is left out of its batch, logged, and kept
            once in `failures`. More are an error.

    Raises:
        TypeError: an argument of another kind. ValueError: one out of its bounds. IndexFault: the index speaks of what
            cannot be.
    """

    def __init__(
        self,
        clips: Selection,
        view: View | None = None,
        *,
        batch_size: int = 16,
        shuffle: bool = True,
        seed: int = 0,
        sampling: Sampling | None = None,
        window: int | Literal["auto"] | None = "auto",
        labels: Sequence[str] = DEFAULT_LABELS,
        check: bool | None = None,
        cache: WindowCacheSettings | None = None,
        workers: int = 2,
        processes: bool = False,
        prefetch: int = 3,
        pin_memory: bool = False,
        rank: int | None = None,
        ranks: int | None = None,
        ends: Ends = "pad",
        transform: Callable[[Batch], Batch] | None = None,
        tolerance: float = 0.01,
    ) -> None:
        _check_kinds(clips, view, cache)
        _check_bounds(batch_size, workers, prefetch, tolerance)
        _check_choices(sampling, seed, window, transform, shuffle=shuffle, processes=processes, pin_memory=pin_memory)
        if processes and not workers:
            raise ValueError("processes=True needs workers of at least 1")
        if not len(clips):
            raise ValueError(f"the selection is empty: {'; '.join(clips.steps) or clips.index.root}")
        self.rank, self.ranks = _place(rank, ranks)
        if processes:
            begin_server()  # it imports what it needs while the index is read
        # Each rank or process would read the neighbors that are another's to give out.
        ahead = clips.index.is_remote and self.ranks == 1 and not processes
        self._reader = _reader(clips, view, labels, check, cache, ahead)
        self.words = self._reader.words
        blocks = self._reader.places.blocks if clips.index.is_remote or window not in ("auto", None) else None
        span = (blocks.window if blocks else None) if window == "auto" else window
        self.order = Order(
            rows=clips.rows,
            seed=seed,
            index=clips.index.sha256,
            shuffle=shuffle,
            sampling=sampling or Uniform(),
            shards=None if blocks is None else blocks.of,
            window=span,
        )
        self.batch_size, self.ends, self.tolerance = int(batch_size), ends, tolerance
        self._workers, self._processes, self._prefetch = workers, processes, prefetch
        # Those that are worked on, the one given out, the one before that, and some for what else the consumer does.
        self._buffers = Buffers(prefetch + BESIDE)
        self._spare = Spare()
        self._pin, self._transform = pin_memory and torch.cuda.is_available(), transform
        self._next = self._now = Position()
        self.failures: list[SampleFault] = []
        # An impossible rank, batch size or end is said now.
        if not len(self) and ends == "drop":
            raise ValueError(
                f"{ends=} leaves nothing of {len(self.order)} samples: {batch_size=} on {self.ranks} ranks needs "
                f"{batch_size * self.ranks}"
            )

    def __len__(self) -> int:
        """Batches of an epoch, on this rank."""
        # The number of batches follows from the length of the order, not from the order.
        return len(self._divide(np.broadcast_to(np.int64(0), len(self.order)), 0))

    @property
    def epoch(self) -> int:
        """The epoch that the next ``for`` reads."""
        return self._next.epoch

    def set_epoch(self, epoch: int) -> None:
        """Begin the next ``for`` at the first sample of an epoch.

        Raises:
            TypeError: no whole number. ValueError: one below 0.
        """
        check_kind("epoch", epoch, Integral, "a whole number")
        self._next = self._now = Position(int(epoch))

    def __iter__(self) -> Iterator[Batch]:
        position = self._next
        share = self._share(position)
        # A loop that is broken off begins its epoch anew, unless a state is loaded.
        self._next = Position(position.epoch)
        self._now = position
        bad = 0
        make = MakeBatch(self._reader, self.order.seed, position.epoch, self._pin)
        with self._batches(make, share) as batches:
            for number, (made, faults) in enumerate(batches):
                bad += len(faults)
                self._tolerate(faults, bad, share)
                batch = self._stand_in(make, share, number) if made is None else made
                given = self._transform(batch) if batch and self._transform else batch
                self._now = Position(position.epoch, share.consumed(number + 1))
                if self._now.samples == share.total:
                    # A state that is saved with the last batch in hand belongs to the next epoch.
                    self._next = self._now = Position(position.epoch + 1)
                if given is not None:
                    yield given
        # With uneven ends another rank may have had a batch more.
        self._next = self._now = Position(position.epoch + 1)

    def state_dict(self) -> dict[str, str | int]:
        """Where the run stands: after the last batch that was given out. Plain words and numbers, ready for JSON.

        It may be loaded by a loader with other workers, ranks, batch size or ends: the next sample is the next one.
        """
        return state_dict(self.order, self._now)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on, at the next ``for``, where a run stood.

        Raises:
            ValueError: the state belongs to another selection, seed, sampling or window; the message says which.
            TypeError: it is no mapping.
        """
        self._next = self._now = load_state_dict(self.order, state)

    def _share(self, position: Position) -> Share:
        return self._divide(epoch_order(self.order, position.epoch), position.samples)

    def _divide(self, order: NDArray[np.int64], start: int) -> Share:
        return rank_share(
            order, rank=self.rank, ranks=self.ranks, start=start, batch_size=self.batch_size, ends=self.ends
        )

    def _batches(self, make: MakeBatch, share: Share) -> Any:
        if self._processes:
            return process_batches(make, share, workers=self._workers, prefetch=self._prefetch, spare=self._spare)
        return thread_batches(make, share, workers=self._workers, prefetch=self._prefetch, buffers=self._buffers)

    def _tolerate(self, faults: Sequence[SampleFault], bad: int, share: Share) -> None:
        known = {fault.key for fault in self.failures}
        for fault in faults:
            log.warning("left out: %s", fault)
            if fault.key not in known:
                known.add(fault.key)
                self.failures.append(fault)
        # Of the whole epoch, also where only its end is read: a run that is resumed bears what it bore before.
        most = self.tolerance * share.total / self.ranks
        if faults and bad > most:
            raise LoaderFault(
                f"{bad} samples cannot be read, tolerance={self.tolerance:g} of {share.total} on {self.ranks} ranks "
                f"allows {most:g}; the last: {faults[-1]}. Run `equime verify` on the folder"
            )

    def _stand_in(self, make: MakeBatch, share: Share, number: int) -> Batch | None:
        """In place of a batch of which nothing can be read: one sample that can, marked as repeated.

        Ranks that work in step would wait for each other forever if one of them had a batch less. None where they do
        not work in step.
        """
        if self.ranks == 1 or self.ends == "uneven":
            return None
        place = share.total + number * self.ranks + self.rank
        for position in np.roll(share.positions, -(number + 1) * self.batch_size):
            planned = Planned(np.array([position]), np.array([True]), np.array([place]))
            if batch := make_batch(make, planned, self._buffers)[0]:
                return batch
        raise LoaderFault(f"none of {len(share.positions)} samples can be read. Run `equime verify` on the folder")


def _check_kinds(clips: Selection, view: View | None, cache: WindowCacheSettings | None) -> None:
    check_kind("clips", clips, Selection, "a Selection, as open_dataset gives")
    check_kind("view", view, (NoneType, View), "a View, such as View(Window.around('apex', 16), size=112)")
    check_kind("cache", cache, (NoneType, WindowCacheSettings), "WindowCacheSettings(folder, max_bytes)")


def _check_choices(sampling: Any, seed: Any, window: Any, transform: Any, **flags: Any) -> None:
    check_kind("sampling", sampling, SAMPLINGS, 'balance(clips, "emotion"), Weighted(...) or None')
    for name, value in flags.items():
        check_kind(name, value, (bool, np.bool_), "True or False")
    check_kind("seed", seed, Integral, "a whole number")
    if window != "auto":
        check_kind("window", window, (NoneType, Integral), 'a number of clips, None or "auto"')
    if transform is not None and not callable(transform):
        check_kind("transform", transform, NoneType, "a function of a batch, or None")


def _check_bounds(batch_size: int, workers: int, prefetch: int, tolerance: float) -> None:
    for name, value, least in (("batch_size", batch_size, 1), ("workers", workers, 0), ("prefetch", prefetch, 1)):
        check_kind(name, value, Integral, "a whole number")
        if value < least:
            raise ValueError(f"{name}={value} must be at least {least}")
    check_kind("tolerance", tolerance, Real, "a share within 0..1")
    if not 0 <= tolerance <= 1:
        raise ValueError(f"{tolerance=} must lie within 0..1")


def _reader(
    clips: Selection,
    view: View | None,
    labels: Sequence[str],
    check: bool | None,
    cache: WindowCacheSettings | None,
    ahead: bool = False,
) -> ClipReader:
    check_labels(labels)
    if hidden := [name for name in labels if name in OWN_ENTRIES]:
        raise ValueError(f"label {hidden[0]!r} would hide what a batch has under this name; leave it out of labels")
    check = clips.index.is_remote if check is None else check
    return ClipReader(clips, view or View(), labels=labels, check=check, cache=cache, ahead=ahead)


def balance(clips: Selection, *labels: str, samples: int | None = None) -> Balanced:
    """Sampling that makes every class of a label, or every cell of several, equally frequent.

    Args:
        samples: clips of an epoch, None for as many as the selection has.

    Raises:
        ValueError: clips without the label; select those that have it. TypeError: an argument of another kind.
    """
    _check_kinds(clips, None, None)
    check_kind("samples", samples, (NoneType, Integral), "a whole number or None")
    cells: NDArray[np.int64] = np.zeros(len(clips), np.int64)
    for name in labels:
        check_kind("each label", name, str, "a name")
        codes = clips.codes(name)
        if (codes.codes < 0).any():
            raise ValueError(f"{(codes.codes < 0).sum()} clips have no {name}; select those that have one")
        cells = cells * len(codes.words) + codes.codes
    return Balanced(cells, samples)


def _place(rank: int | None, ranks: int | None) -> tuple[int, int]:
    if (rank is None) != (ranks is None):
        raise ValueError(f"{rank=} and {ranks=} must be given together")
    if rank is not None and ranks is not None:
        for name, value in (("rank", rank), ("ranks", ranks)):
            check_kind(name, value, Integral, "a whole number")
        return int(rank), int(ranks)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


__all__ = ["Balanced", "ClipDataset", "Loader", "LoaderFault", "Uniform", "Weighted", "balance"]
