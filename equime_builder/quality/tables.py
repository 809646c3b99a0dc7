"""What was measured, as tables: the annotation of a dataset, a summary, and the published CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from equime_builder.quality.measure import CORRECTED, PUBLISHED, Quality

MEBI = 2**20
UNKNOWN = "N/A"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a clip: its quality, or the error that it cost; size and duration (None: unknown) of its file."""

    name: str
    quality: Quality | None
    size_bytes: int = 0
    duration_s: float | None = None
    error: str | None = None

    @property
    def size_mb(self) -> float:
        return self.size_bytes / MEBI

    @property
    def bitrate_kbps(self) -> float | None:
        return self.size_bytes * 8 / self.duration_s / 1000 if self.duration_s else None


def annotation_table(outcomes: Iterable[Outcome]) -> pa.Table:
    """The annotation `quality`: by key, every metric of the schema, and notes on what has no value."""
    rows = [
        {
            "key": outcome.name,
            **(outcome.quality.values if outcome.quality else dict.fromkeys(CORRECTED)),
            "quality_notes": "; ".join(outcome.quality.notes if outcome.quality else [str(outcome.error)]) or None,
        }
        for outcome in outcomes
    ]
    kinds = [("key", pa.string()), *((name, pa.float32()) for name in CORRECTED), ("quality_notes", pa.string())]
    return pa.Table.from_pylist(rows, schema=pa.schema(kinds))


def summary(outcomes: Iterable[Outcome], names: Sequence[str]) -> dict[str, dict[str, float | int | None]]:
    """Mean, standard deviation, 5th and 95th percentile, and number of clips with and without a value, by metric."""
    measured = [outcome.quality for outcome in outcomes if outcome.quality]
    rows: dict[str, dict[str, float | int | None]] = {}
    for name in names:
        values = np.array([quality.values[name] for quality in measured if quality.values[name] is not None], float)
        figures: dict[str, float | int | None] = dict.fromkeys(("mean", "std", "p5", "p95"))
        if len(values):
            low, high = np.percentile(values, [5, 95])
            figures = {"mean": float(values.mean()), "std": float(values.std()), "p5": float(low), "p95": float(high)}
        rows[name] = {**figures, "clips": len(values), "null": len(measured) - len(values)}
    return rows


# --- as published


def _metric(name: str) -> Callable[[Outcome, Quality], Any]:
    return lambda outcome, quality: quality.values[name]


_FIGURES: Mapping[str, Callable[[Outcome, Quality], Any]] = {
    **{name: _metric(name) for name in PUBLISHED},
    "num_frames": lambda outcome, quality: quality.frames,
    "size_mb": lambda outcome, quality: outcome.size_mb,
    "duration_s": lambda outcome, quality: outcome.duration_s,
    "bitrate_kbps": lambda outcome, quality: outcome.bitrate_kbps,
}
_OF_FILE = ("size_mb", "duration_s", "bitrate_kbps")
# Column by figure of each published table: of the videos of EquiME, of MiE-X, and of SAMM and SMIC.
FORMS: dict[str, dict[str, str]] = {
    "equime": {"name": "video_path", **{name: name for name in (*PUBLISHED, "num_frames", *_OF_FILE)}},
    "miex": {"name": "directory", **{name: name for name in (*PUBLISHED, *_OF_FILE)}},
    "corpora": {
        "name": "directory",
        **{name: f"avg_{name.removesuffix('_mean')}" for name in PUBLISHED},
        **{name: name for name in _OF_FILE},
    },
}


def published_table(outcomes: Iterable[Outcome], form: str) -> str:
    """A published CSV: a line for each clip that could be read, `N/A` where a metric has no value.

    Raises:
        ValueError: an unknown form.
    """
    if form not in FORMS:
        raise ValueError(f"form {form!r} must be one of {', '.join(FORMS)}")
    figures = list(FORMS[form])[1:]
    rows: list[list[Any]] = [list(FORMS[form].values())]
    for outcome in outcomes:
        if outcome.quality is not None:
            values = [_FIGURES[name](outcome, outcome.quality) for name in figures]
            rows.append([outcome.name, *(UNKNOWN if value is None else value for value in values)])
    return _csv(rows)


def published_summary(outcomes: Iterable[Outcome], directory: str) -> str:
    """The published summary CSV, which the published script fails to write: means over the clips."""
    measured = [(outcome, outcome.quality) for outcome in outcomes if outcome.quality]
    rows: list[list[Any]] = [["metric", "value"], ["directory", directory]]
    for name in (*_OF_FILE, *PUBLISHED):
        found = [_FIGURES[name](outcome, quality) for outcome, quality in measured]
        values = [value for value in found if value is not None]
        rows.append([f"avg_{name.removesuffix('_mean')}", float(np.mean(values)) if values else UNKNOWN])
    return _csv([*rows, ["total_videos", len(measured)]])


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    target = io.StringIO()
    csv.writer(target).writerows(rows)
    return target.getvalue()
