"""The command `equime`."""

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
from rich.table import Table

from equime_builder.requests import make_profile, make_request, make_source, parse_shards, source_of, words

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="EquiME: build, check and look at synthetic micro-expression datasets.",
)
bench = typer.Typer(no_args_is_help=True, help="Measure this machine.")
app.add_typer(bench, name="bench")
screen, notes = Console(), Console(stderr=True)

Folder = Annotated[Path, typer.Argument(help="dataset folder", show_default=False)]
ProfileName = Annotated[str, typer.Option(help="micro, paper, readme, demo, or a TOML file")]
Source = Annotated[str, typer.Option(help="procedural, folder or celeba-hq")]
Portraits = Annotated[Path | None, typer.Option(help="folder of photographs", show_default=False)]
AttributesFile = Annotated[
    Path | None, typer.Option(help="CSV: file, apparent_gender, apparent_race, apparent_age", show_default=False)
]
Select = Annotated[
    list[str] | None, typer.Option(help="celeba-hq: attribute=1 or -1, repeatable", show_default="neutral faces")
]
FaceModel = Annotated[Path | None, typer.Option(help="face_landmarker.task", show_default=False)]
Subjects = Annotated[int | None, typer.Option(help="how many subjects", show_default="the profile's, or all")]
Emotions = Annotated[str | None, typer.Option(help="comma-separated", show_default="the profile's")]
Size = Annotated[int | None, typer.Option(help="pixels", show_default="the profile's")]
Frames = Annotated[int | None, typer.Option(help="frames per clip", show_default="the profile's")]
Fps = Annotated[float | None, typer.Option(help="frames per second", show_default="the profile's")]
Sequences = Annotated[int | None, typer.Option(help="clips per subject and emotion", show_default="the profile's")]
Ablations = Annotated[int | None, typer.Option(help="extra clips with one AU changed", show_default="the profile's")]
Seed = Annotated[int, typer.Option(help="same seed, same bytes")]
Formats = Annotated[str | None, typer.Option(help="of webdataset, parquet, arrow", show_default="webdataset,parquet")]
Workers = Annotated[int | None, typer.Option(help="processes", show_default="one per core")]
Shards = Annotated[str | None, typer.Option(help="build (again) only these, like 3,7-9", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="print JSON for programs")]


def _cores(workers: int | None) -> int:
    if workers is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not 1 <= workers <= 256:
        raise ValueError(f"--workers {workers} must lie within 1..256")
    return workers


def _say(text: str) -> None:
    screen.print(text, markup=False, highlight=False, soft_wrap=True)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


@app.command()
def build(
    folder: Folder,
    profile: ProfileName = "micro",
    source: Source = "procedural",
    portraits: Portraits = None,
    attributes: AttributesFile = None,
    select: Select = None,
    face_model: FaceModel = None,
    subjects: Subjects = None,
    emotions: Emotions = None,
    size: Size = None,
    frames: Frames = None,
    fps: Fps = None,
    sequences: Sequences = None,
    ablations: Ablations = None,
    seed: Seed = 0,
    formats: Formats = None,
    workers: Workers = None,
    shards: Shards = None,
    dry_run: Annotated[bool, typer.Option(help="print the plan and build nothing")] = False,
    as_json: Json = False,
) -> None:
    """Build a dataset, or go on with one that was interrupted."""
    from equime_builder.build import build as run

    request = _request(locals())
    processes = _cores(workers)
    if dry_run:
        _show_plan(request, processes, as_json)
        return
    chosen = parse_shards(shards) if shards is not None else None
    with _bar(as_json) as bar:
        task = bar.add_task("planning", total=None, rate="")
        complete = run(folder, request, workers=processes, shards=chosen, progress=_clips(bar, task, as_json))
    _report_build(folder, complete, as_json)


