"""The composition page: what a dataset is made of, in one picture, from `index.parquet` alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from equime_builder.counts import activations, au_shares, coded, crosstab, event_times, read_index
from equime_builder.facs import EXPRESSIVE_AUS
from equime_builder.origins import headline
from equime_builder.page import POINTS_PER_PIXEL, Page, check_suffix
from equime_builder.plan import UNKNOWN
from equime_builder.profiles import LONGEST_ME_MS
from equime_builder.samples import LEAST_MOTION_RATIO
from equime_loader.palette import BLUE, GREEN, INK, MUTED, ORANGE, RULE, SKY, VERMILION
from equime_loader.schema import SPLITS

SHADES = LinearSegmentedColormap.from_list("shades", ("#f5f8fb", "#a9cdea", SKY))
DENSITY = LinearSegmentedColormap.from_list("density", (SKY, BLUE, "#002b45"))
SPLIT_COLORS = dict(zip(SPLITS, (BLUE, ORANGE, GREEN), strict=True))
SIDES = {"both": "both sides", "left": "left only", "right": "right only"}
LARGEST_BIN_COUNT = 40
FEWEST_ROWS = 5  # of a panel: fewer leave room below, so that rows are about as high in all panels

Draw = Callable[[Axes, pa.Table], None]


def _bars(axes: Axes, words: Sequence[str]) -> None:
    """Labels of horizontal bars, first word on top, with room for a number right of the longest."""
    axes.set(ylim=(max(len(words), FEWEST_ROWS) - 0.4, -0.6), xlim=(0, 1.4 * axes.dataLim.x1 or 1))
    axes.set_yticks(range(len(words)), words, color=INK, fontsize=12 * POINTS_PER_PIXEL)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_visible(False)
    axes.spines[:].set_visible(False)


def _note(axes: Axes, x: float, y: float, words: str, **style: Any) -> None:
    text = axes.text(x, y, words, fontsize=11 * POINTS_PER_PIXEL, color=MUTED, va="center", parse_math=False)
    text.set(**style)


def _legend(axes: Axes) -> None:
    """The legend of a panel, right above its axes."""
    place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.2, "frameon": False}
    size: dict[str, Any] = {"fontsize": 11 * POINTS_PER_PIXEL, "handlelength": 0.9, "handleheight": 0.9}
    axes.legend(ncols=3, columnspacing=1.2, labelcolor=MUTED, **place, **size)


def _heat(axes: Axes, values: NDArray[Any], texts: NDArray[Any], rows: Sequence[str], columns: Sequence[str]) -> None:
    """A matrix of cells: `values` 0..1 as shades of blue with their `texts`."""
    axes.imshow(SHADES(values), aspect="auto", interpolation="none")
    axes.set_ylim(max(len(rows), FEWEST_ROWS) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), rows, color=INK, fontsize=12 * POINTS_PER_PIXEL)
    axes.set_xticks(range(len(columns)), columns, color=INK, fontsize=11 * POINTS_PER_PIXEL)
    axes.xaxis.tick_top()
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    axes.tick_params(which="both", length=0)
    axes.grid(which="minor", color="white", linewidth=1.5)
    for row, column in np.ndindex(*values.shape):
        _note(axes, column, row, str(texts[row, column]), ha="center", color=INK)


def _histogram(axes: Axes, values: NDArray[Any], edges: NDArray[Any], unit: str, *, median: str | None) -> None:
    """Histogram of values, at least one, with their median, written as `median` formats it."""
    counts, _ = np.histogram(values, edges)
    axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=SKY, edgecolor="white", linewidth=0.6)
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.18 * counts.max()), xlabel=unit)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    if median:
        middle = float(np.median(values))
        side = "right" if middle > (edges[0] + edges[-1]) / 2 else "left"
        axes.axvline(middle, color=VERMILION, linewidth=1.2)
        _note(axes, middle, 1.12 * counts.max(), f" median {median.format(middle)} ", ha=side, color=VERMILION)


def _absent(axes: Axes, words: str) -> None:
    axes.set_axis_off()
    _note(axes, 0.5, 0.5, words, ha="center", transform=axes.transAxes, fontsize=13 * POINTS_PER_PIXEL)


def _emotions(axes: Axes, index: pa.Table) -> None:
    words, emotion = coded(index, "emotion")
    names, split = coded(index, "split")
    counts = crosstab(emotion, split, (len(words), len(names)))
    ends = counts.cumsum(axis=1)
    for name, width, end in zip(names, counts.T, ends.T, strict=True):
        style: dict[str, Any] = {"color": SPLIT_COLORS[name], "edgecolor": "white", "linewidth": 0.6}
        axes.barh(range(len(words)), width, 0.62, end - width, label=name, **style)
    _bars(axes, words)
    axes.set_xlim(0, 1.12 * ends.max())
    for row, total in enumerate(ends[:, -1]):
        _note(axes, total + 0.012 * ends.max(), row, f"{total:,}")
    _legend(axes)


def _pairs(row: str, column: str) -> Draw:
    """Panel of two labels: clips with each pair of words."""

    def draw(axes: Axes, index: pa.Table) -> None:
        (rows, first), (columns, second) = coded(index, row), coded(index, column)
        counts = crosstab(first, second, (len(rows), len(columns)))
        texts = np.array([[f"{count:,}" if count else "·" for count in line] for line in counts])
        _heat(axes, counts / counts.max(), texts, rows, columns)

    return draw


def _action_units(axes: Axes, index: pa.Table) -> None:
    aus, words, shares = au_shares(index, EXPRESSIVE_AUS)
    untold, shares = np.isnan(shares).all(axis=0), np.nan_to_num(shares.T)
    percent = np.vectorize(lambda value: f"{100 * value:.0f}" if value >= 0.005 else "<1" if value else "·", [object])
    texts = percent(shares)
    texts[untold] = ""
    texts[untold, len(aus) // 2] = "not told"
    _heat(axes, shares, texts, words, [str(au) for au in aus])


def _sides(axes: Axes, index: pa.Table) -> None:
    side = activations(index)[2]
    if not len(side):
        return _absent(axes, "no side is told")
    counts = [int((side == name).sum()) for name in SIDES]
    axes.barh(range(len(SIDES)), counts, 0.62, color=SKY)
    _bars(axes, tuple(SIDES.values()))
    for row, count in enumerate(counts):
        _note(axes, count + 0.02 * max(1, *counts), row, f"{count:,} ({count / max(1, sum(counts)):.0%})")
    return None


def _intensity(axes: Axes, index: pa.Table) -> None:
    peaks = activations(index)[3]
    values = peaks[np.isfinite(peaks)]
    if not len(values):
        return _absent(axes, "no intensity is told")
    _histogram(axes, values, np.linspace(0, 5, 51), "peak intensity, 0-5", median=None)
    for edge in (1.5, 2.5, 3.5, 4.5):
        axes.axvline(edge, color=RULE, linewidth=0.8, zorder=0)
    for place, letter in zip((0.75, 2, 3, 4, 4.75), "ABCDE", strict=True):
        _note(axes, place, 0.95, letter, ha="center", transform=axes.get_xaxis_transform())
    return None


def _duration(axes: Axes, index: pa.Table) -> None:
    # Durations are whole frames: bins of whole frames, centered on them, have no gaps of their own making.
    values, frame = event_times(index)[0], 1000 / float(index["fps"][0].as_py())
    if not len(values):
        return _absent(axes, "no clip has an event")
    longest = float(values.max(initial=LONGEST_ME_MS))
    width = frame * np.ceil(max(20.0, longest / LARGEST_BIN_COUNT) / frame)
    edges = np.arange(-frame / 2, longest + width, width)
    _histogram(axes, values, edges, "offset − onset, ms", median="{:.0f} ms")
    return None


def _relative_apex(axes: Axes, index: pa.Table) -> None:
    durations, rises = event_times(index)
    if not len(durations):
        return _absent(axes, "no clip has an event")
    _histogram(axes, rises / durations, np.linspace(0, 1, 21), "(apex − onset) / (offset − onset)", median="{:.2f}")
    return None


def _motion(axes: Axes, index: pa.Table) -> None:
    inside, outside = (index[f"motion_{name}"].to_numpy(zero_copy_only=False) for name in ("inside", "outside"))
    measured = np.isfinite(inside) & np.isfinite(outside)
    if not measured.any():
        return _absent(axes, f"{UNKNOWN}: no clip is measured")
    inside, outside = np.maximum(inside[measured], 1e-2), np.maximum(outside[measured], 1e-2)
    low = 0.7 * min(inside.min(), outside.min())
    high = max(30 * low, 1.4 * max(inside.max(), outside.max()))  # at least one decade has its numbers
    style: dict[str, Any] = {"gridsize": (36, 16), "mincnt": 1, "bins": "log", "cmap": DENSITY, "linewidths": 0.1}
    axes.hexbin(outside, inside, xscale="log", yscale="log", extent=(np.log10(low), np.log10(high)) * 2, **style)
    axes.plot([low, high], [LEAST_MOTION_RATIO * low, LEAST_MOTION_RATIO * high], color=VERMILION, linewidth=1.2)
    corner: dict[str, Any] = {"ha": "right", "transform": axes.transAxes}
    _note(axes, 0.97, 0.06, f"least ratio {LEAST_MOTION_RATIO:g}", color=VERMILION, **corner)
    if unmeasured := int((~measured).sum()):
        _note(axes, 0.97, 0.17, f"{UNKNOWN}: {unmeasured:,}", **corner)
    axes.set(xlim=(low, high), ylim=(low, high), xlabel="outside of the moved region", ylabel="inside")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    return None


def _attribute(name: str) -> Draw:
    """Panel of one attribute: its share among subjects and among clips."""

    def draw(axes: Axes, index: pa.Table) -> None:
        words, code = coded(index, name)
        first = np.unique(coded(index, "subject")[1], return_index=True)[1]
        for label, codes, color, shift in (("subjects", code[first], BLUE, -0.19), ("clips", code, SKY, 0.19)):
            counts = np.bincount(codes, minlength=len(words))
            share = counts / len(codes)
            axes.barh(np.arange(len(words)) + shift, share, 0.34, color=color, label=label)
            for row, count in enumerate(counts):
                _note(axes, share[row] + 0.02 * share.max(), row + shift, f"{count:,} ({share[row]:.0%})")
        _bars(axes, words)
        _legend(axes)

    return draw


@dataclass(frozen=True, slots=True)
class Panel:
    """One small picture: its band, its text, what draws it, its columns of twelve, and the room its labels take."""

    band: str
    title: str
    note: str
    draw: Draw
    column: int
    span: int
    left: int = 90
    top: int = 0
    bottom: int = 0


BANDS = {"Emotions": 230, "Action Units": 230, "Events": 230, "Subjects": 250, "Balance": 230}
_GENDER, _RACE, _AGE = "apparent_gender", "apparent_race", "age_group"
_SHARES = "number and share of subjects and of clips"
_DERIVED = "clips; rows intended, columns derived from the AUs alone"
PANELS = (
    Panel("Emotions", "Clips per emotion", "intended emotion, by split", _emotions, 0, 6),
    Panel("Emotions", "Intended and derived emotion", _DERIVED, _pairs("emotion", "derived_emotion"), 6, 6, top=20),
    Panel("Action Units", "How often an AU acts", "% of the emotion's coded clips, by AU", _action_units, 0, 8, top=20),
    Panel("Action Units", "Sides", "activations, the subject's left and right", _sides, 8, 4, left=80),
    Panel("Events", "Intensity", "activations; A-E are the letters of FACS", _intensity, 0, 3, left=40, bottom=40),
    Panel("Events", "Duration", "clips", _duration, 3, 3, left=40, bottom=40),
    Panel("Events", "Relative apex", "clips", _relative_apex, 6, 3, left=40, bottom=40),
    Panel("Events", "Motion at the apex", "gray levels; the darker, the more clips", _motion, 9, 3, 52, bottom=40),
    Panel("Subjects", "Apparent gender", _SHARES, _attribute(_GENDER), 0, 4, left=70),
    Panel("Subjects", "Apparent race", _SHARES, _attribute(_RACE), 4, 4, left=110),
    Panel("Subjects", "Age group", _SHARES, _attribute(_AGE), 8, 4, left=70),
    Panel("Balance", "Apparent race and gender", "clips", _pairs(_RACE, _GENDER), 0, 4, left=110, top=20),
    Panel("Balance", "Apparent race and intended emotion", "clips", _pairs(_RACE, "emotion"), 4, 8, left=110, top=20),
)
COLUMNS = (
    *("profile", "subject", "split", "emotion", "derived_emotion", "aus", "fps", "onset_ms", "apex_ms", "offset_ms"),
    *("apparent_gender", "apparent_race", "age_group", "motion_inside", "motion_outside", "generator", "source"),
)
WIDTH, MARGIN, GAP = 1620, 50, 24
HEAD, BAND_HEAD, PANEL_HEAD, BAND_GAP = 110, 34, 46, 34


def composition_page(root: Path, target: Path) -> None:
    """Write the page of figures of a dataset folder; its suffix is one of `page.METADATA`.

    Raises:
        FolderError: the folder holds no index, or one without clips.
        ValueError: a suffix that cannot be written.
    """
    check_suffix(target)
    draw_composition(read_index(root, COLUMNS)).save(target)


def draw_composition(index: pa.Table) -> Page:
    """The page of an index table with `COLUMNS` and at least one row."""
    page = Page(WIDTH, HEAD + sum(BAND_HEAD + PANEL_HEAD + height + BAND_GAP for height in BANDS.values()))
    title, note = _headline(index)
    page.text(MARGIN, 30, title, size=26, weight="bold")
    page.text(MARGIN, 66, note, size=14, color=MUTED)
    unit, y = (WIDTH - 2 * MARGIN + GAP) / 12, HEAD
    for band, height in BANDS.items():
        page.rule(y, left=MARGIN, right=WIDTH - MARGIN)
        page.text(MARGIN, y + 6, band.upper(), size=11, color=MUTED, weight="bold")
        for panel in (panel for panel in PANELS if panel.band == band):
            x, width, top = MARGIN + panel.column * unit, panel.span * unit - GAP, y + BAND_HEAD
            page.text(x, top, panel.title, size=14, weight="bold")
            page.text(x, top + 20, panel.note, size=11, color=MUTED)
            room = height - panel.top - panel.bottom
            axes = page.axes(x + panel.left, top + PANEL_HEAD + panel.top, width - panel.left, room)
            panel.draw(axes, index)
        y += BAND_HEAD + PANEL_HEAD + height + BAND_GAP
    return page


def _headline(index: pa.Table) -> tuple[str, str]:
    """Title and the line of counts."""
    names = {name: " + ".join(coded(index, name)[0]) for name in ("profile", "source", "generator")}
    words, split = coded(index, "split")
    counts = np.bincount(split, minlength=len(words))
    splits = ", ".join(f"{word} {count:,}" for word, count in zip(words, counts, strict=True))
    counted = (f"clips: {len(index):,} ({splits})", f"subjects: {len(pc.unique(index['subject'])):,}")
    made = (f"portraits: {names['source']}", f"generator: {names['generator']}", f"{index['fps'][0].as_py():g} fps")
    return headline(names["profile"], names["generator"]), " · ".join((*counted, *made))
