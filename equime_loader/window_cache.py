"""Decoded windows on disk, memory-mapped, so that a second epoch costs a copy.

A cache belongs to what made it: the selection and the view, by hash. Every clip has a slot of fixed size in one sparse
file, and a byte beside it that says whether the slot is filled; the byte is written after the frames. Processes share
the file, and whoever writes a slot writes the same bytes. Where the clips do not all fit, those that come first in the
selection have slots and the others never do: in an epoch that goes through all clips, any rule that drops old windows
for new ones would drop each before it is needed again.
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equime_loader.selection import Selection
from equime_loader.video.frames import Clip, View
from equime_loader.windows import Event

log = logging.getLogger(__name__)
FORMAT = 1


@dataclass(frozen=True, slots=True)
class WindowCacheSettings:
    """Where decoded windows are kept, and how many bytes they may take.

    Raises:
        ValueError: `max_bytes` is not positive.
    """

    folder: str | Path
    max_bytes: int

    def __post_init__(self) -> None:
        if self.max_bytes <= 0:
            raise ValueError(f"max_bytes={self.max_bytes} must be above 0")


class WindowCache:
    """The windows of one selection in one view. It can be pickled; a copy maps the same file.

    Args:
        path: file without suffix. shape: (T, h, w, C) of a window. flow: shape of its flow, where it has one.
        slots: how many windows there is room for.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], flow: tuple[int, ...] | None, slots: int) -> None:
        self._arguments = (path, shape, flow, slots)
        self._frames = _mapped(path.with_suffix(".frames"), np.uint8, (slots, *shape))
        self._flow = None if flow is None else _mapped(path.with_suffix(".flow"), np.float32, (slots, *flow))
        self._filled = _mapped(path.with_suffix(".filled"), np.uint8, (slots,))
        self._off = False

    @classmethod
    def open(cls, settings: WindowCacheSettings, selection: Selection, view: View, clips: int) -> WindowCache | None:
        """The cache of a selection in a view; None, with a line in the log, where not one window fits.

        Raises:
            ValueError: a view whose windows differ in size from clip to clip.
        """
        size, frames = view.scaling.size, view.window.frames
        if size is None or frames is None:
            raise ValueError("a window cache needs windows of one size: give the view a size and a number of frames")
        shape = (frames, *size, view.scaling.channels)
        flow = (2, *size) if view.flow else None
        slot = int(np.prod(shape)) + (4 * int(np.prod(flow)) if flow else 0) + 1
        slots = min(clips, settings.max_bytes // slot)
        if not slots:
            log.warning("no window of %d bytes fits into max_bytes=%d: nothing is cached", slot, settings.max_bytes)
            return None
        made_by = f"{FORMAT}:{selection.sha256}:{view}:{slots}:{_boot()}"
        folder = Path(settings.folder)
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder / f"windows-{hashlib.sha256(made_by.encode()).hexdigest()[:32]}", shape, flow, slots)

    def __reduce__(self) -> tuple[Any, ...]:
        return WindowCache, self._arguments

    def __contains__(self, position: int) -> bool:
        return position < len(self._filled) and bool(self._filled[position])

    def read(self, position: int, event: Event, view: View, out: NDArray[np.uint8] | None) -> Clip | None:
        """A cached window, copied into `out` where one is given; None where there is none."""
        if position not in self:
            return None
        out = np.empty(self._frames.shape[1:], np.uint8) if out is None else out
        np.copyto(out, self._frames[position])
        indices, mask = view.window.indices(event)
        return Clip(out, mask, indices, None if self._flow is None else self._flow[position].copy())

    def write(self, position: int, clip: Clip) -> None:
        """Keep a window, where it has a slot. A full disk switches the cache off and costs nothing else."""
        if self._off or position >= len(self._filled) or clip.frames.shape != self._frames.shape[1:]:
            return
        try:
            _claim(self._frames, position)
            if self._flow is not None:
                _claim(self._flow, position)
        except OSError as error:
            self._off = True
            log.warning("the window cache keeps nothing more: %s", error.strerror)
            return
        self._frames[position] = clip.frames
        if self._flow is not None:
            self._flow[position] = clip.flow
        self._filled[position] = 1


def _mapped(path: Path, kind: Any, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """A sparse file of this form, made where it is missing."""
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.fstat(descriptor).st_size != size:
            os.ftruncate(descriptor, size)
    finally:
        os.close(descriptor)
    return np.memmap(path, kind, "r+", shape=shape)


def _claim(array: np.memmap[Any, Any], position: int) -> None:
    """Reserve a slot's blocks on disk: writing to a mapped page on a full disk would kill the process.

    Raises:
        OSError: the disk is full.
    """
    slot = array.nbytes // len(array)
    assert array.filename is not None
    descriptor = os.open(array.filename, os.O_RDWR)
    try:
        os.posix_fallocate(descriptor, position * slot, slot)
    finally:
        os.close(descriptor)


def _boot() -> str:
    """What changes when the machine starts anew: pages that were not on disk by then are lost."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
