"""The rule that is optimal for UF1 when programs are drawn from an AU table, and what it reaches.

In the model that draws programs, the emotion decides which AUs act and whether they act on one side; intensity and
timing do not depend on it. So AUs and side are all that a program tells of its emotion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equime_builder.facs import ACTION_UNITS, EMOTION_TABLES, au_sets
from equime_builder.scm import Activation, Program, Timing, evidence
from equime_loader.fairness import formulas
from equime_loader.schema import EMOTIONS

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Outcome = tuple[tuple[int, ...], bool]
"""What of a program tells the emotion: the AUs that act, ascending, and whether any acts on one side only."""

# Weight of the bounded likelihood beside the table's own: interventions make sets that the table never draws.
_UNLIKELY = 1e-9
_LEAST_GAIN = 1e-12  # of UF1: less is rounding
_ANY_TIME = Timing(onset=0, apex=1, hold=1, offset=2, frames=3, fps=100.0)


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A class for each outcome.

    Attributes:
        called: (X,) class numbers. confusion: (C, C) probabilities, rows true and columns called.
    """

    called: Numbers
    confusion: Floats

    @property
    def uf1(self) -> float:
        """UF1 over endlessly many clips."""
        return float(formulas.uf1(self.confusion))


def best_rule(joint: Floats) -> Rule:
    """The rule of highest UF1 for a joint distribution (C, X) of class and outcome.

    UF1 is no sum over clips, so the most likely class is not always the best one to call. Starting from the rules of
    most accuracy, of most recall, and from those that always say one class, the one call is changed that gains most,
    until none gains anything. (Of 1,000 small random distributions, each start by itself fails in some; the best of
    them is in all the best rule there is.)
    """
    share = np.maximum(joint.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    constant = np.repeat(np.arange(len(joint))[:, None], joint.shape[1], axis=1)
    starts = [joint.argmax(axis=0), (joint / share).argmax(axis=0), *constant]
    return max((_climbed(joint, start) for start in starts), key=lambda rule: rule.uf1)


def _climbed(joint: Floats, start: Numbers) -> Rule:
    classes, outcomes = joint.shape
    called = start.astype(np.int64)
    confusion = np.stack([joint[:, called == word].sum(axis=1) for word in range(classes)], axis=1)
    every = np.arange(outcomes)
    while True:
        changed = np.tile(confusion, (outcomes, classes, 1, 1))
        for word in range(classes):
            changed[every, word, :, called] -= joint.T
            changed[:, word, :, word] += joint.T
        figures = formulas.uf1(changed)
        outcome, to = np.unravel_index(int(figures.argmax()), figures.shape)
        if figures[outcome, to] <= formulas.uf1(confusion) + _LEAST_GAIN:
            return Rule(called, confusion)
        called[outcome], confusion = to, changed[outcome, to]


def table_outcomes(table: str) -> list[Outcome]:
    """Every outcome that a table can draw, of all its emotions.

    Raises:
        ValueError: no such table.
    """
    if table not in EMOTION_TABLES:
        raise ValueError(f"{table=} must be one of {', '.join(EMOTION_TABLES)}")
    sets = {aus for emotion in EMOTION_TABLES[table].probabilities for aus, _ in au_sets(table, emotion)}
    return sorted((aus, one_sided) for aus in sets for one_sided in (False, True) if _lateral(aus) or not one_sided)


def likelihoods(table: str, outcomes: Sequence[Outcome]) -> Floats:
    """P(outcome | emotion): (len(EMOTIONS), len(outcomes)).

    What the table never draws has the tiny likelihood that the label's own derivation gives it.
    """
    law = EMOTION_TABLES[table]
    result = np.zeros((len(EMOTIONS), len(outcomes)))
    place = {outcome: number for number, outcome in enumerate(outcomes)}
    for row, emotion in enumerate(EMOTIONS):
        sets = au_sets(table, emotion)
        total = sum(weight for _, weight in sets)
        for aus, weight in sets:
            one = law.unilateral[emotion] if _lateral(aus) else 0.0
            for one_sided, share in ((False, 1 - one), (True, one)):
                if (aus, one_sided) in place:
                    result[row, place[aus, one_sided]] += weight / total * share
    bounded = np.stack([np.exp(evidence(_program(outcome), table)) for outcome in outcomes], axis=1)
    return result + _UNLIKELY * bounded


def _lateral(aus: tuple[int, ...]) -> bool:
    return any(ACTION_UNITS[au].lateral for au in aus)


def _program(outcome: Outcome) -> Program:
    """A program with this outcome."""
    aus, one_sided = outcome
    return Program(
        tuple(Activation(au, 1.0, "left" if one_sided and ACTION_UNITS[au].lateral else "both") for au in aus),
        _ANY_TIME,
    )
