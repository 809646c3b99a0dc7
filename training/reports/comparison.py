"""What the report says of arms of a study: what training on a subset changes, with a paired test over seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from equime_loader.fairness import formulas
from equime_loader.fairness.bootstrap import SubjectConfusions
from equime_loader.fairness.figures import number
from equime_loader.fairness.performance import MIN_CLIPS, MIN_SUBJECTS
from equime_loader.tables import counted, percent
from training.protocols.scores import scores_of
from training.reports import curves
from training.reports.document import Block, Picture, Section, Text
from training.reports.evidence import Evaluation
from training.reports.paired import CONFIDENCE, Paired, holm, paired
from training.reports.results import Result
from training.reports.tables import Cell, Column, Row, Table, Value, cells

SHUFFLED = "shuffled labels"
WORST, MAX_SHOWN = "worst UF1", 4  # MAX_SHOWN: measures of a picture

Measure = Callable[[Evaluation], float]


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """An arm against another, of one model and test set."""

    arm: Result
    control: Result
    measure: str
    test: Paired


def comparison_section(results: Sequence[Result]) -> Section | None:
    """Arms of studies; None where no result has an arm to be compared with."""
    groups: dict[tuple[str, str, str, str, bool], list[Result]] = {}
    for one in results:
        if one.arm != SHUFFLED:
            groups.setdefault((one.kind, one.model, one.train, one.test, one.unseen), []).append(one)
    found = [_compared(group) for group in groups.values() if len(group) > 1]
    adjusted = holm([one.test.p for group in found for one in group])
    places = iter(adjusted.tolist())
    found = [[replace(one, test=replace(one.test, adjusted_p=next(places))) for one in group] for group in found]
    found = [group for group in found if group]
    if not found:
        return None
    seeds = min(len(one.test.differences) for group in found for one in group)
    tests, least = sum(map(len, found)), 2 / 2**seeds
    hopeless = " So few seeds can show a direction and no more: none of the tests can fall below .05." * (
        tests * least > 1 - CONFIDENCE
    )
    text = Text(
        "Arms train on different clips of the training subjects and are tested, by seed, on the same clips. Each is "
        "compared, seed by seed, with one by lot that is as large, so that a difference is not one of fewer clips. "
        f"p is of the exact test that changes signs of differences, two-sided; with {counted(seeds, 'seed')} it cannot "
        f"be below {_p(least)}. The last column is adjusted for all {counted(tests, 'test')} (Holm).{hopeless}"
    )
    divided_anew = any(len({of.clips_hash for of in one.arm.evaluations}) > 1 for group in found for one in group)
    caution = Text(
        "Subjects were divided anew for each seed. The divisions overlap, so that differences of seeds are not "
        "independent and p comes out too small (Nadeau & Bengio 2003, Machine Learning 52)."
    )
    shown: list[Block] = [_picture(group) for group in found]
    return Section("Subsets", (text, *([caution] if divided_anew else []), _table(found), *shown))


def _compared(group: Sequence[Result]) -> list[Compared]:
    """Each arm of a group that is compared with one, by every measure that is defined for both."""
    arms = {one.arm: one for one in group}
    found = []
    for arm in group:
        against = arm.evaluations[0].run.against
        control = arms.get(against) if against else None
        seeds = [seed for seed in arm.seeds if control is not None and seed in control.seeds]
        if control is None or control is arm or not seeds:
            continue
        for name, measure in _measures(control.evaluations[0]).items():
            values = [[measure(_of(one, seed)) for seed in seeds] for one in (arm, control)]
            if np.isfinite(values).all():
                found.append(Compared(arm, control, name, paired(*values)))
    return found


def _of(one: Result, seed: int) -> Evaluation:
    return one.evaluations[one.seeds.index(seed)]


def _measures(one: Evaluation) -> dict[str, Measure]:
    """UF1 and UAR, and by each attribute with groups the worst group's UF1 and the gap."""
    measures: dict[str, Measure] = {
        "UF1": lambda of: scores_of(_matrix(of)).uf1,
        "UAR": lambda of: scores_of(_matrix(of)).uar,
    }
    for name, codes in one.predictions.groups.items():
        if len(np.unique(codes.codes[codes.codes >= 0])) > 1:
            words = name.replace("apparent_", "").replace("_", " ")
            measures[f"{WORST} by {words}"] = _by_group(name, np.min)
            measures[f"UF1 gap by {words}"] = _by_group(name, np.ptp)
    return measures


