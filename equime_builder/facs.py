"""Facial Action Units, their anatomy, and what each emotion does to them.

Muscles and directions follow the FACS manual (Ekman, Friesen & Hager, 2002) in the summary of py-feat's AU reference.
`full_scale` is the displacement of an AU at intensity 5, of the point that it moves furthest, as a fraction of the eye
distance: between the middles of the eye corners, about 0.96 of the inter-ocular distance (IOD) of audit and curation,
which lies between the irises. It starts from Candide-3's unit vectors, or an estimate where there is none, and is
larger where no observer could tell the AU at the intensities of micro-expressions; the reasons stand at each AU in
`generators/warp/actions.py`. Intensity is linear in displacement, so an intensity means the same thing in a label, in a
curve and in the picture.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Side = Literal["both", "left", "right"]
SIDES: tuple[Side, ...] = ("both", "left", "right")
SIDE_PREFIX: dict[Side, str] = {"both": "", "left": "L", "right": "R"}
MAX_INTENSITY = 5.0
LETTERS = "ABCDE"


@dataclass(frozen=True, slots=True)
class ActionUnit:
    """One Action Unit: FACS number, name, muscle, region of the face, direction of motion, scale in eye distances."""

    au: int
    name: str
    muscle: str
    region: Literal["upper face", "lower face"]
    direction: str
    full_scale: float
    lateral: bool = True


ACTION_UNITS: dict[int, ActionUnit] = {
    unit.au: unit
    for unit in (
        ActionUnit(1, "inner brow raiser", "frontalis, pars medialis", "upper face", "up", 0.36),
        ActionUnit(2, "outer brow raiser", "frontalis, pars lateralis", "upper face", "up, slightly out", 0.29),
        ActionUnit(
            4,
            "brow lowerer",
            "corrugator supercilii, depressor supercilii, procerus",
            "upper face",
            "down and together",
            0.31,
        ),
        ActionUnit(5, "upper lid raiser", "levator palpebrae superioris", "upper face", "up", 0.12),
        ActionUnit(6, "cheek raiser", "orbicularis oculi, pars orbitalis", "upper face", "up", 0.12),
        ActionUnit(7, "lid tightener", "orbicularis oculi, pars palpebralis", "upper face", "lids together", 0.08),
        ActionUnit(
            9,
            "nose wrinkler",
            "levator labii superioris alaeque nasi",
            "lower face",
            "wings up, root down",
            0.20,
        ),
        ActionUnit(10, "upper lip raiser", "levator labii superioris", "lower face", "up", 0.20),
        ActionUnit(12, "lip corner puller", "zygomaticus major", "lower face", "up and back", 0.34),
        ActionUnit(14, "dimpler", "buccinator", "lower face", "corners tight and back", 0.18),
        ActionUnit(15, "lip corner depressor", "depressor anguli oris", "lower face", "down", 0.36),
        ActionUnit(17, "chin raiser", "mentalis", "lower face", "up", 0.25, lateral=False),
        ActionUnit(20, "lip stretcher", "risorius with platysma", "lower face", "back", 0.30),
        ActionUnit(23, "lip tightener", "orbicularis oris", "lower face", "lips narrow", 0.14, lateral=False),
        ActionUnit(24, "lip pressor", "orbicularis oris", "lower face", "lips press", 0.16, lateral=False),
        ActionUnit(
            25,
            "lips part",
            "depressor labii inferioris or relaxation",
            "lower face",
            "lips apart",
            0.16,
            lateral=False,
        ),
        ActionUnit(26, "jaw drop", "masseter, relaxed", "lower face", "jaw down", 0.43, lateral=False),
        ActionUnit(45, "blink", "levator palpebrae, relaxed", "upper face", "upper lid down", 0.20),
    )
}
AUS: tuple[int, ...] = tuple(ACTION_UNITS)
AU_COLUMN: dict[int, int] = {au: column for column, au in enumerate(AUS)}
EXPRESSIVE_AUS: tuple[int, ...] = tuple(au for au in AUS if au != 45)

# Lips cannot press and part at once; FACS scores the one or the other.
EXCLUSIVE: tuple[frozenset[int], ...] = tuple(frozenset(pair) for pair in ((23, 25), (23, 26), (24, 25), (24, 26)))


def letter(intensity: float) -> str:
    """FACS letter of an intensity on the 0-5 scale (A trace ... E maximum; OpenFace's 1 is A, 5 is E).

    Raises:
        ValueError: intensity outside (0, 5].
    """
    if not 0 < intensity <= MAX_INTENSITY:
        raise ValueError(f"{intensity=} must be above 0 and at most {MAX_INTENSITY}")
    return LETTERS[min(4, max(0, round(intensity) - 1))]


def describe(au: int, side: Side, intensity: float) -> str:
    """FACS notation with the name: ``L12A lip corner puller``."""
    return f"{SIDE_PREFIX[side]}{au}{letter(intensity)} {ACTION_UNITS[au].name}"


@dataclass(frozen=True, slots=True)
class EmotionTable:
    """P(AU | emotion) for each emotion, and how often an activation is one-sided.

    `unilateral` maps an emotion to the probability that a clip's lateral AUs act on one side only.
    """

    name: str
    source: str
    probabilities: dict[str, dict[int, float]]
    unilateral: dict[str, float]


_PROTOTYPES: dict[str, tuple[int, ...]] = {
    "happiness": (6, 12),
    "sadness": (1, 4, 15),
    "surprise": (1, 2, 5, 26),
    "fear": (1, 2, 4, 5, 7, 20, 26),
    "anger": (4, 5, 7, 23),
    "disgust": (9, 15, 17),
    "contempt": (12, 14),
}

# Fig. 3 of the paper without AU 16, which no listed muscle of ours drives. Contempt is not in the figure.
_PAPER: dict[str, tuple[int, ...]] = {
    "happiness": (1, 6, 12, 14),
    "sadness": (1, 4, 15, 23),
    "surprise": (1, 2, 5, 15, 20, 26),
    "fear": (1, 2, 4, 5, 15, 20, 26),
    "anger": (2, 4, 7, 9, 10, 20, 26),
    "disgust": (2, 4, 9, 15, 17),
    "contempt": (12, 14),
}

# P(AU | emotion) read off the coding sheets of CASME II, SAMM and DFME; AUs below the sheets' reporting cut are zero.
_CORPORA: dict[str, dict[str, dict[int, float]]] = {
    "CASME II": {
        "disgust": {4: 0.94, 7: 0.48, 10: 0.27, 9: 0.21},
        "happiness": {12: 0.84, 6: 0.25, 14: 0.16},
        "surprise": {2: 0.80, 1: 0.72},
        "sadness": {1: 1.0},
    },
    "SAMM": {
        "anger": {7: 0.74, 4: 0.37},
        "happiness": {12: 1.0, 6: 0.12},
        "surprise": {5: 0.60, 1: 0.27, 2: 0.27},
        "contempt": {14: 1.0},
        "disgust": {10: 0.56, 9: 0.44},
        "fear": {20: 0.88, 26: 0.25},
        "sadness": {17: 0.50, 15: 0.33, 1: 0.33},
    },
    "DFME": {
        "disgust": {4: 0.74, 7: 0.40, 10: 0.12},
        "surprise": {2: 0.77, 1: 0.75, 5: 0.67},
        "happiness": {12: 0.79, 6: 0.49},
        "anger": {4: 0.70, 7: 0.24, 24: 0.13},
        "sadness": {4: 0.39, 14: 0.23, 24: 0.17},
        "fear": {4: 0.51, 7: 0.31, 5: 0.17},
        "contempt": {12: 0.65, 6: 0.16},
    },
}


def _pooled(emotion: str) -> dict[int, float]:
    """Mean over the corpora that code the emotion: each corpus has one vote, however many clips it holds."""
    sheets = [sheet[emotion] for sheet in _CORPORA.values() if emotion in sheet]
    aus = sorted({au for sheet in sheets for au in sheet})
    return {au: sum(sheet.get(au, 0.0) for sheet in sheets) / len(sheets) for au in aus}


def _certain(aus: dict[str, tuple[int, ...]]) -> dict[str, dict[int, float]]:
    return {emotion: dict.fromkeys(units, 1.0) for emotion, units in aus.items()}


# One-sided in 10-26% of coded clips; contempt is the one-sided expression (R12A+R14A).
_SIDED = {emotion: (0.8 if emotion == "contempt" else 0.18) for emotion in _PROTOTYPES}
_EVEN = {emotion: (1.0 if emotion == "contempt" else 0.0) for emotion in _PROTOTYPES}

EMOTION_TABLES: dict[str, EmotionTable] = {
    table.name: table
    for table in (
        EmotionTable(
            "corpora",
            "mean of P(AU|emotion) in the coding sheets of CASME II, SAMM and DFME",
            {emotion: _pooled(emotion) for emotion in _PROTOTYPES},
            _SIDED,
        ),
        EmotionTable("facs", "EMFACS prototypes", _certain(_PROTOTYPES), _EVEN),
        EmotionTable("paper", "figure 3 of the EquiME paper; contempt from EMFACS", _certain(_PAPER), _EVEN),
    )
}


@lru_cache(maxsize=64)
def au_sets(table: str, emotion: str) -> tuple[tuple[tuple[int, ...], float], ...]:
    """All AU sets that a table allows in an emotion, with their weights (above 0; their sum is not 1).

    AUs are independent given the emotion; empty sets and those with AUs that exclude each other are left out.
    """
    probabilities = EMOTION_TABLES[table].probabilities[emotion]
    sets = []
    for chosen in itertools.product((False, True), repeat=len(probabilities)):
        aus = tuple(sorted(au for au, on in zip(probabilities, chosen, strict=True) if on))
        weight = math.prod(p if on else 1 - p for p, on in zip(probabilities.values(), chosen, strict=True))
        if aus and weight > 0 and not any(pair <= set(aus) for pair in EXCLUSIVE):
            sets.append((aus, weight))
    return tuple(sets)
