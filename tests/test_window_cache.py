"""The window cache: the same pixels at the cost of a copy, or none; never others, never more than its bound."""

from __future__ import annotations

import gc
import hashlib
import logging
import multiprocessing
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import equime_loader
from equime_loader import Selection, View, Window, WindowCacheSettings, window_cache
from equime_loader.reading import ClipReader
from equime_loader.video.frames import Clip
from equime_loader.window_cache import TAG_BYTES, WindowCache

VIEW = View(Window.around(frames=4), 24)
SLOT = 2 * TAG_BYTES + 4 * 24 * 24 * 3 + 4 * (1 + 8)  # with the mask and the indices of four frames
PLENTY = 2**24


@pytest.fixture(scope="module")
def clips(built: Path) -> Selection:
    return equime_loader.open_dataset(built)


@pytest.fixture
def private(built: Path, tmp_path: Path) -> Selection:
    """The dataset in a folder whose videos can be taken away."""
    root = tmp_path / "private"
    root.mkdir()
    shutil.copytree(built / "wds", root / "wds")
    shutil.copy(built / "index.parquet", root)
    return equime_loader.open_dataset(root)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "windows"


def cached(clips: Selection, folder: Path, view: View = VIEW, max_bytes: int = PLENTY) -> ClipReader:
    return ClipReader(clips, view, cache=WindowCacheSettings(folder, max_bytes))


def read_all(reader: ClipReader) -> list[Clip]:
    fetched = reader.fetch(range(len(reader)))
    return [reader.read(position, data) for position, data in enumerate(fetched)]


def windows(reader: ClipReader) -> WindowCache:
    assert reader._windows is not None
    return reader._windows


def kept(reader: ClipReader) -> list[int]:
    return [position for position, data in enumerate(reader.fetch(range(len(reader)))) if isinstance(data, Clip)]


def same(one: list[Clip], other: list[Clip]) -> bool:
    return all(
        np.array_equal(a.frames, b.frames)
        and np.array_equal(a.mask, b.mask)
        and np.array_equal(a.indices, b.indices)
        and (a.flow is b.flow is None or np.array_equal(a.flow, b.flow))
        for a, b in zip(one, other, strict=True)
    )


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("windows-*"))


@pytest.mark.parametrize(
    "view",
    [VIEW, View(Window.around("onset", 90, before=60), 16, gray=True), View(Window.spread(5), (12, 20), flow="dis")],
)
def test_a_second_epoch_needs_no_videos(private: Selection, folder: Path, view: View) -> None:
    reader = cached(private, folder, view)
    assert kept(reader) == []
    first = read_all(reader)
    assert kept(reader) == list(range(12))
    private.index.store.close()
    shutil.rmtree(Path(private.index.root, "wds"))
    assert all(isinstance(data, Clip) for data in reader.fetch(range(12)))
    for again in (reader, cached(private, folder, view), pickle.loads(pickle.dumps(reader))):
        assert same(first, read_all(again))
    out = np.zeros((len(first[3].frames), *first[3].frames.shape[1:]), np.uint8)
    assert reader.read(3, None, out).frames is out
    assert np.array_equal(out, first[3].frames)
    if view.flow:
        assert all(clip.flow is not None and clip.flow.any() for clip in first)


def test_what_is_given_out_is_not_the_cache(clips: Selection, folder: Path) -> None:
    reader = cached(clips, folder, View(VIEW.window, 24, flow="dis"))
    first = read_all(reader)
    for clip in read_all(reader):
        clip.frames[:] = 0
        assert clip.flow is not None
        clip.flow[:] = 0
    assert same(first, read_all(reader))


