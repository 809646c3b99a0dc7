"""`equime metrics`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from equime_builder.commands.shared import (
    Json,
    Portraits,
    Workers,
    cores,
    count_shown,
    print_json,
    progress_bar,
    say,
    screen,
)
from equime_loader.tables import counted

if TYPE_CHECKING:
    from equime_builder.quality.clips import Group
    from equime_builder.quality.run import Job
    from equime_builder.quality.tables import Outcome

EXTRA = ("piq", "torch", "torchvision")
# Processes that share a GPU by default: enough to decode for it.
WORKERS_OF_GPU = 4
# Clips of a subject that a process measures at once: its portrait is drawn once for them.
TOGETHER = 4


def metrics(
    folder: Annotated[
        Path, typer.Argument(help="dataset folder, or folder of videos or of frame folders", show_default=False)
    ],
    published: Annotated[
        str | None,
        typer.Option(help="the published script's figures and CSV: equime, miex or corpora", show_default=False),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="record to write", show_default="FOLDER-quality.jsonl")] = None,
    portraits: Portraits = None,
    fps: Annotated[float, typer.Option(help="of frame folders")] = 25.0,
    brisque_weights: Annotated[Path | None, typer.Option(help="file", show_default="piq's place")] = None,
    clip_weights: Annotated[Path | None, typer.Option(help="folder", show_default="piq's place")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda", show_default="cuda where there is one")] = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Measure PSNR, SSIM, total variation, BRISQUE and CLIP-IQA of clips, or go on where it was interrupted.

    A dataset folder gets its values as columns of its index.
    """
    if missing := [name for name in EXTRA if find_spec(name) is None]:
        raise ValueError(f"metrics need {missing[0]}; install it with: pip install 'equime[quality]'")
    from equime_builder import dataset_folder

    if is_dataset := dataset_folder.is_dataset(folder):
        dataset_folder.check_complete(folder)
    from equime_builder.annotate import write_annotation
    from equime_builder.quality.run import run
    from equime_builder.quality.tables import FORMS, annotation_table

    if published is not None and published not in FORMS:
        raise ValueError(f"--published {published!r} must be one of {', '.join(FORMS)}")
    if not fps > 0:
        raise ValueError(f"--fps {fps} must be above 0")
    job, processes = _job(published is not None, brisque_weights, clip_weights, device, workers)
    groups, lines = _dataset(folder, portraits, job) if is_dataset else (_clips(folder, fps, portraits), [])
    if is_dataset:
        _check_loss(folder, groups, job)
    beside = f"{folder.resolve().name}-{'published' if published else 'quality'}.jsonl"
    record = out or folder.resolve().with_name(beside)
    with progress_bar(as_json) as bar:
        task = bar.add_task("measuring", total=None, rate="")
        outcomes = run(
            groups,
            job,
            record,
            workers=processes,
            progress=count_shown(bar, task, as_json),
        )
    where = {"folder": str(folder), "record": str(record), "missing": [*job.weights.missing, *lines]}
    facts = {**where, **_facts(outcomes, job)}
    if published:
        facts["tables"] = [str(path) for path in _write_tables(outcomes, published, folder, record.parent)]
    elif is_dataset:
        write_annotation(folder, "quality", annotation_table(outcomes))
    _report(facts, as_json)


def _check_loss(folder: Path, groups: Sequence[Group], job: Job) -> None:
    """Refuse to empty columns that an earlier run has filled."""
    from equime_builder.annotations import read_annotations

    tables = [each.table for each in read_annotations(folder) if each.name == "quality"]
    filled = {name for table in tables for name in table.column_names if table[name].null_count < len(table)}
    here = {
        "brisque": (job.weights.brisque, "the weights of BRISQUE"),
        "clip_iqa": (job.weights.clip, "the weights of CLIP-IQA"),
        "psnr_portrait_db": (any(group.portrait for group in groups), "--portraits"),
    }
    for name, (there, what) in here.items():
        if name in filled and not there:
            raise ValueError(
                f"{folder}: has figures of {name}, which a run without {what} would empty; give them again"
            )


