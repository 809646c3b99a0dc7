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
Outcome = tuple[tuple[int, ...], bool]
"""What of a program tells the emotion: the AUs that act, ascending, and whether any acts on one side only."""

# Weight of the bounded likelihood beside the table's own: interventions make sets that the table never draws.
_UNLIKELY = 1e-9
_MAX_STEPS = 100
_ANY_TIME = Timing(onset=0, apex=1, hold=1, offset=2, frames=3, fps=100.0)


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """Calls an outcome x the class c whose gain `a_c P(c, x) - b_c P(x)` is largest.

    Attributes:
        gain, cost: (C,) a and b. confusion: (C, C) probabilities, rows true and columns called.
    """

    gain: Floats
    cost: Floats
    confusion: Floats

    @property
    def uf1(self) -> float:
        """UF1 over endlessly many clips."""
        return float(formulas.uf1(self.confusion))

    def decide(self, joint: Floats) -> NDArray[np.int64]:
        """Class number of each outcome of a joint distribution (C, X) of class and outcome."""
        return _decided(joint, self.gain, self.cost)


def _decided(joint: Floats, gain: Floats, cost: Floats) -> NDArray[np.int64]:
    called: NDArray[np.int64] = np.argmax(gain[:, None] * joint - cost[:, None] * joint.sum(axis=0), axis=0)
    return called


def best_rule(joint: Floats) -> Rule:
    """The rule of highest UF1 for a joint distribution (C, X) of class and outcome.

    UF1 is the mean of `2 TP / (N + P)`, with N clips that have and P that are called a class. To call x by c adds
    `2 P(c, x) / (N + P)` and costs `2 TP P(x) / (N + P)^2`, to first order: so the best rule is linear in both. It is
    found by taking these slopes at the rule at hand until nothing changes, from the rules of most accuracy and of most
    recall.
    """
    share = joint.sum(axis=1)
    starts = (np.ones(len(joint)), 1 / np.maximum(share, np.finfo(np.float64).tiny))
    return max((rule for start in starts for rule in _climb(joint, share, start)), key=lambda rule: rule.uf1)


def _climb(joint: Floats, share: Floats, gain: Floats) -> list[Rule]:
    cost = np.zeros(len(joint))
    rules: list[Rule] = []
    called = None
    for _ in range(_MAX_STEPS):
        before, called = called, _decided(joint, gain, cost)
        if before is not None and np.array_equal(before, called):
            break
        confusion = np.stack([joint[:, called == word].sum(axis=1) for word in range(len(joint))], axis=1)
        rules.append(Rule(gain, cost, confusion))
        sums = np.maximum(share + confusion.sum(axis=0), np.finfo(np.float64).tiny)
        gain, cost = 2 / sums, 2 * np.diagonal(confusion) / sums**2
    return rules


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