@app.command()
def plan(
    profile: ProfileName = "micro",
    source: Source = "procedural",
    portraits: Portraits = None,
    attributes: AttributesFile = None,
    select: Select = None,
    face_model: FaceModel = None,
    subjects: Subjects = None,
    emotions: Emotions = None,
    size: Size = None,
    frames: Frames = None,
    fps: Fps = None,
    sequences: Sequences = None,
    ablations: Ablations = None,
    seed: Seed = 0,
    formats: Formats = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Print what a build would make: counts, time and disk."""
    _show_plan(_request(locals()), _cores(workers), as_json)


@app.command()
def verify(
    folder: Folder,
    repair: Annotated[bool, typer.Option("--repair", help="rebuild what is broken")] = False,
    portraits: Portraits = None,
    attributes: AttributesFile = None,
    face_model: FaceModel = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Check every promise of a dataset folder."""
    from equime_builder import manifest
    from equime_builder.verify import repair as mend
    from equime_builder.verify import verify as check

    if repair:
        header = manifest.read_header(folder)
        where = {"portraits": portraits, "attributes": attributes, "face_model": face_model}
        source = source_of(header["source"], header["source_options"], **where)
        faults = mend(folder, source, workers=_cores(workers))
    else:
        with _bar(as_json) as bar:
            task = bar.add_task("checking", total=None, rate="")
            faults = check(folder, progress=lambda shard: bar.update(task, description=f"checking {shard}"))
    if as_json:
        rows = [{"path": fault.path, "message": fault.message} for fault in faults]
        _print_json({"folder": str(folder), "faults": rows, "repaired": repair})
    else:
        for fault in faults:
            _say(f"{'repaired' if repair else 'fault'}: {fault}")
        left = "repaired" if repair else "found"
        _say(f"{folder}: {len(faults)} faults {left}" if faults else f"{folder}: every promise holds")
    if faults and not repair:
        raise typer.Exit(1)


@app.command()
def preview(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="picture to write")] = Path("preview.png"),
    figures: Annotated[Path | None, typer.Option(help="page of figures to write", show_default=False)] = None,
    keys: Annotated[str | None, typer.Option(help="comma-separated keys", show_default="a spread")] = None,
    rows: Annotated[int, typer.Option(help="how many clips")] = 12,
) -> None:
    """Draw a contact sheet: clips through onset, apex and offset, with difference and AU curves."""
    from equime_builder.figures import composition_page
    from equime_builder.preview import contact_sheet

    shown = contact_sheet(folder, out, keys=words(keys), rows=rows)
    _say(f"{out}: {len(shown)} clips")
    if figures is not None:
        composition_page(folder, figures)
        _say(f"{figures}: composition")


@app.command()
def export(
    folder: Folder,
    target: Annotated[Path, typer.Argument(help="folder to write", show_default=False)],
    layout: Annotated[str, typer.Option(help="folders: the published hierarchy")] = "folders",
) -> None:
    """Write the clips in another layout."""
    from equime_builder.export import export as run

    with _bar(False) as bar:
        task = bar.add_task("exporting", total=None, rate="")
        count = run(folder, target, layout=layout, progress=lambda s: bar.update(task, description=f"exporting {s}"))
    _say(f"{target}: {count} clips")


