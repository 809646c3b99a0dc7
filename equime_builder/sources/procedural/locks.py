"""Hair gathers into locks: each holds its strands together, catches the light by itself, and strays by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from equime_builder.sources.procedural.geometry import Array

ROPE = 8  # strands of a loc
MIDDLE = np.array([0.0, -0.35], np.float32)  # of the head: locks rise away from it, face units


@dataclass(frozen=True)
class Habit:
    """How the hair of one flow gathers.

    `count` locks; `hold` 0..1 is how far strands join their lock at the tip, `ragged` the spread of how far locks
    stand off the head (face units), `contrast` how much locks and strands differ, `gloss` the strength of the
    highlight, `stray` the number of loose hairs, `cover` the opacity 0..1 of the mass under the strands.
    """

    count: int
    hold: float
    ragged: float
    contrast: float
    gloss: float
    stray: int
    cover: float = 1.0


HABITS: dict[str, Habit] = {
    "parted": Habit(48, 0.50, 0.014, 1.0, 0.34, 34),
    "fringe": Habit(44, 0.55, 0.018, 0.8, 0.26, 40),
    "short": Habit(80, 0.55, 0.030, 1.0, 0.20, 40, 0.95),
    "tousled": Habit(70, 0.80, 0.034, 1.1, 0.24, 26, 0.95),
    "buzz": Habit(60, 0.00, 0.0, 0.6, 0.06, 0, 0.62),
    "shaved": Habit(60, 0.00, 0.0, 0.4, 0.0, 0, 0.26),
    "back": Habit(40, 0.40, 0.0, 0.8, 0.32, 0),
    "curls": Habit(110, 0.00, 0.0, 1.2, 0.10, 60),
    "locs": Habit(0, 0.00, 0.0, 1.5, 0.10, 10),
    "sides": Habit(30, 0.30, 0.006, 0.8, 0.10, 6, 0.9),
}


@dataclass(frozen=True)
class Locks:
    """Strands float32 (N, points, 2), each with its lock's number (N,) and its place in it, (N, 2), about -1..1."""

    strands: Array
    lock: np.ndarray
    place: Array


def gathered(strands: Array, habit: Habit, rng: np.random.Generator) -> Locks:
    """Gather strands (N, points, 2) into locks around some of them."""
    points = strands.shape[1]
    if not habit.count:
        middle = strands[:, points // 2].reshape(-1, ROPE, 2)
        place = (middle - middle.mean(1, keepdims=True)).reshape(-1, 2)
        place = place / max(float(np.abs(place).mean()) * 2, 1e-4)
        return Locks(strands, np.arange(len(strands)) // ROPE, np.clip(place, -1.5, 1.5).astype(np.float32))
    feature = strands[:, [0, points // 2, points - 1]].reshape(len(strands), 6)
    chosen = rng.choice(len(strands), habit.count, replace=False)
    guide = feature[chosen]
    far = (guide**2).sum(1) - 2 * feature @ guide.T
    lock = np.argmin(far, axis=1)
    leader = strands[chosen][lock]
    place = strands[:, points // 2] - leader[:, points // 2]
    place = place / max(float(np.abs(place).mean()) * 2, 1e-4)
    t = np.linspace(0, 1, points, dtype=np.float32)[None, :, None]
    joined = strands + (leader - strands) * (habit.hold * (0.1 + 0.9 * t))
    rise = rng.normal(0, habit.ragged, habit.count)[lock, None, None] + rng.normal(
        0, 0.3 * habit.ragged, (len(strands), 1, 1)
    )
    joined = joined + (joined - MIDDLE) * (rise * np.sin(np.pi * np.minimum(t * 0.9, 0.9)))
    return Locks(joined.astype(np.float32), lock, np.clip(place, -1.5, 1.5).astype(np.float32))


def strays(strands: Array, count: int, rng: np.random.Generator) -> Array:
    """Return loose hairs (count, points, 2) that leave the others near their tips."""
    points = strands.shape[1]
    own = strands[rng.choice(len(strands), count)]
    t = np.linspace(0, 1, points, dtype=np.float32)[None, :, None]
    lift = np.abs(rng.normal(0, 0.055, (count, 1, 1))) * t * (1.6 - t)
    sway = rng.normal(0, 0.035, (count, 1, 2)) * t**2
    return np.asarray(own + (own - MIDDLE) * lift + sway, dtype=np.float32)


def twisted(guides: Array, radius: float, rng: np.random.Generator) -> Array:
    """Return ROPE strands wound about each of `guides` (N, points, 2): locs, (ROPE N, points, 2)."""
    count, points = guides.shape[:2]
    way = np.gradient(guides, axis=1)
    across = np.stack([-way[..., 1], way[..., 0]], -1)
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-5)
    t = np.linspace(0, 1, points)[None, None]
    turn = 2 * np.pi * (np.arange(ROPE)[None, :, None] / ROPE + 3.5 * t) + rng.uniform(0, 6, (count, 1, 1))
    offset = radius * np.sin(turn)[..., None] * across[:, None]
    return np.asarray((guides[:, None] + offset).reshape(-1, points, 2), dtype=np.float32)
