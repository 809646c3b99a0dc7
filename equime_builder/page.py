"""A page to draw on: axes and texts placed by pixels, written as the same bytes each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from equime_loader.files import replacing
from equime_loader.palette import INK, MUTED, RULE

DPI, LINE_SPACING = 100, 1.25
CHANGE_GAIN = 6.0
POINTS_PER_PIXEL = 72 / DPI

# What is written beside the pixels would differ from run to run, or say nothing.
METADATA: dict[str, dict[str, None]] = {
    **{".png": {"Software": None}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}},
    **{suffix: {} for suffix in (".jpg", ".jpeg", ".webp", ".tif", ".tiff")},
}


def change_picture(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.uint8]:
    """What changed between two frames' luma (H, W), 0-255: `CHANGE_GAIN` times, gray where nothing did."""
    change = after.astype(np.float32) - before.astype(np.float32)
    return np.asarray(np.clip(127.5 + CHANGE_GAIN * change, 0, 255), np.uint8)


class Page:
    """An empty white page of `width` x `height` pixels. Positions are pixels from its upper left corner."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
        FigureCanvasAgg(self.figure)

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Axes whose frame is the given box, with the house's ticks and spines."""
        bottom = 1 - (y + height) / self.height
        axes = self.figure.add_axes((x / self.width, bottom, width / self.width, height / self.height))
        axes.tick_params(which="both", labelsize=11 * POINTS_PER_PIXEL, colors=MUTED, length=3, width=0.6, pad=3)
        for name, spine in axes.spines.items():
            spine.set_visible(name in ("left", "bottom"))
            spine.set(color=RULE, linewidth=0.8)
        for axis in (axes.xaxis, axes.yaxis):
            axis.label.set(fontsize=11 * POINTS_PER_PIXEL, color=MUTED)
        return axes

    def text(self, x: float, y: float, words: str, *, size: float = 12, color: str = INK, **style: Any) -> float:
        """Lines of text below `y` on even baselines, `size` in pixels; returns the y at which they end."""
        for line in words.split("\n"):
            text = self.figure.text(x / self.width, 1 - (y + size) / self.height, line, color=color, parse_math=False)
            text.set(fontsize=size * POINTS_PER_PIXEL, **style)
            y += LINE_SPACING * size
        return y

    def rule(self, y: float, *, left: float, right: float) -> None:
        """A thin horizontal line."""
        ends, level = (left / self.width, right / self.width), 1 - y / self.height
        self.figure.add_artist(Line2D(ends, (level, level), color=RULE, linewidth=0.8))

    def save(self, target: Path) -> None:
        """Write the page; the suffix says in which format. The same page gives the same bytes."""
        check_suffix(target)
        suffix = target.suffix.lower()
        with replacing(target) as temporary, rc_context({"svg.hashsalt": "equime"}):
            self.figure.savefig(temporary, format=suffix[1:], dpi=DPI, metadata=METADATA[suffix] or None)


def check_suffix(target: Path) -> None:
    """Raise ValueError where the suffix names no format that can be written."""
    if target.suffix.lower() not in METADATA:
        raise ValueError(f"target={target.name}: suffix {target.suffix!r} must be one of {', '.join(METADATA)}")
