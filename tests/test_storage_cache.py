"""The cache of ranges: shared, bounded, whole or absent, checked; and never in the way of a reader."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from httpserver import RangeServer, serving

from equime_loader.storage import CacheSettings, CorruptionError, Retries, Store, open_store
from equime_loader.storage.cache import VERSION, Cache
from equime_loader.storage.manifest import DATASET, digest

QUICK = Retries(attempts=4, first_delay_s=0.001, timeout_s=2)
SHARD = "wds/train-00000.tar"
DATA = np.random.default_rng(3).bytes(1_000_000)
RANGES = [(start, 7000) for start in range(0, 1_000_000, 10_000)]
HASHES = [hashlib.sha256(DATA[start : start + length]).hexdigest() for start, length in RANGES]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RangeServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(RangeServer({SHARD: DATA})) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def opened(server: RangeServer, folder: Path, max_bytes: int = 10**8) -> Store:
    return open_store(server.url, cache=CacheSettings(folder, max_bytes), retries=QUICK)


def entries(folder: Path) -> list[Path]:
    """All files of the cache that hold bytes of a dataset, half-written ones included."""
    return sorted(path for path in (folder / VERSION).glob("??/*") if path.is_file())


def total(folder: Path) -> int:
    sizes = 0
    for path in (folder / VERSION).glob("??/*"):
        try:
            sizes += path.stat().st_size
        except OSError:
            continue
    return sizes


def read(store: Store, numbers: list[int] | range = range(10)) -> None:
    wanted, hashes = [RANGES[number] for number in numbers], [HASHES[number] for number in numbers]
    assert store.read_many(SHARD, wanted, sha256=hashes) == [DATA[start : start + length] for start, length in wanted]


def test_what_was_read_is_not_asked_for_again(server: RangeServer, folder: Path) -> None:
    for _ in range(3):
        with opened(server, folder) as store:
            read(store)
            read(store, [7, 3])
    assert len(server.requests) == 10 and server.sent == 70_000
    assert total(folder) == 10 * (7000 + 32)
    with opened(server, folder) as store:
        read(store, range(5, 15))
    assert len(server.requests) == 15


def test_equal_bytes_are_kept_once_wherever_they_lie(server: RangeServer, folder: Path) -> None:
    server.files = {SHARD: DATA, "copy.tar": DATA}
    with opened(server, folder) as store:
        read(store, [0])
        assert store.read("copy.tar", *RANGES[0], sha256=HASHES[0]) == DATA[:7000]
    assert len(server.requests) == 1


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "a bit of the content": flip,
    "cut": lambda path: os.truncate(path, 100),
    "empty": lambda path: os.truncate(path, 0),
    "too long": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "the hash": lambda path: path.write_bytes(bytes(32) + path.read_bytes()[32:]),
    "another entry": lambda path: path.write_bytes(hashlib.sha256(DATA[:7000]).digest() + DATA[:7000]),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_entries_are_never_given(damage: str, server: RangeServer, folder: Path) -> None:
    with opened(server, folder) as store:
        read(store, range(1, 6))
        for path in entries(folder):
            DAMAGE[damage](path)  # type: ignore[operator]
        read(store, range(1, 6))
        assert len(server.requests) == 10
        read(store, range(1, 6))
        assert len(server.requests) == (15 if damage == "a folder" else 10)


def test_a_mismatch_on_the_way_is_never_kept(server: RangeServer, folder: Path) -> None:
    with opened(server, folder) as store:
        server.fail(always="corrupted bytes")
        with pytest.raises(CorruptionError):
            store.read(SHARD, *RANGES[0], sha256=HASHES[0])
        assert not entries(folder)
        server.fail("corrupted bytes")
        read(store, [0])
        read(store, [0])
        assert len(server.requests) == 3 + 2


def dataset(files: dict[str, bytes]) -> dict[str, bytes]:
    listed = {path: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for path, data in files.items()}
    content = {"plan_sha256": "0" * 64, "samples": 1, "files": listed}
    return {**files, DATASET: json.dumps({**content, "content_sha256": digest(content)}).encode()}


def test_ranges_without_a_hash_are_those_of_one_state_of_the_dataset(server: RangeServer, folder: Path) -> None:
    other = DATA[::-1]
    for data in (DATA, other):
        server.files = {SHARD: data, **dataset({"index.parquet": data[:100]})}
        server.forget()
        for _ in range(2):
            with opened(server, folder) as store:
                assert store.read(SHARD, 500, 50) == data[500:550]
        assert [request.path for request in server.requests] == [DATASET, SHARD, DATASET]


def test_ranges_that_nothing_tells_apart_are_not_kept(server: RangeServer, folder: Path) -> None:
    with opened(server, folder) as store:
        assert store.read(SHARD, 500, 50) == store.read(SHARD, 500, 50) == DATA[500:550]
    assert not entries(folder)
    assert len(server.requests) == 3  # the manifest that is not there, once


def test_files_come_from_the_cache(server: RangeServer, folder: Path) -> None:
    server.files = dataset({"index.parquet": DATA})
    for _ in range(2):
        with opened(server, folder) as store:
            assert store.file("index.parquet").read_bytes() == DATA
    assert [request.path for request in server.requests] == [DATASET, "index.parquet", DATASET]
    for path in entries(folder):  # whole by its own hash, and yet of another file
        path.write_bytes(hashlib.sha256(DATA[::-1]).digest() + DATA[::-1])
    with opened(server, folder) as store:
        assert store.file("index.parquet").read_bytes() == DATA
    assert len(server.requests) == 5


def test_least_recently_used_goes_first(folder: Path) -> None:
    cache = Cache(CacheSettings(folder, 10 * 1032))
    names = [f"{number:064x}" for number in range(11)]
    for number, name in enumerate(names[:10]):
        cache.put(name, bytes([number]) * 1000)
        os.utime(folder / VERSION / "00" / name, (number, number))
    assert total(folder) == 10 * 1032
    assert cache.get(names[0], 1000) == bytes(1000)
    cache.put(names[10], b"x" * 1000)
    held = [number for number, name in enumerate(names) if cache.get(name, 1000) is not None]
    assert held == [0, 3, 4, 5, 6, 7, 8, 9, 10][: len(held)] or held[0] == 0
    assert 1 not in held and 0 in held and 10 in held and 9 in held


def test_files_of_others_are_left_alone(server: RangeServer, folder: Path) -> None:
    (folder / VERSION / "ab").mkdir(parents=True)
    others = [folder / "thesis.tex", folder / VERSION / "notes", folder / VERSION / "ab" / "photo.jpg"]
    for path in others:
        path.write_bytes(bytes(50_000))
    with opened(server, folder, 30_000) as store:
        read(store, range(50))
    assert all(path.exists() for path in others)


def test_too_large_entries_pass_by(server: RangeServer, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened(server, folder, 5000) as store:
        read(store)
        read(store)
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder}: 7032 bytes do not fit and are not kept; raise max_bytes=5000 of the cache"
    ]
    assert not entries(folder) and len(server.requests) == 20


@pytest.mark.parametrize("max_bytes", [0, -1, 1.5, True, "10GB"])
def test_bounds_must_be_bytes(max_bytes: object, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"^max_bytes=.* must be a number of bytes, at least 1$"):
        CacheSettings(folder, max_bytes)  # type: ignore[arg-type]


# --- many processes


def hammer(url: str, folder: Path, max_bytes: int, seed: int, reads: int, done: object = None) -> None:
    """Read random ranges through a cache, checking each; ends with an error where one is wrong."""
    rng = np.random.default_rng(seed)
    with open_store(url, cache=CacheSettings(folder, max_bytes), retries=QUICK) as store:
        for _ in range(reads):
            read(store, [int(number) for number in rng.integers(len(RANGES), size=4)])


def start_hammers(
    server: RangeServer, folder: Path, max_bytes: int, *, processes: int, reads: int
) -> list[multiprocessing.Process]:
    context = multiprocessing.get_context("spawn")
    children = [
        context.Process(target=hammer, args=(server.url, folder, max_bytes, seed, reads)) for seed in range(processes)
    ]
    for child in children:
        child.start()
    return children  # type: ignore[return-value]


def check_entries(folder: Path) -> None:
    """No entry is half, and each is what its name says."""
    names = {hashlib.sha256(json.dumps(("content", sha256, 7000)).encode()).hexdigest(): sha256 for sha256 in HASHES}
    for path in entries(folder):
        if path.suffix != ".tmp":
            data = path.read_bytes()
            assert hashlib.sha256(data[32:]).hexdigest() == data[:32].hex() == names[path.name]


def test_processes_share_a_bounded_cache(server: RangeServer, folder: Path) -> None:
    bound = 40 * 7032  # 100 ranges are asked for, over and over
    largest, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.002):
            largest.append(total(folder))

    watcher = threading.Thread(target=watch)
    watcher.start()
    children = start_hammers(server, folder, bound, processes=4, reads=60)
    for child in children:
        child.join()
    ended.set()
    watcher.join()
    assert [child.exitcode for child in children] == [0] * 4
    # Entries that vanish while they are counted make a count too small, and one that is renamed counts twice at most.
    assert 0.5 * bound < max(largest) <= bound + 2 * 7032
    assert total(folder) <= bound
    check_entries(folder)
    assert not [path for path in entries(folder) if path.suffix == ".tmp"]
    assert len(server.requests) < 4 * 60 * 4  # some came from the cache


def test_killed_writers_leave_no_half_entry(server: RangeServer, folder: Path) -> None:
    bound, rng = 40 * 7032, np.random.default_rng(0)
    for _ in range(3):
        children = start_hammers(server, folder, bound, processes=2, reads=10_000)
        before = len(server.requests)
        while len(server.requests) < before + 20:
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.2)))
        for child in children:
            os.kill(child.pid or 0, signal.SIGKILL)
            child.join()
        check_entries(folder)
        assert total(folder) <= bound
    # What killed writers left is cleared away when room is made, as soon as it is old enough.
    (folder / VERSION / "ab").mkdir(exist_ok=True)
    left = folder / VERSION / "ab" / f"{'ab' * 32}.0123456789abcdef.tmp"
    left.write_bytes(bytes(bound // 2))
    os.utime(left, (1, 1))
    with opened(server, folder, bound) as store:
        for _ in range(2):
            read(store, range(100))
    assert not left.exists() and total(folder) <= bound


def test_the_folder_may_vanish_at_any_time(server: RangeServer, folder: Path) -> None:
    children = start_hammers(server, folder, 10**8, processes=2, reads=60)
    while any(child.is_alive() for child in children):
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.02)
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_uses_the_cache(server: RangeServer, folder: Path) -> None:
    with opened(server, folder) as store:
        read(store, range(5))
        child = multiprocessing.get_context("fork").Process(target=read, args=(store, range(10)))
        child.start()
        child.join(20)
        assert child.exitcode == 0
        read(store, range(10))
    assert len(server.requests) == 10


def test_threads_share_a_cache(server: RangeServer, folder: Path) -> None:
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            for _ in range(20):
                read(store, [int(number) for number in rngs[seed].integers(len(RANGES), size=4)])
        except BaseException as error:
            errors.append(error)

    rngs = [np.random.default_rng(seed) for seed in range(6)]
    with opened(server, folder, 40 * 7032) as store:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors
    assert total(folder) <= 40 * 7032
    check_entries(folder)


# --- disks in trouble


def check_goes_on(server: RangeServer, folder: Path, caplog: pytest.LogCaptureFixture, why: str) -> None:
    """A store whose cache cannot be written says so once and reads on."""
    with opened(server, folder) as store:
        read(store, range(20))
        read(store, range(40))
        read(store, range(40))
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == [f"{folder}: the cache cannot be written ({why}); this process keeps nothing more"]
    assert not [path for path in entries(folder) if path.suffix == ".tmp"]


def test_disk_that_is_full(
    server: RangeServer, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = os.write, [0]

    def full(descriptor: int, data: bytes) -> int:
        written[0] += len(data)
        if written[0] > 25_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    monkeypatch.setattr("equime_loader.storage.cache.os.write", full)
    check_goes_on(server, folder, caplog, "No space left on device")
    assert len(entries(folder)) == 3


def test_disk_that_is_really_full(server: RangeServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk], capture_output=True, check=False
        ).returncode
    except OSError:
        made = 1
    if made:
        pytest.skip("a small disk can only be mounted by root")
    try:
        check_goes_on(server, disk, caplog, "No space left on device")
        assert 2 <= len(entries(disk)) <= 18
        check_entries(disk)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_files_that_may_not_grow(server: RangeServer, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        check_goes_on(server, folder, caplog, "File too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not entries(folder)


def test_folder_that_cannot_be_made(server: RangeServer, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.write_bytes(b"a file")
    check_goes_on(server, folder, caplog, "Not a directory")


def test_a_cache_that_another_process_locks(
    server: RangeServer, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from filelock import FileLock

    monkeypatch.setattr("equime_loader.storage.cache.LOCK_PATIENCE_S", 0.1)
    (folder / VERSION).mkdir(parents=True)
    with FileLock(folder / VERSION / "lock"):
        check_goes_on(server, folder, caplog, "locked by another process")


def test_account_that_is_damaged_is_counted_anew(server: RangeServer, folder: Path) -> None:
    bound = 20 * 7032
    with opened(server, folder, bound) as store:
        read(store, range(15))
        for text in (b"", b"\xff", b"-5", b"1" * 100):
            (folder / VERSION / "bytes").write_bytes(text)
            read(store, range(100))
            assert 0.4 * bound < total(folder) <= bound
