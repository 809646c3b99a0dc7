"""What the faces are drawn from: colors, and per apparent race the center and spread of overlapping ranges.

The skin tones are the published Monk Skin Tone scale (https://skintone.google). Shape centers are small against
their spread: each number is in standard deviations of the variation between people, so that any face may occur
under several words. They are what a viewer would roughly say, not a model of ancestry.
"""

from __future__ import annotations

from dataclasses import dataclass, field

RGB = tuple[float, float, float]


def _hex(code: str) -> RGB:
    return int(code[1:3], 16) / 255, int(code[3:5], 16) / 255, int(code[5:7], 16) / 255


MONK_SCALE: tuple[RGB, ...] = tuple(
    _hex(code)
    for code in (
        "#f6ede4", "#f3e7db", "#f7ead0", "#eadaba", "#d7bd96", "#a07e56", "#825c43", "#604134", "#3a312a", "#292420",
    )
)  # fmt: skip

HAIR_COLORS: dict[str, RGB] = {
    "black": _hex("#1d1918"),
    "darkest brown": _hex("#2e221c"),
    "dark brown": _hex("#46322a"),
    "brown": _hex("#644734"),
    "light brown": _hex("#86633f"),
    "auburn": _hex("#6f3a26"),
    "ginger": _hex("#a3592c"),
    "dark blond": _hex("#967a58"),
    "blond": _hex("#b89a70"),
}

IRIS_COLORS: dict[str, RGB] = {
    "darkest brown": _hex("#33221a"),
    "brown": _hex("#4b3222"),
    "light brown": _hex("#6c4b30"),
    "hazel": _hex("#6a5c3c"),
    "green": _hex("#62735a"),
    "gray": _hex("#7d8b93"),
    "blue": _hex("#5d82a0"),
}

LIP_TINTS: dict[str, RGB] = {
    "rose": _hex("#b5535c"),
    "red": _hex("#a32530"),
    "berry": _hex("#7d2f45"),
    "nude": _hex("#b0705c"),
    "coral": _hex("#c75f4e"),
}
LIP_TINT_WEIGHTS = {"rose": 0.35, "red": 0.1, "berry": 0.15, "nude": 0.28, "coral": 0.12}

BACKDROPS: tuple[RGB, ...] = tuple(
    _hex(code)
    for code in (
        "#b9bcbe", "#8d9aa4", "#6f7f6a", "#9a8a76", "#c8bba8", "#566573", "#a9a59b", "#7a6a5c", "#4d5b52",
        "#b7a48c", "#5b5f73", "#87959a", "#d3cfc8", "#6e5a50",
    )
)  # fmt: skip
CLOTHS: tuple[RGB, ...] = tuple(
    _hex(code)
    for code in (
        "#2c3440", "#3d3f45", "#7a2f36", "#d9d5cc", "#49604f", "#28466b", "#8a7a66", "#b9a58a", "#5a3f57",
        "#1f2326", "#9db0bd", "#c2c0bd", "#6b4a3a", "#355a5e", "#a35d4a",
    )
)  # fmt: skip


@dataclass(frozen=True)
class HairStyle:
    """How a style is built: its flow, where loose hair ends (face units below the eyes), and who tends to wear it."""

    flow: str  # of `flows.FLOWS`, or "scarf" or "none"
    end: float  # 0: does not fall below the ears
    wave: float
    swell: float  # added to the skull's radius, face units
    women: float
    men: float

    def weight(self, gender: str) -> float:
        """Return the relative frequency of the style for `gender`."""
        return self.women if gender == "Woman" else self.men


HAIR_STYLES: dict[str, HairStyle] = {
    "cropped": HairStyle("short", 0.0, 0.05, 0.06, 0.05, 0.7),
    "buzz cut": HairStyle("buzz", 0.0, 0.0, 0.03, 0.04, 0.6),
    "short": HairStyle("short", 0.0, 0.15, 0.17, 0.15, 1.0),
    "textured crop": HairStyle("tousled", 0.0, 0.3, 0.15, 0.10, 1.2),
    "pixie": HairStyle("tousled", 0.0, 0.3, 0.19, 0.30, 0.1),
    "side-swept": HairStyle("parted", 0.0, 0.3, 0.20, 0.25, 1.2),
    "bob": HairStyle("parted", 1.30, 0.15, 0.19, 0.7, 0.03),
    "layered": HairStyle("parted", 1.75, 0.50, 0.21, 1.1, 0.12),
    "long straight": HairStyle("parted", 2.3, 0.08, 0.16, 1.0, 0.08),
    "long wavy": HairStyle("parted", 2.3, 1.0, 0.21, 1.3, 0.12),
    "fringe": HairStyle("fringe", 2.2, 0.08, 0.17, 0.6, 0.02),
    "pulled back": HairStyle("back", 0.0, 0.04, 0.085, 0.7, 0.04),
    "ponytail": HairStyle("back", 2.0, 0.3, 0.10, 0.6, 0.02),
    "short curls": HairStyle("curls", 0.0, 1.0, 0.17, 0.4, 0.9),
    "long curls": HairStyle("curls", 1.7, 1.0, 0.30, 0.9, 0.05),
    "afro": HairStyle("curls", 0.55, 1.0, 0.34, 0.7, 0.5),
    "locs": HairStyle("locs", 1.9, 0.2, 0.16, 0.8, 0.4),
    "headscarf": HairStyle("scarf", 2.3, 0.0, 0.12, 1.0, 0.0),
    "shaved": HairStyle("shaved", 0.0, 0.0, 0.0, 0.02, 0.35),
    "bald": HairStyle("none", 0.0, 0.0, 0.0, 0.0, 0.1),
    "balding": HairStyle("sides", 0.0, 0.1, 0.06, 0.0, 0.0),
}

