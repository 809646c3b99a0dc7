"""Results: runs that differ in their seed alone, tested on the same data set, as one row of figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from equime_loader.fairness import formulas
from equime_loader.fairness.bootstrap import SubjectConfusions, resampled
from equime_loader.fairness.formulas import TITLES
from training.protocols.scores import PARTIAL, Scores, scores_of
from training.reports.calibration import Calibration, calibration
from training.reports.document import slug
from training.reports.evidence import Evaluation

Floats = NDArray[np.float64]

INTERVALS: Mapping[str, Callable[[ArrayLike], Floats]] = {
    name: formulas.SCORES[name] for name in TITLES if name in formulas.SCORES
}
OVER_CLASSES = ("uf1", "uar")  # means over the classes that clips have
RESAMPLES, CONFIDENCE = 2_000, 0.95


@dataclass(frozen=True, eq=False)
class Result:
    """Evaluations of runs that differ in their seed alone.

    Attributes:
        evaluations: by seed.
        interval: of the mean over seeds, by score of `INTERVALS`: percentiles over resamples of whole test subjects.
    """

    evaluations: tuple[Evaluation, ...]
    interval: Mapping[str, tuple[float, float]]

    @property
    def model(self) -> str:
        return self.evaluations[0].run.model

    @property
    def train(self) -> str:
        return self.evaluations[0].run.train

    @property
    def test(self) -> str:
        return self.evaluations[0].test

    @property
    def arm(self) -> str:
        return self.evaluations[0].run.arm

    @property
    def kind(self) -> str:
        return self.evaluations[0].run.kind

    @property
    def unseen(self) -> bool:
        return self.evaluations[0].unseen

    @property
    def classes(self) -> tuple[str, ...]:
        return self.evaluations[0].predictions.classes

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(one.run.seed for one in self.evaluations)

    @property
    def name(self) -> str:
        """Of its files: unique among results."""
        return slug(self.kind, self.model, self.train, self.arm, "on", self.test)

    @property
    def title(self) -> str:
        arm = f" ({self.arm})" if self.arm else ""
        return f"{self.model}: {self.train}{arm} → {self.test}" + (", unseen subjects" if self.unseen else "")

    @cached_property
    def confusions(self) -> tuple[NDArray[np.int64], ...]:
        """Of each evaluation, (C, C), rows true and columns predicted."""
        pairs = [one.predictions for one in self.evaluations]
        return tuple(formulas.confusion_matrix(p.truth, p.predicted, classes=len(self.classes)) for p in pairs)

    @cached_property
    def by_seed(self) -> tuple[Scores, ...]:
        return tuple(map(scores_of, self.confusions))

    @cached_property
    def constants(self) -> tuple[Scores, ...]:
        """What always saying the class that the test clips have most often scores, by evaluation."""
        return tuple(scores_of(formulas.constant(matrix, self._frequent)) for matrix in self.confusions)

    @property
    def constant_class(self) -> str:
        return self.classes[self._frequent]

    @property
    def _frequent(self) -> int:
        return int(np.sum(self.confusions, axis=0).sum(axis=1).argmax())

    @property
    def clips(self) -> tuple[int, int]:
        """Fewest and most clips of a seed's test set."""
        return _ends([len(one.predictions) for one in self.evaluations])

    @property
    def subjects(self) -> tuple[int, int]:
        return _ends([len(np.unique(one.predictions.subjects)) for one in self.evaluations])

    @property
    def counts(self) -> tuple[int, ...]:
        """Clips of each class, in the first seed's test set."""
        return tuple(self.confusions[0].sum(axis=1).tolist())

    @property
    def absent(self) -> tuple[str, ...]:
        """Classes that no clip of some seed's test set has: UF1 and UAR leave them out."""
        having = np.all([matrix.sum(axis=1) > 0 for matrix in self.confusions], axis=0)
        return tuple(word for word, has in zip(self.classes, having, strict=True) if not has)

    def mark(self, score: str) -> str:
        """What stands behind a score over a part of the classes."""
        return f" {PARTIAL}" if self.absent and score in OVER_CLASSES else ""

    def mean(self, score: str) -> float:
        return float(np.mean([getattr(one, score) for one in self.by_seed]))

    def deviation(self, score: str) -> float:
        """Standard deviation over seeds, NaN of one seed."""
        values = [getattr(one, score) for one in self.by_seed]
        return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")

    def constant(self, score: str) -> float:
        return float(np.mean([getattr(one, score) for one in self.constants]))

    @property
    def above_constant(self) -> bool:
        """Whether the whole interval of UF1 lies above the UF1 of the constant predictor."""
        return self.interval["uf1"][0] > self.constant("uf1")

    @property
    def only_class(self) -> str:
        """The class that every clip of every seed was called; empty where there is none such."""
        called = np.flatnonzero(np.sum(self.confusions, axis=0).sum(axis=0))
        return self.classes[called[0]] if len(called) == 1 else ""

    @cached_property
    def calibrations(self) -> tuple[Calibration | None, ...]:
        """Of each evaluation; None where the model gave no confidence."""
        return tuple(
            calibration(one.confidence, one.right) if np.isfinite(one.confidence).all() else None
            for one in self.evaluations
        )

    @property
    def mean_confidence(self) -> float:
        return float(np.mean([one.mean_confidence if one else np.nan for one in self.calibrations]))

    @property
    def ece(self) -> float:
        return float(np.mean([one.ece if one else np.nan for one in self.calibrations]))

    def by_corpus(self) -> Mapping[str, tuple[tuple[Scores, Scores], ...]]:
        """Of a test set of several corpora, by corpus and seed: scores, and those of its own constant predictor."""
        found: dict[str, list[tuple[Scores, Scores]]] = {}
        for one in self.evaluations:
            said = one.predictions
            codes = said.groups.get("corpus")
            for code, word in enumerate(codes.words if codes is not None else ()):
                clips = np.flatnonzero(codes.codes == code) if codes is not None else np.zeros(0, np.int64)
                if not len(clips):
                    continue
                truth, called = said.truth[clips], said.predicted[clips]
                matrix = formulas.confusion_matrix(truth, called, classes=len(self.classes))
                always = formulas.constant(matrix, int(matrix.sum(axis=1).argmax()))
                found.setdefault(word, []).append((scores_of(matrix), scores_of(always)))
        return {word: tuple(scores) for word, scores in found.items()} if len(found) > 1 else {}

    @cached_property
    def typical(self) -> int:
        """Place of the evaluation whose UF1 is the median (the lower one of an even number): pictures show it."""
        order = np.argsort([one.uf1 for one in self.by_seed], kind="stable")
        return int(order[(len(order) - 1) // 2])


def _ends(values: Sequence[int]) -> tuple[int, int]:
    return min(values), max(values)


def results_of(evaluations: Sequence[Evaluation], *, resamples: int = RESAMPLES) -> tuple[Result, ...]:
    """Evaluations by what they have in common, in the order of the first of each.

    Raises:
        ValueError: two runs of one seed that differ in nothing that is told apart, or test sets of other classes.
    """
    groups: dict[tuple[str, ...], list[Evaluation]] = {}
    for one in evaluations:
        key = (one.run.kind, one.run.model, one.run.train, one.run.arm, one.test, str(one.unseen))
        groups.setdefault(key, []).append(one)
    return tuple(_result(sorted(group, key=lambda one: one.run.seed), resamples) for group in groups.values())


def _result(group: Sequence[Evaluation], resamples: int) -> Result:
    first, runs = group[0], [one.run for one in group]
    for run, other in pairwise(runs):
        if run.seed == other.seed:
            raise ValueError(
                f"{run.name} and {other.name} have model {run.model}, training data {run.train} and seed {run.seed} in "
                f"common and both were tested on {first.test}; report one of them"
            )
    for one in group[1:]:
        if one.predictions.classes != first.predictions.classes:
            raise ValueError(
                f"{first.run.name} and {one.run.name} tell other classes apart on {first.test}: "
                f"{', '.join(first.predictions.classes)} and {', '.join(one.predictions.classes)}"
            )
    drawn = [_resampled(one, resamples) for one in group]
    interval = {}
    for name, formula in INTERVALS.items():
        means = np.mean([formula(matrices) for matrices in drawn], axis=0)
        low, high = np.nanquantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        interval[name] = (float(low), float(high))
    return Result(tuple(group), interval)


def _resampled(one: Evaluation, resamples: int) -> Floats:
    """(R, C, C) matrices of resamples of whole subjects; the same ones for all runs tested on the same clips."""
    said = one.predictions
    everyone = [np.arange(len(said))]
    tables = SubjectConfusions.of(said.truth, said.predicted, said.subjects, everyone, classes=len(said.classes))
    return resampled(tables, resamples, seed=one.clips_hash)[:, 0]
