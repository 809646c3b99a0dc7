"""Storage: bytes by range from folders and servers, whatever those do."""

from __future__ import annotations

import gc
import hashlib
import itertools
import logging
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from httpserver import RangeServer, serving
from running import comes_true

from equime_loader.storage import (
    AccessError,
    CorruptionError,
    MissingError,
    PathError,
    Retries,
    StorageError,
    Store,
    open_store,
)
from equime_loader.storage.errors import Failure
from equime_loader.storage.manifest import DATASET, digest, parse_manifest
from equime_loader.storage.paths import MAX_RANGE_BYTES
from equime_loader.storage.ranges import GAP_SHARE, MAX_SPAN, SMALL_GAP, spans
from equime_loader.storage.retry import asked_wait_s, persist

# Patient with threads that get no time, yet less so than a server that keeps silent (`STALL_S`).
QUICK = Retries(attempts=4, first_delay_s=0.001, timeout_s=4)
SILENT = ("no answer", "stalled body")
SHARD = "wds/train-00000.tar"
DATA = np.random.default_rng(3).bytes(200_000)
START, LENGTH = 50_000, 30_000
PART = DATA[START : START + LENGTH]
HASH = hashlib.sha256(PART).hexdigest()
# A store must not wait for proxies that the environment names.
pytestmark = pytest.mark.usefixtures("no_proxy")


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with serving(RangeServer({SHARD: DATA})) as running:
        yield running


@pytest.fixture
def remote(server: RangeServer) -> Iterator[Store]:
    with open_store(server.url, retries=QUICK) as store:
        yield store


def patience_with(fault: str | None) -> Retries:
    return replace(QUICK, timeout_s=0.25) if fault in SILENT else QUICK


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "equime"
    (root / "wds").mkdir(parents=True)
    (root / SHARD).write_bytes(DATA)
    return root


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


# --- what may be asked for

ESCAPES = (
    "../secret", "wds/../../secret", "/etc/passwd", "", ".", "wds/./x", "wds//x", "wds/", "C:/x", "C:x", "wds\\x",
    "wds/x\0", "wds/x\n", "http://127.0.0.1/x", "~/../x/../..", "x" * 2000, "file:x",
)  # fmt: skip


@pytest.mark.parametrize("path", ESCAPES)
def test_paths_that_lead_out_are_refused_everywhere(
    path: str, folder: Path, remote: Store, server: RangeServer
) -> None:
    (folder.parent / "secret").write_text("secret")
    for store in (open_store(folder), remote):
        for read in (lambda: store.read(path, 0, 1), lambda: store.read_many(path, [(0, 1)]), lambda: store.file(path)):  # noqa: B023
            with pytest.raises(PathError, match=r"^path=.* must "):
                read()
    assert not server.requests


@pytest.mark.parametrize(("start", "length"), [(-1, 5), (0, -1), (2**63, 1), (0, MAX_RANGE_BYTES + 1), (0, 10**11)])
def test_ranges_that_cannot_be_are_refused_before_memory_is_taken(
    start: int, length: int, folder: Path, remote: Store, server: RangeServer
) -> None:
    for store in (open_store(folder), remote):
        with pytest.raises(StorageError, match=rf"^{SHARD}: (offset|length)=-?\d+ must lie within 0\.\."):
            store.read(SHARD, start, length)
        bad, good = store.read_each(SHARD, [(start, length), (0, 5)])
        assert isinstance(bad, StorageError) and good == DATA[:5]
    assert len(server.requests) == 1


def test_hashes_must_be_as_many_as_ranges(folder: Path, remote: Store) -> None:
    for store in (open_store(folder), remote):
        with pytest.raises(ValueError, match=r"^sha256 has 1 entries for 2 ranges$"):
            store.read_many(SHARD, [(0, 1), (1, 1)], sha256=[None])


@pytest.mark.parametrize(
    ("root", "text"),
    [
        ("http://user:geheim@127.0.0.1/x", "must hold no password"),
        ("http://127.0.0.1/x?sig=geheim", "must be a folder, without"),
        ("simplecache::http://127.0.0.1/x", "must be one URL"),
        ("hf://models/a/b", "must read hf://datasets/ORG/NAME"),
        ("hf://datasets/a", "must read hf://datasets/ORG/NAME"),
        ("hf://datasets/a/b/../../c", "must be relative"),
        ("nothing://x", "cannot be opened"),
        ("ftp://127.0.0.1:1/x", r"^ftp://127\.0\.0\.1:1/x: cannot be reached \(Connection refused\)$"),
        ("", r"^root must be a folder or URL; it is empty"),
    ],
)
def test_roots_that_cannot_be_opened(root: str, text: str) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        open_store(root)
    assert "\n" not in str(caught.value) and "geheim" not in str(caught.value)


