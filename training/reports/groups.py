"""What the report says of groups of people: fairness of each result, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from equime_loader.fairness import FairnessReport, fairness_report
from equime_loader.fairness.figures import number
from equime_loader.fairness.plots import MAX_ROWS, plot_fairness
from equime_loader.tables import counted, percent
from training.reports.document import Block, Fold, Gallery, Picture, Section, Text
from training.reports.results import CONFIDENCE, Result
from training.reports.tables import Column, Row, Table, Value, cells

MIN_WORDS = 2
FOLDED = 6  # results beyond which their pictures wait together


def groups_section(results: Sequence[Result], *, resamples: int) -> Section:
    """Fairness of the median run of each result, by every attribute with at least two groups."""
    reports = [(one, report) for one in results for report in fairness_of(one, resamples=resamples)]
    about = Text(
        "The median run of each result, by the attributes that its clips have. A gap is never negative and noise only "
        f"adds to it: compare it with the gap by chance, which people dealt to groups at random exceed in "
        f"{percent(1 - CONFIDENCE, 1, 0)} of the cases. Groups of fewer than 20 clips or 5 subjects have no scores. "
        "Attributes are apparent ones; real corpora mostly have none."
    )
    compared = [(one, report) for one, report in reports if report.gaps]
    if not compared:
        none = Text("No result has two groups that are large enough; there is nothing to compare.")
        return Section("Groups", (about, none))
    folds: list[Block] = []
    for one in dict.fromkeys(one for one, _ in compared):
        mine = [report for other, report in compared if other is one and len(report.groups) < MAX_ROWS]
        folds.append(Fold(one.title, (Gallery(tuple(_picture(one, report) for report in mine)),)))
    shown = folds if len(folds) <= FOLDED else [Fold(f"Pictures of {len(folds)} results", tuple(folds))]
    return Section("Groups", (about, groups_table(compared, reports), *shown))


def fairness_of(one: Result, *, resamples: int) -> list[FairnessReport]:
    """Fairness reports of the median run, by attribute."""
    said = one.evaluations[one.typical].predictions
    names = [
        name for name, codes in said.groups.items() if len(set(codes.codes[codes.codes >= 0].tolist())) >= MIN_WORDS
    ]
    return [fairness_report(said, name, resamples=resamples) for name in names]


def _picture(one: Result, report: FairnessReport) -> Picture:
    about = f"scores by {report.attribute.replace('_', ' ')}, {one.title}"
    return Picture(f"{one.name}-by-{report.attribute}", lambda: plot_fairness(report), about)


def groups_table(
    compared: Sequence[tuple[Result, FairnessReport]], reports: Sequence[tuple[Result, FairnessReport]]
) -> Table:
    """Gap of UF1 and criteria by result and attribute; the CSV file has every figure of every group."""
    rows = []
    for one, report in compared:
        gap = next(gap for gap in report.gaps if gap.score == "uf1")
        criteria = {item.name: item for item in report.criteria}
        odds = criteria["equalized odds"]
        beyond = gap.gap.value > gap.by_chance
        rows.append(
            Row(
                cells(
                    *(one.title, report.attribute.replace("_", " ")),
                    counted(sum(not group.too_small for group in report.groups), "group"),
                    str(gap.gap),
                    number(gap.by_chance),
                    "beyond chance" if beyond else "within chance",
                    *(gap.worst, gap.best),
                    f"{odds.value}",
                    number(odds.by_chance),
                )
            )
        )
    columns = (
        *(Column("result", False), Column("by", False), Column("compared")),
        *(Column("UF1 gap"), Column("by chance"), Column("", False), Column("worst", False), Column("best", False)),
        *(Column("equalized odds"), Column("by chance")),
    )
    records: list[Mapping[str, Value]] = [
        {"classes": one.kind, "model": one.model, "train": one.train, "arm": one.arm, "test": one.test, **row}
        for one, report in reports
        for row in report.to_arrow().to_pylist()
    ]
    note = f"{percent(CONFIDENCE, 1, 0)} intervals over resamples of whole subjects."
    return Table("groups", "Gaps between groups", note, columns, tuple(rows), tuple(records))