def test_the_bound_holds(private: Selection, folder: Path) -> None:
    reader = cached(private, folder, max_bytes=5 * SLOT + SLOT // 2)
    first = read_all(reader)
    assert kept(reader) == [0, 1, 2, 3, 4]
    assert same(first, read_all(reader))
    (file,) = files(folder)
    assert file.stat().st_size == 5 * SLOT
    fetched = reader.fetch(range(12))
    assert [isinstance(data, Clip) for data in fetched] == [position < 5 for position in range(12)]
    assert kept(cached(private, folder, max_bytes=3 * SLOT)) == [0, 1, 2]
    assert file.stat().st_size == 5 * SLOT  # another has it open
    del reader
    assert same(first, read_all(cached(private, folder, max_bytes=3 * SLOT)))
    assert file.stat().st_size == 3 * SLOT


def test_a_bound_below_one_window_is_said(clips: Selection, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    reader = cached(clips, folder, max_bytes=SLOT - 1)
    assert reader._windows is None
    assert caplog.messages == [
        f"{folder}: no window of {SLOT} bytes fits: max_bytes={SLOT - 1}, {SLOT - 1} are left beside the caches in use"
    ]
    assert len(read_all(reader)) == 12
    with pytest.raises(TypeError, match=r"^max_bytes must be a whole number of bytes; it is '10GB'$"):
        WindowCacheSettings(folder, "10GB")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_bytes=0 must be above 0"):
        WindowCacheSettings(folder, 0)


@pytest.mark.parametrize(
    "view",
    [
        View(Window.around(frames=5), 24),
        View(Window.around("onset", 4), 24),
        View(VIEW.window, 26),
        View(VIEW.window, 24, gray=True),
        View(VIEW.window, 24, flow="dis"),
        View(VIEW.window, 24, backend="pyav"),
    ],
)
def test_another_view_is_another_cache(clips: Selection, folder: Path, view: View) -> None:
    read_all(cached(clips, folder))
    other = cached(clips, folder, view)
    assert kept(other) == []
    assert same(read_all(other), read_all(ClipReader(clips, view)))
    assert len(files(folder)) == 2


def test_another_selection_is_another_cache(clips: Selection, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read_all(cached(clips, folder))
    other = cached(clips.where(emotion="surprise"), folder)
    assert kept(other) == []
    assert same(read_all(other), [clip for clip, row in zip(first, clips.labels(["emotion"]), strict=True)
                                  if row["emotion"] == "surprise"])  # fmt: skip
    monkeypatch.setattr(window_cache, "_decoder", lambda _: "another version")
    assert kept(cached(clips, folder)) == []


@pytest.mark.parametrize("name", ["windows.py", "video/scale.py"])
def test_other_code_is_another_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    code = Path(window_cache.__file__).parent
    shutil.copytree(code / "video", tmp_path / "video")
    shutil.copy(code / "windows.py", tmp_path)
    monkeypatch.setattr(window_cache, "__file__", str(tmp_path / "window_cache.py"))
    key = window_cache._decoder.__wrapped__
    before = key(None)
    assert key("pyav") == before
    with open(tmp_path / name, "a") as file:
        file.write("# another rule\n")
    assert key(None) != before
    keys = set()
    for version in ("1", "2"):
        monkeypatch.setitem(sys.modules, "decord", SimpleNamespace(__version__=version))
        keys.add(key("decord"))
    assert len(keys) == 2


def test_a_new_start_of_the_machine_empties_the_cache(
    clips: Selection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read_all(cached(clips, folder))
    monkeypatch.setattr(window_cache, "_boot", lambda: "another")
    reader = cached(clips, folder)
    assert kept(reader) == []
    assert same(first, read_all(reader))
    assert kept(reader) == list(range(12))
    assert len(files(folder)) == 1


# --- several caches in one folder


def test_caches_that_nobody_uses_make_room(clips: Selection, folder: Path) -> None:
    views = [View(Window.around(frames=4, before=before), 24) for before in range(4)]
    bound = 2 * 12 * SLOT
    for number, view in enumerate(views):
        read_all(cached(clips, folder, view, bound))
        assert len(files(folder)) == min(2, number + 1)
        assert sum(file.stat().st_size for file in files(folder)) <= bound
    assert [len(kept(cached(clips, folder, view, bound))) for view in views[2:]] == [12, 12]
    read_all(cached(clips, folder, views[0], bound))
    # The one that was opened longest ago went.
    assert len(kept(cached(clips, folder, views[3], bound))) == 12


def test_caches_in_use_stay(clips: Selection, folder: Path) -> None:
    other = View(VIEW.window, 24, backend="pyav")
    first = cached(clips, folder, max_bytes=15 * SLOT)
    second = cached(clips, folder, other, max_bytes=15 * SLOT)
    expected = read_all(first)
    assert same(expected, read_all(second))
    assert (len(kept(first)), len(kept(second))) == (12, 3)
    third = cached(clips, folder, View(VIEW.window, 25), max_bytes=15 * SLOT)
    assert third._windows is None
    del first
    assert len(kept(cached(clips, folder, other, max_bytes=15 * SLOT))) == 3
    read_all(cached(clips, folder, other, max_bytes=15 * SLOT))
    assert len(files(folder)) == 1


def test_other_files_of_the_folder_are_left_alone(clips: Selection, folder: Path) -> None:
    folder.mkdir()
    mine = [folder / "notes.txt", folder / "windows-of-my-house.cache", folder / "windows-1.cache"]
    for path in mine:
        path.write_bytes(b"x" * 10_000)
    (folder / f"windows-{'0' * 32}.cache").mkdir()
    reader = cached(clips, folder, max_bytes=12 * SLOT + 4096)
    read_all(reader)
    assert all(path.read_bytes() == b"x" * 10_000 for path in mine)


# --- files that are not what they should be


def test_a_file_that_was_cut_or_taken_away_costs_nothing(clips: Selection, folder: Path) -> None:
    reader = cached(clips, folder)
    first = read_all(reader)
    (file,) = files(folder)
    for size in (0, SLOT // 2, 7 * SLOT + 20, 8 * SLOT - 1):
        os.truncate(file, size)
        assert kept(reader) == list(range(size // SLOT))
        assert same(first, read_all(reader))
        assert kept(reader) == list(range(12))
    file.unlink()
    assert same(first, read_all(reader))
    fresh = cached(clips, folder)
    assert kept(fresh) == []
    assert same(first, read_all(fresh))


def test_a_window_that_vanishes_between_two_steps_is_read_again(clips: Selection, folder: Path) -> None:
    reader = cached(clips, folder)
    first = read_all(reader)
    fetched = reader.fetch(range(12))
    os.truncate(files(folder)[0], 0)
    assert same(first, [reader.read(position, data) for position, data in enumerate(fetched)])


@pytest.mark.parametrize("content", ["zeros", "ones", "noise", "another cache", "windows moved by one"])
def test_a_foreign_file_is_not_trusted(clips: Selection, folder: Path, content: str) -> None:
    first = read_all(cached(clips, folder))
    (file,) = files(folder)
    data = file.read_bytes()
    if content == "another cache":
        other = cached(clips, folder.parent / "other", View(VIEW.window, 24, backend="pyav"))
        read_all(other)
        foreign = files(folder.parent / "other")[0].read_bytes()
    else:
        foreign = {
            "zeros": bytes(len(data)),
            "ones": b"\x01" * len(data),
            "noise": np.random.default_rng(0).bytes(len(data)),
            "windows moved by one": data[SLOT:] + data[:SLOT],
        }[content]
    file.write_bytes(foreign)
    reader = cached(clips, folder)
    assert kept(reader) == []
    assert same(first, read_all(reader))
    assert kept(reader) == list(range(12))


@pytest.mark.parametrize("trap", ["link", "hard link", "pipe", "folder"])
def test_what_is_no_file_of_ours_is_left_alone(
    clips: Selection, folder: Path, trap: str, caplog: pytest.LogCaptureFixture
) -> None:
    read_all(cached(clips, folder))
    (file,) = files(folder)
    file.unlink()
    victim = folder.parent / "victim"
    victim.write_bytes(b"precious")
    {
        "link": lambda: file.symlink_to(victim),
        "hard link": lambda: os.link(victim, file),
        "pipe": lambda: os.mkfifo(file),
        "folder": file.mkdir,
    }[trap]()
    reader = cached(clips, folder)
    assert reader._windows is None
    (message,) = caplog.messages
    assert message.startswith(f"{folder}: windows cannot be kept (")
    assert victim.read_bytes() == b"precious"
    assert len(read_all(reader)) == 12


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_left_alone(clips: Selection, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    read_all(cached(clips, folder))
    (file,) = files(folder)
    os.chown(file, 12345, 12345)
    assert cached(clips, folder)._windows is None
    assert caplog.messages == [f"{folder}: windows cannot be kept ({file.name} is not a plain file of this user)"]


def test_files_are_for_their_owner_alone(clips: Selection, folder: Path) -> None:
    before = os.umask(0)
    try:
        cached(clips, folder)
    finally:
        os.umask(before)
    assert files(folder)[0].stat().st_mode & 0o777 == 0o600


# --- disks in trouble


def test_a_folder_that_cannot_be_is_said_once(clips: Selection, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.write_text("a file")
    reader = cached(clips, folder)
    assert reader._windows is None
    assert caplog.messages == [f"{folder}: windows cannot be kept (File exists)"]
    assert len(read_all(reader)) == 12


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_said(clips: Selection, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.mkdir(mode=0o500)
    assert cached(clips, folder)._windows is None
    assert caplog.messages == [f"{folder}: windows cannot be kept (Permission denied)"]


def test_a_full_disk_switches_the_cache_off(
    clips: Selection, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = cached(clips, folder)
    first = [reader.read(position) for position in range(3)]
    write = os.pwritev

    def partly(descriptor: int, parts: list[Any], start: int) -> int:
        return write(descriptor, [parts[0].reshape(-1)[:1000]], start)

    def full(*_: Any) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "pwritev", partly)
    monkeypatch.setattr(os, "pwrite", full)
    first += [reader.read(position) for position in range(3, 12)]
    assert caplog.messages == [f"{files(folder)[0]}: the window cache keeps nothing more (No space left on device)"]
    assert kept(reader) == [0, 1, 2]
    monkeypatch.undo()
    assert same(first, read_all(reader))
    assert kept(reader) == [0, 1, 2]
    assert same(first, read_all(ClipReader(clips, VIEW)))


def test_a_write_in_pieces_is_whole(clips: Selection, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vector, plain = os.pwritev, os.pwrite
    monkeypatch.setattr(
        os, "pwritev", lambda file, parts, start: vector(file, [memoryview(parts[0]).cast("B")[:3]], start)
    )
    monkeypatch.setattr(os, "pwrite", lambda file, data, start: plain(file, data[:999], start))
    reader = cached(clips, folder)
    first = read_all(reader)
    assert kept(reader) == list(range(12))
    assert same(first, read_all(reader))


def test_a_limit_on_the_size_of_files_is_borne(
    clips: Selection, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reader = cached(clips, folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5 * SLOT, hard))
    try:
        first = read_all(reader)
        assert cached(clips, folder.parent / "other")._windows is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [message.rpartition(": ")[2] for message in caplog.messages] == [
        "the window cache keeps nothing more (File too large)",
        "windows cannot be kept (File too large)",
    ]
    assert kept(reader) == [0, 1, 2, 3, 4]
    assert same(first, read_all(reader))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_small_disk_in_memory_is_borne(clips: Selection, small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    reader = cached(clips, small_disk)
    first = read_all(reader)
    assert len(caplog.messages) == 1 and caplog.messages[0].endswith("(No space left on device)")
    assert 1 <= len(kept(reader)) < 12
    assert same(first, read_all(reader))
    assert same(first, read_all(cached(clips, small_disk)))


def test_a_disk_that_cannot_be_read_is_borne(
    clips: Selection, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = cached(clips, folder)
    first = read_all(reader)

    def broken(*_: Any) -> int:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(os, "preadv", broken)
    assert same(first, read_all(reader))
    assert caplog.messages == [f"{files(folder)[0]}: the window cache keeps nothing more (Input/output error)"]


# --- processes


def test_a_window_between_the_tags_of_two_writings_is_taken_for_empty(clips: Selection, folder: Path) -> None:
    """As a reader sees it whom a writer overtakes, after the file was cut behind the first tag."""
    reader = cached(clips, folder)
    read_all(reader)
    (path,) = files(folder)
    before = path.read_bytes()
    path.write_bytes(bytes(len(before)))
    read_all(cached(clips, folder))
    after = path.read_bytes()
    assert before[:TAG_BYTES] != after[:TAG_BYTES]
    path.write_bytes(before[:TAG_BYTES] + bytes(SLOT - 2 * TAG_BYTES) + after[SLOT - TAG_BYTES :])
    assert kept(cached(clips, folder)) == list(range(1, 12))


def _hammer(root: str, folder: str, seed: int, expected: list[str], failed: Any) -> None:
    """Read at random while others write, and now and then cut the file."""
    clips = equime_loader.open_dataset(root)
    reader = cached(clips, Path(folder))
    rng = np.random.default_rng(seed)
    for turn in range(400):
        position = int(rng.integers(len(reader)))
        if turn % 40 == 39:
            os.truncate(files(Path(folder))[0], int(rng.integers(12 * SLOT)))
        (data,) = reader.fetch([position])
        if hashlib.sha256(reader.read(position, data).frames).hexdigest() != expected[position]:
            failed.value += 1


def test_processes_share_a_cache(built: Path, clips: Selection, folder: Path) -> None:
    expected = [hashlib.sha256(clip.frames).hexdigest() for clip in read_all(ClipReader(clips, VIEW))]
    context = multiprocessing.get_context("spawn")
    failed = context.Value("i", 0)
    workers = [
        context.Process(target=_hammer, args=(str(built), str(folder), seed, expected, failed)) for seed in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert failed.value == 0
    assert len(files(folder)) == 1
    reader = cached(clips, folder)
    read_all(reader)
    assert kept(reader) == list(range(12))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_shares_the_cache(private: Selection, folder: Path) -> None:
    reader = cached(private, folder)
    child = os.fork()
    if not child:
        read_all(reader)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert kept(reader) == list(range(12))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_writer_that_is_killed_leaves_no_wrong_window(clips: Selection, folder: Path) -> None:
    view = View(Window.around(frames=32), 112)
    expected = read_all(ClipReader(clips, view))
    reader = cached(clips, folder, view)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(25):
        begun, begins = os.pipe()
        writer = os.fork()
        if not writer:
            windows(reader).write(0, expected[0])
            os.write(begins, b"!")
        while not writer:
            os.truncate(files(folder)[0], 0)
            for position, clip in enumerate(expected):
                windows(reader).write(position, clip)
        os.read(begun, 1)
        time.sleep(0.01 * rng.random())
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        os.close(begun)
        os.close(begins)
        found.append(kept(reader))
        for position in found[-1]:
            assert np.array_equal(reader.read(position).frames, expected[position].frames)
    assert len(set(map(len, found))) > 1
    assert same(expected, read_all(reader))
    assert kept(reader) == list(range(12))


def test_no_descriptor_stays_open(clips: Selection, folder: Path) -> None:
    read_all(cached(clips, folder))
    gc.collect()  # what others have left
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        read_all(cached(clips, folder))
    assert len(os.listdir("/proc/self/fd")) == before


def test_nothing_is_logged_when_all_is_well(clips: Selection, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "equime_loader")
    for _ in range(2):
        read_all(cached(clips, folder))
    assert caplog.messages == []
