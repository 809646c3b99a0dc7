"""Worker processes of the loader, and the memory that they share with it."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from httpserver import RangeServer, serving
from running import at_work, comes_true, forks, press_ctrl_c, run_without, says_something, server, session

import equime_loader
from equime_loader import Loader, View, Window
from equime_loader.loader import balance
from equime_loader.order import rank_share
from equime_loader.reading import ClipReader
from equime_loader.selection import Selection
from equime_loader.shared_memory import SharedMemory, Spare
from equime_loader.video.frames import Clip
from equime_loader.window_reader import WindowReader
from equime_loader.worker_processes import WorkerDied, crew

VIEW = View(Window.around("apex", 4), 32)


def training(folder: Path, built: Path, body: str) -> Path:
    """A script that makes a `loader` with worker processes, and then does what `body` says."""
    clips = f"equime_loader.open_dataset({str(built)!r})"
    work = f"loader = equime_loader.Loader({clips}, processes=True, batch_size=2)\n{body}"
    (folder / "train.py").write_text(f"import equime_loader\n{work}")
    return folder / "train.py"


@pytest.fixture(scope="module")
def clips(built: Path) -> Selection:
    return equime_loader.open_dataset(built)


def test_a_place_is_free_once_nobody_holds_it() -> None:
    memory = SharedMemory(3, (2, 4))
    assert list(memory.free()) == [0, 1, 2]
    first, second = memory.take(), memory.take()
    assert (first, second, list(memory.free())) == (0, 1, [2])
    memory.at(first, 2)[:] = 7
    given = torch.from_numpy(memory.give(first, 1))
    assert given.shape == (1, 4) and (given == 7).all()
    part = given.view(2, 2)[1]
    del given
    assert list(memory.free()) == [2]
    del part
    assert list(memory.free()) == [0, 2]
    memory.let_go()
    assert list(memory.free()) == [0, 1, 2]


def test_what_is_given_is_a_copy_where_all_other_places_are_held() -> None:
    memory = SharedMemory(2, (1, 4))
    held = memory.give(memory.take(), 1)
    place = memory.take()
    memory.at(place, 1)[:] = 5
    copied = memory.give(place, 1)
    assert not np.shares_memory(copied, memory.at(place, 1)) and (copied == 5).all()
    assert list(memory.free()) == [place]
    assert np.shares_memory(held, memory.at(0, 1))


def test_an_epoch_leaves_its_memory_to_the_next_unless_it_is_held() -> None:
    spare = Spare()
    with spare.memory(3, (1, 4), free=2) as first:
        held = [first.give(first.take(), 1)]
        first.take()
    with spare.memory(3, (1, 4), free=2) as second:
        assert second is first
        held.append(second.give(second.take(), 1))
    with spare.memory(3, (1, 4), free=2) as third:
        assert third is not first
    assert len(held) == 2


def test_batches_that_are_kept_stay_what_they_were(clips: Selection) -> None:
    options = {"batch_size": 1, "prefetch": 1, "shuffle": False}
    expected = [batch["video"].clone() for batch in Loader(clips, VIEW, workers=0, **options)]  # type: ignore[arg-type]
    loader = Loader(clips, VIEW, workers=2, processes=True, **options)  # type: ignore[arg-type]
    kept = [list(loader), list(loader)]
    for epoch in kept:
        assert all(torch.equal(batch["video"], video) for batch, video in zip(epoch, expected, strict=True))
        assert all(batch["video"].is_contiguous(memory_format=torch.channels_last_3d) for batch in epoch)


@pytest.mark.parametrize("prefetch", [1, 2, 5])
def test_any_number_of_batches_of_the_epoch_before_may_be_kept(clips: Selection, prefetch: int) -> None:
    loader = Loader(clips, VIEW, batch_size=1, workers=2, processes=True, prefetch=prefetch)
    for kept in range(7):
        held = [batch for _, batch in zip(range(kept), loader, strict=False)]
        before = [batch["video"].clone() for batch in held]
        loader.set_epoch(kept)
        assert sum(len(batch["key"]) for batch in loader) == len(clips)
        assert all(torch.equal(batch["video"], video) for batch, video in zip(held, before, strict=True))


@pytest.mark.parametrize("view", [View(Window.whole(), 16), View(Window.around("apex", 2), None)])
def test_windows_without_a_known_size_come_through_the_pipe(clips: Selection, view: View) -> None:
    options = {"batch_size": 5, "seed": 3}
    here = list(Loader(clips, view, workers=0, **options))  # type: ignore[arg-type]
    there = list(Loader(clips, view, workers=2, processes=True, **options))  # type: ignore[arg-type]
    for one, other in zip(here, there, strict=True):
        assert one["key"] == other["key"] and torch.equal(one["video"], other["video"])
        assert torch.equal(one["mask"], other["mask"])


def test_more_workers_than_batches_are_not_begun(clips: Selection) -> None:
    assert len(list(Loader(clips, VIEW, batch_size=100, workers=8, processes=True))) == 1


@pytest.mark.parametrize(
    ("died_of", "told"),
    [
        (signal.SIGKILL, "signal 9 (Killed). Out of memory? Take fewer workers, smaller batches or prefetch=1"),
        (
            signal.SIGBUS,
            "signal 7 (Bus error). Is /dev/shm full? Give it more. Take fewer workers, smaller batches or prefetch=1",
        ),
        (signal.SIGSEGV, "signal 11 (Segmentation fault)"),
    ],
)
def test_a_worker_that_dies_is_told_in_one_line(clips: Selection, died_of: signal.Signals, told: str) -> None:
    share = rank_share(np.arange(len(clips)), batch_size=4, ends="uneven")
    with crew(ClipReader(clips, VIEW), share, None, workers=1) as working:
        assert working.comes(60)
        assert len(working.ask(0, None)()) == 4
        os.kill(forks()[-1], died_of)
        with pytest.raises(WorkerDied) as told_of:
            working.ask(1, None)()
        assert str(told_of.value) == f"a worker process was ended by {told}"


def test_memory_that_workers_may_still_write_to_is_not_used_again(clips: Selection) -> None:
    """A foreman that is killed cannot tell that its workers have ended."""
    share = rank_share(np.arange(len(clips)), batch_size=4, ends="uneven")
    reader, spare = ClipReader(clips, VIEW), Spare()
    memories = []
    for killed in (False, True, False):
        with spare.memory(3, (4, 4, 32, 32, 3), free=3) as memory, crew(reader, share, memory, workers=1) as working:
            assert working.comes(60) and len(working.ask(0, 0)()) == 4
            memories.append(memory)
            if killed:
                assert comes_true(lambda: len(forks()) == 2)  # the foreman before this one may not have gone yet
                os.kill(forks()[0], signal.SIGKILL)
    assert memories[0] is memories[1] is not memories[2]


def test_shared_memory_that_is_full_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that writes to pages which cannot be had is ended by a signal; here, the reader of the batch."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    memory = SharedMemory(1, (2, 4))
    memory.reserve(0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    memory.reserve(0)
    with pytest.raises(
        MemoryError, match=r"^no shared memory for a batch \(No space left on device\)\. Is /dev/shm full"
    ):
        SharedMemory(1, (2, 4)).reserve(0)


def test_a_fork_neither_ends_nor_keeps_what_is_its_parents(built: Path, tmp_path: Path) -> None:
    body = """
