"""A cache of ranges in a folder that processes share: bounded, whole or absent, and checked at every read."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from equime_loader.storage.process import PerProcess

_log = logging.getLogger("equime_loader.storage")

# The form of entries is part of the folder's name, so that versions with another form do not meet.
VERSION = "ranges-1"
HASH_BYTES = 32
# Eviction makes more room than is needed at the moment: it has to list all entries.
FILL_AFTER_EVICTION = 0.9
# A file that nobody has written to for so long, seconds, belongs to a writer that was killed.
STALE_S = 600.0
LOCK_PATIENCE_S, LOCK_POLL_S = 30.0, 0.002
_ENTRY = re.compile(r"[0-9a-f]{64}(\.[0-9a-f]+\.tmp)?")


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """Where ranges of remote datasets are kept, and how many bytes of them; the least recently used go first.

    The folder may be shared by any number of processes and datasets. It grows to `max_bytes` and never above.
    """

    folder: str | os.PathLike[str]
    max_bytes: int = 20 * 2**30

    def __post_init__(self) -> None:
        if isinstance(self.max_bytes, bool) or not isinstance(self.max_bytes, int) or self.max_bytes < 1:
            raise ValueError(f"max_bytes={self.max_bytes!r} must be a number of bytes, at least 1")


class _State:
    """What one process knows of the cache."""

    def __init__(self, folder: Path) -> None:
        self.lock = FileLock(folder / "lock", timeout=LOCK_PATIENCE_S)
        self.guard = threading.Lock()
        self.writing = True
        self._said = False

    def say_once(self, warning: str) -> None:
        if not self._said:
            _log.warning("%s", warning)
        self._said = True


class Cache:
    """Entries by name. Each file is the SHA-256 of its content, then the content.

    Writers fill a file beside the entry and rename it, so a reader finds a whole entry or none. Under the lock stands
    only the account of bytes: a writer books its bytes before it writes them, so that all files together, half written
    ones included, never exceed the bound.
    """

    def __init__(self, settings: CacheSettings) -> None:
        self.settings = settings
        self._folder = Path(settings.folder).expanduser().absolute() / VERSION
        self._state: PerProcess[_State] = PerProcess()

    def get(self, name: str, length: int, sha256: str | None = None) -> bytes | None:
        """The content of an entry, None where there is none.

        An entry of another length, with another content than was written, or without the hash `sha256`, is removed.
        """
        path = self._path(name)
        try:
            with open(path, "rb") as file:
                whole = os.fstat(file.fileno()).st_size == HASH_BYTES + length
                written, content = (file.read(HASH_BYTES), file.read(length)) if whole else (b"", b"")
        except OSError:
            return None
        if not whole or hashlib.sha256(content).digest() != written or sha256 not in (None, written.hex()):
            self.drop(name)
            return None
        with contextlib.suppress(OSError):  # another user's, or gone by now
            os.utime(path)  # the last change stands for the last use
        return content

    def put(self, name: str, content: bytes) -> None:
        """Keep an entry if it can be kept: a cache that is full, locked or broken never stops a reader."""
        state = self._state.get(self._open)
        with state.guard:  # threads write one by one, as processes do
            if not state.writing or self._path(name).exists():
                return
            try:
                if (size := HASH_BYTES + len(content)) <= self.settings.max_bytes:
                    self._write(state, name, hashlib.sha256(content).digest() + content)
                else:
                    fit = f"{size} bytes do not fit and are not kept; raise max_bytes={self.settings.max_bytes}"
                    state.say_once(f"{self.settings.folder}: {fit} of the cache")
            except FileNotFoundError:
                pass  # the folder was removed a moment ago; the next entry makes it again
            except OSError as error:
                state.writing = False
                why = f"cannot be written ({error.strerror or 'locked by another process'})"
                state.say_once(f"{self.settings.folder}: the cache {why}; this process keeps nothing more")

    def drop(self, name: str) -> None:
        """Remove an entry, if it is there."""
        with contextlib.suppress(OSError):
            self._path(name).unlink()

    def _open(self) -> _State:
        with contextlib.suppress(OSError):  # put() says why it cannot be written
            self._folder.mkdir(parents=True, exist_ok=True)
        return _State(self._folder)

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name

    def _write(self, state: _State, name: str, data: bytes) -> None:
        target = self._path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f"{name}.{secrets.token_hex(8)}.tmp")
        try:
            if not self._book(state, temporary, len(data)):
                return
            with open(temporary, "r+b", buffering=0) as file:
                view = memoryview(data)
                while view:
                    view = view[os.write(file.fileno(), view) :]
            with contextlib.suppress(FileNotFoundError):  # taken for a killed writer's: then there is no entry
                os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    def _book(self, state: _State, temporary: Path, size: int) -> bool:
        """Make `temporary` with its size if that leaves the cache in its bounds; whether it does."""
        with state.lock.acquire(poll_interval=LOCK_POLL_S):
            account = self._folder / "bytes"
            try:
                total = int(account.read_bytes())
            except (OSError, ValueError):
                total = self.settings.max_bytes  # not known: count
            if total + size > self.settings.max_bytes:
                total = self._make_room(size)
            if total + size > self.settings.max_bytes:
                return False
            account.write_bytes(b"%d" % (total + size))
            with open(temporary, "xb") as file:
                file.truncate(size)
            return True

    def _make_room(self, size: int) -> int:
        """Remove the entries that were used longest ago; how many bytes are left."""
        now, total, entries = time.time(), 0, []
        for path in self._files():
            with contextlib.suppress(OSError):
                found = path.stat()
                half = path.suffix == ".tmp"
                if half and now - found.st_mtime > STALE_S:
                    path.unlink()
                    continue
                total += found.st_size
                if not half:
                    entries.append((found.st_mtime_ns, found.st_size, path))
        enough = min(int(FILL_AFTER_EVICTION * self.settings.max_bytes), self.settings.max_bytes - size)
        for _, length, path in sorted(entries):
            if total <= enough:
                break
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            total -= length
        return total

    def _files(self) -> Iterator[Path]:
        """Entries and half-written ones. What else may lie in the folder is nobody's of ours."""
        for folder in self._folder.iterdir():
            if re.fullmatch("[0-9a-f]{2}", folder.name) and folder.is_dir():
                with contextlib.suppress(OSError):
                    yield from (path for path in folder.iterdir() if _ENTRY.fullmatch(path.name))
