"""What a dataset is made of: tables with bars, from the index alone.

Figures are of letters: the card of a gated dataset is shown to everybody, and pictures that lie beside it are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from equime_builder.counts import activations, au_shares, counted, event_times
from equime_builder.documents.markdown import bar, cells, heights, table
from equime_builder.documents.measures import PERCENTILES
from equime_builder.documents.words import plain
from equime_builder.facs import ACTION_UNITS, SIDES
from equime_loader.schema import SPLITS

LABELS = (
    ("emotion", "emotion"),
    ("derived emotion", "derived_emotion"),
    ("apparent gender", "apparent_gender"),
    ("apparent race", "apparent_race"),
    ("age group", "age_group"),
)
BINS = 12
HEAD_OF_RANGE = tuple("median" if share == 50 else f"{share}%" for share in PERCENTILES)


def composition(index: pa.Table) -> str:
    """Markdown table: clips per split and word of each label."""
    rows: list[Sequence[object]] = []
    splits = {split: index.filter(pc.equal(index["split"], split)) for split in SPLITS}
    for title, name in LABELS:
        counts = {split: counted(part, name) for split, part in splits.items()}
        words = counted(index, name)
        for word, whole in words.items():
            numbers = [counts[split].get(word, 0) for split in SPLITS]
            rows.append((title, plain(word), bar(whole / max(words.values())), *cells(numbers), f"{whole:,}"))
    subjects = [pc.count_distinct(part["subject"]).as_py() for part in splits.values()]
    rows.append(("subjects", "all", "", *cells(subjects), f"{sum(subjects):,}"))
    return table(("label", "word", "bar", *SPLITS, "all"), rows, words=3)


def action_units(index: pa.Table) -> str:
    """Two Markdown tables: how often, on which side and how strongly each AU acts; and how often in which emotion."""
    clip, au, side, intensity = activations(index)
    acting = [int(number) for number in np.unique(au)]
    if not acting:
        return "No AU acts in any clip."
    most = max(len(np.unique(clip[au == number])) for number in acting)
    rows = []
    for number in acting:
        here = au == number
        clips = len(np.unique(clip[here]))
        sides = [f"{np.mean(side[here] == place):.0%}" for place in SIDES]
        peaks = intensity[here & np.isfinite(intensity)]
        shown = [f"{peak:.1f}" for peak in np.percentile(peaks, PERCENTILES)] if len(peaks) else ["–"] * 3
        rows.append((f"AU{number}", _name(number), bar(clips / most), f"{clips:,}", *sides, *shown))
    head = ("AU", "name", "bar", "clips", *SIDES, *(f"peak, {share}" for share in HEAD_OF_RANGE))
    return (
        f"{table(head, rows, words=3)}\n\nIn how many of the clips of an emotion, by percent:\n\n{_by_emotion(index)}"
    )


def _name(au: int) -> str:
    return ACTION_UNITS[au].name if au in ACTION_UNITS else "–"


def _by_emotion(index: pa.Table) -> str:
    """Share of each emotion's clips in which an AU acts."""
    aus, emotions, shares = au_shares(index)
    rows = [(f"AU{au}", *map(_percent, line)) for au, line in zip(aus, shares.tolist(), strict=True)]
    return table(("AU", *map(plain, emotions)), rows)


def _percent(share: float) -> str:
    if math.isnan(share):
        return "–"
    return f"{100 * share:.0f}" if share >= 0.005 else "<1" if share else "·"


def events(index: pa.Table) -> str:
    """Markdown table: how long events last, where their apex lies, and how strongly AUs act; each with its shape."""
    lengths, rises = event_times(index)
    ways = (
        ("duration, onset to offset", "ms", lengths, ".0f"),
        ("rise, onset to apex", "ms", rises, ".0f"),
        ("apex, share of the duration", "", rises / lengths, ".2f"),
        ("peak intensity of an AU", "of 5", activations(index)[3], ".2f"),
    )
    rows = [
        (name, unit, heights(values[np.isfinite(values)], BINS), *_range(values[np.isfinite(values)], form))
        for name, unit, values, form in ways
        if np.isfinite(values).any()
    ]
    return (
        table(("what", "unit", "least to most", "least", *HEAD_OF_RANGE, "most"), rows, words=3) if rows else "No clip."
    )


def _range(values: NDArray[np.float64], form: str) -> list[str]:
    """Least, percentiles, most."""
    return [format(float(value), form) for value in (values.min(), *np.percentile(values, PERCENTILES), values.max())]


def durations(index: pa.Table) -> tuple[float, float] | None:
    """Length of the shortest and the longest event in ms, None without one."""
    lengths = event_times(index)[0]
    return (float(lengths.min()), float(lengths.max())) if len(lengths) else None
