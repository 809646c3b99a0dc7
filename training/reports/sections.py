"""What the report says of results: scores, published figures, and what was called what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby

import numpy as np

from equime_loader.fairness.figures import number
from equime_loader.fairness.formulas import TITLES
from equime_loader.fairness.performance import FEW_SUBJECTS
from equime_loader.tables import counted, percent
from training.protocols.scores import PARTIAL, PARTIAL_NOTE, partial_mark
from training.reports import pictures
from training.reports import published as publications
from training.reports.calibration import BINS
from training.reports.document import Block, Fold, Gallery, Picture, Points, Section, Text, slug
from training.reports.published import Published
from training.reports.results import CONFIDENCE, INTERVALS, Result
from training.reports.tables import Cell, Column, Row, Table, Value, cells

CLASS_KINDS: Mapping[str, str] = {"three": "three classes", "five": "five classes", "seven": "seven classes"}
FOLDED = 12  # tests of a report beyond which pictures wait for being asked for


def kind_title(kind: str) -> str:
    """Words for a kind of task."""
    return CLASS_KINDS.get(kind, kind.replace("_", " "))


def _tested(one: Result) -> tuple[str, int, str, bool]:
    return one.kind, one.test.count("+"), one.test, one.unseen


def by_test(results: Sequence[Result]) -> list[list[Result]]:
    """Results of one test set each; those of unseen subjects of a data set apart from those of all of it."""
    kinds = list(dict.fromkeys(one.kind for one in results))
    ordered = sorted(results, key=lambda one: (kinds.index(one.kind), _tested(one), one.train, one.model, one.arm))
    return [list(group) for _, group in groupby(ordered, _tested)]


def test_title(one: Result) -> str:
    """Words for a test set."""
    return f"{one.test}, unseen subjects" if one.unseen else one.test


# --- scores


def at_a_glance(results: Sequence[Result]) -> Section:
    """What a reviewer would want to know first."""
    above = [one for one in results if one.above_constant]
    said = [
        f"{len(above)} of {counted(len(results), 'result')} above the constant predictor: the whole "
        f"{percent(CONFIDENCE, 1, 0)} interval of their UF1 exceeds what always saying the most frequent class has."
    ]
    if only := [one for one in results if one.only_class]:
        said.append(
            f"{counted(len(only), 'result')} of these {len(results)}: the model calls every clip the same class."
        )
    for group in by_test([one for one in results if "shuffled" not in one.arm]):
        best = max(group, key=lambda one: one.mean("uf1"))
        verdict = "" if best.above_constant else ", which is not above it"
        said.append(
            f"{kind_title(best.kind).capitalize()}, tested on {test_title(best)}: best is {best.model} trained on "
            f"{best.train}{_arm(best)}, UF1 {_with_interval(best, 'uf1')}; the constant predictor has "
            f"{number(best.constant('uf1'))}{verdict}."
        )
    for one in results:
        if "shuffled" in one.arm:
            said.append(
                f"{one.title}: UF1 {_with_interval(one, 'uf1')}; a model that learns nothing of the labels should have "
                f"about {number(1 / len(one.classes))} or less."
            )
    said += _cautioned(results)
    tests = by_test(results)
    if partial := [test_title(group[0]) for group in tests if group[0].absent]:
        said.append(
            f"{PARTIAL} {len(partial)} of {counted(len(tests), 'test set')} lacks a class ({', '.join(partial)}): UF1 "
            "and UAR are over the classes that clips have, and not to be compared with scores over all of them."
        )
    people = [group[0].subjects[0] for group in by_test(results)]
    if few := [count for count in people if count < FEW_SUBJECTS]:
        said.append(
            f"Fewer than {FEW_SUBJECTS} subjects, so that intervals come out too narrow: {len(few)} of "
            f"{counted(len(people), 'test set')}; the smallest has {min(few)}."
        )
    marks = [publications.mark(row) for row in publications.published()]
    equal, like = (sum(mark is not None and mark.sign == sign for mark in marks) for sign in "=≈")
    said.append(
        f"{equal} of the {len(marks)} rows that EquiME published are what a constant predictor scores on that test "
        f"set, and {like} more are what one would score on a class of the right share."
    )
    return Section("At a glance", (Points(tuple(said)),))


def _cautioned(results: Sequence[Result]) -> list[str]:
    runs = dict.fromkeys(evaluation.run for one in results for evaluation in one.evaluations)
    found = dict.fromkeys((run.train, test, caution) for run in runs for test, caution in run.cautions.items())
    return [f"{train} → {test}: {caution}." for train, test, caution in found]


def caution_of(one: Result) -> str:
    """Why people of the test set may have been trained on, empty where nothing says so."""
    return next((run.run.cautions[one.test] for run in one.evaluations if one.test in run.run.cautions), "")


def _arm(one: Result) -> str:
    return f" ({one.arm})" if one.arm else ""


def _with_interval(one: Result, score: str) -> str:
    low, high = one.interval[score]
    return f"{number(one.mean(score))}{one.mark(score)} ({number(low)}–{number(high)})"


def scores(results: Sequence[Result]) -> Section:
    """Tables of all scores, with a picture of each test set and a matrix of data sets."""
    blocks: list[Block] = []
    for kind in dict.fromkeys(one.kind for one in results):
        chosen = [one for one in results if one.kind == kind]
        blocks.append(scores_table(kind, chosen))
        pairs = {(one.train, one.test) for one in chosen if not one.arm}
        if len(pairs) > 1:
            plain = [one for one in chosen if not one.arm]
            about = f"UF1 of each model by training and test data set, {kind_title(kind)}"
            blocks.append(Picture(f"{kind}-matrix", partial(pictures.matrix, plain), about))
        shown = [
            Picture(f"{kind}-{_file(group[0])}", partial(pictures.overview, group), f"scores on {test_title(group[0])}")
            for group in by_test(chosen)
        ]
        blocks.append(Gallery(tuple(shown)))
    return Section("Scores", tuple(blocks))


def _file(one: Result) -> str:
    return slug(one.test, "unseen" if one.unseen else "")


def scores_table(kind: str, results: Sequence[Result]) -> Table:
    """A row per result under its test set, the constant predictor first."""
    rows: list[Row] = []
    has_published = any(published_of(one) for one in results)
    for group in by_test(results):
        rows += [_test_row(group[0]), _constant_row(group, has_published)]
        rows += [row for one in group for row in (_score_row(one, has_published), *_corpus_rows(one, has_published))]
    columns = (
        *(Column("model", False), Column("trained on", False), Column("seeds")),
        *(Column(title, tip=_TIPS.get(name, "")) for name, title in TITLES.items()),
        Column("confidence", tip="mean probability of the class that was called"),
        Column("ECE", tip=f"expected calibration error, {BINS} bins of equal width"),
        *([Column("published", False, "accuracy, weighted F1; marks: see Published figures")] if has_published else []),
    )
    note = (
        f"Behind UF1, UAR and accuracy: {percent(CONFIDENCE, 1, 0)} intervals over resamples of whole test subjects; "
        "of several seeds, of their mean. ▽: the interval of UF1 is not wholly above the constant predictor. ⚠: the "
        f"two data sets may show the same people; the first section says what follows. {PARTIAL_NOTE}"
    )
    records = tuple(record for one in results for record in _records(one))
    return Table(f"scores-{kind}", f"Scores, {kind_title(kind)}", note, columns, tuple(rows), records)


_TIPS = {
    "uf1": "mean F1 of the classes, counts of all clips added up first (MEGC2019)",
    "uar": "mean recall of the classes (MEGC2019)",
    "macro_f1": "mean F1 of the classes that clips have or are called",
    "weighted_f1": "mean F1 weighted by clips: a constant predictor can look good in it",
    "accuracy": "share of clips called right: a constant predictor can look good in it",
}


def _test_row(one: Result) -> Row:
    size, people = _ranged(one.clips, "clip"), _ranged(one.subjects, "subject")
    shares = ", ".join(f"{word} {count:,}" for word, count in zip(one.classes, one.counts, strict=True))
    few = "; few subjects: intervals too narrow" if one.subjects[0] < FEW_SUBJECTS else ""
    without = f"; {PARTIAL} no clip is of {', '.join(one.absent)}: left out of UF1 and UAR" if one.absent else ""
    note = f"{size} of {people}: {shares}{without}{few}"
    return Row(cells(Cell(f"Tested on {test_title(one)}", note)), "head")


def _ranged(counts: Sequence[int], noun: str) -> str:
    """Different counts with their noun: `1 clip`, `12 to 14 clips`."""
    *others, last = dict.fromkeys(counts)
    return " to ".join([*(f"{count:,}" for count in others), counted(last, noun)])


def _constant_row(group: Sequence[Result], has_published: bool) -> Row:
    one = group[0]
    figures = [number(one.constant(score)) + one.mark(score) for score in TITLES]
    return Row(
        cells(f"always {one.constant_class}", "", "", *figures, "", "", *([""] if has_published else [])), "constant"
    )


def _score_row(one: Result, has_published: bool) -> Row:
    caution = caution_of(one)
    train = Cell(one.train + _arm(one), "⚠" if caution else "", tip=caution)
    figures = []
    for score in TITLES:
        note = _dashed(one.interval[score]) if score in INTERVALS else ""
        below = score == "uf1" and not one.above_constant
        tone = "low" if below else "strong" if score == "uf1" else ""
        figures.append(Cell(number(one.mean(score)) + one.mark(score) + (" ▽" if below else ""), note, tone))
    deviation = f"±{number(one.deviation('uf1'))}" if len(one.seeds) > 1 else ""
    seeds = Cell(str(len(one.seeds)), deviation, tip="standard deviation of UF1 over seeds" if deviation else "")
    last = [_published_cell(one)] if has_published else []
    model = Cell(one.model, f"always {one.only_class}" if one.only_class else "")
    return Row(cells(model, train, seeds, *figures, number(one.mean_confidence), number(one.ece), *last))


def _corpus_rows(one: Result, has_published: bool) -> Iterator[Row]:
    """The same predictions by corpus, where the test set has several."""
    for corpus, pairs in one.by_corpus().items():
        means = {score: [float(np.mean([getattr(of, score) for of in each])) for each in zip(*pairs, strict=True)]
                 for score in TITLES}  # fmt: skip
        figures = [Cell(number(found), f"const. {number(constant)}") for found, constant in means.values()]
        mark = next((mark for found, _ in pairs if (mark := partial_mark(found.confusion))), "")
        size = f"{counted(pairs[0][0].clips, 'clip')} {mark}".strip()
        yield Row(cells(Cell(f"· {corpus}", size, "muted"), "", "", *figures, "", "", *([""] if has_published else [])))


def _dashed(ends: tuple[float, float]) -> str:
    return f"{number(ends[0], digits=2)}–{number(ends[1], digits=2)}"


def published_of(one: Result) -> tuple[Published, ...]:
    """Published rows of the same model and data sets."""
    return publications.find(one.model, one.train, one.test, len(one.classes)) if not one.arm else ()


def _published_cell(one: Result) -> Cell:
    found = published_of(one)
    if not found:
        return Cell("")
    mark = next((mark for row in found if (mark := publications.mark(row))), None)
    figures = found[0].figures
    text = f"{figures['accuracy']}, {figures['weighted_f1']}"
    return Cell(text, mark.sign, "mark", mark.words) if mark else Cell(text)


def _records(one: Result) -> Iterator[Mapping[str, Value]]:
    """A record per seed, and of several seeds one of their mean."""
    base: dict[str, Value] = {"classes": one.kind, "model": one.model, "train": one.train, "arm": one.arm}
    base |= {"test": one.test, "unseen_subjects": str(one.unseen).lower(), "constant_class": one.constant_class}
    base |= {"classes_absent": ", ".join(one.absent)}
    for evaluation, found, constant, calibrated in zip(
        one.evaluations, one.by_seed, one.constants, one.calibrations, strict=True
    ):
        said = evaluation.predictions
        yield {
            **base,
            "run": evaluation.run.name,
            "seed": evaluation.run.seed,
            "clips": len(said),
            "subjects": len(set(said.subjects.tolist())),
            **{score: getattr(found, score) for score in TITLES},
            **{f"constant_{score}": getattr(constant, score) for score in TITLES},
            "mean_confidence": calibrated.mean_confidence if calibrated else None,
            "ece": calibrated.ece if calibrated else None,
        }
    ends = {
        f"{score}_{end}": value
        for score, pair in one.interval.items()
        for end, value in zip(("low", "high"), pair, strict=True)
    }
    for corpus, pairs in one.by_corpus().items():
        for evaluation, (found, constant) in zip(one.evaluations, pairs, strict=True):
            yield {
                **{**base, "constant_class": None, "run": evaluation.run.name, "seed": evaluation.run.seed},
                **{"corpus": corpus, "clips": found.clips},
                **{score: getattr(found, score) for score in TITLES},
                **{f"constant_{score}": getattr(constant, score) for score in TITLES},
            }
    yield {
        **base,
        "run": "mean",
        "seed": None,
        "clips": one.clips[1],
        "subjects": one.subjects[1],
        **{score: one.mean(score) for score in TITLES},
        **{f"constant_{score}": one.constant(score) for score in TITLES},
        "mean_confidence": one.mean_confidence,
        "ece": one.ece,
        **ends,
        **{f"{score}_deviation": one.deviation(score) for score in TITLES},
    }


# --- published figures


def published_section(results: Sequence[Result]) -> Section:
    """The published tables, beside what the same models and data sets gave here."""
    ours = {(one.model, one.train, one.test, len(one.classes)): one for one in results if not one.arm}
    rows: list[Row] = []
    records: list[Mapping[str, Value]] = []
    for source, group in groupby(publications.published(), lambda row: row.source):
        rows.append(Row(cells(Cell(source[:1].upper() + source[1:])), "head"))
        for row in group:
            mark = publications.mark(row)
            mine = ours.get((row.model, row.train, row.test, row.classes))
            rows.append(_published_row(row, mark, mine))
            records.append(_published_record(row, mark, mine))
    names = ("accuracy", "weighted F1", "macro F1", "confidence")
    columns = (
        *(Column("model", False), Column("train → test", False)),
        *(Column(f"{name}, published") for name in names),
        Column("as a constant predictor", False),
        *(Column(f"{name}, here") for name in ("accuracy", "weighted F1", "macro F1", "UF1")),
        Column("constant UF1, here"),
    )
    note = (
        "=: every printed figure is that of the constant predictor named, within one unit of its last digit. ≈: the "
        "classes of that test set were not published; the figures are those of a predictor that always says a class of "
        "the share named (they may be so by coincidence). Accuracy and weighted F1 are the only figures of Tables 1a "
        "and 1b. The same subjects may have been in training and test there: splits were drawn over clips."
    )
    table = Table("published", "Published figures, and the same runs here", note, columns, tuple(rows), tuple(records))
    return Section("Published figures", (table,))


def _published_row(row: Published, mark: publications.Mark | None, mine: Result | None) -> Row:
    shown = [row.figures.get(name, "–") for name in (*publications.SCORES, "confidence")]
    marked = Cell(f"{mark.sign} {mark.words}", tone="low wrap") if mark else Cell("")
    names = ("accuracy", "weighted_f1", "macro_f1", "uf1")
    here = [number(mine.mean(name)) + mine.mark(name) if mine else "–" for name in names]
    constant = number(mine.constant("uf1")) if mine else "–"
    return Row(cells(row.model, f"{row.train} → {row.test}", *shown, marked, *here, constant))


def _published_record(row: Published, mark: publications.Mark | None, mine: Result | None) -> Mapping[str, Value]:
    here = {f"{name}_here": mine.mean(name) if mine else None for name in TITLES}
    return {
        **{"source": row.source, "model": row.model, "classes": row.classes, "train": row.train, "test": row.test},
        **{name: row.figures.get(name) for name in (*publications.SCORES, "confidence")},
        "equals_constant": {"=": "yes", "≈": "possibly"}.get(mark.sign, "") if mark else "no",
        "constant": mark.words if mark else "",
        **here,
    }


# --- what was called what


def confusion_section(results: Sequence[Result]) -> Section:
    """Confusion matrix and calibration of each result."""
    blocks: list[Block] = [
        Text(
            "Left, how clips of each class were called: counts, and shares of the class. Right, accuracy in each bin "
            "of confidence: on the dashed line, confidence can be taken at its word; below it, the model claims too "
            "much."
        ),
        classes_table(results) if len(results) <= FOLDED else Fold("Recall of each class", (classes_table(results),)),
    ]
    for group in by_test(results):
        shown = tuple(
            Picture(f"{one.name}-said", partial(pictures.said, one), f"confusion matrix and calibration, {one.title}")
            for one in group
        )
        where = f"{kind_title(group[0].kind).capitalize()}, tested on {test_title(group[0])}"
        title = f"{where}: {counted(len(shown), 'result')}"
        blocks.append(Fold(title, (Gallery(shown),)) if len(results) > FOLDED else Gallery(shown))
    return Section("Confusion and calibration", tuple(blocks))


def classes_table(results: Sequence[Result]) -> Table:
    """Recall and precision of each class; in the table of the page recall alone."""
    records: list[Mapping[str, Value]] = []
    rows = []
    for one in results:
        counts = one.confusions[one.typical]
        base = {"classes": one.kind, "model": one.model, "train": one.train, "arm": one.arm, "test": one.test}
        for place, word in enumerate(one.classes):
            right, true, called = counts[place, place], counts[place].sum(), counts[:, place].sum()
            figures = {
                "recall": float(right / true) if true else None,
                "precision": float(right / called) if called else None,
                "f1": float(2 * right / (true + called)) if true + called else None,
            }
            records.append({**base, "class": word, "clips": int(true), "called": int(called), **figures})
        said = ", ".join(
            f"{word} {percent(int(counts[place, place]), int(counts[place].sum()), 0)}"
            for place, word in enumerate(one.classes)
        )
        rows.append(Row(cells(one.model, one.train + _arm(one), test_title(one), said)))
    names = ("model", "trained on", "tested on", "recall of each class")
    columns = tuple(Column(name, False) for name in names)
    note = "Of several seeds, the run of median UF1. Precision and F1 are in the CSV file."
    return Table("classes", "Recall of each class", note, columns, tuple(rows), tuple(records))
