"""`equime import`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from equime_builder.commands.shared import (
    Corrections,
    Formats,
    FramesPart,
    Json,
    SheetFile,
    Workers,
    clips_shown,
    cores,
    print_json,
    progress_bar,
    say,
    screen,
)
from equime_builder.requests import words
from equime_loader.tables import counted

if TYPE_CHECKING:
    from equime_builder.importing.plan import Request
    from equime_loader.corpora.events import Reading

FATES = {
    "events_left_out": ("event", "left out"),
    "events_kept_by_convention": ("event", "kept by convention"),
    "clips_rejected": ("clip", "rejected"),
    "signals_lacking": ("signal", "lacking"),
}
LISTED = ("name", "title", "source")
SHOWN = 10  # findings on the screen; all of them stand in the folder, and in the JSON


def import_(
    name: Annotated[str, typer.Argument(help="casme2, samm, smic_hs, ...; `list` for all", show_default=False)],
    root: Annotated[Path | None, typer.Argument(help="folder of your licensed copy", show_default=False)] = None,
    out: Annotated[Path | None, typer.Argument(help="dataset folder to write", show_default=False)] = None,
    check: Annotated[bool, typer.Option("--check", help="tell what is there, decode and write nothing")] = False,
    corrections: Corrections = None,
    sheet: SheetFile = None,
    frames: FramesPart = None,
    context: Annotated[float, typer.Option(help="ms kept before and after each event")] = 250.0,
    formats: Formats = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Import a corpus from your licensed copy, or go on with an import that was interrupted."""
    from equime_builder.importing.plan import Request
    from equime_builder.importing.run import import_corpus
    from equime_loader.corpora import read_corpus
    from equime_loader.corpora.pseudonyms import check_key_outside

    if name == "list":
        _list(as_json)
        return
    if root is None:
        raise ValueError(f"name the folder of your copy{'' if check else ', and the dataset folder to write'}")
    if out is None and not check:
        raise ValueError(f"name the dataset folder to write, after {root}; or --check, which writes nothing")
    if out is not None:
        check_key_outside(out)  # before reading, which makes the key
    chosen = words(formats)
    request = Request(context) if chosen is None else Request(context, chosen)
    with progress_bar(as_json) as bar:
        task = bar.add_task("reading", total=None, rate="")
        reading = read_corpus(name, root, corrections=corrections, sheet=sheet, frames=frames)
        if out is not None and not check:
            shown = clips_shown(bar, task, as_json)
            import_corpus(out, reading, request, workers=cores(workers), progress=shown)
    if out is None or check:
        _check(reading, request, as_json)
    else:
        _report(out, as_json)


def _list(as_json: bool) -> None:
    from equime_loader.corpora import CORPORA

    if as_json:
        print_json([{name: getattr(corpus, name) for name in (*LISTED, "citation")} for corpus in CORPORA.values()])
        return
    table = Table()
    for column in LISTED:
        table.add_column(column)
    for corpus in CORPORA.values():
        table.add_row(*(getattr(corpus, column) for column in LISTED))
    screen.print(table)


def _check(reading: Reading, request: Request, as_json: bool) -> None:
    """Counts against those of the literature, findings, and how many clips an import would make."""
    from equime_builder.importing.plan import lay_out

    clips, findings = lay_out(reading, request)
    compared = list(reading.compared())
    if as_json:
        print_json(
            {
                "corpus": reading.corpus,
                "sheet": reading.sheet,
                "clips": len(clips),
                "compared": [{"what": what, "known": known, "found": found} for what, known, found in compared],
                "findings": [asdict(finding) for finding in findings],
            }
        )
        return
    table = Table(title=f"{reading.corpus}, annotation {reading.sheet}", title_justify="left")
    for column in ("", "known", "found", "difference"):
        table.add_column(column, justify="right" if column else "left")
    for what, known, found in compared:
        difference = "" if known is None or known == found else f"{found - known:+,}"
        table.add_row(what, "" if known is None else f"{known:,}", f"{found:,}", difference)
    screen.print(table)
    for left_out, told in ((True, "left out"), (False, "kept by a convention")):
        some = [finding for finding in findings if finding.left_out == left_out]
        if some:
            say(f"{len(some)} {told}:")
        for finding in some[:SHOWN]:
            say(f"  {finding.where}: {finding.name}: {finding.reason}")
        if len(some) > SHOWN:
            say(f"  and {len(some) - SHOWN} more; --json prints all")
    say(f"{counted(len(clips), 'clip')} would be imported")


def _report(out: Path, as_json: bool) -> None:
    from equime_builder import manifest
    from equime_builder.importing.origin import kind_of_reject, read_header, read_tables
    from equime_builder.manifest import committed

    header, lines = read_header(out), [commit for _, commit in committed(out)]
    rejects = [kind_of_reject(each.name) for commit in lines for each in commit.rejected]
    findings = read_tables(out)[1]["left_out"].to_pylist()
    facts = {
        "folder": str(out),
        "corpus": header["corpus"],
        "sheet": header["sheet"],
        "rows": header["rows"],
        "clips": sum(commit.samples for commit in lines),
        "subjects": header["subjects"],
        "shards": len(lines),
        "events_left_out": findings.count(True),
        "events_kept_by_convention": findings.count(False) + rejects.count("kept"),
        "clips_rejected": rejects.count("clip"),
        "signals_lacking": rejects.count("signal"),
    }
    if as_json:
        print_json(facts)
        return
    clips, subjects, shards = (counted(facts[f"{noun}s"], noun) for noun in ("clip", "subject", "shard"))
    say(f"{out}: {clips} of {subjects} in {shards}")
    for name, (noun, fate) in FATES.items():
        if facts[name]:
            say(f"{counted(facts[name], noun)} {fate}; reasons in {out / manifest.REJECTED}")
    say("the agreement for the corpus holds for this folder: it must not be passed on or published")