def _facts(outcomes: Sequence[Outcome], job: Job) -> dict[str, Any]:
    """What is told of the outcomes."""
    from equime_builder.quality.measure import CORRECTED, PUBLISHED
    from equime_builder.quality.tables import summary

    return {
        "clips": len(outcomes),
        "failed": [{"clip": outcome.name, "reason": outcome.error} for outcome in outcomes if outcome.error],
        "noted": [
            {"clip": outcome.name, "notes": list(outcome.quality.notes)}
            for outcome in outcomes
            if outcome.quality and outcome.quality.notes
        ],
        "metrics": summary(outcomes, PUBLISHED if job.published else CORRECTED),
    }


def _clips(folder: Path, fps: float, portraits: Path | None) -> list[Group]:
    from equime_builder.quality.clips import folder_groups

    return folder_groups(folder, fps=fps, portraits=portraits)


def _job(
    published: bool, brisque: Path | None, clip: Path | None, device: str | None, workers: int | None
) -> tuple[Job, int]:
    """The job, and how many processes do it."""
    from equime_builder.quality.run import CHUNK_PIXELS, Job
    from equime_builder.quality.scorers import best_device, find_weights

    chosen = device or best_device()
    if chosen not in CHUNK_PIXELS or (chosen == "cuda" and best_device() != "cuda"):
        raise ValueError(f"--device {chosen!r} must be cpu, or cuda where there is one")
    processes = min(cores(None), WORKERS_OF_GPU) if workers is None and chosen == "cuda" else cores(workers)
    return Job(find_weights(brisque, clip), chosen, published), processes


def _dataset(folder: Path, portraits: Path | None, job: Job) -> tuple[list[Group], list[str]]:
    """The clips of a dataset with their portraits, and a line where those are not at hand."""
    from equime_builder import manifest
    from equime_builder.quality.clips import dataset_groups, readable
    from equime_builder.requests import source_of

    header = manifest.folder_header(folder)
    source, lines = None, []
    if "corpus" in header:
        lines = ["psnr_portrait_db, ssim_portrait stay null: a corpus has no portraits"]
    elif portraits is not None or header["source"] == "procedural":
        source = source_of(header["source"], header["source_options"], portraits=portraits)
    elif not job.published:
        where = f"name the folder of source {header['source']} with --portraits"
        lines = [f"psnr_portrait_db, ssim_portrait stay null: {where}"]
    groups = dataset_groups(folder, None if job.published else source, together=TOGETHER)
    if source and portraits and not job.published and not any(readable(group.portrait) for group in groups):
        raise ValueError(
            f"--portraits {portraits}: none of the photographs that {folder} was made of can be read there"
        )
    return groups, lines


def _write_tables(outcomes: Sequence[Outcome], form: str, folder: Path, target: Path) -> list[Path]:
    from equime_builder.quality.tables import published_summary, published_table
    from equime_loader.files import write_atomic

    name = f"video_metrics_{folder.resolve().name}.csv"
    tables = {
        target / name: published_table(outcomes, form),
        target / f"summary_{name}": published_summary(outcomes, str(folder)),
    }
    for path, text in tables.items():
        write_atomic(path, text.encode())
    return list(tables)


def _report(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    for line in facts["missing"]:
        say(line)
    table = Table(title=counted(facts["clips"], "clip"), title_justify="left")
    for column in ("metric", "mean", "std", "5%", "95%", "clips", "null"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for name, row in facts["metrics"].items():
        figures = ["" if row[key] is None else f"{row[key]:.4g}" for key in ("mean", "std", "p5", "p95")]
        table.add_row(name, *figures, str(row["clips"]), str(row["null"]))
    screen.print(table)
    for row in facts["noted"]:
        say(f"{row['clip']}: {'; '.join(row['notes'])}")
    for row in facts["failed"]:
        say(f"not measured: {row['clip']}: {row['reason']}")
    for path in facts.get("tables", ()):
        say(f"{path}: written")
    say(f"{facts['record']}: every clip's values")