def _matrix(one: Evaluation) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    said = one.predictions
    return formulas.confusion_matrix(said.truth, said.predicted, classes=len(said.classes))


def _by_group(attribute: str, reduce: Callable[..., float]) -> Measure:
    """A measure over the UF1 of the groups that are large enough, NaN where fewer than two are."""

    def measure(one: Evaluation) -> float:
        said = one.predictions
        codes = said.groups[attribute].codes
        sets = [np.flatnonzero(codes == code) for code in np.unique(codes[codes >= 0])]
        sets = [
            clips for clips in sets if len(clips) >= MIN_CLIPS and len(np.unique(said.subjects[clips])) >= MIN_SUBJECTS
        ]
        if len(sets) < 2:
            return float("nan")
        tables = SubjectConfusions.of(said.truth, said.predicted, said.subjects, sets, classes=len(said.classes))
        return float(reduce(formulas.uf1(tables.total())))

    return measure


def _table(found: Sequence[Sequence[Compared]]) -> Table:
    rows: list[Row] = []
    records: list[Mapping[str, Value]] = []
    for group in found:
        first = group[0]
        where = f"{first.arm.model}, {first.arm.train} → {first.arm.test}{', unseen subjects' * first.arm.unseen}"
        rows.append(Row(cells(where), "head"))
        for one in group:
            test = one.test
            sure = test.adjusted_p < 1 - CONFIDENCE
            rows.append(
                Row(
                    cells(
                        *(
                            one.arm.arm or "all clips",
                            one.control.arm or "all clips",
                            one.measure,
                            str(len(test.differences)),
                        ),
                        Cell(_signed(test.mean), tone="strong" if sure else ""),
                        f"{_signed(test.low)} to {_signed(test.high)}" if np.isfinite(test.low) else "–",
                        *(_p(test.p), _p(test.adjusted_p)),
                    )
                )
            )
            records.append(
                {
                    **{"classes": one.arm.kind, "model": one.arm.model, "train": one.arm.train, "test": one.arm.test},
                    **{"arm": one.arm.arm or "all", "control": one.control.arm or "all", "measure": one.measure},
                    **{"seeds": len(test.differences), "difference": test.mean, "low": test.low, "high": test.high},
                    **{"p": test.p, "p_holm": test.adjusted_p, "least_p": test.least_p},
                }
            )
    interval = f"{percent(CONFIDENCE, 1, 0)} interval"
    columns = (
        *(Column("arm", False), Column("against", False), Column("measure", False), Column("seeds")),
        Column("difference"),
        *(Column(interval), Column("p"), Column("p, Holm")),
    )
    return Table("comparison", "Differences between arms", "", columns, tuple(rows), tuple(records))


def _picture(group: Sequence[Compared]) -> Picture:
    first = group[0]
    values: dict[str, dict[str, Sequence[float]]] = {}
    for one in group:
        if one.measure == "UF1" or one.measure.startswith(WORST):
            values.setdefault(one.measure, {})[one.arm.arm or "all clips"] = one.test.differences
    arms = set.intersection(*(set(of) for of in values.values()))
    chosen = list(values.items())[:MAX_SHOWN]
    shown = {measure: {arm: of[arm] for arm in of if arm in arms} for measure, of in chosen}
    title = f"{first.arm.model}: {first.arm.train} → {first.arm.test}"
    note = f"differences to {first.control.arm or 'all clips'}; a point is a seed, the bar their mean"
    return Picture(
        f"{first.control.name}-differences", lambda: curves.differences(title, note, shown), f"{title}, {note}"
    )


def _signed(value: float) -> str:
    return f"{'−' if round(value, 3) < 0 else '+'}{number(abs(value))}"


def _p(value: float) -> str:
    return "–" if not np.isfinite(value) else "<.001" if value < 0.001 else number(value)
