"""Tables in Markdown, and bars of letters in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

WIDTH = 8  # letters of a full bar
EIGHTHS = "▏▎▍▌▋▊▉█"
HEIGHTS = "▁▂▃▄▅▆▇█"


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, words: int = 1) -> str:
    """A Markdown table; the first `words` columns are text, the others figures."""
    rule = ["---"] * words + ["---:"] * (len(head) - words)
    lines = [head, rule, *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def cells(counts: Iterable[int]) -> list[str]:
    """Counts as the cells of a table show them."""
    return [f"{count:,}" for count in counts]


def bar(share: float) -> str:
    """A horizontal bar of `share` 0-1 of the full width, in eighths of a letter; nothing for nothing."""
    eighths = round(8 * WIDTH * share) if share <= 0 else max(1, round(8 * WIDTH * share))
    full, rest = divmod(eighths, 8)
    return "█" * full + (EIGHTHS[rest - 1] if rest else "")


def heights(values: NDArray[np.float64], bins: int) -> str:
    """A histogram of finite values as one line: a letter for each of `bins` equal parts from least to most."""
    counts = np.histogram(values, bins, (float(values.min()), float(values.max())))[0]
    most = counts.max()
    return "".join(HEIGHTS[round(7 * int(count) / int(most))] if count else "·" for count in counts)
