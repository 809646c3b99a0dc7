"""Locks as files that are there only while they are held. A process that is killed leaves a file, and no lock.

A holder removes the file before it lets go of the lock, and who has locked a file looks whether it still lies there:
so two processes never hold one lock, however often its file comes and goes.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from filelock import lock_descriptor, unlock_descriptor

# A link in the place of a lock is not followed, on systems that can be told so.
FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)


def take(path: Path) -> int | None:
    """Descriptor of a lock's file, locked, which `give_back` takes; None where another one holds it.

    Raises:
        OSError: the file cannot be made or opened, or the file system has no locks.
    """
    while True:
        try:
            descriptor = os.open(path, FLAGS, 0o666)
        except FileNotFoundError:
            try:
                for folder in (
                    path.parents[1],
                    path.parent,
                ):  # not the dataset's own: an edition may take its place now
                    folder.mkdir(exist_ok=True)
            except (FileExistsError, FileNotFoundError):
                return None  # another holder removes it while it is made here
            continue
        try:
            locked = lock_descriptor(descriptor, blocking=False)
            if locked and _lies_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if not locked:
            return None
        # Its holder removed the file after it was opened here: a lock of it keeps nobody out.


def give_back(path: Path, descriptor: int) -> None:
    """Remove a lock's file, and the folder of locks with the last one, and drop the lock."""
    try:
        # While it is held: afterwards the file at this path may be another holder's. It is not this one's either where
        # an edition has taken the folder's place.
        with suppress(OSError):
            if _lies_at(path, descriptor):
                path.unlink()
        unlock_descriptor(descriptor)
    finally:
        os.close(descriptor)
    with suppress(OSError):
        path.parent.rmdir()


def clear(folder: Path) -> None:
    """Remove the files of locks that nobody holds, as killed processes leave them."""
    with suppress(OSError):
        for path in list(folder.iterdir()):
            if (descriptor := take(path)) is not None:
                give_back(path, descriptor)


def _lies_at(path: Path, descriptor: int) -> bool:
    """Whether an open file is the one that lies at a path."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESTALE):  # the latter of NFS, where another node removed the file
            return False
        raise
