"""Decoded windows on disk, so that a second epoch costs a copy from the system's page cache.

A cache belongs to what made it: the selection, the view, the code that decodes. Every clip has a slot of fixed size in
one sparse file: a tag, then the window. The tag is written last and is different for every cache, slot and start of the
machine, so what is half written, foreign, or was not on disk when the power went is taken for empty. Processes share
the file, and whoever writes a slot writes the same bytes. Where the clips do not all fit, those that come first in the
selection have slots and the others never do: in an epoch that goes through all clips, any rule that drops old windows
for new ones would drop each before it is needed again.

Positional reads and writes copy as fast as a memory map does. On a full disk, or where the file is cut, they end in an
error; a memory map would end the process.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import logging
import os
import platform
import re
import stat
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from numbers import Integral
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from equime_loader.arguments import check_kind
from equime_loader.arrays import from_numpy
from equime_loader.selection import Selection
from equime_loader.video.frames import Clip, View

log = logging.getLogger(__name__)
FORMAT = 5
TAG_BYTES = 16
# Of a tag: a number of each writing, by which a window that was written anew while it was read is told.
NUMBER_BYTES = 4
_NAME = re.compile(r"windows-[0-9a-f]{32}\.cache")


@dataclass(frozen=True, slots=True)
class WindowCacheSettings:
    """Where decoded windows are kept, and how many bytes all caches in that folder may take together.

    Caches that no process has open make room for a new one, those that were opened longest ago first.

    Raises:
        TypeError: `folder` is no path, `max_bytes` no whole number. ValueError: `max_bytes` is not positive.
    """

    folder: str | Path
    max_bytes: int

    def __post_init__(self) -> None:
        check_kind("folder", self.folder, (str, os.PathLike), "a path")
        check_kind("max_bytes", self.max_bytes, Integral, "a whole number of bytes")
        if self.max_bytes <= 0:
            raise ValueError(f"max_bytes={self.max_bytes} must be above 0")


@dataclass(frozen=True, slots=True)
class Form:
    """What a slot holds: a clip of frames `shape` (T, h, w, C), and of `flow` (2, h, w) where there is one."""

    shape: tuple[int, ...]
    flow: tuple[int, ...] | None

    @classmethod
    def of(cls, view: View) -> Form:
        """Raises ValueError for a view whose windows differ in size from clip to clip."""
        size, frames = view.scaling.size, view.window.frames
        if size is None or frames is None:
            raise ValueError("a window cache needs windows of one size: give the view a size and a number of frames")
        return cls((frames, *size, view.scaling.channels), (2, *size) if view.flow else None)

    @property
    def slot_bytes(self) -> int:
        frames, flow = int(np.prod(self.shape)), 4 * int(np.prod(self.flow)) if self.flow else 0
        return 2 * TAG_BYTES + frames + (1 + 8) * self.shape[0] + flow  # a clip's mask and indices in between

    def clip(self, frames: NDArray[np.uint8] | None) -> Clip:
        """An empty clip, its frames written to `frames` where it is given."""
        frames = np.empty(self.shape, np.uint8) if frames is None else frames
        flow = None if self.flow is None else np.empty(self.flow, np.float32)
        return Clip(frames, np.empty(self.shape[0], np.bool_), np.empty(self.shape[0], np.int64), flow)


def _arrays(clip: Clip) -> list[NDArray[Any]]:
    """A clip's arrays as they follow each other in a slot."""
    return [clip.frames, clip.mask, clip.indices, *([] if clip.flow is None else [clip.flow])]


