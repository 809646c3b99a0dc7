"""What a dataset is made of: tables with bars, from the index alone.

Figures are of letters: the card of a gated dataset is shown to everybody, and pictures that lie beside it are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from equime_builder.documents.markdown import bar, cells, heights, table
from equime_builder.documents.words import plain
from equime_builder.facs import ACTION_UNITS
from equime_builder.plan import UNKNOWN
from equime_loader.schema import FIELDS, SPLITS

LABELS = (
    ("emotion", "emotion"),
    ("derived emotion", "derived_emotion"),
    ("apparent gender", "apparent_gender"),
    ("apparent race", "apparent_race"),
    ("age group", "age_group"),
)
SIDES = ("both", "left", "right")
BINS = 12
PERCENTILES = (5, 50, 95)
HEAD_OF_RANGE = tuple("median" if share == 50 else f"{share} %" for share in PERCENTILES)

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


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


def counted(index: pa.Table, name: str) -> dict[str, int]:
    """Clips by word of a label, words in the order of its vocabulary, `unknown` for clips without one."""
    counts = Counter(word or UNKNOWN for word in index[name].to_pylist())
    vocabulary = next(field.words for field in FIELDS if field.name == name)
    return {word: counts[word] for word in _in_order(set(counts), vocabulary)}


def _in_order(words: set[str], vocabulary: Iterable[str]) -> list[str]:
    known = [word for word in vocabulary if word in words]
    return known + sorted(words - set(known))


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
    shares = _by_emotion(index, clip, au, acting)
    return f"{table(head, rows, words=3)}\n\nIn how many of the clips of an emotion, by percent:\n\n{shares}"


def _name(au: int) -> str:
    return ACTION_UNITS[au].name if au in ACTION_UNITS else "–"


def _by_emotion(index: pa.Table, clip: Codes, au: Codes, acting: Sequence[int]) -> str:
    """Share of each emotion's clips in which an AU acts."""
    counts = counted(index, "emotion")
    emotion = np.array([word or UNKNOWN for word in index["emotion"].to_pylist()])
    rows = []
    for number in acting:
        here = Counter(emotion[np.unique(clip[au == number])].tolist())
        rows.append((f"AU{number}", *(_percent(here[word], clips) for word, clips in counts.items())))
    return table(("AU", *map(plain, counts)), rows)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f}" if 200 * part >= whole else "<1" if part else "·"


def activations(index: pa.Table) -> tuple[Codes, Codes, NDArray[np.str_], Floats]:
    """Of every AU that acts: row of its clip, number, side, and peak intensity, NaN where none is given."""
    column = index["aus"].combine_chunks()
    rows, flat = pc.list_parent_indices(column).to_numpy(zero_copy_only=False), pc.list_flatten(column)
    au = pc.struct_field(flat, "au").to_numpy(zero_copy_only=False).astype(np.int64)
    side = np.array(pc.struct_field(flat, "side").to_pylist(), np.str_)
    peak = pc.cast(pc.struct_field(flat, "intensity"), pa.float64())
    return rows.astype(np.int64), au, side, pc.fill_null(peak, float("nan")).to_numpy(zero_copy_only=False)


def events(index: pa.Table) -> str:
    """Markdown table: how long events last, where their apex lies, and how strongly AUs act; each with its shape."""
    onset, apex, offset = (index[f"{name}_ms"].to_numpy(zero_copy_only=False) for name in ("onset", "apex", "offset"))
    length = (offset - onset).astype(np.float64)
    lasting = length > 0
    ways = (
        ("duration, onset to offset", "ms", length[lasting], ".0f"),
        ("rise, onset to apex", "ms", (apex - onset)[lasting].astype(np.float64), ".0f"),
        ("apex, share of the duration", "", ((apex - onset)[lasting] / length[lasting]).astype(np.float64), ".2f"),
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


def _range(values: Floats, form: str) -> list[str]:
    """Least, percentiles, most."""
    return [format(float(value), form) for value in (values.min(), *np.percentile(values, PERCENTILES), values.max())]


def durations(index: pa.Table) -> tuple[float, float] | None:
    """Length of the shortest and the longest event in ms, None without clips."""
    lengths = pc.subtract(index["offset_ms"], index["onset_ms"])
    ends = pc.min_max(lengths).as_py()
    return None if ends["min"] is None else (ends["min"], ends["max"])
