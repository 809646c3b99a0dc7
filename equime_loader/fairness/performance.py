"""What a model does to each group: scores, gaps and fairness criteria with intervals over subjects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from equime_loader.arguments import as_names, check_kind
from equime_loader.fairness import formulas
from equime_loader.fairness.bootstrap import SubjectConfusions, resampled, shuffled
from equime_loader.fairness.formulas import CRITERIA, SCORES, Floats
from equime_loader.fairness.predictions import Predictions
from equime_loader.fairness.report import Criterion, Estimate, FairnessReport, Gap, Group
from equime_loader.index import Codes
from equime_loader.tables import counted, percent

# One clip of 20 moves a group's accuracy by 5 points, as much as the gaps that are looked for.
MIN_CLIPS = 20
# Cameron, Gelbach & Miller (2008, "Bootstrap-Based Improvements for Inference with Clustered Errors", Review of
# Economics and Statistics 90(3)) resample as few as 5 clusters; with few clusters, intervals come out too narrow.
MIN_SUBJECTS = 5
FEW_SUBJECTS = 30
ALL = "all"

Positions = NDArray[np.int64]


def fairness_report(
    predictions: Predictions,
    by: str | Sequence[str],
    *,
    resamples: int = 2_000,
    confidence: float = 0.95,
    seed: int = 0,
    min_clips: int = MIN_CLIPS,
    min_subjects: int = MIN_SUBJECTS,
) -> FairnessReport:
    """Fairness of predictions by an attribute, or by several crossed.

    Args:
        resamples: of whole subjects, for the intervals; as many random groupings of subjects for what chance does.
        confidence: of the percentile intervals.
        min_clips, min_subjects: a group with fewer is shown without scores, and left out of gaps and criteria. Where
            there are fewer subjects in all, the overall scores have no intervals.

    A gap is never negative, and noise only adds to it: its percentile interval leans upward (with few subjects past the
    gap itself), and does not hold 0 even where groups are alike. Compare with the gap by chance, which subjects dealt
    to groups at random exceed in 5% of the cases (with `confidence` 0.95).

    Raises:
        KeyError: no such attribute.
        ValueError: a number out of its bounds, more groups, classes and resamples than memory should hold, or no clip
            with a known group.
    """
    _check(confidence, resamples=resamples, min_clips=min_clips, min_subjects=min_subjects)
    check_kind("predictions", predictions, Predictions, "Predictions, as read_predictions gives")
    attribute, codes = predictions.by(as_names("by", by))
    sets, everyone = _sets(codes), np.arange(len(predictions))
    if not sets:
        raise ValueError(f"{attribute} is unknown for every clip; there is nothing to compare")
    small = {name: _too_small(predictions, clips, min_clips, min_subjects) for name, clips in sets.items()}
    large = [name for name in sets if not small[name]]
    tables = SubjectConfusions.of(
        predictions.truth,
        predictions.predicted,
        predictions.subjects,
        [everyone, *(sets[name] for name in large)],
        classes=len(predictions.classes),
    )
    drawn = resampled(tables, resamples, seed=seed)
    dealt = shuffled(tables.without_first(), resamples if len(large) > 1 else 0, seed=seed)
    enough = len(np.unique(predictions.subjects)) >= min_subjects
    describe = _Describe(predictions, int(np.bincount(predictions.truth).argmax()), confidence)
    samples = dict(zip(large, np.moveaxis(drawn, 1, 0)[1:], strict=True))
    across = (tables.total()[1:], drawn[:, 1:], dealt, confidence)
    report = FairnessReport(
        attribute=attribute,
        classes=predictions.classes,
        unknown=int((codes.codes < 0).sum()),
        constant_class=predictions.classes[describe.constant],
        overall=describe(ALL, everyone, drawn[:, 0] if enough else drawn[:0, 0]),
        groups=tuple(describe(name, clips, samples.get(name), small[name]) for name, clips in sets.items()),
        gaps=tuple(_gaps(large, *across)) if len(large) > 1 else (),
        criteria=tuple(_criteria(*across)) if len(large) > 1 else (),
        resamples=resamples,
        confidence=confidence,
        seed=seed,
        notes=(),
    )
    return replace(report, notes=tuple(_notes(report, dealt, min_clips, min_subjects)))


def _check(confidence: float, **counts: int) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"{confidence=} must lie between 0 and 1")
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name}={value} must be at least 1")


def _sets(codes: Codes) -> dict[str, Positions]:
    """Positions of the clips of each group that has any."""
    order = np.argsort(codes.codes, kind="stable")
    ends = np.searchsorted(codes.codes[order], np.arange(len(codes.words) + 1))
    pairs = zip(codes.words, ends[:-1], ends[1:], strict=True)
    return {word: order[start:end] for word, start, end in pairs if end > start}


def _too_small(predictions: Predictions, clips: Positions, min_clips: int, min_subjects: int) -> str:
    """Why a group is too small to be scored, empty where it is not."""
    subjects = len(np.unique(predictions.subjects[clips]))
    reasons = [
        f"{what} {count} < {least}"
        for what, count, least in (("clips", len(clips), min_clips), ("subjects", subjects, min_subjects))
        if count < least
    ]
    return ", ".join(reasons)


@dataclass(frozen=True, slots=True)
class _Describe:
    """Describes the groups of one report."""

    predictions: Predictions
    constant: int
    confidence: float

    def __call__(self, name: str, clips: Positions, samples: Floats | None, too_small: str = "") -> Group:
        """A group of clips; `samples` (R, C, C) are its resampled matrices, None where it is too small."""
        classes = self.predictions.classes
        truth, predicted = self.predictions.truth[clips], self.predictions.predicted[clips]
        confusion = formulas.confusion_matrix(truth, predicted, classes=len(classes))
        constant = formulas.constant(confusion, self.constant)
        scores = {}
        if samples is not None:
            scores = {score: _estimate(of(confusion), of(samples), self.confidence) for score, of in SCORES.items()}
        return Group(
            name=name,
            clips=len(clips),
            subjects=len(np.unique(self.predictions.subjects[clips])),
            confusion=tuple(tuple(row) for row in confusion.tolist()),
            too_small=too_small,
            scores=scores,
            constant={score: float(of(constant)) for score, of in SCORES.items()},
            absent=tuple(word for word, count in zip(classes, confusion.sum(axis=1), strict=True) if not count),
        )


def _estimate(value: Floats, samples: Floats, confidence: float) -> Estimate:
    """A figure with the percentile interval of its resamples."""
    return Estimate(float(value), _quantile(samples, (1 - confidence) / 2), _quantile(samples, (1 + confidence) / 2))


def _quantile(samples: Floats, at: float) -> float:
    """Quantile of the samples in which the figure is defined, NaN where there are none."""
    defined = samples[np.isfinite(samples)]
    return float(np.quantile(defined, at)) if len(defined) else float("nan")


def _gaps(names: Sequence[str], total: Floats, drawn: Floats, dealt: Floats, confidence: float) -> Iterator[Gap]:
    """Gaps of the matrices `total` (G, C, C), resampled as `drawn` (R, G, C, C), by chance as `dealt` (P, G, C, C)."""
    for name, formula in SCORES.items():
        scores, samples = formula(total), formula(drawn)
        yield Gap(
            score=name,
            worst=names[int(np.argmin(scores))],
            best=names[int(np.argmax(scores))],
            gap=_estimate(formulas.gap(scores), formulas.gap(samples), confidence),
            by_chance=_quantile(formulas.gap(formula(dealt)), confidence),
            ratio=_estimate(formulas.ratio(scores), formulas.ratio(samples), confidence),
        )


def _criteria(total: Floats, drawn: Floats, dealt: Floats, confidence: float) -> Iterator[Criterion]:
    """Criteria of the same matrices."""
    for name, formula in CRITERIA.items():
        unfair = 1 - confidence if formula is formulas.disparate_impact else confidence
        estimate = _estimate(formula(total), formula(drawn), confidence)
        yield Criterion(name, estimate, _quantile(formula(dealt), unfair))


def _notes(report: FairnessReport, dealt: Floats, min_clips: int, min_subjects: int) -> Iterator[str]:
    """What was left out of a report, and what its figures should be read with."""
    yield f"constant: what always saying {report.constant_class!r}, the most frequent class, scores"
    if report.unknown:
        yield f"counted in {ALL!r} alone: {counted(report.unknown, 'clip')} without a known {report.attribute}"
    for group in report.groups:
        if group.too_small:
            yield f"{group.name} is too small: {group.too_small}; left out of gaps and criteria"
        elif missing := [word for word in group.absent if word not in report.overall.absent]:
            yield f"{group.name} has no clip of {', '.join(missing)}: left out of its UF1 and UAR"
    if missing := list(report.overall.absent):
        yield f"no clip is of {', '.join(missing)}: left out of every UF1 and UAR"
    large = [group for group in report.groups if not group.too_small]
    if report.overall.subjects < min_subjects:
        yield f"{counted(report.overall.subjects, 'subject')}, fewer than {min_subjects}: there are no intervals"
    elif few := [group.name for group in (report.overall, *large) if group.subjects < FEW_SUBJECTS]:
        yield f"fewer than {FEW_SUBJECTS} subjects, so that intervals come out too narrow: {', '.join(few)}"
    if len(large) < 2:
        yield f"fewer than two groups have {min_clips} clips and {min_subjects} subjects: there is nothing to compare"
        return
    rarely = f"in {percent(1 - report.confidence, 1, 0)} of the cases"
    yield (
        "intervals of gaps and criteria lean away from fair, with few subjects past the value itself, since resampling "
        "adds noise and noise only widens a gap; compare with chance"
    )
    yield (
        f"by chance: what subjects dealt to the groups at random exceed {rarely} (disparate impact: fall below)"
        if len(dealt)
        else "by chance: not known, since some subjects have clips in several groups"
    )
