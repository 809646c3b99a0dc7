"""A dataset elsewhere: ranges from a source, tried again, checked, kept in a cache."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from equime_loader.storage.cache import Cache
from equime_loader.storage.errors import CorruptionError, MissingError, StorageError, place
from equime_loader.storage.manifest import DATASET, MAX_MANIFEST_BYTES, Listed, Manifest, parse_manifest
from equime_loader.storage.paths import check_path, check_range, expected_hashes
from equime_loader.storage.process import PerProcess
from equime_loader.storage.ranges import Span, spans
from equime_loader.storage.retry import Retries, persist
from equime_loader.storage.source import Source
from equime_loader.storage.store import Range, Store

_log = logging.getLogger("equime_loader.storage")

# Requests at a time. More of them hardly bring more, and a server may take them for an attack.
PARALLEL = 8
# Bytes with a wrong hash are asked for so many times, the first included: a copy on the way may be at fault.
HASH_ATTEMPTS = 3
# Whole files come in pieces of this size, so that what fails is made again in part only.
PIECE = 8 * 2**20
# Files that the manifest does not list have no stated size; this is what they may have.
MAX_UNLISTED_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One range, the hash that it must have, and its name in the cache, each where there is one."""

    start: int
    length: int
    sha256: str | None
    name: str | None


