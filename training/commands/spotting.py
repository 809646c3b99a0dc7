"""Score intervals that were found in long videos against annotated ones: precision, recall, F1, STRS."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("truth", type=Path, help="imported folder, its events.parquet, or a CSV file of intervals")
    parser.add_argument("found", type=Path, help="CSV file: video,onset,offset and, if wanted, expression,label")
    parser.add_argument("--classes", type=str, default="three", help="classes of the labels: three, five, …")
    parser.add_argument(
        "--expressions",
        type=Literal["apart", "together"],
        default="apart",
        help="whether micro- and macro-expressions are matched each with its own kind",
    )
    parser.add_argument("--out", type=Path | None, default=None, help="CSV file for the log, a line per interval")


def run(arguments: Namespace) -> None:
    """Match, print a line for each kind of expression and for all, write the log."""
    from equime_loader.corpora.classes import CLASSES
    from equime_loader.tables import text_table
    from training.protocols.intervals import REJECTED, count_left_out, read_intervals, write_log
    from training.protocols.spotting import analyze, spot, unkinded

    if arguments.classes not in CLASSES:
        raise ValueError(f"classes={arguments.classes!r} must be one of {', '.join(CLASSES)}")
    truth, found = (read_intervals(path, kind=arguments.classes) for path in (arguments.truth, arguments.found))
    if arguments.expressions == "together":
        truth, found = unkinded(truth), unkinded(found)
    spotting = spot(truth, found)
    kinds = sorted({line.interval.expression for line in spotting.lines} - {""})
    parts = {kind: spotting.of(kind) for kind in kinds} | {"all": spotting}
    rows = [
        (name, *(str(part.count(what)) for what in ("TP", "FP", "FN")), *(f"{figure:.4f}" for figure in figures))
        for name, part in parts.items()
        for figures in [(part.precision, part.recall, part.f1)]
    ]
    print(text_table(("expressions", "TP", "FP", "FN", "precision", "recall", "F1"), rows))
    if lost := count_left_out(arguments.truth):
        print(
            f"{lost} annotated events were left out by the import ({REJECTED}) and are not in the truth: what was "
            "found there counts as wrong"
        )
    if found and all(interval.label is not None for interval in found):
        result = analyze(spotting, CLASSES[arguments.classes])
        print(
            f"recognition of the {result.spotted} spotted: precision {result.precision:.4f}, recall "
            f"{result.recall:.4f}, F1 {result.f1:.4f}, mean F1 of the classes "
            f"{result.mean_f1:.4f}; STRS {result.strs:.4f}"
        )
    if arguments.out is not None:
        write_log(spotting, arguments.out)
