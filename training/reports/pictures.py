"""Pictures of results: scores beside the constant predictor, matrices of data sets, confusion and calibration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from equime_loader.fairness.figures import number
from equime_loader.fairness.formulas import TITLES
from equime_loader.palette import BAND, BLUE, FAINT, INK, MUTED, RULE, SKY, VERMILION
from equime_loader.tables import counted, percent
from training.protocols.scores import PARTIAL
from training.reports.calibration import Calibration
from training.reports.drawing import (
    CARD,
    MARGIN,
    NORMAL,
    SMALL,
    axes,
    clipped,
    heading,
    key,
    legend,
    say,
    sheet,
    write,
)
from training.reports.results import CONFIDENCE, INTERVALS, Result

ROW, HEAD, PANEL, PAGE = 0.27, 1.3, 1.95, 11.2  # inches
MAX_WORD = 30
SHADE = 0.72  # of the strongest cell: ink stays legible on it, on the light and on the dark page
UNMEASURED = "–"


def overview(results: Sequence[Result]) -> Figure:
    """Scores of all results on one test set, with intervals, beside the constant predictor's.

    Args:
        results: of one kind of task and one test set, at least one.
    """
    rows = sorted(results, key=lambda one: (one.train, one.arm))
    names = [_who(one) for one in rows]
    left = MARGIN + 0.2 + 0.078 * max(map(len, names))
    height = HEAD + ROW * len(rows) + 0.75
    figure = sheet(left + len(INTERVALS) * (PANEL + 0.55) + 0.1, height)
    first = rows[0]
    note = f"{counted(first.clips[1], 'clip')} of {counted(first.subjects[1], 'subject')} · {_shares(first)}"
    heading(figure, f"Tested on {first.test}{', unseen subjects' if first.unseen else ''}", note)
    for place, score in enumerate(INTERVALS):
        panel = axes(figure, left + place * (PANEL + 0.55), HEAD, PANEL, ROW * len(rows))
        _scores(panel, rows, score)
        if not place:
            for row, (name, one) in enumerate(zip(names, rows, strict=True)):
                say(panel, 0, row, name, (-8, 0), ha="right", color=INK if one.above_constant else MUTED)
    items = [
        key(f"score, {percent(CONFIDENCE, 1, 0)} interval over test subjects", BLUE, "o"),
        key("UF1 not above the constant predictor", VERMILION, "D"),
        key(f"always saying {first.constant_class}", INK, linestyle="--", linewidth=1.2),
    ]
    legend(figure, MARGIN, height - 0.32, items)
    return figure


def _who(one: Result) -> str:
    arm = f" ({one.arm})" if one.arm else ""
    return f"{one.model} ← {clipped(one.train, MAX_WORD)}{arm}"


def _shares(one: Result) -> str:
    total = sum(one.counts)
    return ", ".join(f"{word} {percent(count, total, 0)}" for word, count in zip(one.classes, one.counts, strict=True))


def _scores(panel: Axes, rows: Sequence[Result], score: str) -> None:
    """One score of each result; what the constant predictor has, as a line, and all below it shaded."""
    constant = float(np.mean([one.constant(score) for one in rows]))
    panel.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5), yticks=[], xticks=[0, 0.25, 0.5, 0.75, 1])
    panel.set_xticklabels(["0", ".25", ".5", ".75", "1"])
    panel.spines["left"].set_visible(False)
    panel.axvspan(0, constant, color=BAND, zorder=0, linewidth=0)
    panel.axvline(constant, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    for edge in range(len(rows) + 1):
        panel.axhline(edge - 0.5, color=RULE, linewidth=0.5, zorder=0)
    for row, one in enumerate(rows):
        color, marker = (BLUE, "o") if one.above_constant else (VERMILION, "D")
        value, ends = one.mean(score), one.interval[score]
        panel.plot(ends, (row, row), color=color, linewidth=2.2, solid_capstyle="butt", zorder=2)
        style: dict[str, Any] = {"color": color, "markersize": 6, "markeredgecolor": CARD}
        panel.plot(value, row, marker, clip_on=False, zorder=3, **style)
        say(panel, 1, row, number(value), (30, 0), ha="right", fontsize=SMALL)
    say(panel, 0, -0.5, TITLES[score] + rows[0].mark(score), (0, 20), weight="bold")
    say(panel, 0, -0.5, f"constant {number(constant)}", (0, 8), color=MUTED, fontsize=SMALL)


def matrix(results: Sequence[Result]) -> Figure:
    """UF1 by training and test data set, a panel per model.

    Args:
        results: of one kind of task, at least one.
    """
    # Single data sets first, rows and columns in one order, so that the diagonal is what lies within a data set.
    names = sorted(
        {name for one in results for name in (one.train, one.test)}, key=lambda name: (name.count("+"), name)
    )
    trains, tests = ([name for name in names if any(of(one) == name for one in results)] for of in (_train, _test))
    models = list(dict.fromkeys(one.model for one in results))
    cell_width, cell_height = 0.84, 0.5
    left = MARGIN + 0.2 + 0.078 * max(len(clipped(name, MAX_WORD)) for name in trains)
    width, height = left + cell_width * len(tests) + 0.3, cell_height * len(trains) + 1.0
    columns = min(len(models), max(1, int(PAGE // width)))
    lines = math.ceil(len(models) / columns)
    figure = sheet(max(6.4, columns * width + 0.2), 0.8 + lines * height + 0.35)
    partial = f" · {PARTIAL} the test set lacks a class" if any(one.absent for one in results) else ""
    heading(figure, "UF1 by training and test data set", f"rows: trained on; columns: tested on{partial}")
    for place, model in enumerate(models):
        x, y = (place % columns) * width, 0.8 + (place // columns) * height
        panel = axes(figure, x + left, y + 0.62, cell_width * len(tests), cell_height * len(trains))
        write(figure, x + MARGIN, y + 0.22, model, weight="bold", size=NORMAL + 1)
        found = {(one.train, one.test): one for one in results if one.model == model}
        _matrix(panel, trains, tests, found)
    foot = "small: constant predictor · ▽ not above it · framed: unseen subjects of the same data set"
    write(figure, MARGIN, 0.8 + lines * height + 0.12, foot, size=SMALL, color=MUTED)
    return figure


def _train(one: Result) -> str:
    return one.train


def _test(one: Result) -> str:
    return one.test


def _matrix(panel: Axes, trains: Sequence[str], tests: Sequence[str], found: dict[tuple[str, str], Result]) -> None:
    _grid(panel, len(trains), len(tests))
    for column, test in enumerate(tests):
        say(panel, column, -0.5, clipped(test, 11), (0, 8), ha="center", fontsize=SMALL)
    for row, train in enumerate(trains):
        say(panel, -0.5, row, clipped(train, MAX_WORD), (-6, 0), ha="right", fontsize=SMALL)
        for column, test in enumerate(tests):
            if (one := found.get((train, test))) is None:
                say(panel, column, row, UNMEASURED, ha="center", color=FAINT)
                continue
            value = one.mean("uf1")
            _shade(panel, column, row, value)
            if one.unseen:
                frame: dict[str, Any] = {"fill": False, "edgecolor": INK, "linewidth": 1.4, "zorder": 4}
                panel.add_patch(Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, **frame))
            sign = one.mark("uf1") + ("" if one.above_constant else " ▽")
            say(panel, column, row, number(value) + sign, (0, 5), ha="center", weight="bold")
            say(panel, column, row, number(one.constant("uf1")), (0, -8), ha="center", fontsize=SMALL - 1)


def _grid(panel: Axes, rows: int, columns: int) -> None:
    """Cells without ticks, the first row on top."""
    panel.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), xticks=[], yticks=[])
    panel.spines[:].set_visible(False)


def _shade(panel: Axes, column: float, row: float, share: float) -> None:
    """A cell, the stronger the larger its share, 0 to 1."""
    alpha = SHADE * float(np.clip(share, 0, 1)) if np.isfinite(share) else 0.0
    style: dict[str, Any] = {"facecolor": BLUE, "alpha": max(alpha, 0.03), "linewidth": 0, "zorder": 1}
    panel.add_patch(Rectangle((column - 0.48, row - 0.47), 0.96, 0.94, **style))


def said(result: Result) -> Figure:
    """What the median run of a result said: its confusion matrix, and how far its confidence can be trusted."""
    classes = len(result.classes)
    words = max(len(clipped(word, 14)) for word in result.classes)
    left, cell_width, cell_height = MARGIN + 0.35 + 0.085 * words, max(0.78, 0.085 * words), 0.52
    side = left + cell_width * classes + 0.85
    height = max(1.35 + cell_height * classes, 1.1 + 2.15) + 0.45
    figure = sheet(side + 2.9, height)
    one = result.evaluations[result.typical]
    seeds = f", seed {one.run.seed} (median UF1 of {len(result.seeds)})" if len(result.seeds) > 1 else ""
    size = f"{counted(len(one.predictions), 'clip')}{seeds}"
    heading(figure, clipped(result.title, int(8.6 * (side + 2.4))), size)
    panel = axes(figure, left, 1.35, cell_width * classes, cell_height * classes)
    _confusion(panel, result)
    found = result.calibrations[result.typical]
    if found is None:
        write(figure, side, 1.35, "no confidence is known", size=SMALL, color=MUTED)
    else:
        _reliability(figure, side, 1.1, found)
    return figure


def _confusion(panel: Axes, result: Result) -> None:
    """Counts, and shares of the true class."""
    counts = result.confusions[result.typical]
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    _grid(panel, *counts.shape)
    middle = (len(counts) - 1) / 2
    say(panel, middle, -0.5, "called", (0, 20), ha="center", color=MUTED, fontsize=SMALL)
    for place, word in enumerate(result.classes):
        say(panel, place, -0.5, clipped(word, 14), (0, 8), ha="center", fontsize=SMALL)
        say(panel, -0.5, place, clipped(word, 14), (-6, 5), ha="right", fontsize=SMALL)
        of = f"of {int(counts[place].sum()):,}"
        say(panel, -0.5, place, of, (-6, -6), ha="right", fontsize=SMALL - 1, color=MUTED)
    for row, column in np.ndindex(*counts.shape):
        _shade(panel, column, row, share[row, column])
        weight = "bold" if row == column else "normal"
        say(panel, column, row, f"{counts[row, column]:,}", (0, 5), ha="center", weight=weight)
        part = percent(int(counts[row, column]), int(counts[row].sum()), 0)
        say(panel, column, row, part, (0, -7), ha="center", fontsize=SMALL - 1, color=INK)


def _reliability(figure: Figure, x: float, y: float, found: Calibration) -> None:
    """Accuracy in each bin of confidence against the diagonal, and below how many clips a bin has."""
    write(figure, x, y - 0.22, "Calibration", size=NORMAL, weight="bold")
    words = f"ECE {number(found.ece)} · mean confidence {number(found.mean_confidence)}"
    write(figure, x, y - 0.04, words, size=SMALL, color=MUTED)
    upper = axes(figure, x + 0.25, y + 0.08, 2.0, 1.45)
    lower = axes(figure, x + 0.25, y + 1.62, 2.0, 0.45)
    middle, filled = (found.edges[:-1] + found.edges[1:]) / 2, found.clips > 0
    width = np.diff(found.edges)
    upper.bar(middle[filled], found.accuracy[filled], 0.86 * width[filled], color=SKY, zorder=2)
    upper.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=3)
    upper.plot(found.confidence[filled], found.accuracy[filled], "o", color=BLUE, markersize=4, zorder=4, clip_on=False)
    upper.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[0, 0.5, 1], ylabel="accuracy")
    upper.set_yticklabels(["0", ".5", "1"])
    lower.bar(middle, found.clips, 0.86 * width, color=MUTED, zorder=2)
    lower.set(xlim=(0, 1), xticks=[0, 0.5, 1], yticks=[0, int(found.clips.max())], xlabel="confidence", ylabel="clips")
    lower.set_xticklabels(["0", ".5", "1"])
    lower.set_yticklabels(["0", f"{int(found.clips.max()):,}"])
