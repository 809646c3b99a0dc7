"""Which Action Units acted, and how strongly: features read through the AUs' signatures.

A signature is what one AU at intensity 1 does to each feature. AUs share features (the lip corners answer to six of
them), so intensities are found together: the non-negative combination of signatures that explains the features best.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from equime_builder.audit.features import MIDDLE_BLENDSHAPES, MIDLINE_GROUPS, NAMES
from equime_builder.facs import ACTION_UNITS, EXPRESSIVE_AUS

Floats = NDArray[np.float64]
SWEEPS = 100
OUTLYING, ROUNDS = 1.5, 4  # multiples of the unrest from which on a feature is an outlier; reweightings
UNREST, MISTAKEN = "unrest", "mistaken"
SIGNATURES = "data/audit/signatures.csv"  # in the package
# Added to a feature's spread: what encoder and landmarks change in any clip (IOD, relative luma, score).
_LEAST_UNREST = {"landmarks": 0.002, "flow": 0.002, "shade": 0.005, "blendshape": 0.01}
_FLOOR = np.array([_LEAST_UNREST[name.split()[0]] for name in NAMES])
_MIDDLE = np.array([name.split()[1] in MIDDLE_BLENDSHAPES or name.split()[1] in MIDLINE_GROUPS for name in NAMES])


def _unknowns() -> Floats:
    """(2 * AUs, unknowns): from what is sought to the intensities of the right half, then of the left."""
    count = len(EXPRESSIVE_AUS)
    columns = []
    for k, au in enumerate(EXPRESSIVE_AUS):
        sides = np.zeros((2, 2 * count))
        sides[0, k] = sides[1, count + k] = 1
        columns += list(sides) if ACTION_UNITS[au].lateral else [sides.sum(axis=0)]
    return np.stack(columns, axis=1)


_UNKNOWNS = _unknowns()


@dataclass(frozen=True, slots=True, eq=False)
class Signatures:
    """What each AU does to each feature, at intensity 1, and how sure that is.

    Attributes:
        matrix: (features, AUs), change of the feature per unit of intensity. unrest: (features,), its own spread.
        mistaken: (AUs,), the intensity that is read at most (99th percentile) where another AU acts alone.
    """

    matrix: Floats
    unrest: Floats
    mistaken: Floats

    def __post_init__(self) -> None:
        rows, columns = len(NAMES), len(EXPRESSIVE_AUS)
        for name, expected in (("matrix", (rows, columns)), ("unrest", (rows,)), ("mistaken", (columns,))):
            values = getattr(self, name)
            if values.shape != expected or not np.isfinite(values).all():
                raise ValueError(f"{name}.shape={values.shape} must be {expected}, and finite")
        if not (self.unrest > 0).all():
            raise ValueError("unrest must be above 0")

    def read(self, features: Floats) -> Floats:
        """Intensities (2, AUs) of the right and the left half from features (2, len(NAMES)); 0 and above.

        Both halves are read together: features of the midline answer to the mean of the halves, and AUs that have no
        sides act on both alike. Features that no combination explains (a spectacle frame where a fold should be) count
        by their distance, not its square (Huber 1964, by reweighting).
        """
        weighted = self.matrix / self.unrest[:, None]
        own, shared = np.where(_MIDDLE[:, None], weighted / 2, weighted), np.where(_MIDDLE[:, None], weighted / 2, 0)
        # Both rows of a midline feature say the same: together they count once.
        weight = np.where(_MIDDLE, np.sqrt(0.5), 1.0)
        design = np.block([[own, shared], [shared, own]]) @ _UNKNOWNS * np.tile(weight, 2)[:, None]
        target = (features / self.unrest * weight).reshape(-1)
        found = least_squares(design, target)
        for _ in range(ROUNDS):
            trust = np.sqrt(np.minimum(1.0, OUTLYING / np.maximum(np.abs(target - design @ found), 1e-9)))
            found = least_squares(design * trust[:, None], target * trust)
        return np.asarray((_UNKNOWNS @ found).reshape(2, -1))


def least_squares(matrix: Floats, target: Floats) -> Floats:
    """x >= 0 (K,) that minimizes ||matrix @ x - target||, by coordinate descent (Franc et al. 2005)."""
    gram = matrix.T @ matrix + 1e-6 * np.eye(matrix.shape[1])
    slope = -(matrix.T @ target)
    x = np.zeros(matrix.shape[1])
    diagonal = np.diag(gram)
    for _ in range(SWEEPS):
        moved = 0.0
        for k in range(len(x)):
            step = max(-slope[k] / diagonal[k], -x[k])
            if step:
                x[k] += step
                slope += step * gram[:, k]
                moved = max(moved, abs(step))
        if moved < 1e-4:
            break
    return x


def fit_signatures(features: Floats, intensities: Floats) -> Signatures:
    """Signatures from clips of known intensities.

    Args:
        features: (N, 2, len(NAMES)). intensities: (N, AUs), of which exactly one is above 0 in each row.

    Raises:
        ValueError: an AU without rows, or a row with several AUs.
    """
    if not ((intensities > 0).sum(axis=1) == 1).all():
        raise ValueError("intensities: one AU must act in each row")
    matrix, rests = np.zeros((features.shape[2], intensities.shape[1])), []
    for k, au in enumerate(EXPRESSIVE_AUS):
        rows = intensities[:, k] > 0
        if not rows.any():
            raise ValueError(f"intensities: no row of AU{au}")
        seen = features[rows].reshape(-1, features.shape[2])
        known = np.repeat(intensities[rows, k], 2)
        matrix[:, k] = known @ seen / (known @ known)
        rests.append(seen - known[:, None] * matrix[:, k])
    unrest = np.sqrt(np.mean(np.concatenate(rests) ** 2, axis=0)) + _FLOOR
    fitted = Signatures(matrix, unrest, np.zeros(len(EXPRESSIVE_AUS)))
    read = np.array([fitted.read(one).max(axis=0) for one in features])
    return replace(
        fitted, mistaken=np.array([np.percentile(r[i == 0], 99) for r, i in zip(read.T, intensities.T, strict=True)])
    )


def write_signatures(signatures: Signatures) -> str:
    """CSV: a row per feature, a column per AU, and the unrest; last what is mistaken for each AU."""
    target = io.StringIO()
    table = csv.writer(target, lineterminator="\n")
    table.writerow(["feature", *(f"AU{au}" for au in EXPRESSIVE_AUS), UNREST])
    for name, row, unrest in zip(NAMES, signatures.matrix, signatures.unrest, strict=True):
        table.writerow([name, *(f"{value:.5f}" for value in row), f"{unrest:.5f}"])
    table.writerow([MISTAKEN, *(f"{value:.3f}" for value in signatures.mistaken), "0"])
    return target.getvalue()


def read_signatures(text: str) -> Signatures:
    """The inverse of `write_signatures`.

    Raises:
        ValueError: other features or AUs than those that are known.
    """
    head, *rows = csv.reader(io.StringIO(text))
    names = [*NAMES, MISTAKEN]
    if head != ["feature", *(f"AU{au}" for au in EXPRESSIVE_AUS), UNREST] or [row[0] for row in rows] != names:
        raise ValueError("signatures: rows and columns must be the known features and AUs")
    values = np.array([row[1:] for row in rows], np.float64)
    return Signatures(values[:-1, :-1], values[:-1, -1], values[-1, :-1])


@cache
def shipped_signatures() -> Signatures:
    """The signatures that come with the package."""
    return read_signatures((resources.files("equime_builder") / SIGNATURES).read_text(encoding="utf-8"))


def column(aus: Sequence[int]) -> list[int]:
    """Columns of AUs in a table of intensities."""
    return [EXPRESSIVE_AUS.index(au) for au in aus]
