#!/usr/bin/env python3
"""Read samples from a loopback server, and through a cache, that fail in every known way; count what comes of it.

Each sample is read with the hash that the index has for it. A fault passes (it meets the first request or two of a
read) or stays. What is read must be the sample's bytes, or the error must name shard and bytes in one line.
READS are made of 20,000 bytes for each fault.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest import mock

import door
import numpy as np
from door import Count
from httpserver import FAULTS, RangeServer, serving

from equime_loader.storage import CacheSettings, Retries, StorageError, Store, open_store

SHARD, SAMPLE, SAMPLES = "wds/train-00000.tar", 20_000, 200
PATIENCE = Retries(attempts=4, first_delay_s=0.001, timeout_s=0.15)
SKIPPED = {"dripping body"}  # takes as long as its sample is large; a test has it
COLUMNS = ("tried", "survived", "clear errors", "other errors", "wrong bytes")


def read(store: Store, data: bytes, start: int) -> str:
    """Read one sample; which column it counts in."""
    right = data[start : start + SAMPLE]
    try:
        found = store.read(SHARD, start, SAMPLE, sha256=hashlib.sha256(right).hexdigest())
    except StorageError as error:
        clear = "\n" not in str(error) and f"{SHARD}, bytes {start}-{start + SAMPLE - 1}" in str(error)
        return "clear errors" if clear else "other errors"
    except Exception:
        return "other errors"
    return "survived" if found == right else "wrong bytes"


def counted(store: Store, data: bytes, times: int, before: Callable[[int], object]) -> dict[str, int]:
    counts = dict.fromkeys(COLUMNS, 0)
    rng = np.random.default_rng(0)
    for number in range(times):
        before(number)
        counts["tried"] += 1
        counts[read(store, data, int(rng.integers(SAMPLES)) * SAMPLE)] += 1
    return counts


def damage(folder: Path, change: Callable[[Path], object]) -> None:
    for path in folder.glob("ranges-*/??/*"):
        change(path)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@contextmanager
def disk_full(after: int) -> Iterator[None]:
    """Writes of the cache fail with ENOSPC once `after` bytes are written."""
    write, left = os.write, [after]

    def limited(descriptor: int, data: bytes) -> int:
        left[0] -= len(data)
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    with mock.patch("equime_loader.storage.cache.os.write", limited):
        yield


def row(name: str, kind: str, counts: dict[str, int]) -> dict[str, int]:
    print(f"| {name} | {kind} | {' | '.join(str(counts[column]) for column in COLUMNS)} |", flush=True)
    return counts


def main(reads: Count = 50) -> None:
    """Print the table; fail where a read gave neither its bytes nor a clear error."""
    logging.disable(logging.WARNING)
    os.environ["no_proxy"] = "127.0.0.1"
    data, rng, rows = np.random.default_rng(1).bytes(SAMPLE * SAMPLES), np.random.default_rng(2), []
    print(f"| fault | | {' | '.join(COLUMNS)} |\n| --- | --- |{' ---: |' * len(COLUMNS)}")
    for fault in (name for name in FAULTS if name not in SKIPPED):
        with serving(RangeServer({SHARD: data})) as server, open_store(server.url, retries=PATIENCE) as store:
            passing = counted(store, data, reads, lambda _: server.fail(*[fault] * int(rng.integers(1, 3))))  # noqa: B023
            server.fail(always=fault)
            staying = counted(store, data, reads, lambda _: None)
        rows += [row(fault, "passes", passing), row(fault, "stays", staying)]
    caches: dict[str, Callable[[Path], object]] = {
        "cache: bit flipped in every entry": lambda folder: damage(folder, flip),
        "cache: every entry cut": lambda folder: damage(folder, lambda path: os.truncate(path, 1000)),
        "cache: folder removed": lambda folder: shutil.rmtree(folder, ignore_errors=True),
        "cache: disk full": lambda folder: None,
    }
    for name, change in caches.items():
        with serving(RangeServer({SHARD: data})) as server, tempfile.TemporaryDirectory() as work:
            folder = Path(work) / "cache"
            settings = CacheSettings(folder, max_bytes=50 * SAMPLE)
            full = disk_full(10 * SAMPLE) if name == "cache: disk full" else nullcontext()
            with full, open_store(server.url, cache=settings, retries=PATIENCE) as store:
                rows.append(row(name, "", counted(store, data, 4 * reads, lambda _: change(folder))))  # noqa: B023
    total = {column: sum(counts[column] for counts in rows) for column in COLUMNS}
    row("all", "", total)
    if total["wrong bytes"] or total["other errors"]:
        sys.exit("a read gave wrong bytes or an unclear error")


if __name__ == "__main__":
    door.run(main)
