"""A store: the bytes of one dataset, by path and range."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from equime_loader.storage.errors import StorageError

Range = tuple[int, int]


class Store(Protocol):
    """Where a dataset lies. Stores are safe to share between threads, can be pickled, and survive a fork.

    Paths are relative to the dataset, with slashes. `sha256` is the hexadecimal hash that the bytes must have, where
    it is known; bytes with another are read again, and at last refused.

    Attributes:
        root: the folder or URL, as it was opened.
    """

    root: str

    def read(self, path: str, offset: int, length: int, *, sha256: str | None = None) -> bytes:
        """Exactly `length` bytes from `offset`.

        Raises:
            PathError: the path leads out of the dataset. MissingError: no such file. AccessError: it must be asked
            for. CorruptionError: the file ends before, or the bytes have another hash. StorageError: all else.
        """
        (answer,) = self.read_each(path, [(offset, length)], sha256=[sha256])
        if isinstance(answer, StorageError):
            raise answer
        return answer

    def read_many(
        self, path: str, ranges: Sequence[Range], *, sha256: Sequence[str | None] | None = None
    ) -> list[bytes]:
        """The bytes of each ``(offset, length)``, in their order, in as few requests as will do.

        Raises:
            StorageError: the first range that cannot be read; see `read`.
        """
        answers = self.read_each(path, ranges, sha256=sha256)
        if failed := next((answer for answer in answers if isinstance(answer, StorageError)), None):
            raise failed
        return [answer for answer in answers if not isinstance(answer, StorageError)]

    @abstractmethod
    def read_each(
        self, path: str, ranges: Sequence[Range], *, sha256: Sequence[str | None] | None = None
    ) -> list[bytes | StorageError]:
        """As `read_many`, but a range that cannot be read gives its error in its place and costs no other.

        Raises:
            PathError: the path leads out of the dataset.
        """

    @abstractmethod
    def file(self, path: str) -> Path:
        """A whole file as a local path that stays until the store is closed.

        Raises:
            as `read`.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of descriptors, connections and fetched files. A later read opens what it needs again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
