"""The colors of every picture that is drawn here.

The palette of Okabe & Ito (2008), which stays apart for color-blind readers, with a darker yellow that is legible as a
line; and what words, rules and grounds are drawn in.
"""

from __future__ import annotations

BLUE, SKY, GREEN, ORANGE = "#0072B2", "#56B4E9", "#009E73", "#E69F00"
VERMILION, PURPLE, OLIVE, BLACK = "#D55E00", "#CC79A7", "#8A7F00", "#000000"
INK, MUTED, FAINT = "#1c1c1c", "#5f6368", "#74797e"
RULE, PALE, BAND = "#d5d8dc", "#eef0f2", "#e9f1f7"
