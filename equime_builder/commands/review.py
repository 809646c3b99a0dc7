"""`equime review`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from equime_builder.commands.shared import Complete, Json, notes, print_json, say
from equime_builder.requests import words
from equime_loader.tables import counted

if TYPE_CHECKING:
    from equime_builder.review.store import Store
    from equime_loader.index import Index

NEEDED = ("aiohttp", "krippendorff", "statsmodels")


def review(
    folder: Complete,
    store: Annotated[
        Path | None, typer.Option(help="folder of the judgments", show_default="FOLDER.review, beside it")
    ] = None,
    blind: Annotated[
        bool | None, typer.Option("--blind/--open", help="keep reviewers from the label", show_default="open")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="strata of the sample", show_default="emotion,apparent_gender,apparent_race")
    ] = None,
    size: Annotated[int | None, typer.Option(help="clips to review", show_default="100")] = None,
    seed: Annotated[int | None, typer.Option(help="of the sample and the orders", show_default="0")] = None,
    host: Annotated[str, typer.Option(help="address to serve at; 0.0.0.0 is open to the network")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 for any that is free")] = 8765,
    report: Annotated[bool, typer.Option("--report", help="print agreement and rates; serve nothing")] = False,
    export: Annotated[
        Path | None, typer.Option(help="write all judgments: .parquet or .csv", show_default=False)
    ] = None,
    annotate: Annotated[bool, typer.Option("--annotate", help="write the review's columns into the index")] = False,
    as_json: Json = False,
) -> None:
    """Show clips to experts in slow motion, keep what they judge, tell how far they agree."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ValueError(f"a review needs {missing[0]}; install it with: pip install 'equime[review]'")
    from equime_builder.review.opening import check_settings, open_or_begin
    from equime_builder.review.store import Store, default_folder
    from equime_loader.index import Index

    index = Index.open(folder)
    place = default_folder(folder) if store is None else store
    asked = {"blind": blind, "by": words(by), "size": size, "seed": seed}
    if not (report or export or annotate):
        opened = open_or_begin(index, place, asked)
        try:
            _serve(folder, index, opened, host, port, as_json)
        finally:
            opened.close()
        return
    opened = Store(place)
    try:
        check_settings(opened.settings, {name: value for name, value in asked.items() if value is not None}, place)
        _tell(folder, index, opened, report=report, export=export, annotate=annotate, as_json=as_json)
    finally:
        opened.close()


def _serve(folder: Path, index: Index, store: Store, host: str, port: int, as_json: bool) -> None:
    from equime_builder.review.clips import Clips
    from equime_builder.review.server import application, bind, is_loopback, link, serve

    app = application(store, Clips(folder, index, store), host=host)
    with bind(host, port) as listener:
        url = link(host, listener.getsockname()[1], store.token)
        if as_json:
            print_json({"url": url, "store": str(store.path), "clips": len(store.clips)})
        else:
            mode = "blind" if store.settings.blind else "open"
            say(f"{counted(len(store.clips), 'clip')}, {mode}; judgments are kept in {store.path}")
            say(f"open this link in a browser: {url}")
            say("stop with Ctrl-C; the same command goes on")
        if not is_loopback(host):
            notes.print("whoever has the link can review, and what is sent is not encrypted", highlight=False)
        serve(app, listener)


def _tell(
    folder: Path, index: Index, store: Store, *, report: bool, export: Path | None, annotate: bool, as_json: bool
) -> None:
    from equime_builder.annotate import write_annotation
    from equime_builder.review.consensus import annotation_table, export_table, write_export
    from equime_builder.review.report import make_report

    kept = store.kept()
    done: dict[str, object] = {}
    if export is not None:
        write_export(export_table(kept, store.settings), export)
        done["export"] = {"path": str(export), "judgments": len(kept)}
    if annotate:
        table = annotation_table(kept, store.settings)
        write_annotation(folder, "review", table)
        done["annotated"] = len(table)
    made = make_report(index, store, kept) if report else None
    if as_json:
        print_json({**done, **({} if made is None else {"report": made.as_json()})})
        return
    if made is not None:
        say(str(made))
    if export is not None:
        say(f"{export}: {counted(len(kept), 'judgment')}")
    if annotate:
        say(f"{folder}: {counted(len(table), 'clip')} annotated")