@app.command()
def models(
    fetch: Annotated[str | None, typer.Option(help="download this one into the cache", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """List the model files that features need: where they are looked for, size, licence, sha256."""
    from equime_builder.models import MODELS, ModelMissing, fetch_model, find_model, places

    if fetch is not None:
        if fetch not in MODELS:
            raise ValueError(f"model {fetch!r} must be one of {', '.join(MODELS)}")
        _say(f"{fetch_model(fetch)}: fetched and checked")
        return
    rows = []
    for model in MODELS.values():
        try:
            found: str | None = str(find_model(model.name))
        except ModelMissing:
            found = None
        looked = [str(path) for _, path in places(model)]
        facts = {name: getattr(model, name) for name in ("name", "feature", "size", "licence", "sha256", "url")}
        rows.append({**facts, "option": model.option, "variable": model.variable, "places": looked, "found": found})
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        for name, value in row.items():
            shown = ", ".join(value) if isinstance(value, list) else value
            _say(f"{name:>8}: {'missing' if value is None else shown}")


def _request(options: dict[str, Any]) -> Any:
    """Request from the options that `build` and `plan` share."""
    names = ("subjects", "size", "frames", "fps", "sequences", "ablations")
    overrides = {name: options[name] for name in names} | {"emotions": words(options["emotions"])}
    profile = make_profile(options["profile"], overrides)
    source = make_source(
        options["source"],
        portraits=options["portraits"],
        attributes=options["attributes"],
        select=options["select"] or (),
        face_model=options["face_model"],
        limit=options["subjects"],
    )
    return make_request(profile, source, seed=options["seed"], formats=options["formats"])


def _show_plan(request: Any, workers: int, as_json: bool) -> None:
    from equime_builder.build import plan_for
    from equime_builder.plan import rejected_portraits, summary
    from equime_builder.requests import estimate

    made = plan_for(request)
    counts, rejected = summary(made), rejected_portraits(made.portraits)
    seconds, size = estimate(made.profile, made.header["clips"], made.header["formats"], workers)
    facts = {
        "profile": made.profile.name,
        "follows": made.profile.follows,
        "subjects": made.header["subjects"],
        "clips": made.header["clips"],
        "shards": len(made.shards),
        "rejected_portraits": len(rejected),
        "estimated_minutes": round(seconds / 60, 1),
        "estimated_gigabytes": round(size / 1e9, 3),
        "workers": workers,
        "plan_sha256": made.header["plan_sha256"],
    }
    if as_json:
        reasons = [{"portrait": rejection.name, "reason": rejection.reason} for rejection in rejected]
        _print_json({**facts, "counts": counts, "rejected": reasons})
        return
    for name, value in facts.items():
        _say(f"{name.replace('_', ' ')}: {value}")
    table = Table(title="clips", title_justify="left")
    for column in ("label", "value", "clips"):
        table.add_column(column, justify="right" if column == "clips" else "left")
    for label, words_of in counts.items():
        for word, count in sorted(words_of.items(), key=lambda item: -item[1]):
            table.add_row(label, word, f"{count:,}")
    screen.print(table)
    for rejection in rejected:
        _say(f"rejected: {rejection.name}: {rejection.reason}")


def _bar(as_json: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    return Progress(*columns, *times, console=notes, transient=True, disable=as_json or not notes.is_terminal)


def _clips(bar: Progress, task: TaskID, as_json: bool) -> Callable[[Any], None]:
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
            counts = f"{done.clips} of {done.total_clips} clips, {rate:.1f} clips/s, {left:.1f} minutes left"
            notes.print(f"shard {done.shard}: {counts}", highlight=False)

    return show


def _report_build(folder: Path, complete: bool, as_json: bool) -> None:
    from equime_builder import manifest
    from equime_builder.finish import committed
    from equime_builder.plan import rejected_portraits

    header = manifest.read_header(folder)
    shards = manifest.shards_in(header, None)
    left = len(manifest.pending(folder, shards, header["plan_sha256"]))
    facts: dict[str, Any] = {"folder": str(folder), "complete": complete, "shards": len(shards), "shards_left": left}
    if complete:
        lines = [commit for _, commit in committed(folder)]
        facts["clips"] = sum(commit.samples for commit in lines)
        facts["rejected_clips"] = sum(len(commit.rejected) for commit in lines)
        facts["rejected_portraits"] = len(rejected_portraits(manifest.read_plan(folder).portraits))
    if as_json:
        _print_json(facts)
        return
    if not complete:
        _say(f"{folder}: {left} of {len(shards)} shards are still to be built")
        return
    _say(f"{folder}: {facts['clips']} clips in {len(shards)} shards")
    for what in ("portraits", "clips"):
        if count := facts[f"rejected_{what}"]:
            _say(f"{count} {what} rejected; reasons in {folder / manifest.REJECTED}")


@bench.command("loader")
def bench_loader(
    folder: Folder,
    frames: Annotated[int, typer.Option(help="frames around the apex")] = 16,
    size: Annotated[int, typer.Option(help="pixels")] = 112,
    batch_size: Annotated[int, typer.Option(help="clips of a batch")] = 16,
    workers: Annotated[int, typer.Option(help="threads or processes")] = 2,
    rounds: Annotated[int, typer.Option(help="how often each way is timed")] = 5,
    as_json: Json = False,
) -> None:
    """Measure how fast the loader reads a folder, beside libavcodec alone."""
    from equime_loader import View, Window, open_dataset
    from equime_loader.benchmark import measure

    view = View(Window.around("apex", frames), size)
    report = measure(open_dataset(folder), view, batch_size=batch_size, workers=workers, rounds=rounds)
    if as_json:
        _print_json(report.to_dict())
        return
    _say(f"{report.clips} clips, {frames} frames around the apex at {size} x {size}, batches of {batch_size}")
    table = Table("way", "clips/s", "least-most", "first batch, ms", "of libavcodec alone")
    for row in report.rows():
        table.add_row(*row)
    screen.print(table)


def main() -> None:
    """Run the command; a user's mistake is one line on standard error and exit code 1, never a traceback."""
    try:
        app()
    except KeyboardInterrupt:
        notes.print("stopped; what is committed is kept, run the same command to go on", highlight=False)
        sys.exit(130)
    except (ValueError, OSError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        notes.print(f"error: {text}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