def test_options_that_are_of_no_use_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"^endpoint is of no use for the folder"):
        open_store(folder, endpoint="http://127.0.0.1")
    with pytest.raises(ValueError, match=r"^token is for hf:// and https://; log in to memory://"):
        open_store("memory://x", token="abc")
    for token in ("", "two words", "line\n", "ü"):
        with pytest.raises(ValueError, match=r"^token must be printable ASCII letters without spaces"):
            open_store("http://127.0.0.1", token=token)
    with pytest.raises(MissingError, match=r"nowhere: no such folder$"):
        open_store(folder / "nowhere")
    with pytest.raises(MissingError, match=r": a file, not a folder$"):
        open_store(folder / SHARD)


# --- folders


def test_folder_gives_exactly_what_is_asked_for(folder: Path) -> None:
    for root in (folder, str(folder), folder.as_uri(), f"local://{folder}"):
        with open_store(root) as store:
            assert store.read(SHARD, START, LENGTH, sha256=HASH) == PART
            assert store.read(SHARD, np.int64(5), np.int64(0)) == b""  # type: ignore[arg-type]
            assert store.read_many(SHARD, [(9, 1), (0, 3), (9, 1)]) == [DATA[9:10], DATA[:3], DATA[9:10]]
            assert store.file(SHARD).read_bytes() == DATA


def test_folder_says_what_is_wrong_in_one_line(folder: Path) -> None:
    store = open_store(folder)
    with pytest.raises(
        CorruptionError, match=rf"^{folder}/{SHARD}, bytes 199990-200009: the file ends at byte 199999;"
    ):
        store.read(SHARD, 199_990, 20)
    with pytest.raises(CorruptionError, match=rf"{SHARD}, bytes 0-9: sha256 is [0-9a-f]{{12}}…, {HASH[:12]}… was exp"):
        store.read(SHARD, 0, 10, sha256=HASH)
    for path in ("wds/none.tar", f"{SHARD}/x"):
        with pytest.raises(MissingError, match=rf"^{folder}/{path}: no such file$"):
            store.read(path, 0, 1)
    with pytest.raises(PathError, match=r"wds: is no plain file$"):
        store.file("wds")


def test_links_may_point_into_the_folder_only(folder: Path) -> None:
    (folder.parent / "secret").write_bytes(DATA)
    (folder.parent / "equime-other").mkdir()
    (folder.parent / "equime-other/x").write_bytes(DATA)
    (folder / "inside").symlink_to(SHARD)
    (folder / "linked").symlink_to("wds")
    store = open_store(folder)
    assert store.read("inside", 0, 9) == store.read("linked/train-00000.tar", 0, 9) == DATA[:9]
    for name, target in {"out": "../secret", "root": "/", "near": "../equime-other", "far": "out"}.items():
        (folder / name).symlink_to(target)
        for path in (name, f"{name}/x", f"{name}/etc/passwd"):
            with pytest.raises((PathError, MissingError)):
                store.read(path, 0, 1)
    for path in ("out", "root", "near/x", "far"):
        with pytest.raises(PathError, match=r"leads out of the dataset's folder"):
            store.file(path)
    (folder / "loop").symlink_to("loop")
    with pytest.raises(StorageError):
        store.read("loop", 0, 1)


def test_links_of_a_hub_download_are_followed_to_its_blobs_only(tmp_path: Path) -> None:
    snapshot = tmp_path / "datasets--lab--equime/snapshots/abc"
    snapshot.mkdir(parents=True)
    (tmp_path / "datasets--lab--equime/blobs").mkdir()
    (tmp_path / "datasets--lab--equime/blobs/1").write_bytes(DATA)
    (tmp_path / "secret").write_bytes(DATA)
    (snapshot / "x.tar").symlink_to("../../blobs/1")
    (snapshot / "y.tar").symlink_to("../../../secret")
    store = open_store(snapshot)
    assert store.read("x.tar", 3, 5) == DATA[3:8]
    with pytest.raises(PathError):
        store.read("y.tar", 3, 5)


