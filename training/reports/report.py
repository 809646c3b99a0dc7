"""Reports: run folders in, one page, Markdown, tables and pictures out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from equime_loader.tables import counted
from training.reports.attacks import attacks_section
from training.reports.comparison import comparison_section
from training.reports.document import Document, Picture, Section, Text, markdown, picture_path
from training.reports.drawing import save_png, svg
from training.reports.evidence import Evaluation, read_runs
from training.reports.groups import groups_section
from training.reports.page import page
from training.reports.results import CONFIDENCE, RESAMPLES, results_of
from training.reports.sections import (
    at_a_glance,
    confusion_section,
    published_section,
    scores,
)
from training.reports.tables import as_csv
from training.reports.trainings import training_section
from training.runs import write_text

TITLE = "Micro-expression recognition: results"
MARK = "report.json"  # tells a report's folder from others


def write_report(
    runs: Sequence[Path], target: Path, *, title: str = TITLE, resamples: int = RESAMPLES
) -> tuple[Path, ...]:
    """Report run folders: `index.html`, `report.md`, a CSV file for each table and a PNG file for each picture.

    Args:
        runs: run folders, folders of them, or files of predictions.
        target: an empty folder or none yet, or that of an earlier report, whose files are replaced.
        resamples: of whole subjects, for intervals.

    Returns:
        The files written. The same runs give the same bytes.

    Raises:
        ValueError: a folder holds no run, a run has not ended, a file is damaged, or the target holds something else.
    """
    return write_document(make_report(read_runs(runs), title=title, resamples=resamples), target)


def make_report(evaluations: Sequence[Evaluation], *, title: str = TITLE, resamples: int = RESAMPLES) -> Document:
    """The report of evaluations, at least one.

    Raises:
        ValueError: two runs that differ in nothing, or `resamples` below 1.
    """
    if resamples < 1:
        raise ValueError(f"{resamples=} must be at least 1")
    results = results_of(evaluations, resamples=resamples)
    facts = list(dict.fromkeys(one.run for one in evaluations))
    models = list(dict.fromkeys(one.model for one in results))
    sections: tuple[Section | None, ...] = (
        at_a_glance(results),
        scores(results),
        published_section(results),
        confusion_section(results),
        groups_section(results, resamples=resamples),
        comparison_section(results),
        attacks_section(facts),
        training_section([run for run in facts if run.result]),
        _reading(resamples),
    )
    tests = {(one.kind, one.test, one.unseen) for one in results}
    counts = {"run": len(facts), "model": len(models), "test set": len(tests), "result": len(results)}
    subtitle = f"{', '.join(models)}; trained on {', '.join(dict.fromkeys(one.train for one in results))}."
    words = tuple((noun + "s" * (count != 1), f"{count:,}") for noun, count in counts.items())
    return Document(title, subtitle, words, tuple(section for section in sections if section is not None))


def _reading(resamples: int) -> Section:
    return Section(
        "How to read this",
        (
            Text(
                "Accuracy and weighted F1 reward a model that always says the most frequent class; so that class "
                "stands beside every score, and UF1 and UAR come first. UF1 is the mean F1 of the classes, after "
                "counts of all clips are added up, UAR the mean recall, both as MEGC2019 defines them. The constant "
                "predictor always says the class that is most frequent in the test set: no model that has not seen the "
                "test can know it."
            ),
            Text(
                f"Intervals: {CONFIDENCE:.0%}, percentiles of {resamples:,} resamples of whole test subjects, since "
                "clips of one person resemble each other. They say how the score would vary with other test people, "
                "and not with other training runs: that is the deviation over seeds. With few subjects they are too "
                "narrow."
            ),
            Text(
                "Subjects are never in two of training, validation and test. Weights, stopping and learning rate are "
                "chosen on validation alone. 'Unseen subjects' are the test part of the data set trained on; every "
                "other data set is tested on whole. Results of several seeds are means; pictures show the run of "
                "median UF1."
            ),
            Text(
                "ECE: the mean distance of accuracy from confidence over bins of confidence (Guo et al. 2017). Groups: "
                "formulas and tests of `equime_loader.fairness`. Sources of published figures stand in published.csv."
            ),
        ),
    )


def check_target(target: Path) -> None:
    """Check that a report can be written into a folder without harm to what lies there.

    Raises:
        ValueError: it holds what no earlier report wrote, or is a file.
    """
    if target.exists() and not target.is_dir():
        raise ValueError(f"{target}: a file, not a folder")
    names = [] if (target / MARK).exists() or not target.exists() else sorted(path.name for path in target.iterdir())
    if strange := [name for name in names if not name.startswith(".")]:
        raise ValueError(f"{target} holds {strange[0]!r}, which no earlier report wrote; name another folder")


def write_document(document: Document, target: Path) -> tuple[Path, ...]:
    """Write a report into a folder; see `write_report`."""
    check_target(target)
    (target / "pictures").mkdir(parents=True, exist_ok=True)
    written = [target / MARK]
    write_text(target / MARK, json.dumps({"title": document.title, **dict(document.facts)}) + "\n")

    def drawn(picture: Picture) -> str:
        figure = picture.draw()
        path = target / picture_path(picture.name)
        save_png(figure, path)
        written.append(path)
        return svg(figure, picture.name, picture.about)

    texts = {"index.html": page(document, drawn), "report.md": markdown(document)}
    texts |= {f"{table.name}.csv": as_csv(table) for table in document.tables()}
    for name, text in texts.items():
        write_text(target / name, text)
        written.append(target / name)
    return tuple(written)


def summary(document: Document) -> str:
    """What the report says at a glance, for the terminal."""
    first = document.sections[0].blocks[0]
    items = getattr(first, "items", ())
    return "\n".join([*(f"- {item}" for item in items), counted(sum(1 for _ in document.pictures()), "picture")])
