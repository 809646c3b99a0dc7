"""What may be asked of a store: paths that stay inside the dataset, and ranges that can exist."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from equime_loader.storage.errors import PathError, StorageError

MAX_PATH_LETTERS = 1024
# A shard of any size can be read, but not in one piece: an index that lies must not fill the memory.
MAX_RANGE_BYTES = 2**30


def check_path(path: str) -> str:
    """A path of the dataset, as it was given.

    Raises:
        PathError: not relative, not in plain POSIX form, or with a part that leads elsewhere.
    """
    if not isinstance(path, str) or not path or len(path) > MAX_PATH_LETTERS:
        raise PathError(f"path={str(path)[:80]!r} must be 1 to {MAX_PATH_LETTERS} letters of text")
    # A colon is a drive or a stream on Windows and a scheme in a URL; none of our files has one.
    if "\\" in path or ":" in path or not path.isprintable():
        raise PathError(f"path={path!r} must hold no backslash, colon or control character")
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise PathError(f"path={path!r} must be relative to the dataset and lead to a file inside of it")
    return path


def check_range(path: str, start: int, length: int) -> tuple[int, int]:
    """A byte range as plain integers.

    Raises:
        StorageError: a negative start or length, or more than 1 GiB in one piece.
    """
    start, length = operator.index(start), operator.index(length)
    if start < 0 or start >= 2**63:
        raise StorageError(f"{path}: offset={start} must lie within 0..2**63-1")
    if not 0 <= length <= MAX_RANGE_BYTES:
        raise StorageError(f"{path}: length={length} must lie within 0..{MAX_RANGE_BYTES}")
    return start, length


def expected_hashes(ranges: Sequence[tuple[int, int]], sha256: Sequence[str | None] | None) -> Sequence[str | None]:
    """One expected hash, or None, for each range.

    Raises:
        ValueError: another number of hashes than of ranges.
    """
    if sha256 is None:
        return [None] * len(ranges)
    if len(sha256) != len(ranges):
        raise ValueError(f"sha256 has {len(sha256)} entries for {len(ranges)} ranges")
    return sha256