class WindowCache:
    """The windows of one selection in one view. It can be pickled and forked; all copies share the file.

    Args:
        path: of the file. slots: how many windows there is room for. made_by: what tags are derived from.

    Raises:
        OSError: the file cannot be opened, or is not this user's own.
    """

    def __init__(self, path: Path, form: Form, slots: int, made_by: str) -> None:
        self._arguments = (path, form, slots, made_by)
        self._path, self._form, self._slots, self._slot_bytes = path, form, slots, form.slot_bytes
        self._key = hashlib.sha256(f"{made_by}:{_boot()}".encode()).digest()
        self._descriptor = _open(path)
        weakref.finalize(self, os.close, self._descriptor)
        self._off = False
        self._kept: set[int] = set()  # slots that were seen whole

    @classmethod
    def open(cls, settings: WindowCacheSettings, selection: Selection, view: View) -> WindowCache | None:
        """The cache of a selection in a view; None, with a line in the log, where nothing can be kept.

        Raises:
            ValueError: a view whose windows differ in size from clip to clip.
        """
        form = Form.of(view)
        made_by = f"{FORMAT}:{selection.sha256}:{view}:{_rendered(selection, view)}:{_decoder(view.backend)}"
        folder = Path(settings.folder).expanduser().absolute()
        # Machines that share a folder over a network have no page cache in common.
        name = hashlib.sha256(f"{made_by}:{platform.node()}".encode()).hexdigest()[:32]
        path = folder / f"windows-{name}.cache"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _locked(folder):
                room = _make_room(path, settings.max_bytes, len(selection) * form.slot_bytes)
                slots = min(len(selection), room // form.slot_bytes)
                if not slots:
                    log.warning(
                        "%s: no window of %d bytes fits: max_bytes=%d, %d are left beside the caches in use",
                        folder, form.slot_bytes, settings.max_bytes, room,
                    )  # fmt: skip
                    return None
                windows = cls(path, form, slots, made_by)
                _resize(windows._descriptor, slots * form.slot_bytes)
                now = time.time_ns()  # the system's own times of files may be the same for some milliseconds
                os.utime(path, ns=(now, now))
                return windows
        except (OSError, ImportError) as error:  # the latter: the system has no locks of this kind
            _say(folder, error)
            return None

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened_again, self._arguments

    def read(self, position: int, out: NDArray[np.uint8] | None) -> Clip | None:
        """A cached window, its frames copied into `out` (T, h, w, C) uint8 where one is given; None: there is none."""
        first, last, tag = bytearray(TAG_BYTES), bytearray(TAG_BYTES), self._tag(position)
        # The tag alone first, where it may lack: reading a slot that was never written costs as much as one that was.
        if position not in self._kept and not (self._read(position, [first]) and first.startswith(tag)):
            return None
        clip = self._form.clip(out)
        # What follows a first tag was whole before it was written; what stands before a last one has not been cut.
        if not self._read(position, [first, *_arrays(clip), last]) or not (first == last and first.startswith(tag)):
            self._kept.discard(position)
            return None
        self._kept.add(position)
        return clip

    def write(self, position: int, clip: Clip) -> None:
        """Keep a window, where it has a slot. A full disk switches the cache off and costs nothing else."""
        if self._off or position >= self._slots or clip.frames.shape != self._form.shape:
            return
        tag, start = self._tag(position) + os.urandom(NUMBER_BYTES), position * self._slot_bytes
        try:
            # In one call, between whose parts nobody can cut the file; the first tag says that all of it was done.
            _write(self._descriptor, [*_arrays(clip), tag], start + TAG_BYTES)
            _write(self._descriptor, [tag], start)
            self._kept.add(position)
        except OSError as error:
            self._fail(error)

    def _tag(self, position: int) -> bytes:
        """What tags of a slot begin with."""
        size = TAG_BYTES - NUMBER_BYTES
        return hashlib.blake2b(position.to_bytes(8, "little"), key=self._key, digest_size=size).digest()

    def _read(self, position: int, parts: list[Any]) -> bool:
        """Fill the parts of a slot; False where the file does not hold them."""
        if position >= self._slots:
            return False
        wanted = sum(memoryview(part).nbytes for part in parts)
        try:
            return os.preadv(self._descriptor, parts, position * self._slot_bytes) == wanted
        except OSError as error:
            self._fail(error)
            return False

    def _fail(self, error: OSError) -> None:
        if not self._off:
            log.warning("%s: the window cache keeps nothing more (%s)", self._path, error.strerror)
        self._off = True


def _opened_again(path: Path, form: Form, slots: int, made_by: str) -> WindowCache | None:
    try:
        return WindowCache(path, form, slots, made_by)
    except OSError as error:
        _say(path, error)
        return None


def _say(path: Path, error: Exception) -> None:
    log.warning("%s: windows cannot be kept (%s)", path, getattr(error, "strerror", None) or error)


def _open(path: Path) -> int:
    """A descriptor of a file of our own, made where it is missing, and a sign to others that it is in use."""
    import fcntl

    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o600)
    try:
        found = os.fstat(descriptor)
        if not (stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1):
            raise PermissionError(0, f"{path.name} is not a plain file of this user")
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _write(descriptor: int, parts: list[Any], start: int) -> None:
    written = os.pwritev(descriptor, parts, start)
    if written < sum(memoryview(part).nbytes for part in parts):
        # A disk that is full takes what it can and says why it takes no more when it is asked again.
        rest = memoryview(b"".join(bytes(part) for part in parts))[written:]
        while rest:
            start, written = start + written, os.pwrite(descriptor, rest, start + written)
            rest = rest[written:]


def _resize(descriptor: int, size: int) -> None:
    """Give the file its size; what others have open becomes no smaller."""
    import fcntl

    if size > os.fstat(descriptor).st_size:
        os.ftruncate(descriptor, size)
    else:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, size)
        fcntl.flock(descriptor, fcntl.LOCK_SH)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time opens caches in a folder."""
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_room(path: Path, most: int, wanted: int) -> int:
    """Remove other caches that nobody has open until `wanted` bytes fit; how many bytes are free for this one."""
    others = {}
    for other in path.parent.iterdir():
        if _NAME.fullmatch(other.name) and other != path:
            with contextlib.suppress(FileNotFoundError):
                others[other] = other.lstat()
    taken = sum(found.st_size for found in others.values())
    for other, found in sorted(others.items(), key=lambda item: item[1].st_mtime_ns):
        if taken + min(wanted, most) <= most:
            break
        if _remove_unused(other):
            taken -= found.st_size
    return max(0, most - taken)


def _remove_unused(path: Path) -> bool:
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _rendered(selection: Selection, view: View) -> str:
    """What the clips of a rendition are: one that is made anew may have other bytes."""
    if view.rendition is None:
        return ""
    hashes = selection.index.rendition(view.rendition)["mp4_sha256"].take(from_numpy(selection.rows))
    return hashlib.sha256("".join(str(each) for each in hashes.to_pylist()).encode()).hexdigest()


@cache
def _decoder(backend: str | None) -> str:
    """What a window depends on besides the view: the code that chooses and decodes frames, the libraries below it."""
    code, room = hashlib.sha256(), Path(__file__).parent
    for file in (room / "windows.py", *sorted((room / "video").glob("*.py"))):
        code.update(file.read_bytes())
    # PyAV also reads what the others would read otherwise.
    own = "" if backend in (None, "pyav") else importlib.import_module(backend).__version__
    return f"{code.hexdigest()}:{av.__version__}:{cv2.__version__}:{own}"


def _boot() -> str:
    """What changes when the machine starts anew: pages that were not on disk by then are lost."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
