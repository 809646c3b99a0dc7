"""A source: one attempt to read bytes from somewhere else. The remote store tries again, checks and keeps."""

from __future__ import annotations

import socket
from typing import Any, Protocol

from equime_loader.storage.errors import (
    AccessError,
    CorruptionError,
    Failure,
    MissingError,
    StorageError,
    one_line,
)
from equime_loader.storage.process import PerProcess, fsspec_loop


class Source(Protocol):
    """Sources can be pickled and shared between threads; connections are made in the process that uses them.

    Attributes:
        root: the URL, for messages; holds no secret.
        version: names the state of the dataset where the source knows one (a commit), else None.
    """

    root: str
    version: str | None

    def fetch(self, path: str, start: int, length: int, *, at_most: bool = False) -> bytes | Failure:
        """One attempt at `length` > 0 bytes; fewer are an answer only where `at_most` says so and the file ends."""

    def close(self) -> None:
        """Close the connections of this process. A later fetch makes new ones."""


class Token:
    """A secret that no print, log or traceback shows. It is pickled, so that worker processes can log in."""

    __slots__ = ("secret",)

    def __init__(self, secret: str) -> None:
        """
        Raises:
            ValueError: empty, or with letters that no token has (the message does not show it).
        """
        if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
            raise ValueError("token must be printable ASCII letters without spaces; check how it was copied")
        self.secret = secret

    def __repr__(self) -> str:
        return "Token(***)"


class FsspecSource(Source):
    """Any filesystem of fsspec (s3, gs, memory …) through ``cat_file``. Its own options bound its patience."""

    version = None

    def __init__(self, root: str, options: dict[str, Any]) -> None:
        """
        Raises:
            ValueError: a protocol that fsspec does not know, or whose package is not installed.
            StorageError: the filesystem logs in at once, and cannot.
        """
        self.root = root
        self._options = options
        self._opened: PerProcess[tuple[Any, str]] = PerProcess()
        self._filesystem()

    def __repr__(self) -> str:
        return f"FsspecSource({self.root!r})"

    def _filesystem(self) -> tuple[Any, str]:
        def connect() -> tuple[Any, str]:
            import fsspec

            fsspec_loop()
            try:
                # Without the cache of instances, so that no event loop of a parent process is met after a fork.
                return fsspec.core.url_to_fs(self.root, skip_instance_cache=True, **self._options)  # type: ignore[no-any-return]
            except (ImportError, TypeError, ValueError) as error:
                raise ValueError(f"{self.root}: cannot be opened ({one_line(str(error))})") from None
            except Exception as error:  # some log in at once, and each has errors of its own
                raise StorageError(f"{self.root}: cannot be reached ({_cause(error)})") from None

        return self._opened.get(connect)

    def fetch(self, path: str, start: int, length: int, *, at_most: bool = False) -> bytes | Failure:
        """See `Source.fetch`."""
        from fsspec.asyn import AsyncFileSystem

        try:
            filesystem, folder = self._filesystem()
        except StorageError as error:
            return Failure(str(error).removeprefix(f"{self.root}: "), again=True)
        # Filesystems that read through a file object read ahead by default: some MB for a clip.
        exactly = {} if isinstance(filesystem, AsyncFileSystem) else {"cache_type": "none"}
        try:
            data = filesystem.cat_file(f"{folder}/{path}", start=start, end=start + length, **exactly)
        except FileNotFoundError:
            return Failure("no such file", again=False, error=MissingError)
        except PermissionError:
            reason = "access refused; ask the owners of the storage, or check the login that fsspec was given"
            return Failure(reason, again=False, error=AccessError)
        except (NotImplementedError, TypeError, ImportError) as error:
            return Failure(f"this filesystem cannot read ranges ({type(error).__name__})", again=False)
        except Exception as error:  # each filesystem has its own, and most of them pass
            return Failure(f"{type(error).__name__} while reading", again=True)
        if len(data) < length and not at_most:
            return Failure(f"{len(data)} bytes came, {length} were asked for", again=True, error=CorruptionError)
        return bytes(data) if len(data) <= length else Failure("more bytes came than were asked for", again=True)

    def close(self) -> None:
        """See `Source.close`."""
        self._opened.drop()


def _cause(error: Exception) -> str:
    """What a filesystem could not do. Its own words may hold what it was given; those of the network do not."""
    told = isinstance(error, (ConnectionError, TimeoutError, socket.gaierror)) and error.strerror
    return one_line(told or type(error).__name__)
