"""Locks of a folder: one holder at a time, also while others remove what they held; and nothing of them left behind."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing.synchronize import Event
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import small_request

from equime_builder import annotate, build, finish, manifest, repair
from equime_builder import locks as files
from equime_builder.executors.node import beacon, complaint
from equime_builder.manifest import FolderError
from equime_builder.sources.drawn import ProceduralSource
from equime_builder.verify import verify

SPAWN = multiprocessing.get_context("spawn")
ROUNDS, PROCESSES = 300, 3
FORMATS = ("webdataset", "parquet", "arrow")


def _compete(root: str, locks: tuple[str, ...], rounds: int, wrong: str) -> None:
    """Take locks and give them back, as fast as it goes; whoever else is inside then is written down."""
    manifest.LOCK_POLL_S = 0.0
    inside = Path(root).with_name("inside")
    for number in range(rounds):
        whole = manifest.locked_folder(Path(root), *locks, patience_s=60)
        with whole if number % 2 else manifest.lock(Path(root), locks[0], patience_s=60):
            try:
                descriptor = os.open(inside, os.O_CREAT | os.O_EXCL)
            except FileExistsError:
                Path(wrong).write_text(f"two holders in round {number}", encoding="utf-8")
                raise
            os.close(descriptor)
            time.sleep(0)
            inside.unlink()


def _hold(root: str, names: tuple[str, ...], ready: Event) -> None:
    with manifest.locked_folder(Path(root), *names):
        (Path(root) / manifest.LOCKS / "left.lock").touch()
        ready.set()
        time.sleep(60)


def locks(root: Path) -> list[str]:
    folder = root / manifest.LOCKS
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_never_two_holders(tmp_path: Path) -> None:
    root, wrong = tmp_path / "equime", tmp_path / "wrong"
    root.mkdir()
    arguments = (str(root), ("build", "finish"), ROUNDS, str(wrong))
    competing = [SPAWN.Process(target=_compete, args=arguments) for _ in range(PROCESSES)]
    for process in competing:
        process.start()
    for process in competing:
        process.join(120)
    assert not wrong.exists(), wrong.read_text(encoding="utf-8")
    assert [process.exitcode for process in competing] == [0] * PROCESSES
    assert list(root.rglob("*")) == [root / manifest.FOLDER]


def test_who_opened_a_file_that_its_holder_then_removed_takes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder gives the lock back between another one's two calls, and a third takes it."""
    held = manifest.lock(tmp_path, "build")
    third = manifest.lock(tmp_path, "build")
    held.__enter__()
    system, calls = files.lock_descriptor, []

    def late(descriptor: int, *, blocking: bool) -> bool:
        calls.append(descriptor)
        if len(calls) == 1:
            held.__exit__(None, None, None)
            third.__enter__()
        return system(descriptor, blocking=blocking)

    monkeypatch.setattr(files, "lock_descriptor", late)
    with pytest.raises(FolderError, match="another build is writing this folder"), manifest.lock(tmp_path, "build"):
        pass
    assert len(calls) == 3 and locks(tmp_path) == ["build.lock"]
    third.__exit__(None, None, None)
    assert locks(tmp_path) == []


def test_a_file_that_another_node_removed_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system, asked = os.fstat, []

    def stale(descriptor: int) -> os.stat_result:
        asked.append(descriptor)
        if len(asked) == 1:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return system(descriptor)

    monkeypatch.setattr(os, "fstat", stale)
    with manifest.lock(tmp_path, "build"):
        assert len(asked) == 2
    assert locks(tmp_path) == []


def test_who_waits_gets_it(tmp_path: Path) -> None:
    ready = SPAWN.Event()
    holder = SPAWN.Process(target=_hold, args=(str(tmp_path), ("build",), ready))
    holder.start()
    try:
        assert ready.wait(30)
        with pytest.raises(FolderError, match="another build"), manifest.lock(tmp_path, "build", patience_s=0.1):
            pass
        assert locks(tmp_path) == ["build.lock", "left.lock"], "what another one holds is left alone"
        os.kill(holder.pid or 0, signal.SIGKILL)
        with manifest.locked_folder(tmp_path, "build", patience_s=10):
            assert locks(tmp_path) == ["build.lock", "left.lock"]
    finally:
        holder.kill()
        holder.join()
    assert locks(tmp_path) == [] and not (tmp_path / manifest.LOCKS).exists()


