"""Whether a folder is a dataset's: what every command that takes one asks first, and the answers."""

from __future__ import annotations

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


def is_dataset(folder: Path) -> bool:
    """Whether a folder holds the plan of a dataset.

    Raises:
        FolderError: there is no such folder, or its name is not UTF-8.
    """
    check_name(folder)
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
        raise FolderError(f"{folder}: no EquiME dataset; it has no {HEADER}")


def check_complete(folder: Path) -> None:
    """Check that a folder is a dataset's whose build or import has ended.

    Raises:
        FolderError: it has not ended, the folder is no dataset's, or there is no such folder.
    """
    check_dataset(folder)
    if not (folder / INDEX).is_file():
        raise FolderError(f"{folder}: has no {INDEX}; finish the build first")
