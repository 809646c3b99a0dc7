"""A dataset in a folder of this machine: byte ranges by positional reads on a few open descriptors.

Positional reads were chosen over memory maps: they cost the same for a clip (some microseconds in a few milliseconds
of decoding), and a file that is cut while it is open gives an error instead of a signal that ends the process.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from equime_loader.storage.errors import CorruptionError, MissingError, PathError, StorageError, place
from equime_loader.storage.paths import check_path, check_range, expected_hashes
from equime_loader.storage.store import Range, Store

MAX_OPEN_FILES = 64
# Never wait for the other end of a pipe, never follow a link that came after the check, never hand on to a child.
_FLAGS = os.O_RDONLY | sum(
    getattr(os, f"O_{name}", 0) for name in ("BINARY", "CLOEXEC", "NOCTTY", "NOFOLLOW", "NONBLOCK")
)


class _File:
    """An open descriptor. It is closed when the last reader lets go of it, so eviction never closes one in use."""

    __slots__ = ("descriptor",)

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, _FLAGS)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # at the end of a program `os` is gone
        if hasattr(self, "descriptor"):
            close(self.descriptor)

    def is_plain(self) -> bool:
        return stat.S_ISREG(os.fstat(self.descriptor).st_mode)

    def size(self) -> int:
        return os.fstat(self.descriptor).st_size

    def read(self, start: int, length: int) -> bytes:
        """`length` bytes, or what is left of the file."""
        data = _pread(self.descriptor, length, start)
        while len(data) < length and (more := _pread(self.descriptor, length - len(data), start + len(data))):
            data += more
        return data


_seeking = threading.Lock()


def _seek_and_read(descriptor: int, length: int, start: int) -> bytes:
    """Positional read for systems that have none."""
    with _seeking:
        os.lseek(descriptor, start, os.SEEK_SET)
        return os.read(descriptor, length)


_pread = getattr(os, "pread", _seek_and_read)


class _Opened:
    """Descriptors of one process. A child that was forked starts with none, and with a lock of its own."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.lock = threading.Lock()
        self.files: OrderedDict[str, _File] = OrderedDict()


class LocalStore(Store):
    """See `Store`. Links are followed as long as they stay in the folder, or in the blobs of a Hub download."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        """
        Raises:
            MissingError: no such folder, or a file of that name.
        """
        self.root = os.fspath(root)
        self._folder = os.path.realpath(os.path.expanduser(self.root))
        if not os.path.isdir(self._folder):
            is_file = os.path.exists(self._folder)
            raise MissingError(f"{self.root}: {'a file, not a folder' if is_file else 'no such folder'}")
        self._within = (self._folder, *_blobs(self._folder))
        self._opened = _Opened()

    def __repr__(self) -> str:
        return f"LocalStore({self.root!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_opened"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._opened = _Opened()

    def read(self, path: str, offset: int, length: int, *, sha256: str | None = None) -> bytes:
        """See `Store.read`."""
        start, length = check_range(path, offset, length)
        file = self._file(path)
        try:
            # The size first: memory for what an index claims is only taken when the file has it.
            data = b"" if start + length > file.size() else file.read(start, length)
        except OSError as error:
            raise StorageError(f"{place(self.root, path, start, length)}: {error.strerror}") from error
        if len(data) != length:
            where = place(self.root, path, start, length)
            raise CorruptionError(f"{where}: the file ends at byte {file.size() - 1}; it is cut, or of another build")
        if sha256 is not None and (found := hashlib.sha256(data).hexdigest()) != sha256:
            where = place(self.root, path, start, length)
            raise CorruptionError(f"{where}: sha256 is {found[:12]}…, {sha256[:12]}… was expected")
        return data

    def read_each(
        self, path: str, ranges: Sequence[Range], *, sha256: Sequence[str | None] | None = None
    ) -> list[bytes | StorageError]:
        """See `Store.read_each`."""
        expected = expected_hashes(ranges, sha256)
        check_path(path)
        answers: list[bytes | StorageError] = []
        for (offset, length), known in zip(ranges, expected, strict=True):
            try:
                answers.append(self.read(path, offset, length, sha256=known))
            except StorageError as error:
                answers.append(error)
        return answers

    def file(self, path: str) -> Path:
        """The file itself, where it lies. Its hash is not checked: `equime verify` does that for a whole folder."""
        self._file(path)
        return Path(self._inside(path))

    def close(self) -> None:
        """See `Store.close`."""
        self._opened = _Opened()

    def _file(self, path: str) -> _File:
        opened = self._opened
        if opened.process != os.getpid():
            opened = self._opened = _Opened()
        with opened.lock:
            if file := opened.files.get(path):
                opened.files.move_to_end(path)
                return file
        file = self._open(path)
        with opened.lock:
            opened.files[path] = file
            while len(opened.files) > MAX_OPEN_FILES:
                opened.files.popitem(last=False)
        return file

    def _open(self, path: str) -> _File:
        try:
            file = _File(self._inside(path))
            plain = file.is_plain()
        except (FileNotFoundError, NotADirectoryError):
            raise MissingError(f"{self.root}/{path}: no such file") from None
        except OSError as error:
            raise StorageError(f"{self.root}/{path}: {error.strerror}") from error
        if not plain:
            raise PathError(f"{self.root}/{path}: is no plain file")
        return file

    def _inside(self, path: str) -> str:
        """The real path of a file of the dataset."""
        real = os.path.realpath(os.path.join(self._folder, *check_path(path).split("/")))
        if not any(real.startswith(os.path.join(folder, "")) for folder in self._within):
            raise PathError(f"{self.root}/{path}: leads out of the dataset's folder; links may only point into it")
        return real


def _blobs(folder: str) -> tuple[str, ...]:
    """Where the files of a Hub snapshot really lie: ``REPOSITORY/snapshots/COMMIT/x`` links to ``REPOSITORY/blobs``."""
    parent, _ = os.path.split(folder)
    blobs = os.path.join(os.path.dirname(parent), "blobs")
    return (blobs,) if os.path.basename(parent) == "snapshots" and os.path.isdir(blobs) else ()
