"""Random numbers that belong to things: a 64-bit key for each (purpose, number), the same on every platform.

A key is the output of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) at the place given by the number, from a start
derived from the purpose. No key depends on how many others are drawn, or in which order.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 divided by the golden ratio, odd
WORD = 1 << 64


def purpose_key(*purpose: str | int) -> int:
    """64-bit key of a purpose: ``purpose_key("order", 7, 3)``. Equal purposes give equal keys."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in purpose)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def splitmix64(start: int, numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Outputs of SplitMix64 seeded with `start`, by their numbers (>= 0)."""
    key = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(GOLDEN)
    key += np.uint64(start)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        key ^= key >> np.uint64(shift)
        key *= np.uint64(factor)
    key ^= key >> np.uint64(31)
    return key


def keys_of(numbers: NDArray[np.int64], *purpose: str | int) -> NDArray[np.uint64]:
    """One key, uniform over 64 bits, for each of `numbers` (>= 0) under `purpose`."""
    return splitmix64(purpose_key(*purpose), numbers)


def unit(keys: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Keys as numbers in [0, 1), multiples of 2^-53."""
    return (keys >> np.uint64(11)).astype(np.float64) * 2.0**-53


def ranked(values: NDArray[np.uint64] | NDArray[np.float64]) -> NDArray[np.int64]:
    """Places of the values from the smallest to the largest, equal ones in their own order.

    What ``np.argsort(kind="stable")`` gives, at a quarter of its time: among random values hardly two are equal, and
    only then does the kind of sort matter.
    """
    order = np.argsort(values)
    arranged = values[order]
    return np.argsort(values, kind="stable") if np.any(arranged[1:] == arranged[:-1]) else order


def by_group(groups: NDArray[np.int64], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Positions sorted by group, in random order (that of the keys) within each group.

    Groups are numbered 0, 1, …; the keys keep 64 bits less those that the group numbers need.
    """
    bits = np.uint64(int(groups.max(initial=0)).bit_length())
    if not bits:
        return ranked(keys)
    return ranked((groups.astype(np.uint64) << (np.uint64(64) - bits)) | (keys >> bits))


def digest(values: NDArray[np.integer[Any] | np.floating[Any]]) -> str:
    """sha256 of the values, the same on every platform."""
    return hashlib.sha256(values.astype(values.dtype.newbyteorder("<")).tobytes()).hexdigest()
