"""Worker processes of the loader, and the memory that they share with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from running import comes_true, session

import equime_loader
from equime_loader import Loader, View, Window
from equime_loader.order import rank_share
from equime_loader.reading import ClipReader
from equime_loader.selection import Selection
from equime_loader.worker_processes import SharedMemory, Spare, WorkerDied, crew

VIEW = View(Window.around("apex", 4), 32)


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
        (signal.SIGKILL, "signal 9 (Killed): out of memory? Take fewer workers, smaller batches or prefetch=1"),
        (signal.SIGSEGV, "signal 11 (Segmentation fault)"),
    ],
)
def test_a_worker_that_dies_is_told_in_one_line(clips: Selection, died_of: signal.Signals, told: str) -> None:
    share = rank_share(np.arange(len(clips)), batch_size=4, ends="uneven")
    with crew(ClipReader(clips, VIEW), share, None, workers=1) as working:
        working.ask(0, None)
        assert len(working.answer(0)) == 4
        os.kill(working._workers[0].pid, died_of)
        working._workers[0].join()
        working.ask(1, None)
        with pytest.raises(WorkerDied) as told_of:
            working.answer(1)
        assert str(told_of.value) == f"a worker process was ended by {told}"


def test_a_script_whose_work_is_not_guarded_is_told_so(built: Path, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import equime_loader\n"
        f"loader = equime_loader.Loader(equime_loader.open_dataset({str(built)!r}), processes=True, batch_size=2)\n"
        "for _ in loader:\n    print('training')\n"
    )
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert run.returncode == 1 and run.stdout == ""
    assert run.stderr.splitlines()[-1] == (
        "equime_loader.worker_processes.WorkerDied: a worker process ended with code 1. It imports the script once "
        "more: with processes=True the script's own work belongs under `if __name__ == '__main__':`"
    )


def test_workers_end_with_a_process_that_is_killed(built: Path, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import equime_loader\nif __name__ == '__main__':\n"
        f"    loader = equime_loader.Loader(equime_loader.open_dataset({str(built)!r}), processes=True, batch_size=2)\n"
        "    for _ in loader:\n        print('training', flush=True)\n        input()\n"
    )
    run = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert run.stdout is not None and run.stdout.readline() == "training\n"
    assert len(session(run.pid)) >= 3
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    assert comes_true(lambda: session(run.pid) == []), session(run.pid)


def test_workers_need_no_torch() -> None:
    program = "import sys, equime_loader.worker_processes; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert run.stdout == "False\n"
