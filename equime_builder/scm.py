"""The structural causal model of a clip: Z (Action Units) causes Y (label) and, with Y, X (video).

    Z  ~ P(AU | emotion, profile), with intensity, side and timing
    Y  = f(Z) + e_Y                 the label that the AUs themselves speak for
    X  = G(Z, portrait) + e_X       e_X: head sway, blink, sensor noise

Every exogenous draw has a seed of its own, so `do` changes what it names and what follows from it, nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from equime_builder.facs import (
    ACTION_UNITS,
    AU_COLUMN,
    AUS,
    EMOTION_TABLES,
    EXCLUSIVE,
    EXPRESSIVE_AUS,
    MAX_INTENSITY,
    SIDE_PREFIX,
    SIDES,
    Side,
    au_sets,
)
from equime_builder.profiles import Event, Profile
from equime_builder.seeds import generator
from equime_loader.schema import EMOTIONS, NEUTRAL

# Share of the clip that stays neutral before the onset and after the offset: what a baseline is measured on.
LEAD, TAIL = 0.18, 0.12
# P(AU | emotion) is bounded away from 0 and 1: a coder's table is a sample, so no AU is impossible in an emotion.
PROBABILITY_FLOOR = 0.02
BLINK_CLOSE_S, BLINK_OPEN_S, BLINK_GAP_S = 0.07, 0.13, 0.05

# An ablation sets an intensity only where the change is at least this share of the profile's intensity range.
NOTICEABLE = 0.15

# Intensity of MEs. SAMM codes A27 B26 C16 D5 E4 by rank among its own clips, while measured ME motion is 0.10-0.35 of
# an AU's full scale (CASME II flow, MiE-X's draw). The ranks are therefore spread over the profile's intensity range.
_RANK_QUANTILES = np.array([0.0, 27, 53, 69, 74, 78]) / 78
_RANK_POSITIONS = np.array([0.0, 0.3, 0.55, 0.8, 0.9, 1.0])


@dataclass(frozen=True, slots=True)
class Activation:
    """One AU of a program: peak intensity on the 0-5 scale and the side (the subject's) that acts."""

    au: int
    intensity: float
    side: Side = "both"

    def __post_init__(self) -> None:
        if self.au not in EXPRESSIVE_AUS:
            raise ValueError(f"au={self.au} is not an expressive AU; known: {', '.join(map(str, EXPRESSIVE_AUS))}")
        if not 0 < self.intensity <= MAX_INTENSITY:
            raise ValueError(f"AU{self.au}: intensity={self.intensity} must be above 0 and at most {MAX_INTENSITY}")
        _check_side(self.au, self.side)


def _check_side(au: int, side: Side) -> None:
    if side not in SIDES:
        raise ValueError(f"AU{au}: side={side!r} must be one of {', '.join(SIDES)}")
    if side != "both" and not ACTION_UNITS[au].lateral:
        raise ValueError(f"AU{au} acts on both sides; side={side!r} must be 'both'")


@dataclass(frozen=True, slots=True)
class Timing:
    """Frames of the event: zero up to `onset`, full from `apex` to `hold`, zero again from `offset`."""

    onset: int
    apex: int
    hold: int
    offset: int
    frames: int
    fps: float

    def __post_init__(self) -> None:
        if not 0 <= self.onset < self.apex <= self.hold < self.offset < self.frames:
            raise ValueError(f"{self} must satisfy 0 <= onset < apex <= hold < offset < frames")

    def milliseconds(self, frame: int) -> float:
        return 1000.0 * frame / self.fps


@dataclass(frozen=True, slots=True)
class Program:
    """An expression program: which AUs act (sorted by number, each once), and when."""

    activations: tuple[Activation, ...]
    timing: Timing

    def __post_init__(self) -> None:
        aus = [activation.au for activation in self.activations]
        if aus != sorted(set(aus)):
            raise ValueError(f"activations={aus} must be sorted by AU, each AU once")
        for pair in EXCLUSIVE:
            if pair <= set(aus):
                raise ValueError(f"AUs {sorted(pair)} exclude each other")


@dataclass(frozen=True, slots=True, eq=False)
class Nuisance:
    """e_X: `sway` (T, 3) float32 as x px, y px, radians; first frame of a blink or None; sensor noise."""

    sway: NDArray[np.float32]
    blink: int | None
    noise_seed: int
    noise_sigma: float


def sample_aus(table: str, emotion: str, u: float) -> tuple[int, ...]:
    """AU set at quantile `u` in [0, 1) of the emotion's table."""
    sets, weights = zip(*au_sets(table, emotion), strict=True)
    cumulative = np.cumsum(weights) / math.fsum(weights)
    aus: tuple[int, ...] = sets[min(int(np.searchsorted(cumulative, u, side="right")), len(sets) - 1)]
    return aus


def sample_timing(profile: Profile, seed: int) -> Timing:
    """Onset, apex and offset: total ~ truncated normal, relative apex ~ Beta, plateau uniform, start uniform."""
    rng, event, fps, frames = generator(seed, "timing"), profile.event, profile.fps, profile.frames
    total_ms = _truncated_normal(rng.random(), event)
    position, plateau_ms = rng.beta(*event.apex_beta), rng.uniform(0, event.plateau_ms)
    shortest, longest = event.frame_bounds(fps)
    total = min(max(round(total_ms * fps / 1000), shortest), longest)
    rise = min(max(round(position * total), 1), total - 1)
    hold = min(round(plateau_ms * fps / 1000), total - 1 - rise)
    first, last = math.ceil(LEAD * frames), frames - math.ceil(TAIL * frames) - total
    onset = int(rng.integers(first, last + 1))
    return Timing(onset, onset + rise, onset + rise + hold, onset + total, frames, fps)


def _truncated_normal(u: float, event: Event) -> float:
    """Duration in ms at quantile `u` in [0, 1). By inversion: rejection may never end where the range is narrow."""
    normal = NormalDist(event.mean_ms, event.sd_ms)
    low, high = normal.cdf(event.shortest_ms), normal.cdf(event.longest_ms)
    p = low + (high - low) * u
    total_ms = normal.inv_cdf(p) if 0 < p < 1 else event.mean_ms
    return min(max(total_ms, event.shortest_ms), event.longest_ms)


def sample_program(profile: Profile, emotion: str, seed: int) -> Program:
    """Draw Z for one clip. A pure function of its arguments.

    Raises:
        ValueError: the profile's table does not know the emotion.
    """
    table = EMOTION_TABLES[profile.au_table]
    if emotion not in table.probabilities:
        raise ValueError(f"{emotion=} is not in AU table {table.name!r}; known: {', '.join(table.probabilities)}")
    aus = sample_aus(table.name, emotion, float(generator(seed, "aus").random()))
    sided = generator(seed, "side").random(2)
    one_side: Side = "left" if sided[1] < 0.5 else "right"
    side: Side = one_side if sided[0] < table.unilateral[emotion] else "both"
    ranks = np.interp(generator(seed, "intensity").random(len(AUS)), _RANK_QUANTILES, _RANK_POSITIONS)
    low, high = profile.intensity
    activations = tuple(
        Activation(
            au,
            round(float(low + (high - low) * ranks[AU_COLUMN[au]]), 3),
            side if ACTION_UNITS[au].lateral else "both",
        )
        for au in aus
    )
    return Program(activations, sample_timing(profile, seed))


def do(program: Program, au: int, intensity: float, *, side: Side | None = None) -> Program:
    """Intervene: ``do(program, 12, 0)`` removes AU12, any other intensity sets it. Timing and other AUs stay.

    Args:
        side: the side for an AU that is set; by default the side it had, or both.

    Raises:
        ValueError: unknown AU, intensity outside 0..5, a side for an AU that has none, or an AU that excludes one
            which acts.
    """
    if au not in EXPRESSIVE_AUS:
        raise ValueError(f"{au=} is not an expressive AU; known: {', '.join(map(str, EXPRESSIVE_AUS))}")
    if side is not None:
        _check_side(au, side)
    old = next((activation for activation in program.activations if activation.au == au), None)
    others = [activation for activation in program.activations if activation.au != au]
    if intensity != 0:
        others.append(Activation(au, intensity, side or (old.side if old else "both")))
    return replace(program, activations=tuple(sorted(others, key=lambda activation: activation.au)))


@dataclass(frozen=True, slots=True)
class Intervention:
    """What `do` is told of one AU; intensity 0 removes it.

    Reads as ``do(AU12=0)``, ``do(AU12=1.8)`` or, where the subject's left side alone acts, ``do(AU12=L1.8)``.
    """

    au: int
    intensity: float
    side: Side = "both"

    def __str__(self) -> str:
        return f"do(AU{self.au}={SIDE_PREFIX[self.side]}{self.intensity:g})"

    def apply(self, program: Program) -> Program:
        """The program after the intervention; `ValueError` as `do` raises it."""
        return do(program, self.au, self.intensity, side=self.side)


def interventions(program: Program, profile: Profile) -> tuple[Intervention, ...]:
    """All distinct changes of one acting AU: without it, at another point of the intensity range, on other sides.

    The last AU is never removed. The points are the ends and the middle of the range, where they differ from the AU's
    own intensity by `NOTICEABLE` of it.
    """
    low, high = profile.intensity
    points = [round(point, 3) for point in (low, (low + high) / 2, high)]
    found: list[Intervention] = []
    for activation in program.activations:
        au, own, side = activation.au, activation.intensity, activation.side
        if len(program.activations) > 1:
            found.append(Intervention(au, 0.0))
        found += [Intervention(au, point, side) for point in points if abs(point - own) >= NOTICEABLE * (high - low)]
        if ACTION_UNITS[au].lateral:
            found += [Intervention(au, own, other) for other in SIDES if other != side]
    return tuple(found)


def intervention(program: Program, profile: Profile, number: int, seed: int) -> Intervention:
    """The change of the `number`-th ablated clip, from 1: `interventions` in an order drawn from the seed.

    Raises:
        ValueError: the program has fewer changes than that.
    """
    possible = interventions(program, profile)
    if not 1 <= number <= len(possible):
        raise ValueError(f"{number=} must lie within 1..{len(possible)}, the changes that the program has")
    return possible[int(generator(seed, "intervention").permutation(len(possible))[number - 1])]


def evidence(program: Program, table: str) -> NDArray[np.float64]:
    """Log-likelihood of the program's AU set and side under each of `EMOTIONS` (naive Bayes over the table)."""
    emotion_table = EMOTION_TABLES[table]
    active = {activation.au for activation in program.activations}
    lateral = [activation for activation in program.activations if ACTION_UNITS[activation.au].lateral]
    one_sided = any(activation.side != "both" for activation in lateral)

    def bounded(p: float) -> float:
        return min(max(p, PROBABILITY_FLOOR), 1 - PROBABILITY_FLOOR)

    def log_likelihood(emotion: str) -> float:
        probabilities = emotion_table.probabilities[emotion]
        terms = (bounded(probabilities.get(au, 0.0)) for au in EXPRESSIVE_AUS)
        score = sum(math.log(p if au in active else 1 - p) for au, p in zip(EXPRESSIVE_AUS, terms, strict=True))
        if lateral:
            p = bounded(emotion_table.unilateral[emotion])
            score += math.log(p if one_sided else 1 - p)
        return score

    return np.array([log_likelihood(emotion) for emotion in EMOTIONS])


def derive_label(program: Program, profile: Profile, seed: int) -> str:
    """Y = f(Z) + e_Y: the emotion with most evidence, plus Gumbel noise of scale `profile.label_noise`.

    Scale 0 is the deterministic f; scale 1 draws from the posterior, as coders who disagree do. An empty program is
    neutral.
    """
    if not program.activations:
        return NEUTRAL
    noise = generator(seed, "label").gumbel(size=len(EMOTIONS))
    return EMOTIONS[int(np.argmax(evidence(program, profile.au_table) + profile.label_noise * noise))]


def envelope(timing: Timing) -> NDArray[np.float32]:
    """(T,) float32 in [0, 1]: raised-cosine rise, plateau, a decay that slows toward the offset.

    Exactly 0 up to the onset and from the offset on, exactly 1 from apex to hold.
    """
    t = np.arange(timing.frames, dtype=np.float64)
    rise = np.clip((t - timing.onset) / (timing.apex - timing.onset), 0, 1)
    fall = np.clip((t - timing.hold) / (timing.offset - timing.hold), 0, 1)
    up, down = 0.5 - 0.5 * np.cos(np.pi * rise), 0.5 + 0.5 * np.cos(np.pi * fall**0.8)
    down[timing.offset :] = 0.0
    return np.minimum(up, down).astype(np.float32)


def blink_envelope(start: int, frames: int, fps: float) -> NDArray[np.float32]:
    """(T,) float32 in [0, 1] of a blink that starts closing at frame `start`: fast down, slower up."""
    t = (np.arange(frames) - start) / fps
    closing, opening = np.clip(t / BLINK_CLOSE_S, 0, 1), np.clip((t - BLINK_CLOSE_S) / BLINK_OPEN_S, 0, 1)
    curve = (0.5 - 0.5 * np.cos(np.pi * closing)) * (0.5 + 0.5 * np.cos(np.pi * opening))
    curve[t >= BLINK_CLOSE_S + BLINK_OPEN_S] = 0.0
    return curve.astype(np.float32)


def sided_curves(program: Program, nuisance: Nuisance | None = None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """AU intensities over time for the subject's left and right half: two (T, len(AUS)) float32 arrays, 0..5."""
    shape = (program.timing.frames, len(AUS))
    left, right = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    event = envelope(program.timing)
    for activation in program.activations:
        curve = np.float32(activation.intensity) * event
        for half, other in ((left, "right"), (right, "left")):
            if activation.side != other:
                half[:, AU_COLUMN[activation.au]] = curve
    if nuisance is not None and nuisance.blink is not None:
        blink = np.float32(MAX_INTENSITY) * blink_envelope(nuisance.blink, program.timing.frames, program.timing.fps)
        left[:, AU_COLUMN[45]] = right[:, AU_COLUMN[45]] = blink
    return left, right


def sample_nuisance(profile: Profile, timing: Timing, seed: int) -> Nuisance:
    """Draw e_X: slow head sway that starts at rest, a blink outside the event or none, a noise seed."""
    rng, frames, fps = generator(seed, "sway"), timing.frames, timing.fps
    t = np.arange(frames) / fps
    frequency, phase = rng.uniform(0.15, 0.9, (3, 3)), rng.uniform(0, 2 * np.pi, (3, 3))
    waves = np.sin(2 * np.pi * frequency[..., None] * t + phase[..., None]).sum(axis=1) / 3
    waves -= waves[:, :1]
    amplitude = profile.sway_px * profile.size / 256
    # A pixel of sway at a lever of a third of the picture, as an angle.
    scale = np.array([amplitude, amplitude, amplitude / (profile.size / 3)])
    return Nuisance(
        (waves * scale[:, None]).T.astype(np.float32),
        _blink_start(profile, timing, seed),
        int(generator(seed, "noise").integers(2**31)),
        profile.noise_sigma,
    )


def _blink_start(profile: Profile, timing: Timing, seed: int) -> int | None:
    rng = generator(seed, "blink")
    length = math.ceil((BLINK_CLOSE_S + BLINK_OPEN_S) * timing.fps)
    gap = math.ceil(BLINK_GAP_S * timing.fps)
    tail = math.ceil(TAIL / 2 * timing.frames)
    starts = [
        *range(1, timing.onset - gap - length),
        *range(timing.offset + gap, timing.frames - tail - length),
    ]
    if rng.random() >= profile.blink_probability or not starts:
        return None
    return int(starts[int(rng.integers(len(starts)))])