_STRAIGHT = {
    "buzz cut": 0.7, "cropped": 0.6, "short": 1.0, "textured crop": 1.0, "pixie": 0.7, "side-swept": 1.0, "bob": 1.0,
    "layered": 1.0, "long straight": 1.0, "long wavy": 0.7, "fringe": 0.7, "pulled back": 0.7, "ponytail": 0.8,
    "short curls": 0.25, "long curls": 0.25, "shaved": 0.5, "bald": 0.5,
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """Distribution centers of one apparent race; shape coefficients absent here are centered on 0."""

    tone: float
    tone_spread: float
    tone_range: tuple[float, float]
    undertone: float
    crease: float
    iris_colors: dict[str, float]
    hair_colors: dict[str, float]
    hair_styles: dict[str, float]
    beards: dict[str, float]
    shape: dict[str, float] = field(default_factory=dict)


BEARDS = ("none", "stubble", "mustache", "goatee", "short", "full")
_BEARDS = {"none": 0.45, "stubble": 0.25, "mustache": 0.04, "goatee": 0.08, "short": 0.12, "full": 0.06}
_DARK_EYES = {"darkest brown": 0.5, "brown": 0.42, "light brown": 0.08}
_DARK_HAIR = {"black": 0.6, "darkest brown": 0.32, "dark brown": 0.08}

LOOKS: dict[str, Look] = {
    "asian": Look(
        2.9, 1.0, (0.6, 5.6), 0.25, 0.42, _DARK_EYES, {**_DARK_HAIR, "brown": 0.05},
        {**_STRAIGHT, "fringe": 1.3, "long wavy": 0.5, "short curls": 0.08, "long curls": 0.08, "headscarf": 0.06},
        {**_BEARDS, "none": 0.85, "full": 0.01, "short": 0.04},
        {"face_width": 0.5, "cheekbones": 0.6, "nose_depth": -0.7, "nose_width": 0.25, "eye_opening": -0.5,
         "eye_tilt": 0.6, "lid_hood": 0.6, "brow_ridge": -0.6, "lower_lip": 0.1},
    ),
    "indian": Look(
        5.1, 0.9, (3.2, 7.4), 0.2, 0.85, _DARK_EYES, _DARK_HAIR, {**_STRAIGHT, "long wavy": 1.0, "headscarf": 0.12},
        {**_BEARDS, "mustache": 0.12, "short": 0.2, "full": 0.12},
        {"eye_size": 0.4, "nose_depth": 0.2, "nose_width": 0.2, "lower_lip": 0.3, "upper_lip": 0.1},
    ),
    "black": Look(
        6.7, 1.1, (4.6, 9.0), 0.1, 0.75, {"darkest brown": 0.7, "brown": 0.28, "light brown": 0.02},
        {"black": 0.85, "darkest brown": 0.15},
        {"buzz cut": 1.4, "cropped": 0.8, "short curls": 1.2, "locs": 0.9, "ponytail": 0.6, "long curls": 1.0,
         "afro": 1.3, "pulled back": 1.0, "shaved": 1.0, "long straight": 0.35, "long wavy": 0.3, "bob": 0.3,
         "headscarf": 0.15},
        {**_BEARDS, "goatee": 0.14, "short": 0.16},
        {"nose_width": 0.9, "nose_depth": -0.3, "upper_lip": 0.8, "lower_lip": 0.8, "mouth_width": 0.2,
         "cheekbones": 0.2, "eye_size": 0.2},
    ),
    "white": Look(
        1.2, 0.9, (0.0, 3.8), -0.25, 0.75,
        {"blue": 0.33, "gray": 0.12, "green": 0.13, "hazel": 0.14, "light brown": 0.1, "brown": 0.18},
        {"darkest brown": 0.12, "dark brown": 0.22, "brown": 0.22, "light brown": 0.15, "auburn": 0.05,
         "ginger": 0.05, "dark blond": 0.12, "blond": 0.12},
        _STRAIGHT, _BEARDS,
        {"nose_depth": 0.5, "nose_width": -0.5, "upper_lip": -0.5, "lower_lip": -0.3, "brow_ridge": 0.3,
         "cheekbones": -0.2},
    ),
    "middle eastern": Look(
        3.7, 0.9, (1.4, 5.8), 0.15, 0.85, {**_DARK_EYES, "light brown": 0.16, "hazel": 0.1, "green": 0.05},
        {**_DARK_HAIR, "dark brown": 0.2}, {**_STRAIGHT, "long wavy": 1.1, "short curls": 0.4, "headscarf": 0.8},
        {**_BEARDS, "none": 0.25, "short": 0.3, "full": 0.16},
        {"nose_depth": 0.6, "nose_length": 0.4, "eye_size": 0.2, "brow_ridge": 0.2, "lower_lip": 0.1},
    ),
    "latino hispanic": Look(
        4.1, 1.0, (1.6, 6.2), 0.2, 0.75, {**_DARK_EYES, "light brown": 0.16, "hazel": 0.07},
        {**_DARK_HAIR, "dark brown": 0.22, "brown": 0.1}, {**_STRAIGHT, "long wavy": 1.1, "short curls": 0.4},
        {**_BEARDS, "stubble": 0.3, "goatee": 0.12},
        {"face_width": 0.2, "cheekbones": 0.3, "nose_width": 0.3, "lower_lip": 0.3},
    ),
}  # fmt: skip

GENDER_SHAPE: dict[str, dict[str, float]] = {
    "Woman": {
        "jaw_width": -0.9, "chin_width": -0.6, "chin_length": -0.4, "face_width": -0.2, "eye_size": 0.7,
        "eye_opening": 0.3, "brow_height": 0.5, "brow_arch": 0.6, "brow_ridge": -0.9, "nose_width": -0.5,
        "upper_lip": 0.4, "lower_lip": 0.35, "philtrum": -0.3, "mouth_width": -0.2, "cheekbones": 0.3,
    },
    "Man": {
        "jaw_width": 1.0, "chin_width": 0.8, "chin_length": 0.7, "face_width": 0.2, "eye_size": -0.6,
        "brow_height": -0.6, "brow_arch": -0.6, "brow_ridge": 1.2, "nose_width": 0.4, "nose_length": 0.4,
        "upper_lip": -0.6, "lower_lip": -0.3, "fullness": -0.4, "mouth_width": 0.2, "eye_opening": -0.2,
    },
}  # fmt: skip
# Brings the average face to the neutral reading of FaceLandmarker's blendshapes: the portraits behind the template
# hold their brows a little high and their lips a little narrow.
NEUTRAL_SHAPE: dict[str, float] = {
    "brow_height": -1.5,
    "brow_tilt": 0.5,
    "mouth_width": 0.9,
    "eye_opening": -0.35,
    "face_width": -0.6,
    "jaw_width": -0.4,
    "chin_length": 0.2,
    "mouth_corners": 0.9,
}
OLD_SHAPE: dict[str, float] = {
    "jowls": 1.5, "mouth_corners": -0.4, "eye_opening": -0.7, "lid_hood": 1.3, "upper_lip": -1.0, "lower_lip": -0.7,
    "nose_length": 0.5, "nose_width": 0.3, "philtrum": 0.5, "brow_height": -0.3, "fullness": -0.4,
}  # fmt: skip
CHILD_SHAPE: dict[str, float] = {
    "fullness": 1.5, "jaw_width": -0.7, "chin_length": -2.2, "chin_width": -0.4, "nose_length": -2.2,
    "nose_depth": -0.7,
    "nose_width": -0.7, "eye_size": 1.4, "eye_opening": 0.3, "forehead": 0.4, "brow_ridge": -0.8, "philtrum": -0.6,
    "mouth_width": -0.5, "cheekbones": -0.5,
}  # fmt: skip
# Spread of a shape coefficient between people where it is less than one deviation: these read as expressions.
SHAPE_SPREAD = 0.85
EXPRESSIVE_SPREAD: dict[str, float] = {
    "brow_height": 0.55, "brow_tilt": 0.5, "brow_arch": 0.65, "mouth_width": 0.6, "mouth_corners": 0.45,
    "eye_opening": 0.6, "lid_hood": 0.7, "upper_lip": 0.75, "lower_lip": 0.75,
}  # fmt: skip