import os, signal, sys, time
loop = iter(loader)
next(loop)
time.sleep(1)
next(loop)  # now the workers have come
if not (child := os.fork()):
    time.sleep(1)
    sys.exit()
os.waitpid(child, 0)
print(1 + sum(1 for _ in loop), flush=True)
loop = iter(loader)
next(loop)
if os.fork():
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(600)
"""
    with at_work(training(tmp_path, built, body)) as run:
        assert run.stdout is not None and run.stdout.readline() == "5\n"
        assert run.wait() == -signal.SIGKILL
        assert comes_true(lambda: len(session(run.pid)) == 1), session(run.pid)
        os.killpg(run.pid, signal.SIGKILL)
        assert run.communicate()[1] == ""


@pytest.mark.parametrize("entry", ["'/tmp/a{b}'", "__import__('pathlib').Path('/tmp')", "''"])
def test_any_path_of_modules_will_do(built: Path, tmp_path: Path, entry: str) -> None:
    body = "import time; print(sum(1 for _ in loader if not time.sleep(0.3)))"
    script = training(tmp_path, built, body)
    script.write_text(f"import os, sys; sys.path.insert(0, {entry}); os.chdir('/')\n{script.read_text()}")
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("6\n", "")


def test_where_the_server_has_died_another_begins(clips: Selection) -> None:
    loader = Loader(clips, VIEW, processes=True, batch_size=2)
    first = server()
    assert first is not None
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    assert len(list(loader)) == 6 and server() not in (first, None)


@pytest.mark.parametrize("size", [None, 16])
def test_any_number_of_batches_may_be_ahead(clips: Selection, size: int | None) -> None:
    view = View(Window.around("apex", 4), size)
    sampling = balance(clips, "emotion", samples=600)
    loader = Loader(clips, view, batch_size=1, workers=1, processes=True, prefetch=600, sampling=sampling)
    assert sum(1 for _ in loader) == 600


def test_memory_of_another_shape_is_not_used_again() -> None:
    spare = Spare()
    with spare.memory(3, (2, 4), free=2) as first:
        pass
    with spare.memory(3, (3, 4), free=2) as second:
        assert second is not first and second.at(2, 3).shape == (3, 4)


def test_a_fault_outside_of_reading_is_told_as_it_is(clips: Selection) -> None:
    share = rank_share(np.arange(len(clips)), batch_size=4, ends="uneven")
    with crew(ClipReader(clips, VIEW), share, SharedMemory(1, (1, 1, 1, 1, 3)), workers=1) as working:
        assert working.comes(60)
        with pytest.raises(RuntimeError, match=r"^ValueError: cannot reshape array"):
            working.ask(0, 0)()


def test_a_script_needs_no_guard_and_no_file(built: Path, tmp_path: Path) -> None:
    body = "print(sum(len(batch['key']) for batch in loader for _ in [time.sleep(0.3)]))\n"
    script = training(tmp_path, built, "import time\n" + body).read_text()
    run = subprocess.run([sys.executable, "-"], input=script, capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr, run.returncode) == ("12\n", "", 0)


def test_workers_begin_within_a_worker_of_somebody_else(clips: Selection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
    assert len(list(Loader(clips, VIEW, processes=True, batch_size=2))) == 6


def test_ctrl_c_while_workers_begin_leaves_the_next_epoch_whole(built: Path, tmp_path: Path) -> None:
    body = """
