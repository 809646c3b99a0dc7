"""Calibration: whether a model that says 80% is right in 80% of the cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BINS = 15  # of equal width, as Guo et al. (2017, "On Calibration of Modern Neural Networks", ICML) and most since


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Confidence against accuracy, in bins of confidence.

    Attributes:
        edges: (B + 1,) ends of the bins, 0 to 1.
        clips: (B,) int64, clips of each bin.
        confidence, accuracy: (B,) means of each bin, NaN where it is empty.
        mean_confidence: of all clips, 0 to 1.
        ece: expected calibration error, the mean of |accuracy - confidence| of the bins by clips; 0 (calibrated) to 1.
    """

    edges: Floats
    clips: NDArray[np.int64]
    confidence: Floats
    accuracy: Floats
    mean_confidence: float
    ece: float


def calibration(confidence: Floats, right: NDArray[np.bool_], *, bins: int = BINS) -> Calibration:
    """Calibration of predictions.

    Args:
        confidence: (n,) probability of the class that was called, 0 to 1. right: (n,) whether it was the true one.

    Raises:
        ValueError: no clip, lengths that differ, a confidence outside 0 to 1, or `bins` below 1.
    """
    if not len(confidence) or len(confidence) != len(right):
        raise ValueError(
            f"confidence of {len(confidence)} clips and right of {len(right)} must be of the same, 1 or more"
        )
    if bins < 1:
        raise ValueError(f"{bins=} must be at least 1")
    if not (wrong := confidence[~((confidence >= 0) & (confidence <= 1))]).size == 0:
        raise ValueError(f"confidence={wrong[0]} must lie within 0 to 1")
    edges = np.linspace(0, 1, bins + 1)
    # Bins are open on the left, as Guo et al. have them; a confidence of 0 belongs to the first.
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    clips = np.bincount(place, minlength=bins)
    said, found = (
        _mean(np.bincount(place, values, minlength=bins), clips) for values in (confidence, right.astype(np.float64))
    )
    filled = clips > 0
    ece = float(np.sum(clips[filled] * np.abs(found[filled] - said[filled])) / len(confidence))
    return Calibration(edges, clips, said, found, float(confidence.mean()), ece)


def _mean(total: NDArray[np.number], count: NDArray[np.int64]) -> Floats:
    means: Floats = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return means
