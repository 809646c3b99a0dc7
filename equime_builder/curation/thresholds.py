"""What a portrait must be to be taken: the section `[curation]` of a profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from equime_loader.schema import AGE_GROUPS, GENDERS, RACES

MAX_WEIGHT = 1e12  # of a marginal: far above any table of shares or counts, far below what overflows
# CelebA's attributes of a face that an AU can act on; the paper asks for the first one only.
NEUTRAL_SELECTION: Mapping[str, int] = {"Smiling": -1, "Mouth_Slightly_Open": -1, "Eyeglasses": -1}


@dataclass(frozen=True, slots=True)
class Shares:
    """Wanted shares of apparent gender, race and age group; any weights. An empty table asks for nothing."""

    gender: Mapping[str, float] = field(default_factory=dict)
    race: Mapping[str, float] = field(default_factory=dict)
    age: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, weights in self.asked().items():
            check_weights(f"curation.marginals.{name}", name, weights)

    def asked(self) -> dict[str, Mapping[str, float]]:
        """Weights by attribute, of those that are asked for."""
        tables = {"gender": self.gender, "race": self.race, "age": self.age}
        return {name: weights for name, weights in tables.items() if weights}


def check_weights(key: str, attribute: str, weights: Mapping[str, float]) -> None:
    """Check the weights of an attribute's words.

    Raises:
        ValueError: an unknown word, a weight outside 0..`MAX_WEIGHT`, or none that is positive.
    """
    words = {"gender": GENDERS, "race": RACES, "age": tuple(AGE_GROUPS)}[attribute]
    for word, weight in weights.items():
        if word not in words:
            raise ValueError(f"{key}: {word!r} must be one of {', '.join(words)}")
        if not 0 <= weight <= MAX_WEIGHT:
            raise ValueError(f"{key}: {word} = {weight} must lie within 0..{MAX_WEIGHT:g}")
    if not sum(weights.values()) > 0:
        raise ValueError(f"{key}: at least one weight must be positive")


@dataclass(frozen=True, slots=True)
class Curation:
    """Thresholds of a portrait's scores, and whom to choose of those that pass. See `scores.Scores` for the scores.

    The defaults were set on photographs cut out as CelebA-HQ is, at `scores.JUDGED_SIZE`.

    Attributes:
        max_turn: degrees of yaw, pitch or roll; beyond 25, half of the face hides what an AU does.
        max_lip_gap: of the IOD; the lips of a neutral face touch. min_lid_gap: of the IOD; below, eyes are closed.
        min_iod: pixels; below 32, an ME moves less than half a pixel.
        min_eye_light: bright parts of the eyes against the cheeks; sclera is brighter than skin, dark glass is not.
        min_eye_contrast: between bright and dark parts of the eyes.
        max_mirror_shift: of the IOD; how far the landmarks move when the picture is mirrored.
        min_lip_color: CIELAB distance (8-bit scale) of the lips from the skin around them.
        max_cheek_edge, max_cheek_edge_ratio: gradient per brightness; both exceeded, one cheek is covered.
        min_sharpness: variance of the Laplacian by the variance of brightness, 0 asks for nothing.
        max_smile: FaceLandmarker's smile, 0..1; 1 asks for nothing.
        min_neutral: an estimator's probability that the face is neutral, where it was estimated; 0 asks for nothing.
        select: annotated attributes, 1 or -1, of sources that have them (celeba-hq).
        marginals: wanted shares among those that are taken.
    """

    max_turn: float = 25.0
    max_lip_gap: float = 0.04
    min_lid_gap: float = 0.05
    min_iod: float = 32.0
    min_eye_light: float = 0.55
    min_eye_contrast: float = 0.18
    max_mirror_shift: float = 0.062
    min_lip_color: float = 6.0
    max_cheek_edge: float = 0.045
    max_cheek_edge_ratio: float = 2.4
    min_sharpness: float = 0.0
    max_smile: float = 1.0
    min_neutral: float = 0.0
    select: Mapping[str, int] = field(default_factory=lambda: dict(NEUTRAL_SELECTION))
    marginals: Shares = field(default_factory=Shares)

    def __post_init__(self) -> None:
        bounds = {
            "max_turn": (0, 90),
            "max_lip_gap": (0, 10),
            "min_lid_gap": (0, 1),
            "min_iod": (16, 1000),
            "min_eye_light": (0, 10),
            "min_eye_contrast": (0, 1),
            "max_mirror_shift": (0, 100),
            "min_lip_color": (0, 400),
            "max_cheek_edge": (0, 100),
            "max_cheek_edge_ratio": (1, 1000),
            "min_sharpness": (0, 1000),
            "max_smile": (0, 1),
            "min_neutral": (0, 1),
        }
        for name, (low, high) in bounds.items():
            if not low <= (value := getattr(self, name)) <= high:
                raise ValueError(f"curation.{name}={value} must lie within {low}..{high}")
        check_selection("curation.select", self.select)


def check_selection(key: str, select: Mapping[str, int]) -> None:
    """Check the attributes that are selected by.

    Raises:
        ValueError: a value other than 1 and -1.
    """
    for name, value in select.items():
        if value not in (1, -1):
            raise ValueError(f"{key}: {name} = {value!r} must be 1 or -1")
