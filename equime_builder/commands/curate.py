"""`equime curate`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from equime_builder.commands.shared import (
    AttributesFile,
    FaceModel,
    Json,
    ProfileName,
    Seed,
    Select,
    Size,
    Subjects,
    Workers,
    cores,
    print_json,
    progress_bar,
    say,
    screen,
)
from equime_builder.requests import make_profile, make_source
from equime_builder.sources.photographs import check_size
from equime_loader.tables import counted

if TYPE_CHECKING:
    from equime_builder.attributes.estimates import Estimator
    from equime_builder.curation.running import Curated

DEEPFACE = "deepface"


def curate(
    portraits: Annotated[Path, typer.Argument(help="folder of photographs", show_default=False)],
    out: Annotated[Path, typer.Argument(help="folder to write", show_default=False)],
    source: Annotated[str, typer.Option(help="folder or celeba-hq")] = "folder",
    profile: ProfileName = "micro",
    subjects: Subjects = None,
    attributes: AttributesFile = None,
    select: Select = None,
    estimate: Annotated[
        str | None, typer.Option(help="apparent attributes: deepface, or a CSV", show_default="nobody")
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="of DeepFace: landmarks, skip, retinaface, yunet, …", show_default="landmarks")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="faces that DeepFace takes at a time", show_default="16")] = None,
    face_model: FaceModel = None,
    size: Size = None,
    seed: Seed = 0,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Score portraits once, choose subjects, and show who was taken and why; `equime build --curation` goes on."""
    from equime_builder.curation.running import curate as run
    from equime_builder.curation.sheet import draw_sheet
    from equime_builder.curation.store import SHEET, open_store

    if source == "procedural":
        raise ValueError("source procedural draws its faces; curate takes folder or celeba-hq")
    made = make_profile(profile, {"size": size, "subjects": subjects})
    check_size(made)
    where: Any = make_source(
        source, portraits=portraits, attributes=attributes, select=select or (), face_model=face_model, limit=subjects
    )
    if out.resolve().is_relative_to(portraits.resolve()):
        raise ValueError(f"{out} lies in {portraits}: its sheet would be taken for a portrait; name another folder")
    processes, estimator = cores(workers), _estimator(estimate, {"detector": detector, "batch": batch})
    where.model()  # what is missing is told before anything is written
    with open_store(out) as store, progress_bar(as_json) as bar:
        task = bar.add_task("scoring", total=None, rate="")

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        found = run(where, made, seed, store, estimator=estimator, workers=processes, progress=show)
        title = f"Curation of {portraits.resolve().name}, profile {made.name}"
        draw_sheet(portraits, found.survey, found.agreements, title).save(out / SHEET)
    _report(out, found, made.curation.min_neutral, as_json)


def _estimator(name: str | None, options: Mapping[str, Any]) -> Estimator | Path | None:
    """The estimator of that name, or the table; options are DeepFace's, None for its defaults."""
    given = {option: value for option, value in options.items() if value is not None}
    if name == DEEPFACE:
        from equime_builder.attributes.deepface import open_deepface

        return open_deepface(**given)
    if given:
        raise ValueError(f"--{next(iter(given))} goes with --estimate {DEEPFACE}")
    if name is None:
        return None
    path = Path(name)
    if path.suffix.lower() != ".csv" or not path.is_file():
        raise ValueError(f"--estimate {name!r} is neither {DEEPFACE} nor a .csv file")
    return path


def _report(out: Path, found: Curated, min_neutral: float, as_json: bool) -> None:
    from equime_builder.curation.rates import passing_rates
    from equime_builder.curation.survey import kind_of

    table = found.survey.scores
    assert table is not None
    reasons = Counter(kind_of(reason) for reason in table["reason"].to_pylist() if reason is not None)
    facts: dict[str, Any] = {
        "folder": str(out),
        "candidates": len(table),
        "taken": len(found.survey.subjects),
        "reserve": len(found.survey.reserve),
        "shortfall": found.survey.shortfall,
        "without_person": _without_person(table),
        "without_expression": _without_expression(table) if min_neutral > 0 else 0,
        "rates": [rate.row() for rate in passing_rates(table)],
        "reasons": dict(reasons.most_common()),
        "agreement": [each.row() for each in found.agreements],
        "disagreements": [asdict(case) for each in found.agreements for case in each.cases],
        "faults": dict(found.faults),
    }
    if as_json:
        print_json(facts)
        return
    say(f"{out}: {facts['taken']} of {counted(facts['candidates'], 'portrait')} taken; open {out / 'sheet.png'}")
    if reasons:
        say(f"each other portrait with its reason: {out / 'curation.csv'}")
    for reason, count in reasons.most_common():
        say(f"{count:>7,} x {reason}")
    if found.survey.shortfall:
        say(f"short: {found.survey.shortfall}")
    if count := facts["without_person"]:
        say(f"nobody says who is on {count:,} of the portraits: splits take each for a person of its own")
    if count := facts["without_expression"]:
        say(f"min_neutral asks nothing of {counted(count, 'passing portrait')}: their expression was not estimated")
    for name, why in found.faults.items():
        say(f"estimate of {name} not used: {why}")
    if rates := passing_rates(table):
        passing = Table("apparent", "group", "scored", "pass", "rate", "most often against the others")
        for rate in rates:
            numbers = (f"{rate.scored:,}", f"{rate.passed:,}", f"{rate.rate:.0%}")
            passing.add_row(rate.attribute, rate.word, *numbers, rate.against or "")
        screen.print(passing)
    if found.agreements:
        agreed = Table("attribute", "compared", "agree", "disagree", "kappa", "years apart")
        for each in found.agreements:
            shares = ("–" if value is None else f"{value:.2f}" for value in (each.kappa, each.years))
            agreed.add_row(each.attribute, f"{each.compared}", f"{each.agree}", f"{each.disagree}", *shares)
        screen.print(agreed)


def _without_person(table: Any) -> int:
    """Of how many portraits no person is known, where the source knows those of others."""
    unknown = [row["person"] is None for row in table.select(["subject", "person"]).to_pylist() if row["subject"]]
    return 0 if all(unknown) else sum(unknown)


def _without_expression(table: Any) -> int:
    """How many portraits pass without an estimate of the expression that they show."""
    from equime_builder.curation.rates import passes

    return sum(passes(row) and row["expression_probabilities"] is None for row in table.to_pylist() if row["sha256"])
