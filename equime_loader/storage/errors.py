"""Errors of storage: one line each that names the file, the bytes and the cause. None ever holds a token."""

from __future__ import annotations

from dataclasses import dataclass


class StorageError(ValueError):
    """Bytes that cannot be had."""


class PathError(StorageError):
    """A path that leads out of the dataset, or to something that is no plain file."""


class MissingError(StorageError):
    """A file, or a whole dataset, that is not there."""


class AccessError(StorageError):
    """A dataset that must be asked for first, or a login that was not accepted."""


class CorruptionError(StorageError):
    """Bytes that were read and are not those that the dataset was built with."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one attempt to read brought nothing.

    Attributes:
        reason: for people, one line.
        again: whether another attempt may do better.
        wait_s: how long the server asked to be left alone, seconds.
        error: what to raise when there is no other attempt.
    """

    reason: str
    again: bool
    wait_s: float = 0.0
    error: type[StorageError] = StorageError


def place(root: str, path: str, start: int, length: int) -> str:
    """A byte range as messages name it, e.g. ``data/equime/wds/train-00000.tar, bytes 512-1023``."""
    return f"{root}/{path}, bytes {start}-{start + length - 1}" if length else f"{root}/{path}, no bytes at {start}"


def one_line(text: str, longest: int = 200) -> str:
    """Text of somebody else as part of a message: one line of printable characters, cut at `longest`."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
