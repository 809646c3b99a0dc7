"""Many strings in two arrays, as Arrow has them, for whoever is to do without pyarrow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Strings:
    """Strings by number.

    letters: (m,) uint8, UTF-8. ends: (n + 1,) int32, where each begins; the last, where the last one ends.
    """

    letters: NDArray[np.uint8]
    ends: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, number: int) -> str:
        return self.letters[self.ends[number] : self.ends[number + 1]].tobytes().decode()
