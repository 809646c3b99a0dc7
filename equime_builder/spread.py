"""Which clips stand for a dataset: few, spread evenly over its labels."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from equime_builder.counts import coded

# What the shown clips are spread over, and how much each counts.
SPREAD = {
    **{"emotion": 4.0, "subject": 3.0, "au_text": 2.0},
    **{"apparent_gender": 2.0, "apparent_race": 2.0, "split": 1.0, "age_group": 1.0},
}


def spread(index: pa.Table, rows: int) -> list[int]:
    """At most `rows` rows of an index, by emotion, chosen so that every label of `SPREAD` occurs about equally often.

    Each choice takes the clip whose labels were shown least; the first one in the index where several are equal.

    Raises:
        ValueError: `rows` below 1.
    """
    if rows < 1:
        raise ValueError(f"{rows=} must be at least 1")
    codes = {name: coded(index, name)[1] for name in SPREAD}
    shown = {name: np.zeros(code.max() + 1) for name, code in codes.items()}
    cost = np.zeros(len(index))
    chosen: list[int] = []
    for _ in range(min(rows, len(index))):
        best = int(np.argmin(cost))
        chosen.append(best)
        cost[best] = np.inf
        for name, weight in SPREAD.items():
            shown[name][codes[name][best]] += 1
            cost += weight * (codes[name] == codes[name][best])
    return sorted(chosen, key=lambda row: (codes["emotion"][row], row))
