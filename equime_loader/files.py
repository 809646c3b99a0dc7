"""Finding files, and writing them so that a reader never sees half of one."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY_SUFFIX = ".tmp"


@contextmanager
def replacing(target: Path, *, shared: bool = False) -> Iterator[Path]:
    """Path of a temporary file beside `target`, which takes its place when the block ends well.

    The file is flushed to disk before the rename and the folder after it. When the block raises, the temporary file
    is removed and the target stays as it was.

    Args:
        shared: whether several processes may write the target at once. Each then has a temporary file of its own, and
            one that is killed leaves it behind; else the next attempt takes the place of what a kill left.

    Raises:
        OSError: the file cannot be written; the error names the target.
    """
    own = f".{secrets.token_hex(4)}" if shared else ""
    temporary = target.with_name(f".{target.name}{own}{TEMPORARY_SUFFIX}")
    try:
        yield temporary
        flush(temporary)
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(temporary), temporary):
            raise OSError(error.errno, os.strerror(error.errno), str(target)) from error
        raise
    flush(target.parent)


def write_atomic(target: Path, data: bytes, *, shared: bool = False) -> None:
    """Write bytes so that `target` holds all of them or what it held before; `shared` as in `replacing`."""
    with replacing(target, shared=shared) as temporary:
        temporary.write_bytes(data)


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_in(root: Path) -> Iterator[str]:
    """Relative paths of all files and broken links below a folder, sorted; nothing hidden or in hidden folders."""
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        broken = path.is_symlink() and not path.exists()
        if (path.is_file() or broken) and not any(part.startswith(".") for part in relative.parts):
            yield relative.as_posix()


def flush(path: Path) -> None:
    """Flush a file, or what a folder lists, to disk; where folders cannot be flushed, a rename in them is atomic still.

    Raises:
        OSError: the file cannot be flushed.
    """
    if not path.is_dir():
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
        return
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
