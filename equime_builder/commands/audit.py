"""`equime audit`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from equime_builder.commands.shared import (
    FaceModel,
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

if TYPE_CHECKING:
    from equime_builder.audit.cases import Labeled
    from equime_builder.audit.report import Judged
    from equime_builder.audit.run import Bench

MOST_SHOWN = 12


def audit(
    folder: Annotated[Path, typer.Argument(help="dataset folder, or folder of videos", show_default=False)],
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV for a folder of videos: file, aus; onset, apex, offset, fps, frames, portrait, emotion"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="report, .csv or .parquet", show_default="FOLDER-audit.csv")] = None,
    sheet: Annotated[Path | None, typer.Option(help="picture of rejected clips to write, .png")] = None,
    portraits: Portraits = None,
    profile: Annotated[
        str | None, typer.Option(help="whose thresholds to use", show_default="the dataset's, or micro")
    ] = None,
    face_model: FaceModel = None,
    embedder: Annotated[Path | None, typer.Option(help="SFace network, to compare faces by it")] = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Judge clips by what their frames show, against what their labels claim; or go on where it was interrupted.

    A dataset folder gets the verdicts as columns of its index.
    """
    from equime_builder.annotate import write_annotation
    from equime_builder.audit.report import Judged, annotation, shares, table, write_table
    from equime_builder.audit.run import run
    from equime_loader.files import write_atomic

    is_dataset = _is_dataset(folder, labels)
    report = out or folder.resolve().with_name(f"{folder.resolve().name}-audit.csv")
    _check(labels, report, sheet, portraits)
    labeled, lines = _cases(folder, labels, portraits)
    bench = _bench(folder if is_dataset else None, profile, face_model, embedder)
    with progress_bar(as_json) as bar:
        task = bar.add_task("judging", total=None, rate="")
        audits = run(
            labeled.groups,
            bench,
            report.with_suffix(".jsonl"),
            workers=cores(workers),
            progress=count_shown(bar, task, as_json),
        )
    cases = {case.name: case for group in labeled.groups for case in group}
    judged = [Judged(name, cases[name].claim, emotion, audits[name]) for name, emotion in labeled.emotions.items()]
    write_atomic(report, write_table(table(judged), report))
    if is_dataset:
        write_annotation(folder, "audit", annotation(judged))
    facts: dict[str, Any] = {"folder": str(folder), "clips": len(judged), "report": str(report), "notes": lines}
    facts["accepted"] = sum(one.audit.accepted for one in judged)
    facts["shares"] = [asdict(share) for share in shares(judged)]
    facts["rejected"] = [
        {"clip": one.name, "reasons": list(one.audit.reasons)} for one in judged if not one.audit.accepted
    ]
    facts["not_judged"] = [{"row": name, "reason": why} for name, why in labeled.faults.items()]
    if sheet is not None:
        facts["sheet"] = _draw(sheet, judged, labeled)
    _report(facts, as_json)


def _check(labels: Path | None, report: Path, sheet: Path | None, portraits: Path | None) -> None:
    """Whether the files that are named go together."""
    if labels is not None and labels.resolve() == report.resolve():
        raise ValueError(f"--labels {labels} would be overwritten by the report; name another with --out")
    if labels is not None and portraits is not None:
        raise ValueError(
            f"--portraits {portraits} goes with a dataset; --labels names portraits in its column portrait"
        )
    if report.suffix not in (".csv", ".parquet"):
        raise ValueError(f"--out {report} must end in .csv or .parquet")
    if sheet is not None and sheet.suffix != ".png":
        raise ValueError(f"--sheet {sheet} must end in .png")


def _is_dataset(folder: Path, labels: Path | None) -> bool:
    """Whether the folder is a dataset; a folder of videos comes with labels, and a dataset has its own."""
    from equime_builder.dataset_folder import check_complete, is_dataset

    found = is_dataset(folder)
    if found and labels is not None:
        raise ValueError(
            f"--labels {labels} goes with a folder of videos; {folder} is a dataset and has its own labels"
        )
    if not found and labels is None:
        raise ValueError(f"{folder}: no EquiME dataset, and a folder of videos needs --labels CSV")
    if found:
        check_complete(folder)
    return found


def _cases(folder: Path, labels: Path | None, portraits: Path | None) -> tuple[Labeled, list[str]]:
    from equime_builder.audit.cases import dataset_cases, table_cases

    if labels is not None:
        labeled = table_cases(folder, labels)
        compared = any(case.portrait for group in labeled.groups for case in group)
        return labeled, [] if compared else ["faces are not compared: no row of --labels names a portrait"]
    from equime_builder import manifest
    from equime_builder.requests import source_of

    header = manifest.read_header(folder)
    if portraits is None and header["source"] != "procedural":
        note = f"faces are not compared: name the folder of source {header['source']} with --portraits"
        return dataset_cases(folder, None), [note]
    return dataset_cases(folder, source_of(header["source"], header["source_options"], portraits=portraits)), []


def _bench(folder: Path | None, profile: str | None, face_model: Path | None, embedder: Path | None) -> Bench:
    from equime_builder import manifest
    from equime_builder.audit.run import Bench
    from equime_builder.landmarks import find_landmarker
    from equime_builder.models import find_model
    from equime_builder.profiles import load_profile, profile_from_dict

    header = {} if folder is None else manifest.read_header(folder)
    if header.get("audit") and (profile is not None or embedder is not None):
        raise ValueError(
            f"{folder}: its clips were judged while they were built, by its own thresholds, and are not judged "
            "otherwise; for another judgment, export the clips and audit the folder of videos with --labels"
        )
    if header and profile is None:
        chosen = profile_from_dict(header["profile"], where="plan")
    else:
        chosen = load_profile(profile or "micro")
    network = None if embedder is None else find_model("sface", embedder)
    return Bench(find_landmarker(face_model), chosen.audit, network)


def _draw(path: Path, judged: Sequence[Judged], labeled: Labeled) -> str:
    import io

    from equime_builder.audit.sheet import sheet
    from equime_loader.files import write_atomic

    cases = {case.name: case for group in labeled.groups for case in group}
    refused = [one for one in judged if not one.audit.accepted][:MOST_SHOWN]
    target = io.BytesIO()
    sheet([(one, cases[one.name].clip.data()) for one in refused]).save(target, "PNG")
    write_atomic(path, target.getvalue())
    return str(path)


def _report(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    for line in facts["notes"]:
        say(line)
    rows = Table()
    for column in ("clips", "n", "accepted", "%", "most frequent reason"):
        rows.add_column(column, justify="left" if column in ("clips", "most frequent reason") else "right")
    for share in facts["shares"]:
        percent = f"{100 * share['accepted'] / share['clips']:.0f}"
        rows.add_row(share["group"], str(share["clips"]), str(share["accepted"]), percent, share["most"])
    screen.print(rows)
    for row in facts["rejected"][:MOST_SHOWN]:
        say(f"rejected: {row['clip']}: {'; '.join(row['reasons'])}")
    if len(facts["rejected"]) > MOST_SHOWN:
        say(f"and {len(facts['rejected']) - MOST_SHOWN} more")
    for row in facts["not_judged"]:
        say(f"not judged: {row['row']}: {row['reason']}")
    if "sheet" in facts:
        say(f"{facts['sheet']}: rejected clips")
    say(f"{facts['report']}: every clip")
