"""Everything that decides how one procedural face looks, and how it is drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from equime_builder.sources.procedural import tables
from equime_builder.sources.procedural.geometry import Pose, Shape

GENDERS = ("Woman", "Man")
RACES = tuple(tables.LOOKS)
MIN_AGE, MAX_AGE = 10, 85

Color = tuple[float, float, float]


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(map(repr, choices))}")


def _check_subject(*, seed: int, gender: str, race: str, age: int) -> None:
    _one_of("gender", gender, GENDERS)
    _one_of("race", race, RACES)
    if not MIN_AGE <= age <= MAX_AGE:
        raise ValueError(f"age is {age}; expected {MIN_AGE}..{MAX_AGE}")
    if seed < 0:
        raise ValueError(f"seed is {seed}; expected 0 or more")


@dataclass(frozen=True)
class Skin:
    """Tone on the Monk scale, 0.0 (lightest) .. 9.0 (darkest), and its marks, each 0..1; undertone is -1..1."""

    tone: float
    undertone: float
    redness: float
    freckles: float
    spots: float
    wrinkles: float
    bags: float
    oil: float

    def __post_init__(self) -> None:
        if not 0 <= self.tone <= len(tables.MONK_SCALE) - 1:
            raise ValueError(f"tone is {self.tone}; expected 0..{len(tables.MONK_SCALE) - 1}")


@dataclass(frozen=True)
class Hair:
    """A style of `tables.HAIR_STYLES`, its pigment (sRGB 0..1) and how it lies; parting is -1..1, the rest 0..1."""

    style: str
    color: Color
    gray: float
    volume: float
    length: float
    parting: float
    recession: float
    beard: str
    beard_density: float

    def __post_init__(self) -> None:
        _one_of("style", self.style, tuple(tables.HAIR_STYLES))
        _one_of("beard", self.beard, tables.BEARDS)


@dataclass(frozen=True)
class Features:
    """Brows, eyes and lips: sRGB colors 0..1 and amounts 0..1; gaze is in iris radii."""

    iris: Color
    crease: float
    lashes: float
    lip_tint: Color
    lip_strength: float
    brow_thickness: float
    brow_density: float
    gaze: tuple[float, float]


@dataclass(frozen=True)
class Scene:
    """Light (degrees, 0..1, warmth -1..1), background and clothes (sRGB 0..1)."""

    azimuth: float
    elevation: float
    key: float
    warmth: float
    backdrop: str
    backdrop_colors: tuple[Color, Color]
    collar: str
    cloth: Color
    neck_width: float
    shoulder: float


@dataclass(frozen=True)
class FaceParameters:
    """All parameters of one face. Equal parameters give equal pictures."""

    seed: int
    gender: str
    race: str
    age: int
    shape: Shape
    pose: Pose
    skin: Skin
    hair: Hair
    features: Features
    scene: Scene
    ear_size: float = 1.0

    def __post_init__(self) -> None:
        _check_subject(seed=self.seed, gender=self.gender, race=self.race, age=self.age)


def draw_face(*, seed: int, gender: str, race: str, age: int) -> FaceParameters:
    """Draw one face; a pure function of its arguments.

    `gender` and `race` are apparent attributes in DeepFace's words (`GENDERS`, `RACES`), `age` is in years,
    10..85. Raises ValueError for any other value and for a negative seed.
    """
    _check_subject(seed=seed, gender=gender, race=race, age=age)
    rng = np.random.default_rng([seed, GENDERS.index(gender), RACES.index(race), int(age)])
    look = tables.LOOKS[race]
    skin = _skin(rng, look, age)
    hair = _hair(rng, look, gender, age)
    return FaceParameters(
        seed=int(seed),
        gender=gender,
        race=race,
        age=int(age),
        shape=_shape(rng, look, gender, age),
        pose=_pose(rng),
        skin=skin,
        hair=hair,
        features=_features(rng, look, gender, age, skin),
        scene=_scene(rng, gender, age),
        ear_size=float(np.clip(1.0 + 0.003 * (age - 40) + rng.normal(0, 0.05), 0.85, 1.2)),
    )


def _between(value: float, low: float, high: float) -> float:
    return float(min(max(value, low), high))


def _pick(rng: np.random.Generator, weights: dict[str, float]) -> str:
    share = np.array(list(weights.values()), dtype=float)
    return str(rng.choice(list(weights), p=share / share.sum()))


def _shape(rng: np.random.Generator, look: tables.Look, gender: str, age: int) -> Shape:
    old = max(0.0, (age - 40) / 45)
    child = max(0.0, (19 - age) / 9)
    drawn: dict[str, float] = {}
    for name in (f.name for f in fields(Shape) if f.name not in ("measured", "asymmetry")):
        grown = 1.0 - 0.6 * child
        center = (
            tables.NEUTRAL_SHAPE.get(name, 0.0)
            + look.shape.get(name, 0.0)
            + grown * tables.GENDER_SHAPE[gender].get(name, 0.0)
        )
        center += old * tables.OLD_SHAPE.get(name, 0.0) + child * tables.CHILD_SHAPE.get(name, 0.0)
        drawn[name] = _between(rng.normal(center, tables.EXPRESSIVE_SPREAD.get(name, tables.SHAPE_SPREAD)), -2.6, 2.6)
    return Shape(
        **drawn,
        measured=tuple(float(v) for v in np.clip(rng.normal(0, 0.55, 4), -1.1, 1.1)),
        asymmetry=tuple(float(v) for v in np.clip(rng.normal(0, 0.7, 8), -1.6, 1.6)),
    )


def _pose(rng: np.random.Generator) -> Pose:
    yaw, pitch, roll = np.clip(rng.normal(0, (1.2, 0.9, 0.9)), -2.8, 2.8)
    return Pose(
        yaw=float(yaw),
        pitch=float(pitch),
        roll=float(roll),
        iris_distance=_between(rng.normal(0.245, 0.005), 0.235, 0.255),
        x=_between(rng.normal(0.5, 0.006), 0.485, 0.515),
        y=_between(rng.normal(0.460, 0.004), 0.45, 0.47),
    )


def _skin(rng: np.random.Generator, look: tables.Look, age: int) -> Skin:
    tone = _between(rng.normal(look.tone, look.tone_spread), look.tone_range[0], look.tone_range[1])
    light = max(0.0, 1 - tone / 4)
    years = max(0.0, (age - 24) / 56)
    freckled = rng.random() < 0.22 * light
    return Skin(
        tone=tone,
        undertone=_between(rng.normal(look.undertone, 0.4), -1, 1),
        redness=_between(rng.normal(0.40, 0.2), 0.05, 1.0),
        freckles=float(freckled * rng.uniform(0.3, 1.0)),
        spots=_between(years**2 * rng.uniform(0.2, 1.1), 0, 1),
        wrinkles=_between(years**1.25 * rng.uniform(0.75, 1.15), 0, 1),
        bags=_between((0.12 + 0.6 * years + rng.normal(0, 0.13)) * min(1.0, (age - 6) / 16), 0, 1),
        oil=_between(rng.normal(0.5, 0.2), 0.1, 1),
    )


def _hair(rng: np.random.Generator, look: tables.Look, gender: str, age: int) -> Hair:
    man = gender == "Man"
    weights = {name: weight * tables.HAIR_STYLES[name].weight(gender) for name, weight in look.hair_styles.items()}
    style = _pick(rng, weights)
    recession = _between(rng.normal(0.10, 0.08) + man * max(0.0, age - 28) / 60 * rng.uniform(0.0, 1.1), 0, 0.85)
    if man and age > 30 and rng.random() < (age - 25) / 140:
        style = _pick(rng, {"bald": 0.45, "balding": 0.55})
    pigment = np.array(tables.HAIR_COLORS[_pick(rng, look.hair_colors)]) * rng.uniform(0.88, 1.14)
    gray = _between((age - 40) / 32 + rng.normal(0, 0.22), 0, 1) if age > 32 else 0.0
    if not man and gray < 0.9 and rng.random() < 0.35:
        gray *= 0.25  # colored hair
    beard = _pick(rng, look.beards) if man and age >= 20 else "none"
    return Hair(
        style=style,
        color=_rgb(pigment),
        gray=gray,
        volume=_between(rng.normal(0.5, 0.22), 0, 1),
        length=float(rng.uniform(0, 1)),
        parting=float(rng.uniform(-0.75, 0.75)) if rng.random() < 0.8 else 0.0,
        recession=recession if man else recession * 0.4,
        beard=beard,
        beard_density=float(rng.uniform(0.55, 1.0)),
    )


def _rgb(values: np.ndarray) -> Color:
    red, green, blue = np.clip(values, 0, 1).tolist()
    return red, green, blue


def _features(rng: np.random.Generator, look: tables.Look, gender: str, age: int, skin: Skin) -> Features:
    woman = gender == "Woman"
    made_up = woman and age >= 17 and rng.random() < 0.6
    tint = tables.LIP_TINTS[_pick(rng, tables.LIP_TINT_WEIGHTS)]
    iris = np.array(tables.IRIS_COLORS[_pick(rng, look.iris_colors)]) * rng.uniform(0.85, 1.15)
    gaze = np.clip(rng.normal(0, 0.03, 2), -0.07, 0.07)
    return Features(
        iris=_rgb(iris),
        crease=_between(rng.normal(look.crease, 0.25), 0.0, 1),
        lashes=_between(rng.normal(0.7 + 0.15 * made_up if woman else 0.3, 0.1), 0.1, 1),
        lip_tint=tint,
        lip_strength=float(rng.uniform(0.15, 0.6) if made_up else 0.0),
        brow_thickness=_between(rng.normal(0.40 if woman else 0.62, 0.14) - 0.03 * max(0, 17 - age), 0.15, 1),
        brow_density=_between(rng.normal(0.75, 0.15) - 0.25 * (age > 62) - 0.1 * max(0, 2 - skin.tone) / 2, 0.3, 1),
        gaze=(float(gaze[0]), float(gaze[1])),
    )


def _scene(rng: np.random.Generator, gender: str, age: int) -> Scene:
    first = np.array(tables.BACKDROPS[int(rng.integers(len(tables.BACKDROPS)))])
    second = np.clip(first * rng.uniform(0.55, 1.25) + rng.normal(0, 0.02, 3), 0.05, 0.95)
    cloth = np.array(tables.CLOTHS[int(rng.integers(len(tables.CLOTHS)))]) * rng.uniform(0.8, 1.15)
    man = gender == "Man"
    grown = 1 - 0.018 * max(0, 19 - age)
    return Scene(
        azimuth=float(rng.choice([-1, 1]) * rng.uniform(8, 52)),
        elevation=float(rng.uniform(18, 52)),
        key=float(rng.uniform(0.45, 0.74)),
        warmth=_between(rng.normal(0.1, 0.35), -0.8, 0.9),
        backdrop=_pick(rng, {"gradient": 0.35, "bokeh": 0.4, "outdoor": 0.25}),
        backdrop_colors=(_rgb(first), _rgb(second)),
        collar=_pick(rng, {"crew": 0.4, "v": 0.25, "shirt": 0.25 + 0.1 * man, "high": 0.1}),
        cloth=_rgb(cloth),
        neck_width=_between(rng.normal(0.70 if man else 0.58, 0.035) * grown, 0.46, 0.82),
        shoulder=_between(rng.normal(0.6 if man else 0.4, 0.15), 0, 1),
    )