def test_pipes_and_devices_are_refused_without_waiting(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    start = time.monotonic()
    with pytest.raises(PathError, match="is no plain file"):
        open_store(folder).read("pipe", 0, 1)
    assert time.monotonic() - start < 1


def test_file_that_is_cut_while_it_is_open_gives_an_error(folder: Path) -> None:
    store = open_store(folder)
    assert store.read(SHARD, START, LENGTH) == PART
    os.truncate(folder / SHARD, START + 10)
    with pytest.raises(CorruptionError, match="the file ends at byte 50009"):
        store.read(SHARD, START, LENGTH)


def test_systems_without_positional_reads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from equime_loader.storage import local

    monkeypatch.setattr(local, "_pread", local._seek_and_read)
    assert open_store(folder).read_many(SHARD, [(START, LENGTH), (0, 5)]) == [PART, DATA[:5]]


def test_few_descriptors_are_open_and_none_is_left(folder: Path) -> None:
    for number in range(100):
        (folder / f"{number}.tar").write_bytes(DATA[number : number + 10])
    gc.collect()  # what others have left
    before = descriptors()
    store = open_store(folder)
    for number in [*range(100), *range(100)]:
        assert store.read(f"{number}.tar", 1, 5) == DATA[number + 1 : number + 6]
    assert descriptors() - before == 64
    store.close()
    assert descriptors() == before
    assert store.read("5.tar", 0, 1) == DATA[5:6]
    del store
    assert descriptors() == before


def in_threads(work: Callable[[int], None], number: int = 8) -> None:
    """Run `work(0)`, `work(1)` … side by side; the first error is raised."""
    errors: list[BaseException] = []

    def run(which: int) -> None:
        try:
            work(which)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(which,)) for which in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_threads_share_a_folder_while_descriptors_are_evicted(folder: Path) -> None:
    for number in range(200):
        (folder / f"{number}.tar").write_bytes(bytes([number]) * 1000)
    store = open_store(folder)

    def work(which: int) -> None:
        rng = np.random.default_rng(which)
        for number in rng.integers(200, size=500):
            assert store.read(f"{number}.tar", 10, 700) == bytes([number]) * 700

    in_threads(work)


def read_part(store: Store, answers: multiprocessing.SimpleQueue[object]) -> None:
    try:
        answers.put(store.read(SHARD, START, LENGTH, sha256=HASH))
    except BaseException as error:
        answers.put(error)


def in_child(store: Store, start: str) -> object:
    """What a child process reads from the store, which came to it by fork or by pickle."""
    context = multiprocessing.get_context(start)
    answers: multiprocessing.SimpleQueue[object] = context.SimpleQueue()
    child = context.Process(target=read_part, args=(store, answers))
    child.start()
    answer = answers.get()
    child.join()
    assert child.exitcode == 0
    return answer


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_children_read_from_a_folder_and_from_a_server(
    start: str, folder: Path, remote: Store, server: RangeServer
) -> None:
    local = open_store(folder)
    for store in (local, remote):
        assert store.read(SHARD, START, LENGTH) == PART
        store.read_many(SHARD, [(0, 5), (100_000, 5)])  # with a pool of threads that no child inherits
        assert in_child(store, start) == PART
        assert store.read(SHARD, START, LENGTH) == PART


# --- servers


def test_server_is_asked_for_exactly_the_range(remote: Store, server: RangeServer) -> None:
    assert remote.read(SHARD, START, LENGTH, sha256=HASH) == PART
    (request,) = server.requests
    assert (request.path, request.start, request.end, request.sent) == (SHARD, START, START + LENGTH, LENGTH)
    assert remote.read(SHARD, 0, 0) == b""
    assert remote.read_many(SHARD, []) == []
    assert remote.read_many(SHARD, [(7, 0), (0, 1)]) == [b"", DATA[:1]]
    assert len(server.requests) == 2


def test_neighbors_come_in_one_request(remote: Store, server: RangeServer) -> None:
    members = [(1000, 92_000), (93_512, 2091), (96_256, 186), (97_000, 4736)]
    assert remote.read_many(SHARD, members[::-1]) == [DATA[start : start + length] for start, length in members[::-1]]
    (request,) = server.requests
    assert (request.start, request.end) == (1000, 97_000 + 4736)


def test_what_is_far_apart_comes_in_requests_of_its_own(remote: Store, server: RangeServer) -> None:
    wanted = [(number * 20_000, 9000) for number in range(10)]
    assert remote.read_many(SHARD, wanted) == [DATA[start : start + length] for start, length in wanted]
    assert len(server.requests) == 10 and server.sent == 90_000


