"""`equime build` and `equime plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from equime_builder.commands.shared import (
    Ablations,
    AttributesFile,
    Audited,
    Emotions,
    FaceModel,
    Folder,
    Formats,
    Fps,
    Frames,
    GeneratorName,
    Json,
    Portraits,
    ProfileName,
    Reserve,
    Seed,
    Select,
    Sequences,
    Settings,
    Shards,
    Size,
    Source,
    Subjects,
    Workers,
    clips_shown,
    cores,
    print_json,
    progress_bar,
    say,
    screen,
)
from equime_builder.requests import make_profile, make_request, make_source, parse_shards, words


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
    generator: GeneratorName = "warp",
    settings: Settings = None,
    audit: Audited = False,
    reserve: Reserve = None,
    formats: Formats = None,
    workers: Workers = None,
    shards: Shards = None,
    dry_run: Annotated[bool, typer.Option(help="print the plan and build nothing")] = False,
    as_json: Json = False,
) -> None:
    """Build a dataset, or go on with one that was interrupted."""
    from equime_builder.build import build as run

    request = _request(locals())
    processes = cores(workers)
    if dry_run:
        _show_plan(request, processes, as_json)
        return
    chosen = parse_shards(shards) if shards is not None else None
    with progress_bar(as_json) as bar:
        task = bar.add_task("planning", total=None, rate="")
        complete = run(folder, request, workers=processes, shards=chosen, progress=clips_shown(bar, task, as_json))
    _report_build(folder, complete, as_json)


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
    generator: GeneratorName = "warp",
    settings: Settings = None,
    audit: Audited = False,
    reserve: Reserve = None,
    formats: Formats = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Print what a build would make: counts, time and disk."""
    _show_plan(_request(locals()), cores(workers), as_json)


def _request(options: dict[str, Any]) -> Any:
    """Request from the options that `build` and `plan` share."""
    names = ("subjects", "size", "frames", "fps", "sequences", "ablations")
    overrides = {name: options[name] for name in names} | {"emotions": words(options["emotions"])}
    overrides["acceptance.reserve"] = options["reserve"]
    profile = make_profile(options["profile"], overrides)
    source = make_source(
        options["source"],
        portraits=options["portraits"],
        attributes=options["attributes"],
        select=options["select"] or (),
        face_model=options["face_model"],
        limit=options["subjects"],
    )
    return make_request(
        profile,
        source,
        seed=options["seed"],
        formats=options["formats"],
        generator=options["generator"],
        settings=options["settings"] or (),
        audit=options["audit"],
    )


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
        print_json({**facts, "counts": counts, "rejected": reasons})
        return
    for name, value in facts.items():
        say(f"{name.replace('_', ' ')}: {value}")
    table = Table(title="clips", title_justify="left")
    for column in ("label", "value", "clips"):
        table.add_column(column, justify="right" if column == "clips" else "left")
    for label, words_of in counts.items():
        for word, count in sorted(words_of.items(), key=lambda item: -item[1]):
            table.add_row(label, word, f"{count:,}")
    screen.print(table)
    for rejection in rejected:
        say(f"rejected: {rejection.name}: {rejection.reason}")


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
        print_json(facts)
        return
    if not complete:
        say(f"{folder}: {left} of {len(shards)} shards are still to be built")
        return
    say(f"{folder}: {facts['clips']} clips in {len(shards)} shards")
    for what in ("portraits", "clips"):
        if count := facts[f"rejected_{what}"]:
            say(f"{count} {what} rejected; reasons in {folder / manifest.REJECTED}")
