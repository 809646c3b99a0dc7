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
    Curation,
    Emotions,
    ExecutorName,
    FaceModel,
    Folder,
    Formats,
    Fps,
    Frames,
    GeneratorName,
    Json,
    Portraits,
    ProfileName,
    RayAddress,
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
from equime_builder.generators import needs_gpu
from equime_builder.requests import make_profile, make_request, make_source, parse_shards, words
from equime_loader.tables import counted

PATHS = ("portraits", "attributes", "curation", "face_model")


def build(
    folder: Folder,
    profile: ProfileName = "micro",
    source: Source = "procedural",
    portraits: Portraits = None,
    attributes: AttributesFile = None,
    select: Select = None,
    curation: Curation = None,
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
    executor: ExecutorName = "local",
    ray_address: RayAddress = None,
    shards: Shards = None,
    dry_run: Annotated[bool, typer.Option(help="print the plan and build nothing")] = False,
    as_json: Json = False,
) -> None:
    """Build a dataset, or go on with one that was interrupted."""
    from equime_builder.build import build as run
    from equime_builder.executors import make_executor

    options = locals()
    if executor == "ray":  # nodes know nothing of the folder that this command runs in
        options |= {name: path.absolute() for name in PATHS if (path := options[name]) is not None}
    request = _request(options)
    at_once = workers if executor == "ray" else _processes(workers, generator)
    where = make_executor(executor, workers=at_once, address=ray_address)
    if dry_run:
        _show_plan(request, at_once or 1, as_json)
        return
    chosen = parse_shards(shards) if shards is not None else None
    with progress_bar(as_json) as bar:
        task, model = bar.add_task("planning", total=None, rate=""), options["face_model"]
        shown = clips_shown(bar, task, as_json)
        complete = run(folder, request, executor=where, shards=chosen, face_model=model, progress=shown)
    _report_build(folder, complete, as_json)


def _processes(workers: int | None, generator: str) -> int:
    """Processes of this machine; by default one where each would load a model onto the GPU."""
    return 1 if workers is None and needs_gpu(generator) else cores(workers)


def plan(
    profile: ProfileName = "micro",
    source: Source = "procedural",
    portraits: Portraits = None,
    attributes: AttributesFile = None,
    select: Select = None,
    curation: Curation = None,
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
    measure: Annotated[
        int | None,
        typer.Option(help="make so many clips of the plan to measure the rate", show_default="shipped rates"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print what a build would make: counts, hours of processors and GPUs, and disk."""
    options, lacking = locals(), None
    try:
        request = _request(options)
    except ValueError as error:
        if measure is not None:
            raise
        # What it costs can be told before the generator's model is here; any other error comes again.
        request, lacking = _request(options, pin=False), str(error)
    at_once = _processes(workers, generator)
    _show_plan(request, at_once, as_json, lacking=lacking, measure=measure, face_model=face_model)


def _request(options: dict[str, Any], *, pin: bool = True) -> Any:
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
        curation=options["curation"],
        limit=options["subjects"],
        workers=cores(options["workers"]),
    )
    return make_request(
        profile,
        source,
        seed=options["seed"],
        formats=options["formats"],
        generator=options["generator"],
        settings=options["settings"] or (),
        audit=options["audit"],
        pin=pin,
    )


def _show_plan(
    request: Any,
    workers: int,
    as_json: bool,
    *,
    lacking: str | None = None,
    measure: int | None = None,
    face_model: Path | None = None,
) -> None:
    """Print a plan and its cost; without what is lacking it is none that could be built, and has no hash."""
    from equime_builder import capacity
    from equime_builder.build import plan_for
    from equime_builder.plan import summary
    from equime_builder.portrait_table import rejected_portraits

    made = plan_for(request)
    counts, rejected = summary(made), rejected_portraits(made.portraits)
    cost = (
        capacity.shipped(made, capacity.read_rates())
        if measure is None
        else capacity.measure(made, request.source, measure, face_model=face_model)
    )
    facts = {
        "profile": made.profile.name,
        "follows": made.profile.follows,
        "subjects": made.header["subjects"],
        "clips": made.header["clips"],
        "shards": len(made.shards),
        "rejected_portraits": len(rejected),
        "shortfall": (made.header["curation"] or {}).get("shortfall"),
        **_costs(made, cost, workers),
        "plan_sha256": None if lacking else made.header["plan_sha256"],
        "lacking": lacking,
    }
    if as_json:
        reasons = [{"portrait": rejection.name, "reason": rejection.reason} for rejection in rejected]
        spreads = {name: value.to_dict() for name, value in facts.items() if isinstance(value, capacity.Spread)}
        middles = {name: spread["middle"] for name, spread in spreads.items()}
        print_json({**facts, **middles, "spreads": spreads, "counts": counts, "rejected": reasons})
        return
    for name, value in facts.items():
        if value is not None:
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


def _costs(made: Any, cost: Any, workers: int) -> dict[str, Any]:
    """What a plan is estimated to cost, and by which rate."""
    from equime_builder.capacity import estimate

    names = ("cpu_hours", "gpu_hours", "gigabytes", "minutes")
    if cost is None:
        values: dict[str, Any] = dict.fromkeys(names)
        rate = "none is known for such clips; measure it: equime plan --measure 20"
    else:
        costs = estimate(made, cost, workers=workers)
        values, rate = {name: getattr(costs, name) for name in names}, costs.origin
    return {**{f"estimated_{name}": value for name, value in values.items()}, "workers": workers, "rate": rate}


def _report_build(folder: Path, complete: bool, as_json: bool) -> None:
    from equime_builder import manifest
    from equime_builder.manifest import committed
    from equime_builder.portrait_table import rejected_portraits

    header = manifest.read_header(folder)
    shards = manifest.shards_in(header, None)
    left = len(manifest.pending(folder, shards, header["plan_sha256"]))
    facts: dict[str, Any] = {"folder": str(folder), "complete": complete, "shards": len(shards), "shards_left": left}
    facts["shortfall"] = (header.get("curation") or {}).get("shortfall")
    if complete:
        lines = [commit for _, commit in committed(folder)]
        facts["clips"] = sum(commit.samples for commit in lines)
        facts["rejected_clips"] = sum(len(commit.rejected) for commit in lines)
        facts["rejected_portraits"] = len(rejected_portraits(manifest.read_plan(folder).portraits))
    if as_json:
        print_json(facts)
        return
    if not complete:
        say(f"{folder}: {left:,} of {counted(len(shards), 'shard')} still to be built")
        return
    say(f"{folder}: {counted(facts['clips'], 'clip')} in {counted(len(shards), 'shard')}")
    if lacking := header["clips"] - facts["clips"]:
        planned = counted(header["clips"], "planned clip")
        say(f"lacking: {lacking:,} of {planned}; `equime acceptance {folder}` tells which")
    for what in ("portrait", "clip"):
        if count := facts[f"rejected_{what}s"]:
            say(f"{counted(count, what)} rejected; reasons in {folder / manifest.REJECTED}")
    if facts["shortfall"]:
        say(f"short: {facts['shortfall']}")