def test_requests_run_side_by_side_but_at_most_eight(server: RangeServer) -> None:
    running, most, change = 0, 0, threading.Condition()
    answer = server.answer

    def slow(request: object) -> object:
        nonlocal running, most
        with change:
            running += 1
            most = max(most, running)
            change.notify_all()
            change.wait_for(lambda: most >= 8, timeout=10)
        time.sleep(0.05)  # a ninth would show
        with change:
            running -= 1
        return answer(request)  # type: ignore[arg-type]

    server.answer = slow  # type: ignore[assignment,method-assign]
    wanted = [(number * 8000, 100) for number in range(24)]
    with open_store(server.url, retries=Retries(timeout_s=60)) as store:
        assert store.read_many(SHARD, wanted) == [DATA[start : start + 100] for start, _ in wanted]
    assert most == 8


@pytest.mark.parametrize(
    "fault",
    [
        "429", "500", "502", "503", "504", "connection reset", "connection cut in the body", "no HTTP", "short answer",
        "long answer", "other range", "endless answer", "no answer", "stalled body", "web page", "corrupted bytes",
    ],
)  # fmt: skip
def test_faults_that_pass_are_survived(fault: str, server: RangeServer) -> None:
    server.fail(fault)
    with open_store(server.url, retries=patience_with(fault)) as store:
        assert store.read(SHARD, START, LENGTH, sha256=HASH) == PART
        assert len(server.requests) == 2
        server.forget()
        server.fail(None, fault, None)
        wanted = [(0, 5000), (60_000, 5000), (120_000, 5000)]
        hashes = [hashlib.sha256(DATA[start : start + 5000]).hexdigest() for start, _ in wanted]
        assert store.read_many(SHARD, wanted, sha256=hashes) == [DATA[start : start + 5000] for start, _ in wanted]
        assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("fault", "error", "reason", "requests"),
    [
        ("429", StorageError, r"HTTP 429 \(attempt 4 of 4\)", 4),
        ("503", StorageError, r"HTTP 503 \(attempt 4 of 4\)", 4),
        (
            "connection reset",
            StorageError,
            r"the connection was closed without an answer( \(.*\))? \(attempt 4 of 4\)",
            4,
        ),
        ("connection cut in the body", StorageError, r"the connection was cut in the middle .* \(attempt 4 of 4\)", 4),
        ("no HTTP", StorageError, r"the answer is no HTTP \(attempt 4 of 4\)", 4),
        ("short answer", CorruptionError, r"29999 bytes or more came, 30000 were announced \(attempt 4 of 4\)", 4),
        ("long answer", CorruptionError, r"\d+ bytes or more came, 30000 were announced \(attempt 4 of 4\)", 4),
        ("other range", StorageError, r"the server answers with bytes 50007-80006 instead \(attempt 4 of 4\)", 4),
        ("endless answer", CorruptionError, r"\d+ bytes or more came, 30000 were announced \(attempt 4 of 4\)", 4),
        ("no answer", StorageError, r"no answer in time \(timeout_s=0\.25\) \(attempt 4 of 4\)", 4),
        ("stalled body", StorageError, r"no answer in time \(timeout_s=0\.25\) \(attempt 4 of 4\)", 4),
        ("web page", StorageError, r"a web page came instead of data \(attempt 4 of 4\)", 4),
        ("corrupted bytes", CorruptionError, r"sha256 is [0-9a-f]{12}…, [0-9a-f]{12}… was expected; read 3 times", 3),
        ("compressed", StorageError, r"the server compresses, so it has no exact ranges", 1),
        (
            "401",
            AccessError,
            r"access refused \(HTTP 401; no token was sent\); ask for access at http://\S+ \(a req.*",
            1,
        ),
        (
            "403",
            AccessError,
            r"access refused \(HTTP 403; no token was sent\); ask for access at http://\S+ \(a req.*",
            1,
        ),
        ("404", MissingError, r"no such file \(HTTP 404\)", 1),
    ],
)
def test_faults_that_stay_are_one_clear_error(
    fault: str, error: type[StorageError], reason: str, requests: int, remote: Store, server: RangeServer
) -> None:
    server.fail(always=fault)
    with (
        open_store(server.url, retries=patience_with(fault)) as store,
        pytest.raises(error, match=rf"^{server.url}/{SHARD}, bytes 50000-79999: {reason}$") as caught,
    ):
        store.read(SHARD, START, LENGTH, sha256=HASH)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__context__ is None
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    # The client asks once more by itself where a kept connection turns out to be closed.
    assert requests <= len(server.requests) <= (8 if fault == "connection reset" else requests)
    server.fail()
    assert remote.read(SHARD, START, LENGTH, sha256=HASH) == PART