@pytest.mark.parametrize("error", [None, KeyError, KeyboardInterrupt])
def test_nothing_is_left(tmp_path: Path, error: type[BaseException] | None) -> None:
    names = ("build", "finish", "train-00000")
    with pytest.raises(error) if error else nullcontext(), manifest.locked_folder(tmp_path, *names):
        assert locks(tmp_path) == [f"{name}.lock" for name in names]
        if error:
            raise error
    assert list(tmp_path.rglob("*")) == [tmp_path / manifest.FOLDER]


def test_locks_of_others_are_left_alone(tmp_path: Path) -> None:
    with manifest.lock(tmp_path, "train-00000") as path:
        with manifest.locked_folder(tmp_path, "build", "finish"):
            pass
        assert locks(tmp_path) == [path.name]
        with pytest.raises(FolderError, match="shard train-00000"), manifest.lock(tmp_path, "train-00000"):
            pass
    assert not (tmp_path / manifest.LOCKS).exists()


def test_a_beacon_that_is_lit_is_left_alone(tmp_path: Path) -> None:
    with beacon(tmp_path) as lit:
        with manifest.locked_folder(tmp_path, "build", "finish"):
            pass
        assert complaint(lit) is None
    assert not (tmp_path / manifest.LOCKS).exists()


def test_a_folder_that_took_the_place_keeps_its_locks(tmp_path: Path) -> None:
    root, other = tmp_path / "equime", tmp_path / "other"
    root.mkdir()
    with manifest.lock(root, "build"):
        root.rename(other)
        with pytest.raises(FolderError, match="another build"), manifest.lock(root, "build"):
            pass
        assert not root.exists(), "who waits makes no folder"
        root.mkdir()
        with manifest.lock(root, "build"):
            pass
        second = manifest.lock(root, "build")
        second.__enter__()
    assert locks(root) == ["build.lock"]
    second.__exit__(None, None, None)
    assert locks(root) == []


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / manifest.LOCKS
    folder.mkdir(parents=True)
    (folder / "build.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"), manifest.lock(tmp_path, "build"):
        pass
    assert not (tmp_path / "elsewhere").exists()


def _refused(*_: object, **__: object) -> NoReturn:
    raise FolderError("made to fail")


def _annotate(root: Path) -> None:
    keys = pq.read_table(root / manifest.INDEX, columns=["key"])["key"]
    annotate.write_annotation(root, "quality", pa.table({"key": keys, "ssim": [0.5] * len(keys)}))


@pytest.mark.parametrize(
    ("module", "part", "work"),
    [
        (finish, "_rewrite", finish.rewrite_texts),
        (repair, "dataset_faults", lambda root: repair.repair(root, ProceduralSource())),
        (build, "is_finished", lambda root: build.build(root, small_request(formats=FORMATS))),
        (build, "is_finished", lambda root: build.build(root, small_request(formats=FORMATS), shards=[0])),
        (annotate, "_write", _annotate),
    ],
)
def test_work_leaves_no_locks(
    built: Path, copy_of: Callable[[Path], Path], module: ModuleType, part: str, work: Callable[[Path], object]
) -> None:
    root = copy_of(built)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, part, _refused)
        with pytest.raises(FolderError, match="made to fail"):
            work(root)
    assert not (root / manifest.LOCKS).exists() and verify(root) == []
    work(root)
    assert not (root / manifest.LOCKS).exists() and verify(root) == []


def test_a_plan_that_does_not_come_about_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "make_plan", _refused)
    with pytest.raises(FolderError, match="made to fail"):
        build.build(tmp_path / "equime", small_request())
    assert list(tmp_path.iterdir()) == []
