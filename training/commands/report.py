"""Report runs: tables, pictures and one page, every score beside the constant predictor's."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("runs", type=Path, nargs="+", help="run folders, folders of them, or files of predictions")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the page, tables and pictures: new, or of an earlier report"
    )
    parser.add_argument("--title", type=str, default="Micro-expression recognition: results", help="of the page")
    parser.add_argument("--resamples", type=int, default=2_000, help="of whole test subjects, for intervals")


def run(arguments: Namespace) -> None:
    """Write the report and say what it says at a glance."""
    from training.reports.evidence import read_runs
    from training.reports.report import check_target, make_report, summary, write_document

    check_target(arguments.out)
    evaluations = read_runs(arguments.runs)
    document = make_report(evaluations, title=arguments.title, resamples=arguments.resamples)
    write_document(document, arguments.out)
    print(summary(document))
    print(arguments.out / "index.html")
