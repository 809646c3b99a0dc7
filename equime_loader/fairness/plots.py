"""Pictures of the reports: what a model does to each group, and who is in a dataset.

Both functions give a matplotlib `Figure` of its own, without pyplot's global state; `save` writes it. Colors are the
palette of Okabe & Ito (2008), which stays apart for color-blind readers; nothing is told by color alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from equime_loader.fairness.bias import BiasReport, Representation
from equime_loader.fairness.figures import number
from equime_loader.fairness.formulas import TITLES
from equime_loader.fairness.report import FairnessReport, Gap, Group
from equime_loader.palette import BAND, BLUE, FAINT, INK, MUTED, RULE, SKY, VERMILION
from equime_loader.tables import counted, percent

DPI, MARGIN, ROW, PANEL, BARS = 150, 0.3, 0.46, 2.7, 5.0  # inches
MAX_ROWS, MAX_WORD = 60, 44  # rows that a page holds, characters of a name
SHOWN = ("uf1", "uar")


def save(figure: Figure, path: str | PathLike[str]) -> None:
    """Write a figure; the suffix says in which format. The same figure gives the same PNG."""
    metadata: dict[str, Any] = {"Software": None} if Path(path).suffix.lower() == ".png" else {}
    figure.savefig(path, metadata=metadata)


def plot_fairness(report: FairnessReport) -> Figure:
    """UF1 and UAR of each group with intervals and counts, beside the overall score and that of the constant class.

    Groups that are too small stand gray with the reason instead of a score.

    Raises:
        ValueError: more groups than a page holds.
    """
    groups = (replace(report.overall, name="all clips"), *report.groups)
    _check_rows(len(groups), f"groups by {report.attribute}")
    head, foot = 1.25, 0.85
    height = head + ROW * len(groups) + foot
    left, number_room = _room([group.name for group in groups], 2.1), 0.75
    figure = _figure(left + (PANEL + number_room) * len(SHOWN), height)
    _heading(
        figure, f"{' and '.join(TITLES[score] for score in SHOWN)} by {_words(report.attribute)}", _summary(report)
    )
    limits = _limits(report)
    gaps = {gap.score: gap for gap in report.gaps}
    for place, score in enumerate(SHOWN):
        axes = _axes(figure, left + place * (PANEL + number_room), head, PANEL, ROW * len(groups))
        _scores(axes, groups, score, gaps.get(score), limits)
        if not place:
            _names(axes, groups)
    _legend(figure, report)
    return figure


def plot_composition(report: BiasReport) -> Figure:
    """Share of each group among subjects and among clips, against even shares; one panel per attribute.

    Raises:
        ValueError: more groups than a page holds.
    """
    attributes = list(dict.fromkeys(item.attribute for item in report.representation))
    panels = [[item for item in report.representation if item.attribute == name] for name in attributes]
    rows = [len(panel[0].groups) for panel in panels]
    _check_rows(sum(rows), "groups")
    head, title, foot = 0.75, 1.0, 0.4
    height = head + sum(title + ROW * count for count in rows) + foot
    left = _room([group for panel in panels for group in panel[0].groups], 1.0)
    figure = _figure(left + BARS + 1.55, height)
    _heading(figure, "Composition", f"{counted(report.clips, 'clip')} of {counted(report.subjects, 'subject')}")
    _key(figure, 1 - 0.62 / height, [_patch(BLUE, "subjects"), _patch(SKY, "clips")])
    top = head
    for panel, count in zip(panels, rows, strict=True):
        _composition(_axes(figure, left, top + title, BARS, ROW * count), panel)
        _heading(figure, *_diversity(panel), top=top + 0.14, size=11)
        top += title + ROW * count
    return figure


def _figure(width: float, height: float) -> Figure:
    """An empty page; sizes and places are inches, from its upper left corner."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _axes(figure: Figure, x: float, y: float, width: float, height: float) -> Axes:
    page_width, page_height = figure.get_size_inches()
    box = (x / page_width, 1 - (y + height) / page_height, width / page_width, height / page_height)
    return figure.add_axes(box)


def _check_rows(count: int, what: str) -> None:
    if count > MAX_ROWS:
        raise ValueError(f"{count} {what} do not fit a picture of at most {MAX_ROWS} rows; cross fewer attributes")


def _words(attribute: str) -> str:
    return attribute.replace("_", " ")


def _clipped(word: str) -> str:
    """A long word without its middle: crossed groups often differ at the end."""
    return word if len(word) <= MAX_WORD else f"{word[: MAX_WORD // 2]}…{word[-MAX_WORD // 2 + 1 :]}"


