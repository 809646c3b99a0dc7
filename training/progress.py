"""What a run tells while it goes: a bar, a line per epoch, and files for TensorBoard."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from torch.utils.tensorboard import SummaryWriter

from equime_loader.tables import counted
from training.protocols.scores import PARTIAL_NOTE, partial_mark
from training.runs import Epoch, Run

# Curves within an epoch have one point in so many steps.
STEPS_SHOWN = 10


class Teller(Protocol):
    """Takes what happens."""

    def begin(self, epoch: int, steps: int, done: int) -> None: ...
    def step(self, number: int, loss: float) -> None: ...
    def end(self, epoch: Epoch, *, best: bool) -> None: ...


class Silent:
    """Tells nothing: for all processes but one."""

    def begin(self, epoch: int, steps: int, done: int) -> None:
        """An epoch begins."""

    def step(self, number: int, loss: float) -> None:
        """A step is done."""

    def end(self, epoch: Epoch, *, best: bool) -> None:
        """An epoch is over."""


class Aloud:
    """Tells on standard error and to TensorBoard."""

    def __init__(self, writer: SummaryWriter, console: Console, bar: Progress) -> None:
        self._writer, self._console, self._bar = writer, console, bar
        self._line = bar.add_task("", total=1, loss="")

    def begin(self, epoch: int, steps: int, done: int) -> None:
        """An epoch of so many steps begins, or goes on after those done."""
        self._bar.reset(self._line, description=f"epoch {epoch}", total=steps, completed=done, loss="")

    def step(self, number: int, loss: float) -> None:
        """A step is done: its number in the run, its loss."""
        self._bar.update(self._line, advance=1, loss=f"loss {loss:.3f}")
        if number % STEPS_SHOWN == 0:
            self._writer.add_scalar("step/train_loss", loss, number)

    def end(self, epoch: Epoch, *, best: bool) -> None:
        """An epoch is over."""
        for name, value in asdict(epoch).items():
            if name not in ("epoch", "step"):
                self._writer.add_scalar(f"epoch/{name}", value, epoch.step)
        self._writer.flush()
        self._console.print(
            f"epoch {epoch.epoch}: loss {epoch.train_loss:.3f}, validation loss {epoch.validation_loss:.3f}, "
            f"UF1 {epoch.validation_uf1:.3f}, UAR {epoch.validation_uar:.3f}, "
            f"accuracy {epoch.validation_accuracy:.3f}, {epoch.seconds:.1f} s "
            f"({epoch.waiting_seconds / max(epoch.seconds, 1e-9):.1%} waiting){', best so far' if best else ''}",
            highlight=False,
            soft_wrap=True,
        )


@contextmanager
def telling(folder: Path, *, aloud: bool, step: int) -> Iterator[Teller]:
    """A teller for a run folder; a run that goes on after a step drops what TensorBoard had of later ones."""
    if not aloud:
        yield Silent()
        return
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[loss]}"))
    with (
        SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1) as writer,
        Progress(
            *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
        ) as bar,
    ):
        yield Aloud(writer, console, bar)


def is_first_process() -> bool:
    """Whether this process is the one that speaks, of those that torchrun started."""
    return int(os.environ.get("RANK", "0")) == 0


def show_scores(run: Run) -> None:
    """Print how a run ended, and a table of its scores beside what saying one class scores at best."""
    result = run.result
    console = Console()
    console.print(
        f"{run.folder}: {counted(result['epochs'], 'epoch')} in {result['minutes']:.1f} minutes, stopped by "
        f"{result['stopped_by']}, best epoch {result['best_epoch']}; "
        f"{result['waiting_share']:.1%} of training time waiting for batches",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    table = Table("tested on", "clips", "UF1", "UAR", "accuracy", "best constant: UF1", "UAR", "accuracy")
    marks: list[str] = []
    for name, tested in result["predictions"].items():
        constants = list(tested["constants"].values())
        cells = [tested["scores"][figure] for figure in ("uf1", "uar", "accuracy")]
        cells += [max(scores[figure] for scores in constants) for figure in ("uf1", "uar", "accuracy")]
        shown = ["–" if value is None else f"{value:.3f}" for value in cells]
        mark = partial_mark(tested["scores"]["confusion"])
        marks.append(mark)
        table.add_row(escape(f"{name} {mark}".strip()), f"{tested['clips']:,}", *shown)
    console.print(table)
    if any(marks):
        console.print(PARTIAL_NOTE, highlight=False, soft_wrap=True)
