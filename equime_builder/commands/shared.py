"""What the commands share: consoles, printing, progress, and the options that several of them take."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from equime_loader.tables import counted

screen, notes = Console(), Console(stderr=True)
SECONDS_BETWEEN_LINES = 10.0


def _checked(name: str) -> Callable[[Path], Path]:
    """A check of `equime_builder.dataset_folder`, for an argument; what it takes is imported when it is asked for."""

    def check(folder: Path) -> Path:
        from equime_builder import dataset_folder

        getattr(dataset_folder, name)(folder)
        return folder

    return check


# A folder that may not be there yet; one of a dataset; and one whose build has ended.
Folder = Annotated[Path, typer.Argument(help="dataset folder", show_default=False, callback=_checked("check_name"))]
Dataset = Annotated[Path, typer.Argument(help="dataset folder", show_default=False, callback=_checked("check_dataset"))]
Complete = Annotated[
    Path, typer.Argument(help="dataset folder", show_default=False, callback=_checked("check_complete"))
]
ProfileName = Annotated[str, typer.Option(help="micro, paper, paper-selection, readme, demo, or a TOML file")]
Source = Annotated[str, typer.Option(help="procedural, folder or celeba-hq")]
Portraits = Annotated[Path | None, typer.Option(help="folder of photographs", show_default=False)]
AttributesFile = Annotated[
    Path | None, typer.Option(help="CSV: file, apparent_gender, apparent_race, apparent_age", show_default=False)
]
Select = Annotated[
    list[str] | None, typer.Option(help="celeba-hq: attribute=1 or -1, repeatable", show_default="the profile's")
]
FaceModel = Annotated[Path | None, typer.Option(help="face_landmarker.task", show_default=False)]
Curation = Annotated[
    Path | None, typer.Option(help="curation.parquet that `equime curate` wrote", show_default="score them now")
]
Subjects = Annotated[int | None, typer.Option(help="how many subjects", show_default="the profile's, or all")]
Emotions = Annotated[str | None, typer.Option(help="comma-separated", show_default="the profile's")]
Size = Annotated[int | None, typer.Option(help="pixels", show_default="the profile's")]
Frames = Annotated[int | None, typer.Option(help="frames per clip", show_default="the profile's")]
Fps = Annotated[float | None, typer.Option(help="frames per second", show_default="the profile's")]
Sequences = Annotated[int | None, typer.Option(help="clips per subject and emotion", show_default="the profile's")]
Ablations = Annotated[int | None, typer.Option(help="extra clips with one AU changed", show_default="the profile's")]
Seed = Annotated[int, typer.Option(help="same seed, same bytes")]
GeneratorName = Annotated[str, typer.Option("--generator", help="what draws the frames")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="generator option NAME=VALUE, repeatable", show_default=False)
]
Reserve = Annotated[
    int | None, typer.Option(help="extra subjects who stand in for refused clips", show_default="the profile's")
]
Audited = Annotated[bool, typer.Option("--audit", help="judge every clip, and try again or refuse (FaceLandmarker)")]
Formats = Annotated[str | None, typer.Option(help="of webdataset, parquet, arrow", show_default="webdataset,parquet")]
Workers = Annotated[int | None, typer.Option(help="processes", show_default="one per core, or per GPU model")]
ExecutorName = Annotated[str, typer.Option("--executor", help="where shards are built: local, or ray for a cluster")]
RayAddress = Annotated[str | None, typer.Option(help="of the Ray cluster", show_default="RAY_ADDRESS, or this machine")]
Shards = Annotated[
    str | None,
    typer.Option(help="only these, built (again): 3,7-9; or the second of 16 parts: 2/16; or none", show_default=False),
]
Corrections = Annotated[
    Path | None,
    typer.Option(help="CSV of rows to put right: corpus,subject,clip,onset,field,value", show_default=False),
]
SheetFile = Annotated[Path | None, typer.Option(help="annotation file, or none", show_default="the one that is found")]
FramesPart = Annotated[
    str | None, typer.Option(help="part of the path of the frames to take, where there are several copies of them")
]
Json = Annotated[bool, typer.Option("--json", help="print JSON for programs")]


def cores(workers: int | None) -> int:
    """How many processes to start: as asked, else one for each core that this one may use.

    Raises:
        ValueError: outside 1..256.
    """
    if workers is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not 1 <= workers <= 256:
        raise ValueError(f"--workers {workers} must lie within 1..256")
    return workers


def say(text: str) -> None:
    """Print words for people, as they are."""
    screen.print(text, markup=False, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print one line of JSON for programs."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def progress_bar(as_json: bool) -> Progress:
    """A bar with what is done and the time left, on a terminal alone; none beside JSON. Tasks give their `rate`."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    return Progress(*columns, *times, console=notes, transient=True, disable=as_json or not notes.is_terminal)


def count_shown(bar: Progress, task: TaskID, as_json: bool) -> Callable[[int, int], None]:
    """Show how many clips are done: on a terminal by the bar, in the log of a batch job by a line now and then."""
    start = said = time.monotonic()
    name = bar.tasks[task].description

    def show(done: int, total: int) -> None:
        nonlocal said
        bar.update(task, completed=done, total=total)
        now = time.monotonic()
        if not as_json and not notes.is_terminal and (now - said >= SECONDS_BETWEEN_LINES or done in (0, total)):
            said = now
            notes.print(
                f"{name}: {done} of {counted(total, 'clip')}, {(now - start) / 60:.1f} minutes", highlight=False
            )

    return show


def clips_shown(bar: Progress, task: TaskID, as_json: bool) -> Callable[[Any], None]:
    """Show each finished shard: on a terminal by the bar, in the log of a batch job by a line."""
    start = time.monotonic()

    def show(done: Any) -> None:
        seconds = max(time.monotonic() - start, 1e-3)
        rate = done.clips / seconds
        bar.update(
            task,
            description=f"shard {done.shard}",
            total=done.total_clips,
            completed=done.clips,
            rate=f"{rate:.1f} clips/s",
        )
        if not as_json and not notes.is_terminal:
            left = (done.total_clips - done.clips) / rate / 60
            counts = f"{done.clips} of {counted(done.total_clips, 'clip')}, {rate:.1f} clips/s, {left:.1f} minutes left"
            notes.print(f"shard {done.shard}: {counts}", highlight=False)

    return show
