"""What a publication consists of: every file of a verified folder, with its size and hash; and how it compares."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from equime_builder import manifest
from equime_builder.finish import CARD, hashed_files
from equime_loader.files import file_sha256

# The Hub writes this file itself when a repository is made.
OWN_OF_THE_HUB = frozenset({".gitattributes"})
# Limits that the Hub recommends (its documentation, "Storage limits and recommendations").
MOST_FILES, MOST_IN_FOLDER, LARGEST_BYTES = 100_000, 10_000, 200 * 10**9
BATCH_FILES, BATCH_BYTES = 100, 2 * 2**30


@dataclass(frozen=True, slots=True)
class Planned:
    """A file that is to be published. `path` is relative to the folder and to the repository, `size` in bytes."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Remote:
    """A file of a repository. `oid` is the one of git; `sha256` that of the content, None where git holds it."""

    path: str
    size: int
    oid: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Changes:
    """What makes the files of a repository those of a folder; paths in the order in which they are sent."""

    add: tuple[Planned, ...]
    replace: tuple[Planned, ...]
    keep: tuple[Planned, ...]
    delete: tuple[str, ...]

    @property
    def send(self) -> tuple[Planned, ...]:
        return (*self.add, *self.replace)

    def __bool__(self) -> bool:
        return bool(self.send or self.delete)


def planned_files(root: Path) -> tuple[Planned, ...]:
    """Every file of a finished folder: shards first, then what is beside them, the card last.

    Hashes of shards are those of their committed lines, which `verify` has compared with the files.

    Raises:
        FolderError: a shard is not committed.
        ValueError: more or larger files than the Hub takes.
    """
    found: list[Planned] = []
    lines: list[str] = []
    for shard, commit in manifest.committed(root):
        found += [Planned(file["path"], file["bytes"], file["sha256"]) for file in commit.files.values()]
        lines.append(manifest.commit_path(root, shard).relative_to(root).as_posix())
    beside = [*lines, *(path for path in hashed_files(root) if path != CARD), manifest.DATASET]
    beside += [path for path in manifest.plan_files(manifest.folder_header(root)) if path not in beside]
    found += [_described(root, path) for path in beside]
    found.append(_described(root, CARD))
    for over in over_limits(found):
        raise ValueError(f"{root} is not published: {over}")
    return tuple(found)


def _described(root: Path, path: str) -> Planned:
    return Planned(path, (root / path).stat().st_size, file_sha256(root / path))


def digest(files: Iterable[Planned]) -> str:
    """A number for a list of files that a curator approves: 16 hex digits, from paths, sizes and hashes."""
    lines = "".join(f"{file.path}\t{file.size}\t{file.sha256}\n" for file in sorted(files, key=lambda file: file.path))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def compare(root: Path, files: Sequence[Planned], remote: Mapping[str, Remote]) -> Changes:
    """What is to be sent, what lies there already, and what lies there and should not."""
    add: list[Planned] = []
    replace: list[Planned] = []
    keep: list[Planned] = []
    for file in files:
        there = remote.get(file.path)
        if there is None:
            add.append(file)
        else:
            (keep if is_same(root, file, there) else replace).append(file)
    wanted = {file.path for file in files} | OWN_OF_THE_HUB
    return Changes(tuple(add), tuple(replace), tuple(keep), tuple(sorted(remote.keys() - wanted)))


def is_same(root: Path, file: Planned, there: Remote) -> bool:
    """Whether a repository's file has the size and the hash of the planned one."""
    if there.size != file.size:
        return False
    if there.sha256 is not None:
        return there.sha256 == file.sha256
    data = (root / file.path).read_bytes()
    return hashlib.sha256(data).hexdigest() == file.sha256 and git_oid(data) == there.oid


def git_oid(data: bytes) -> str:
    """The name that git gives to a file's content (a SHA-1; nothing here relies on it to be hard to forge)."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def batches(files: Sequence[Planned]) -> Iterator[tuple[Planned, ...]]:
    """Files in turn, as many as one commit takes well."""
    batch: list[Planned] = []
    for file in files:
        if batch and (len(batch) == BATCH_FILES or sum(each.size for each in batch) + file.size > BATCH_BYTES):
            yield tuple(batch)
            batch = []
        batch.append(file)
    if batch:
        yield tuple(batch)


def over_limits(files: Sequence[Planned]) -> Iterator[str]:
    """Why the Hub would not take so many files, or such large ones."""
    if len(files) > MOST_FILES:
        yield f"{len(files):,} files, the Hub takes {MOST_FILES:,}; build with larger shards"
    folders = Counter(str(PurePosixPath(file.path).parent) for file in files)
    for folder, count in folders.items():
        if count > MOST_IN_FOLDER:
            yield f"{folder}: {count:,} files, the Hub takes {MOST_IN_FOLDER:,} in a folder; build with larger shards"
    for file in files:
        if file.size > LARGEST_BYTES:
            yield f"{file.path}: {file.size / 1e9:.0f} GB, the Hub takes {LARGEST_BYTES / 1e9:.0f} GB in a file"