def test_a_dripping_answer_is_given_up(server: RangeServer) -> None:
    server.fail(always="dripping body")
    start = time.monotonic()
    with (
        open_store(server.url, retries=Retries(attempts=1, timeout_s=0.5)) as store,
        pytest.raises(StorageError, match="no answer in time"),
    ):
        store.read(SHARD, 0, 1000)
    assert 0.4 < time.monotonic() - start < 2


def test_no_server_at_all() -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with (
        open_store(url, retries=QUICK) as store,
        pytest.raises(StorageError, match=rf"^{url}/x\.tar, bytes 0-8: cannot connect .*\(attempt 4 of 4\)$"),
    ):
        store.read("x.tar", 0, 9)


def test_server_without_ranges_is_read_as_far_as_that_is_cheap(
    remote: Store, server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.fail(always="whole file instead of the range")
    assert remote.read(SHARD, START, LENGTH, sha256=HASH) == PART
    assert remote.read(SHARD, 0, len(DATA)) == DATA
    with pytest.raises(CorruptionError, match="the file ends before byte 200009"):
        remote.read(SHARD, 199_990, 20)
    monkeypatch.setattr("equime_loader.storage.http.MAX_SKIPPED", 1000)
    with pytest.raises(StorageError, match="the server knows no byte ranges; copy the dataset to a folder"):
        remote.read(SHARD, START, LENGTH)


@pytest.mark.parametrize("start", [199_990, 200_000, 10**12])
def test_ranges_beyond_the_end_are_not_tried_again_and_cost_no_neighbor(
    start: int, remote: Store, server: RangeServer
) -> None:
    with pytest.raises(
        CorruptionError, match=rf"bytes {start}-{start + 19}: the file ends before byte {start + 19}; it "
    ):
        remote.read(SHARD, start, 20)
    assert len(server.requests) == 1
    good, bad, again = remote.read_each(SHARD, [(199_000, 500), (start, 20), (0, 500)])
    assert good == DATA[199_000:199_500] and isinstance(bad, CorruptionError) and again == DATA[:500]
    with pytest.raises(CorruptionError):
        remote.read_many(SHARD, [(199_000, 500), (start, 20)])


def test_one_corrupt_sample_costs_one_sample(remote: Store, server: RangeServer) -> None:
    wanted = [(number * 1000, 900) for number in range(20)]
    hashes = [hashlib.sha256(DATA[start : start + 900]).hexdigest() for start, _ in wanted]
    damaged = bytearray(DATA)
    damaged[7500] ^= 1
    server.files = {SHARD: bytes(damaged)}
    answers = remote.read_each(SHARD, wanted, sha256=hashes)
    bad = [number for number, answer in enumerate(answers) if isinstance(answer, StorageError)]
    assert bad == [7]
    assert str(answers[7]).startswith(f"{server.url}/{SHARD}, bytes 7000-7899: sha256 is ")
    assert [request.start for request in server.requests] == [0, 7000, 7000]


def test_hostile_hashes_are_wrong_hashes(remote: Store) -> None:
    for text in ("../../x", "", "A" * 64, "\0", "0" * 10**6):
        with pytest.raises(CorruptionError, match="was expected"):
            remote.read(SHARD, START, LENGTH, sha256=text)


def test_answers_are_bounded_in_memory(server: RangeServer) -> None:
    import tracemalloc

    server.fail(always="endless answer")
    with open_store(server.url, retries=Retries(attempts=1, timeout_s=2)) as store:
        tracemalloc.start()
        with pytest.raises(StorageError):
            store.read(SHARD, 0, 1000)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 8 * 2**20


def test_server_that_asks_for_a_second_gets_it(remote: Store, server: RangeServer) -> None:
    from httpserver import FAULTS, status

    FAULTS["429 for a second"] = status(429, Retry_After="1")
    try:
        server.fail("429 for a second")
        start = time.monotonic()
        assert remote.read(SHARD, START, LENGTH) == PART
        assert 0.95 < time.monotonic() - start < 3
    finally:
        del FAULTS["429 for a second"]


def test_threads_share_a_remote_store(remote: Store, server: RangeServer) -> None:
    def work(which: int) -> None:
        rng = np.random.default_rng(which)
        for start in rng.integers(150_000, size=20):
            wanted = [(int(start), 1000), (int(start) + 40_000, 1000)]
            assert remote.read_many(SHARD, wanted) == [DATA[one : one + 1000] for one, _ in wanted]

    in_threads(work)


def test_nothing_is_left_behind(server: RangeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with open_store(server.url, retries=QUICK) as store:  # the loop of fsspec and its descriptors stay
        store.read(SHARD, 0, 5)
    comes_true(lambda: not server_threads())
    before = descriptors()
    for fault in (None, "connection cut in the body", "stalled body", "endless answer"):
        server.fail(fault)
        with open_store(server.url, retries=patience_with(fault)) as store:
            store.read_many(SHARD, [(0, 5), (50_000, 5), (100_000, 5)])
            store.file(SHARD)
        assert not list(tmp_path.iterdir())
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("equime-read")]
    server.silence.set()
    comes_true(lambda: descriptors() <= before)
    assert descriptors() <= before


def server_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "process_request" in thread.name]


