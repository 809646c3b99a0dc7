"""Whether a folder is a dataset's: what every command that takes one asks first, and the answers."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from equime_builder.manifest import HEADER, INDEX, FolderError


def check_name(folder: Path) -> None:
    """Check that a folder, which may not be there yet, can be named to the libraries that write datasets.

    Raises:
        FolderError: the name holds bytes that are no UTF-8.
    """
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        raise FolderError(f"{folder}: a name that is not UTF-8; choose another") from error


def before_of(root: Path) -> Path:
    """Where a folder lies that an edition replaced."""
    return root.with_name(f"{root.name}-before")


def edition_of(root: Path) -> Path:
    """Where an edition lies that is complete and has not yet taken the folder's place."""
    return root.with_name(f".{root.name}.edition")


def resume_replacing(root: Path) -> None:
    """Put an edition in its place where the folder has left it; whoever sees that first does it."""
    root = root.resolve()
    if not root.exists() and before_of(root).exists():
        with suppress(FileNotFoundError):
            os.replace(edition_of(root), root)


def is_dataset(folder: Path) -> bool:
    """Whether a folder holds the plan of a dataset. An edition that has not yet taken its place does so.

    Raises:
        FolderError: there is no such folder, or its name is not UTF-8.
    """
    check_name(folder)
    resume_replacing(folder)
    if not folder.exists():
        raise FolderError(f"{folder}: no such folder")
    if not folder.is_dir():
        raise FolderError(f"{folder}: a file, not a folder")
    return (folder / HEADER).is_file()


def check_dataset(folder: Path) -> None:
    """Check that a folder is a dataset's, finished or not.

    Raises:
        FolderError: it is not, or there is no such folder.
    """
    if not is_dataset(folder):
        inner = min(folder.glob(f"*/{HEADER}"), default=None)
        hint = f", but {inner.parents[1]} is one" if inner else f"; it has no {HEADER}"
        raise FolderError(f"{folder}: no EquiME dataset{hint}")


def check_complete(folder: Path) -> None:
    """Check that a folder is a dataset's whose build or import has ended.

    Raises:
        FolderError: it has not ended, the folder is no dataset's, or there is no such folder.
    """
    check_dataset(folder)
    if not (folder / INDEX).is_file():
        raise FolderError(f"{folder}: has no {INDEX}; finish the build first, with the options that it was begun with")