def _room(words: Sequence[str], least: float) -> float:
    """Inches that the longest word takes left of the axes, at 10 points."""
    return max(least, MARGIN + 0.25 + 0.088 * max(len(_clipped(word)) for word in words))


def _heading(figure: Figure, title: str, note: str, *, top: float = 0.0, size: float = 14) -> None:
    """A title and a note below it, `top` inches from the upper edge."""
    height = figure.get_figheight()
    left = MARGIN / figure.get_figwidth()
    figure.text(left, 1 - (top + 0.36) / height, title, fontsize=size, weight="bold", color=INK, parse_math=False)
    figure.text(left, 1 - (top + 0.6) / height, note, fontsize=9, color=MUTED, parse_math=False)


def _summary(report: FairnessReport) -> str:
    size = f"{counted(report.overall.clips, 'clip')} of {counted(report.overall.subjects, 'subject')}"
    intervals = (
        f"{percent(report.confidence, 1, 0)} intervals over {counted(report.resamples, 'resample')} of whole subjects"
    )
    unknown = [f"{counted(report.unknown, 'clip')} of unknown group"] if report.unknown else []
    return " · ".join([size, *unknown, intervals])


def _limits(report: FairnessReport) -> tuple[float, float]:
    """Ends of the score axis: all intervals and constant scores, on whole tenths."""
    shown = [group for group in (report.overall, *report.groups) if group.scores]
    scores = [group.scores[name] for group in shown for name in SHOWN]
    ends = [value for score in scores for value in (score.value, score.low, score.high) if np.isfinite(value)]
    ends += [group.constant[name] for group in shown for name in SHOWN]
    low, high = float(np.floor(10 * min(ends))) / 10, float(np.ceil(10 * max(ends))) / 10
    return low - 0.02 * (high - low), high + 0.02 * (high - low)


def _rows(axes: Axes, count: int) -> None:
    """A row per group, the first on top, with thin rules between."""
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_yticks([])
    axes.tick_params(axis="x", labelsize=8, colors=MUTED, length=3, width=0.6)
    for name, spine in axes.spines.items():
        spine.set(visible=name == "bottom", color=RULE, linewidth=0.8)
    for row in range(count + 1):
        axes.axhline(row - 0.5, color=RULE, linewidth=0.5, zorder=0)


def _scale(axes: Axes, low: float, high: float) -> None:
    ticks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high)
    axes.set_xlim(low, high)
    axes.set_xticks([tick for tick in ticks if low <= tick <= high])


def _scores(axes: Axes, groups: Sequence[Group], score: str, gap: Gap | None, limits: tuple[float, float]) -> None:
    """One score of all clips, then of each group: value, interval and number; the constant class as a tick."""
    _rows(axes, len(groups))
    _scale(axes, *limits)
    overall = groups[0].scores[score]
    axes.axvspan(overall.low, overall.high, color=BAND, zorder=0, linewidth=0)
    axes.axvline(overall.value, color=INK, linewidth=1, zorder=1)
    for row, group in enumerate(groups):
        if group.too_small:
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
            _say(axes, 0, row, f"too small: {group.too_small}", (8, 0), color=FAINT, fontsize=8, bbox=box)
            continue
        worst = gap is not None and row > 0 and group.name == gap.worst
        color, marker = (VERMILION, "D") if worst else (BLUE, "o") if row else (INK, "s")
        value = group.scores[score]
        axes.plot([value.low, value.high], [row, row], color=color, linewidth=2.2, solid_capstyle="butt", zorder=2)
        axes.plot(value.value, row, marker, color=color, markersize=6.5, markeredgecolor="white", zorder=3)
        axes.plot(group.constant[score], row, "|", color=FAINT, markersize=11, markeredgewidth=1.8, zorder=2)
        style: dict[str, Any] = {"color": color, "weight": "bold"} if worst else {"color": INK}
        _say(axes, 1, row, number(value.value), (40, 0), ha="right", fontsize=9, **style)
    _say(axes, 0, -0.5, TITLES[score], (0, 22), color=INK, weight="bold", fontsize=11)
    if gap is not None:
        chance = f"; chance alone: up to {number(gap.by_chance)}" if np.isfinite(gap.by_chance) else ""
        how = f"gap {gap.gap}{chance}"
        _say(axes, 0, -0.5, how, (0, 8), color=MUTED, fontsize=8.5)


