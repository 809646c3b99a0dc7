"""What was measured in the encoded clips, in numbers: for the card's table and the page's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from equime_loader.schema import FIELD, LABELS

# Columns of the index with a figure for every clip that was measured.
MEASURED = tuple(
    field.name for field in LABELS if pa.types.is_floating(field.kind) and field.group in ("motion", "quality", "audit")
)
PERCENTILES = (5, 50, 95)


@dataclass(frozen=True, slots=True)
class Measure:
    """A measured column: what it is, how many clips have it, and its `PERCENTILES`."""

    name: str
    about: str
    clips: int
    percentiles: tuple[float, ...]


def measures(index: pa.Table) -> list[Measure]:
    """The measured columns that some clip has, in the order of the schema."""
    found = []
    for name in MEASURED:
        values = index[name].to_numpy(zero_copy_only=False).astype(np.float64)
        values = values[np.isfinite(values)]
        if len(values):
            found.append(
                Measure(name, FIELD[name].about, len(values), tuple(np.percentile(values, PERCENTILES).tolist()))
            )
    return found