class _Fetched:
    """A folder for whole files, removed with the store or at the end of the process that made it."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="equime-"))
        self.remove = weakref.finalize(self, _remove, self.path, os.getpid())


def _remove(folder: Path, process: int) -> None:
    if process == os.getpid():  # and not in a child that was forked
        shutil.rmtree(folder, ignore_errors=True)


class RemoteStore(Store):
    """See `Store`. A read goes to the cache first, then to the source; at most eight requests run at a time."""

    def __init__(self, source: Source, *, cache: Cache | None = None, retries: Retries | None = None) -> None:
        self.root = source.root
        self._source, self._cache, self._retries = source, cache, retries or Retries()
        # Learned when it is needed, and taken along to worker processes: whether there is a manifest, and which.
        self._manifest: tuple[Manifest | None] | None = None
        self._pool: PerProcess[ThreadPoolExecutor] = PerProcess()
        # Set when nobody waits any more for what is being read.
        self._given_up: PerProcess[threading.Event] = PerProcess()
        self._fetched: PerProcess[_Fetched] = PerProcess()

    def __repr__(self) -> str:
        return f"RemoteStore({self.root!r})"

    def read_each(
        self, path: str, ranges: Sequence[Range], *, sha256: Sequence[str | None] | None = None
    ) -> list[bytes | StorageError]:
        """See `Store.read_each`."""
        check_path(path)
        wanted = [
            self._wanted(path, offset, length, known)
            for (offset, length), known in zip(ranges, expected_hashes(ranges, sha256), strict=True)
        ]
        return self._answers(path, wanted)

    def file(self, path: str) -> Path:
        """See `Store.file`. Files that the dataset's manifest lists are checked against it."""
        target = self._fetched.get(_Fetched).path.joinpath(*check_path(path).split("/"))
        if target.exists():
            return target
        manifest = self.manifest() if path != DATASET else None
        listed = manifest.files.get(path) if manifest else None
        target.parent.mkdir(parents=True, exist_ok=True)
        half = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            self._fetch_listed(path, listed, half) if listed else half.write_bytes(self._whole(path))
            os.replace(half, target)
        except OSError as error:
            raise StorageError(f"{target}: cannot be written ({error.strerror})") from error
        finally:
            half.unlink(missing_ok=True)
        return target

    def manifest(self) -> Manifest | None:
        """The dataset's manifest; None, said in the log, where it has none.

        Raises:
            CorruptionError: it is damaged. StorageError: it cannot be read.
        """
        if self._manifest is None:
            try:
                self._manifest = (self._read_manifest(),)
            except MissingError:
                _log.warning("%s: has no %s, so its files cannot be checked", self.root, DATASET)
                self._manifest = (None,)
        return self._manifest[0]

    def close(self) -> None:
        """See `Store.close`. Reads that are under way end with their next failure."""
        if given_up := self._given_up.drop():
            given_up.set()
        self._source.close()
        if pool := self._pool.drop():
            pool.shutdown(cancel_futures=True)
        if fetched := self._fetched.drop():
            fetched.remove()

    # --- ranges

    def _wanted(self, path: str, offset: int, length: int, sha256: str | None) -> _Wanted | StorageError:
        try:
            start, length = check_range(path, offset, length)
        except StorageError as error:
            return error
        name = None
        if self._cache and length:
            if sha256 is not None:
                name = _name("content", sha256, length)
            elif version := self._version():
                name = _name("range", self.root, version, path, start, length)
        return _Wanted(start, length, sha256, name)

    def _version(self) -> str | None:
        """What tells this state of the dataset from one that may lie there later; None where nothing does."""
        if self._source.version is None and (manifest := self.manifest()):
            return manifest.content_sha256
        return self._source.version

    def _answers(self, path: str, wanted: Sequence[_Wanted | StorageError]) -> list[bytes | StorageError]:
        answers = [one if isinstance(one, StorageError) else self._kept(one) for one in wanted]
        missing = [
            (number, one)
            for number, one in enumerate(wanted)
            if answers[number] is None and not isinstance(one, StorageError)
        ]
        requests = spans([(one.start, one.length) for _, one in missing])
        jobs = [(span, [missing[member][1] for member in span.members]) for span in requests]
        for (span, _), brought in zip(jobs, self._brought(path, jobs), strict=True):
            for member, answer in zip(span.members, brought, strict=True):
                answers[missing[member][0]] = answer
        return [b"" if answer is None else answer for answer in answers]

    def _kept(self, one: _Wanted) -> bytes | None:
        """A range that needs no request."""
        if not one.length:
            return b""
        return self._cache.get(one.name, one.length, one.sha256) if self._cache and one.name else None

    def _brought(self, path: str, jobs: Sequence[tuple[Span, list[_Wanted]]]) -> Iterator[list[bytes | StorageError]]:
        """The answers to each job; several jobs run side by side."""
        given_up = self._given_up.get(threading.Event)
        if len(jobs) <= 1:
            yield from (self._span(path, span, wanted, given_up) for span, wanted in jobs)
            return
        pool = self._pool.get(lambda: ThreadPoolExecutor(PARALLEL, thread_name_prefix="equime-read"))
        running = [pool.submit(self._span, path, span, wanted, given_up) for span, wanted in jobs]
        try:
            for future in running:
                yield future.result()
        except BaseException:  # Ctrl-C: do not wait for a server that does not answer
            self.close()
            raise

    def _span(
        self, path: str, span: Span, wanted: Sequence[_Wanted], given_up: threading.Event
    ) -> list[bytes | StorageError]:
        """One request and what it brings for each range in it."""
        try:
            body = self._range(path, span.start, span.length, given_up)
        except CorruptionError as error:  # a range beyond the end must not cost its neighbors
            if len(wanted) == 1:
                return [error]
            alone = [Span(one.start, one.length, (0,)) for one in wanted]
            return [self._span(path, one, [who], given_up)[0] for one, who in zip(alone, wanted, strict=True)]
        except StorageError as error:
            return [error] * len(wanted)
        first = span.start
        parts = [body[one.start - first : one.start - first + one.length] for one in wanted]
        return [self._checked(path, one, part, given_up) for one, part in zip(wanted, parts, strict=True)]

    def _checked(self, path: str, one: _Wanted, data: bytes, given_up: threading.Event) -> bytes | StorageError:
        """The bytes of a range, asked for again while their hash is wrong; the right ones are kept."""
        for attempt in range(HASH_ATTEMPTS):
            found = hashlib.sha256(data).hexdigest() if one.sha256 is not None else None
            if found == one.sha256:
                if self._cache and one.name:
                    self._cache.put(one.name, data)
                return data
            if attempt < HASH_ATTEMPTS - 1:
                try:
                    data = self._range(path, one.start, one.length, given_up)
                except StorageError as error:
                    return error
        where = place(self.root, path, one.start, one.length)
        return CorruptionError(
            f"{where}: sha256 is {str(found)[:12]}…, {str(one.sha256)[:12]}… was expected; read {HASH_ATTEMPTS} times"
        )

    def _range(self, path: str, start: int, length: int, given_up: threading.Event) -> bytes:
        where = place(self.root, path, start, length)
        return persist(lambda: self._source.fetch(path, start, length), self._retries, where, given_up)

    # --- whole files

    def _read_manifest(self) -> Manifest:
        for _ in range(HASH_ATTEMPTS):
            data = self._whole(DATASET)
            try:
                return parse_manifest(data)
            except ValueError as error:
                why = str(error)
        raise CorruptionError(f"{self.root}/{DATASET}: {why}")

    def _whole(self, path: str) -> bytes:
        """A file whose size is not known, of at most 64 MiB."""
        most = MAX_MANIFEST_BYTES if path == DATASET else MAX_UNLISTED_BYTES
        what = f"{self.root}/{path}"
        data = persist(lambda: self._source.fetch(path, 0, most + 1, at_most=True), self._retries, what)
        if len(data) > most:
            raise StorageError(f"{what}: is not listed in the manifest and larger than {most} bytes")
        return data

    def _fetch_listed(self, path: str, listed: Listed, target: Path) -> None:
        """Write a file whose size and hash are known, a few pieces in memory at a time."""
        starts = range(0, listed.bytes, PIECE)
        pieces = [(start, min(PIECE, listed.bytes - start)) for start in starts]
        names = [_name("piece", listed.sha256, *piece) for piece in pieces]
        wanted = [_Wanted(*piece, None, name) for piece, name in zip(pieces, names, strict=True)]
        for _ in range(HASH_ATTEMPTS):
            found = hashlib.sha256()
            with open(target, "wb") as file:
                for first in range(0, len(wanted), PARALLEL):
                    for answer in self._answers(path, wanted[first : first + PARALLEL]):
                        if isinstance(answer, StorageError):
                            raise answer
                        found.update(answer)
                        file.write(answer)
            if found.hexdigest() == listed.sha256:
                return
            for name in names if self._cache else ():
                self._cache.drop(name)  # type: ignore[union-attr]
        raise CorruptionError(
            f"{self.root}/{path}: sha256 is {found.hexdigest()[:12]}…, the manifest says {listed.sha256[:12]}…"
        )


def _name(*what: str | int) -> str:
    """Name of an entry of the cache: a hash, so that nothing an index says becomes part of a path."""
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()