def _say(axes: Axes, x: float, row: float, words: str, offset: tuple[float, float], **style: Any) -> None:
    """Words at a share `x` of the width and at a row, moved by points."""
    axes.annotate(
        words,
        (x, row),
        offset,
        xycoords=axes.get_yaxis_transform(),
        textcoords="offset points",
        va="center",
        annotation_clip=False,
        parse_math=False,
        **style,
    )


def _names(axes: Axes, groups: Sequence[Group]) -> None:
    """Names of the rows, with what they rest on."""
    for row, group in enumerate(groups):
        size = f"{counted(group.clips, 'clip')}, {counted(group.subjects, 'subject')}"
        color = FAINT if group.too_small else INK
        _say(axes, 0, row, _clipped(group.name), (-10, 6), ha="right", color=color, fontsize=10)
        _say(axes, 0, row, size, (-10, -7), ha="right", color=FAINT if group.too_small else MUTED, fontsize=8)


def _patch(color: str, label: str) -> Line2D:
    return Line2D([], [], color=color, linewidth=0, marker="s", markersize=8, label=label)


def _legend(figure: Figure, report: FairnessReport) -> None:
    spot: dict[str, Any] = {"markersize": 6.5, "markeredgecolor": "white", "linewidth": 2.2}
    items = [
        Line2D([], [], color=BLUE, marker="o", label="group, interval", **spot),
        Line2D([], [], color=VERMILION, marker="D", label="worst group", **spot),
        Line2D([], [], color=INK, marker="s", label="all clips", **spot),
        Line2D(
            [], [], color=FAINT, marker="|", markersize=11, markeredgewidth=1.8, linewidth=0, label=_constant(report)
        ),
    ]
    _key(figure, 0.26 / figure.get_figheight(), items if report.gaps else [items[0], *items[2:]], loc="left")


def _constant(report: FairnessReport) -> str:
    return f"always saying {_clipped(report.constant_class)}"


def _key(figure: Figure, y: float, items: Sequence[Line2D], *, loc: str = "right") -> None:
    """A legend in one line at a height of the figure."""
    margin = MARGIN / figure.get_figwidth()
    x = margin if loc == "left" else 1 - margin
    where: dict[str, Any] = {"loc": f"center {loc}", "bbox_to_anchor": (x, y), "borderaxespad": 0, "borderpad": 0}
    legend = figure.legend(
        handles=list(items), ncols=len(items), frameon=False, fontsize=8.5, columnspacing=1.8, **where
    )
    for text in legend.get_texts():
        text.set(color=MUTED)
        text.set_parse_math(False)


def _diversity(panel: Sequence[Representation]) -> tuple[str, str]:
    """Title and note of a panel: the effective number of groups, by subjects and by clips."""
    people, clips = panel
    groups = len(people.groups)
    ens, other = (number(item.figures["ens"], digits=2) for item in (people, clips))
    unknown = (
        f"; unknown: {counted(people.unknown, 'subject')}, {counted(clips.unknown, 'clip')}" if clips.unknown else ""
    )
    title = f"{_words(people.attribute)}: ENS {ens} of {groups}"
    return title, f"effective number of groups by subjects; by clips {other}{unknown}"


def _composition(axes: Axes, panel: Sequence[Representation]) -> None:
    """Bars of the share of each group, one per unit, with counts, and a line at even shares."""
    groups = panel[0].groups
    even = 1 / len(groups)
    _rows(axes, len(groups))
    shares = [np.array(item.counts) / max(1, sum(item.counts)) for item in panel]
    for item, share, color, shift in zip(panel, shares, (BLUE, SKY), (-0.19, 0.19), strict=True):
        axes.barh(np.arange(len(groups)) + shift, share, 0.34, color=color, zorder=2)
        for row, count in enumerate(item.counts):
            style: dict[str, Any] = {"ha": "right", "fontsize": 8, "color": INK if count else VERMILION}
            _say(axes, 1, row + shift, f"{count:,}", (48, 0), **style)
            _say(axes, 1, row + shift, percent(count, sum(item.counts)), (90, 0), **style)
    axes.axvline(even, color="white", linewidth=2.4, zorder=3)
    axes.axvline(even, color=INK, linewidth=1, linestyle="--", zorder=3)
    words = axes.annotate(f"even: {percent(even, 1)}", (even, -0.5), (0, 3), textcoords="offset points", ha="center")
    words.set(fontsize=8, color=MUTED)
    _scale(axes, 0, 1.04 * max(even, *(float(share.max()) for share in shares)))
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}%")
    for row, group in enumerate(groups):
        _say(axes, 0, row, _clipped(group), (-10, 0), ha="right", color=INK, fontsize=10)
