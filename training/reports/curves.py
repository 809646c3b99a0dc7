"""Pictures of training and of studies: curves by epoch, attacks by strength, differences by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from equime_loader.palette import BLUE, GREEN, INK, MUTED, RULE, VERMILION
from equime_loader.tables import counted
from training.reports.drawing import (
    CARD,
    MARGIN,
    MARKERS,
    NORMAL,
    SERIES,
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
from training.reports.evidence import RunFacts

WIDTH, HEIGHT, GAP, HEAD = 2.55, 1.35, 0.6, 1.25  # inches: of a panel, between panels, above the first
# By column of the history: words, color, width.
LOSSES: Mapping[str, tuple[str, str, float]] = {
    **{"train_loss": ("training", MUTED, 1.4), "validation_loss": ("validation", BLUE, 1.8)},
}
FIGURES: Mapping[str, tuple[str, str, float]] = {
    **{"validation_accuracy": ("accuracy", MUTED, 1.1), "validation_uar": ("UAR", GREEN, 1.4)},
    **{"validation_uf1": ("UF1", BLUE, 1.8)},
}


def curves(runs: Sequence[RunFacts]) -> Figure:
    """Loss and validation figures by epoch of runs that differ in their seed alone; a row for each."""
    figure = sheet(MARGIN + 0.35 + 2 * (WIDTH + GAP), HEAD + len(runs) * (HEIGHT + GAP) + 0.05)
    heading(figure, runs[0].title, "by epoch; the vertical line is the epoch whose weights were kept")
    left = MARGIN + 0.35
    for row, run in enumerate(runs):
        y = HEAD + row * (HEIGHT + GAP)
        ended = run.result.get("stopped_by")
        words = f"seed {run.seed}: {counted(len(run.history), 'epoch')}{f', ended by {ended}' if ended else ''}"
        write(figure, left, y - 0.08, words, size=SMALL, color=MUTED)
        for place, (lines, title) in enumerate(((LOSSES, "loss"), (FIGURES, "validation"))):
            panel = axes(figure, left + place * (WIDTH + GAP), y, WIDTH, HEIGHT)
            _lines(panel, run, lines)
            panel.set_ylabel(title)
    for place, lines in enumerate((LOSSES, FIGURES)):
        items = [key(words, color, linewidth=width) for words, color, width in lines.values()]
        legend(figure, left + place * (WIDTH + GAP), 0.74, items)
    return figure


def _lines(panel: Axes, run: RunFacts, lines: Mapping[str, tuple[str, str, float]]) -> None:
    epochs = [epoch.epoch for epoch in run.history]
    marker = "o" if len(epochs) < 3 else ""
    for name, (_, color, width) in lines.items():
        values = [getattr(epoch, name) for epoch in run.history]
        panel.plot(epochs, values, color=color, linewidth=width, marker=marker, markersize=4)
    best = run.result.get("best_epoch")
    if isinstance(best, int):
        panel.axvline(best, color=VERMILION, linewidth=1)
    panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    panel.yaxis.set_major_locator(MaxNLocator(4))
    panel.grid(axis="y", color=RULE, linewidth=0.5)
    panel.set_axisbelow(True)
    if lines is FIGURES:
        panel.set_ylim(0, 1.03)


def robustness(title: str, rows: Sequence[Mapping[str, Any]]) -> Figure:
    """UF1 and accuracy by strength of each attack.

    Args:
        rows: of `training.robustness`: `attack`, `strength`, `uf1`, `accuracy`, `constant_uf1`, `constant_accuracy`.
    """
    attacks = list(dict.fromkeys(row["attack"] for row in rows if row["strength"] > 0))
    figure = sheet(MARGIN + 0.4 + 2 * (WIDTH + GAP), 1.05 + 1.7 + 0.75)
    heading(figure, clipped(title, 58), "by strength: largest change of an input, in deviations of the clip's inputs")
    for place, score in enumerate(("uf1", "accuracy")):
        panel = axes(figure, MARGIN + 0.4 + place * (WIDTH + GAP), 1.0, WIDTH, 1.7)
        strengths = sorted({row["strength"] for row in rows})
        for attack, color, marker in zip(attacks, SERIES, MARKERS, strict=False):
            line = sorted((row["strength"], row[score]) for row in rows if row["attack"] in (attack, "none"))
            at = [strengths.index(strength) for strength, _ in line]
            values = [value for _, value in line]
            panel.plot(at, values, color=color, marker=marker, markersize=5, markeredgecolor=CARD, linewidth=1.6)
        panel.axhline(rows[0][f"constant_{score}"], color=INK, linewidth=1, linestyle=(0, (4, 3)))
        panel.set(
            ylim=(0, 1.03), xticks=range(len(strengths)), xlabel="strength", ylabel={"uf1": "UF1"}.get(score, score)
        )
        panel.set_xticklabels([f"{strength:g}" for strength in strengths])
        panel.grid(axis="y", color=RULE, linewidth=0.5)
        panel.set_axisbelow(True)
    pairs = zip(attacks, SERIES, MARKERS, strict=False)
    items = [key(attack, color, marker, linewidth=1.6) for attack, color, marker in pairs]
    items.append(key("constant predictor", INK, linestyle="--", linewidth=1))
    legend(figure, MARGIN + 0.4, 1.05 + 1.7 + 0.45, items)
    return figure


def differences(title: str, note: str, arms: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Differences of each arm to the one it is compared with: a panel per measure, a row per arm, a mark per seed.

    Args:
        arms: by measure and arm, differences by seed.
    """
    names = list(next(iter(arms.values())))
    left = MARGIN + 0.15 + 0.078 * max(len(clipped(name, 30)) for name in names)
    row, width = 0.42, 2.1
    figure = sheet(left + len(arms) * (width + 0.35) + 0.15, 1.15 + row * len(names) + 0.5)
    heading(figure, title, note)
    for place, (measure, found) in enumerate(arms.items()):
        panel = axes(figure, left + place * (width + 0.35), 1.15, width, row * len(names))
        panel.set(ylim=(len(names) - 0.5, -0.5), yticks=[])
        panel.spines["left"].set_visible(False)
        panel.axvline(0, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        values = np.concatenate([np.asarray(seeds, float) for seeds in found.values()])
        most = 1.15 * max(0.01, float(np.nanmax(np.abs(values), initial=0)))
        panel.set_xlim(-most, most)
        panel.xaxis.set_major_locator(MaxNLocator(5))
        for line, (name, seeds) in enumerate(found.items()):
            panel.axhline(line + 0.5, color=RULE, linewidth=0.5)
            panel.plot(seeds, [line] * len(seeds), "o", color=BLUE, alpha=0.55, markersize=5, markeredgewidth=0)
            panel.plot(float(np.nanmean(seeds)), line, "|", color=VERMILION, markersize=15, markeredgewidth=2.4)
            if not place:
                say(panel, -most, line, clipped(name, 30), (-6, 0), ha="right", fontsize=NORMAL)
        say(panel, -most, -0.5, measure, (0, 10), weight="bold")
    return figure
