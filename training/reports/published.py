"""Figures that EquiME published, and which of them a predictor that always says one class would have got, too."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from training.protocols.scores import Scores, scores_of

FILE = Path(__file__).with_name("published.csv")
SCORES = ("accuracy", "weighted_f1", "macro_f1")

# Clips of the classes negative, positive, surprise in the published test set: SAMM without fear and contempt, and the
# half of it that the published code tests on (`validation_split` 0.5).
TEST_SETS: Mapping[tuple[str, int], Mapping[str, tuple[int, ...]]] = {
    ("samm", 3): {"SAMM's 72/26/15": (72, 26, 15), "half of SAMM, 36/13/8": (36, 13, 8)}
}
CLASS_WORDS: Mapping[int, tuple[str, ...]] = {3: ("negative", "positive", "surprise")}


@dataclass(frozen=True, slots=True)
class Published:
    """A published row. `figures`: as printed, by score; what was not printed is missing.

    Attributes:
        train, test: names of corpora, as in `equime_loader.corpora.CORPORA`, or `equime`.
    """

    table: str
    model: str
    classes: int
    train: str
    test: str
    figures: Mapping[str, str]
    source: str

    def value(self, score: str) -> float:
        """A figure, NaN where it was not printed."""
        return float(self.figures.get(score, "nan"))


@dataclass(frozen=True, slots=True)
class Mark:
    """That a published row is what a constant predictor scores.

    Attributes:
        sign: `=` where every printed figure is that of a constant predictor on the published test set, within one unit
            of its last digit; `≈` where the published test set's counts are not known and the figures are those of a
            constant predictor on a class of some share.
        words: which one.
    """

    sign: str
    words: str


@cache
def published() -> tuple[Published, ...]:
    """All published rows, in the order of the file."""
    with open(FILE, encoding="utf-8", newline="") as file:
        return tuple(_row(line) for line in csv.DictReader(file))


def _row(line: Mapping[str, str]) -> Published:
    figures = {name: line[name] for name in (*SCORES, "confidence") if line[name]}
    return Published(
        table=line["table"],
        model=line["model"],
        classes=int(line["classes"]),
        train=line["train"],
        test=line["test"],
        figures=figures,
        source=line["source"],
    )


def find(model: str, train: str, test: str, classes: int) -> tuple[Published, ...]:
    """Rows of a model on a pair of data sets; the supplement prints some pairs in two tables."""
    wanted = (model, train, test, classes)
    return tuple(row for row in published() if (row.model, row.train, row.test, row.classes) == wanted)


def mark(row: Published) -> Mark | None:
    """Whether a row is one of a constant predictor; None where it is not."""
    if (row.test, row.classes) in TEST_SETS:
        for name, counts in TEST_SETS[row.test, row.classes].items():
            for number, word in enumerate(CLASS_WORDS[row.classes]):
                if _equals(row, constant(counts, number)):
                    return Mark("=", f"always {word} on {name}")
    elif (share := _fitting_share(row)) is not None:
        return Mark("≈", f"always a class of {100 * share:.1f}% of the clips")
    return None


def constant(counts: tuple[int, ...], word: int) -> Scores:
    """What always saying class number `word` scores on clips of these classes."""
    matrix = np.zeros((len(counts), len(counts)), np.int64)
    matrix[:, word] = counts
    return scores_of(matrix)


def _equals(row: Published, scores: Scores) -> bool:
    """Whether every printed figure agrees within one unit of its last digit (some were rounded, some cut off)."""
    return all(
        abs(row.value(name) - getattr(scores, name)) < unit(row.figures[name]) for name in SCORES if name in row.figures
    )


def _fitting_share(row: Published) -> float | None:
    """Share p of a class that rounds to the printed accuracy, with F1 2p/(1+p) and all others 0, as printed."""
    accuracy = row.value("accuracy")
    half = unit(row.figures["accuracy"]) / 2
    p = np.linspace(accuracy - half, accuracy + half, 201)
    f1 = 2 * p / (1 + p)
    fits = np.ones(len(p), bool)
    for name, values in (("weighted_f1", p * f1), ("macro_f1", f1 / row.classes)):
        if name in row.figures:
            fits &= np.abs(values - row.value(name)) <= unit(row.figures[name]) / 2
    return float(p[fits].mean()) if fits.any() else None


def unit(figure: str) -> float:
    """One unit of the last digit of a printed figure: `.63` is 0.01."""
    return float(10.0 ** -len(figure.partition(".")[2]))