def test_stores_that_nobody_closes_are_closed(server: RangeServer) -> None:
    with open_store(server.url, retries=QUICK) as store:
        store.read(SHARD, 0, 5)
    comes_true(lambda: not server_threads())
    before = descriptors()
    for _ in range(10):
        store = open_store(server.url, retries=QUICK)
        store.read_many(SHARD, [(0, 5), (50_000, 5), (100_000, 5)])
        del store
    gc.collect()

    def readers() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name.startswith("equime-read")]

    comes_true(lambda: descriptors() <= before and not server_threads() and not readers())
    assert descriptors() <= before
    assert not readers()


def test_interrupt_ends_a_read_at_once(server: RangeServer) -> None:
    from equime_loader.storage.remote import RemoteStore

    server.fail(always="no answer")
    store = open_store(server.url, retries=Retries(timeout_s=60))
    assert isinstance(store, RemoteStore)

    def interrupt() -> None:
        comes_true(lambda: len(server.requests) == 3)
        os.kill(os.getpid(), signal.SIGINT)

    start = time.monotonic()
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        store.read_many(SHARD, [(0, 5), (50_000, 5), (100_000, 5)])
    assert time.monotonic() - start < 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("equime-read")]


PROGRAM = """
import sys
import fsspec.asyn
from equime_loader.storage import open_store
fsspec.asyn.get_loop().slow_callback_duration = 60  # asyncio would tell of a machine that is slow
store = open_store(sys.argv[1])
store.read_many("wds/train-00000.tar", [(0, 5), (50_000, 5), (100_000, 5)])
store.file("wds/train-00000.tar")
print("read", len(store.read("wds/train-00000.tar", 7, 3)))
"""


def test_a_program_that_closes_nothing_ends_in_silence(server: RangeServer, tmp_path: Path) -> None:
    server.files = dataset({SHARD: DATA})
    command = [sys.executable, "-X", "dev", "-c", PROGRAM, server.url]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "read 3\n", "")
    assert not list(tmp_path.iterdir())


# --- whole files


def dataset(files: dict[str, bytes], /, **changes: object) -> dict[str, bytes]:
    """Files with a manifest of them, as the builder writes it."""
    listed = {path: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for path, data in files.items()}
    content = {"plan_sha256": "0" * 64, "samples": 3, "files": listed, **changes}
    import json

    return {**files, DATASET: (json.dumps({**content, "content_sha256": digest(content)}, indent=1) + "\n").encode()}