import time
try:
    print('begins', flush=True)
    while True:
        list(loader)
except KeyboardInterrupt:
    print('interrupted', flush=True)
print(sum(1 for _ in loader if not time.sleep(0.3)))
"""
    with at_work(training(tmp_path, built, body)) as run:
        assert run.stdout is not None and run.stdout.readline() == "begins\n"
        time.sleep(0.1)  # the server imports what workers need for longer
        presses = press_ctrl_c(lambda: os.killpg(run.pid, signal.SIGINT), lambda: says_something(run))
        out, err = run.communicate(timeout=60)
    assert (out, run.returncode) == ("interrupted\n6\n", 0), err
    assert err.count("\nKeyboardInterrupt") == presses - 1 and bool(err) == (presses > 1), err


def test_workers_end_with_a_process_that_is_killed(built: Path, tmp_path: Path) -> None:
    body = f"""
import time
from equime_loader.loader import balance
clips = equime_loader.open_dataset({str(built)!r})
sampling = balance(clips, "emotion", samples=6000)
for _ in equime_loader.Loader(clips, processes=True, batch_size=2, sampling=sampling):
    time.sleep(0.1)
"""
    with at_work(training(tmp_path, built, body)) as run:
        # With the server, a foreman and two workers; the first batches are made by threads.
        assert comes_true(lambda: len(session(run.pid)) == 5, 60), session(run.pid)
        os.kill(run.pid, signal.SIGKILL)
        run.communicate()
        assert comes_true(lambda: session(run.pid) == []), session(run.pid)


def test_workers_need_neither_torch_nor_pyarrow() -> None:
    """They come sooner."""
    run_without("import equime_loader.worker_server", "torch", "pyarrow")


@pytest.mark.parametrize("backend", ["pyav", "torchcodec"])
def test_workers_give_what_threads_give(clips: Selection, backend: str) -> None:
    """Windows at their own size come with their frames, the others without; both are tried with each backend."""
    for size in (32, None):
        reader = ClipReader(clips, View(Window.around("apex", 4), size, backend=backend), check=True)
        share = rank_share(np.arange(len(clips)), batch_size=4, ends="uneven")
        shape = reader.shape(4)
        memory = None if shape is None else SharedMemory(3, shape)
        with crew(reader, share, memory, workers=2) as working:
            assert working.comes(60)
            answers = [working.ask(number, None if memory is None else number) for number in range(3)]
            for number, answer in enumerate(answers):
                expected, found = reader.attempt(share[number].positions.tolist()), answer()
                for slot, (one, other) in enumerate(zip(expected, found, strict=True)):
                    assert isinstance(one, Clip) and isinstance(other, Clip)
                    frames = other.frames if memory is None else memory.at(number, 4)[slot]
                    assert np.array_equal(one.frames, frames) and np.array_equal(one.mask, other.mask)


def test_workers_read_from_afar(built: Path) -> None:
    files = {path.relative_to(built).as_posix(): path.read_bytes() for path in built.rglob("*") if path.is_file()}
    with serving(RangeServer(files)) as server:
        clips = equime_loader.open_dataset(server.url)
        reader = ClipReader(clips, VIEW, check=True)
        share = rank_share(np.arange(len(clips)), batch_size=4, ends="uneven")
        with crew(reader, share, None, workers=1) as working:
            assert working.comes(60)
            answer = working.ask(0, None)()
            assert [clip.frames.shape for clip in answer if isinstance(clip, Clip)] == [(4, 32, 32, 3)] * 4


def test_a_job_that_cannot_be_unpacked_is_told(clips: Selection, monkeypatch: pytest.MonkeyPatch) -> None:
    share = rank_share(np.arange(len(clips)), batch_size=4, ends="uneven")
    reader = ClipReader(clips, VIEW)
    monkeypatch.setattr(WindowReader, "__reduce__", lambda self: (eval, ("1 / 0",)), raising=False)
    told = r"^worker processes cannot begin: ZeroDivisionError: division by zero$"
    with crew(reader, share, None, workers=1) as working, pytest.raises(WorkerDied, match=told):
        assert working.comes(60) and working.ask(0, None)()