def test_manifest_of_the_builder_is_understood(built: Path) -> None:
    manifest = parse_manifest((built / DATASET).read_bytes())
    assert manifest.files["index.parquet"].sha256 == hashlib.sha256((built / "index.parquet").read_bytes()).hexdigest()
    assert manifest.samples > 0 and len(manifest.content_sha256) == 64


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "is no manifest"),
        (b"[]", "is no manifest"),
        (b"{}", "is no manifest"),
        (b'{"content_sha256": "0", "samples": 1, "files": {}}', "does not match its own checksum"),
        (b"[" * 100_000, "(nested too deep|is no manifest)"),
        (dataset({}, files={"x": {"bytes": 10**11, "sha256": "0" * 64}})[DATASET], r"bytes=100000000000 must lie"),
        (dataset({}, files={"x": {"bytes": True, "sha256": "0" * 64}})[DATASET], r"bytes=True must lie"),
        (dataset({}, files={"x": {"bytes": 1, "sha256": "../x"}})[DATASET], r"sha256 must be 64 hexadecimal digits"),
        (dataset({}, files=[])[DATASET], "is no manifest"),
    ],
)
def test_damaged_and_hostile_manifests(data: bytes, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        parse_manifest(data)


def test_files_are_checked_against_the_manifest_and_stay(built: Path) -> None:
    with serving(RangeServer(built)) as server, open_store(server.url, retries=QUICK) as store:
        path = store.file("index.parquet")
        assert path.read_bytes() == (built / "index.parquet").read_bytes() and path.name == "index.parquet"
        assert store.file("index.parquet") == path
        assert len(server.requests) == 2
        assert store.file(DATASET).read_bytes() == (built / DATASET).read_bytes()
        store.close()
        assert not path.exists()


@pytest.mark.parametrize("fault", ["corrupted bytes", "connection cut in the body", "503", "short answer"])
def test_files_survive_faults(fault: str, built: Path) -> None:
    for where in ("index.parquet", DATASET):
        with serving(RangeServer(built)) as server, open_store(server.url, retries=QUICK) as store:
            server.fail(fault, where=where)
            assert store.file("index.parquet").read_bytes() == (built / "index.parquet").read_bytes()
            assert len(server.requests) == 3


def test_files_that_stay_wrong_are_refused(server: RangeServer, remote: Store) -> None:
    server.files = {**dataset({"index.parquet": DATA}), "index.parquet": DATA[::-1]}
    with pytest.raises(
        CorruptionError, match=rf"^{server.url}/index.parquet: sha256 is [0-9a-f]{{12}}…, the manifest say"
    ):
        remote.file("index.parquet")
    assert len(server.requests) == 4


def test_damaged_manifest_is_refused(server: RangeServer, remote: Store) -> None:
    server.files = dataset({"index.parquet": DATA})
    server.fail(always="corrupted bytes", where=DATASET)
    with pytest.raises(CorruptionError, match=rf"^{server.url}/{DATASET}: (does not match|is no manifest)"):
        remote.file("index.parquet")


def test_files_without_a_manifest_come_unchecked_and_bounded(
    server: RangeServer, remote: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert remote.file(SHARD).read_bytes() == DATA
    assert [record.getMessage() for record in caplog.records] == [
        f"{server.url}: has no {DATASET}, so its files cannot be checked"
    ]
    monkeypatch.setattr("equime_loader.storage.remote.MAX_UNLISTED_BYTES", 1000)
    server.files = {SHARD: DATA, "other": DATA}
    with pytest.raises(StorageError, match="other: is not listed in the manifest and larger than 1000 bytes"):
        remote.file("other")
    with pytest.raises(MissingError, match="no such file"):
        remote.file("none")


def test_large_files_come_in_pieces(server: RangeServer, remote: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("equime_loader.storage.remote.PIECE", 7000)
    server.files = dataset({"index.parquet": DATA, "empty": b""})
    assert remote.file("index.parquet").read_bytes() == DATA
    assert remote.file("empty").read_bytes() == b""


# --- other filesystems


def test_any_filesystem_of_fsspec() -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe({f"/equime/{SHARD}": DATA, **{f"/equime/{path}": data for path, data in dataset({"a": b"b"}).items()}})
    try:
        with open_store("memory://equime", retries=QUICK) as store:
            assert store.read(SHARD, START, LENGTH, sha256=HASH) == PART
            assert store.read_many(SHARD, [(0, 5), (150_000, 7)]) == [DATA[:5], DATA[150_000:150_007]]
            assert store.file("a").read_bytes() == b"b"
            assert pickle.loads(pickle.dumps(store)).read(SHARD, 0, 9) == DATA[:9]
            with pytest.raises(MissingError, match=r"^memory://equime/wds/x, bytes 0-8: no such file$"):
                store.read("wds/x", 0, 9)
            with pytest.raises(CorruptionError, match=r"10 bytes came, 20 were asked for \(attempt 4 of 4\)$"):
                store.read(SHARD, 199_990, 20)
    finally:
        memory.rm("/equime", recursive=True)


# --- trying again


class Clock(threading.Event):
    """Notes how long it was asked to wait, and does not."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        return False


def waits(retries: Retries, *failures: Failure) -> list[float]:
    clock, answers = Clock(), iter(failures)
    assert persist(lambda: next(answers, "done"), retries, "x", clock) == "done"
    return clock.waits


def test_waits_grow_up_to_a_bound_and_are_jittered() -> None:
    again = Failure("x", again=True)
    plain = Retries(attempts=9, first_delay_s=1, factor=3, longest_delay_s=20, jitter=0)
    assert waits(plain, *[again] * 8) == [1, 3, 9, 20, 20, 20, 20, 20]
    jittered = Retries(attempts=100, first_delay_s=1, factor=1, jitter=0.5)
    delays = list(jittered.delays("x"))
    assert all(0.5 <= delay <= 1 for delay in delays) and np.std(delays) > 0.1
    assert delays == list(jittered.delays("x")) != list(jittered.delays("y"))
    assert delays != list(Retries(attempts=100, first_delay_s=1, factor=1, seed=1).delays("x"))


def test_waits_follow_the_server_up_to_a_bound() -> None:
    retries = Retries(first_delay_s=1, longest_delay_s=60, jitter=0)
    asked = [Failure("x", again=True, wait_s=wait) for wait in (30, 0, 10**9)]
    assert waits(retries, *asked) == [30, 2, 60]


def test_what_cannot_help_is_not_tried() -> None:
    clock = Clock()
    with pytest.raises(AccessError, match=r"^x: no$"):
        persist(lambda: Failure("no", again=False, error=AccessError), Retries(), "x", clock)
    clock.set()
    with pytest.raises(StorageError, match=r"^x: no \(attempt 1 of 7\)$"):
        persist(lambda: Failure("no", again=True), Retries(), "x", clock)
    assert not clock.waits


def test_retries_are_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    waits(Retries(jitter=0), *[Failure("HTTP 503", again=True)] * 2)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "x: HTTP 503; attempt 2 comes in 0.5 s"),
        ("WARNING", "x: HTTP 503; attempt 3 comes in 1.0 s"),
    ]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
        ({"Retry-After": "soon"}, 0),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "9" * 400}, 0),
        ({"RateLimit": '"api";r=0;t=55'}, 55),
        ({"RateLimit": '"api";r=3;t=55'}, 0),
        ({}, 0),
    ],
)
def test_how_long_a_server_asks_to_wait(headers: dict[str, str], seconds: float) -> None:
    assert asked_wait_s(headers) == seconds


def test_a_date_to_come_back_at() -> None:
    import email.utils

    assert 55 < asked_wait_s({"Retry-After": email.utils.formatdate(time.time() + 60, usegmt=True)}) <= 60


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"attempts": 0}, r"^attempts=0 must lie within 1\.\.100$"),
        ({"jitter": 1.5}, r"^jitter=1\.5 must lie within 0\.\.1$"),
        ({"first_delay_s": float("nan")}, r"^first_delay_s=nan must lie within"),
        ({"factor": 0.5}, r"^factor=0\.5 must lie within"),
        ({"longest_delay_s": -1}, r"^longest_delay_s=-1 must lie within"),
        ({"timeout_s": 0}, r"^timeout_s=0 must lie within"),
    ],
)
def test_retries_have_bounds(change: dict[str, float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Retries(**change)  # type: ignore[arg-type]


def test_options_of_another_kind_are_said_in_one_line() -> None:
    for name, told in {"cache": "CacheSettings(folder, max_bytes)", "retries": "Retries(...)"}.items():
        with pytest.raises(TypeError) as error:
            open_store("http://127.0.0.1:9/equime", **{name: "fast"})
        assert str(error.value) == f"{name} must be {told}; it is 'fast'"
    with pytest.raises(TypeError, match=r"^root must be a folder or URL; it is 5$"):
        open_store(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^attempts must be a whole number; it is 2\.5$"):
        Retries(attempts=2.5)  # type: ignore[arg-type]


# --- which requests


def test_requests_bring_every_range_once_and_little_else() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        count = int(rng.integers(1, 40))
        ranges = [
            (int(start), int(length))
            for start, length in zip(
                rng.integers(0, 10 ** int(rng.integers(3, 9)), count), rng.integers(0, 200_000, count), strict=True
            )
        ]
        found = spans(ranges)
        members = [member for span in found for member in span.members]
        assert sorted(members) == [number for number, (_, length) in enumerate(ranges) if length]
        for span in found:
            assert all(span.start <= ranges[member][0] and sum(ranges[member]) <= span.end for member in span.members)
            covered = np.zeros(span.length, bool)
            for start, length in (ranges[member] for member in span.members):
                covered[start - span.start : start - span.start + length] = True
            gaps = int((~covered).sum())
            assert gaps <= covered.sum() / GAP_SHARE + SMALL_GAP * (len(span.members) - 1)
            assert span.length <= MAX_SPAN
        assert all(one.end <= other.start for one, other in itertools.pairwise(found))


def test_spans_are_bounded() -> None:
    ranges = [(number * 2**20, 2**20) for number in range(100)]
    assert [span.length for span in spans(ranges)] == [MAX_SPAN] * 3 + [4 * 2**20]
    assert spans([(0, 2 * MAX_SPAN)])[0].length == 2 * MAX_SPAN
