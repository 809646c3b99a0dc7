"""Profiles: what a dataset is to be. The shipped ones lie in `equime_builder/data/profiles/`.

A TOML file can define one.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from equime_builder.audit.thresholds import Thresholds
from equime_builder.curation.thresholds import Curation, check_weights
from equime_builder.facs import ACTION_UNITS, EMOTION_TABLES, MAX_INTENSITY, au_sets
from equime_builder.licenses import DEFAULT_LICENSE, LICENSES
from equime_builder.typed import construct
from equime_loader.schema import EMOTIONS, GENDERS, RACES, SPLITS

LONGEST_ME_MS = 500.0  # Yan et al. 2013: an ME lasts at most half a second
LEAST_INTENSITY = 0.01  # intensities are given to three decimals
LEAST_RANGE = 0.1  # of intensity, where AUs are moved inside it: less is less than the scale tells
NEUTRAL_SHARE = 0.32  # of the clip, before onset and after offset together, with room to place the event


@dataclass(frozen=True, slots=True)
class Event:
    """Statistics of an event: total duration ~ N(mean, sd) on [shortest, longest] ms; relative apex ~ Beta."""

    mean_ms: float = 370.0
    sd_ms: float = 95.0
    shortest_ms: float = 120.0
    longest_ms: float = 500.0
    plateau_ms: float = 60.0
    apex_beta: tuple[float, float] = (3.2, 3.5)

    def __post_init__(self) -> None:
        if not 0 < self.shortest_ms < self.longest_ms <= LONGEST_ME_MS:
            raise ValueError(
                f"event.shortest_ms={self.shortest_ms}, event.longest_ms={self.longest_ms} must satisfy "
                f"0 < shortest < longest <= {LONGEST_ME_MS}: a longer event is not a micro-expression"
            )
        if not self.shortest_ms <= self.mean_ms <= self.longest_ms:
            raise ValueError(f"event.mean_ms={self.mean_ms} must lie within {self.shortest_ms}..{self.longest_ms} ms")
        if not 0 < self.sd_ms <= 10_000:
            raise ValueError(f"event.sd_ms={self.sd_ms} must be above 0 and at most 10000")
        if not 0 <= self.plateau_ms <= self.longest_ms:
            raise ValueError(f"event.plateau_ms={self.plateau_ms} must lie within 0..{self.longest_ms} ms")
        if not all(0.1 <= parameter <= 100 for parameter in self.apex_beta):
            raise ValueError(f"event.apex_beta={self.apex_beta} must lie within 0.1..100")

    def frame_bounds(self, fps: float) -> tuple[int, int]:
        """Fewest and most frames of an event at a frame rate."""
        return max(2, math.ceil(self.shortest_ms * fps / 1000)), math.floor(self.longest_ms * fps / 1000)


@dataclass(frozen=True, slots=True)
class Video:
    """H.264 settings: constant rate factor (lower is better) and x264 preset."""

    crf: int = 8
    preset: str = "medium"

    def __post_init__(self) -> None:
        if not 0 <= self.crf <= 40:
            raise ValueError(f"video.crf={self.crf} must lie within 0..40")
        presets = (
            "ultrafast",
            "superfast",
            "veryfast",
            "faster",
            "fast",
            "medium",
            "slow",
            "slower",
            "veryslow",
        )
        if self.preset not in presets:
            raise ValueError(f"video.preset={self.preset!r} must be one of {', '.join(presets)}")


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What happens to clips that do not show their label.

    Attributes:
        attempts: how often a clip is drawn at most.
        keep_best: whether the best of the refused attempts stays, with its verdict in its labels; else none does.
        reserve: extra subjects that are held back, to perform what refused clips should have shown.
    """

    attempts: int = 3
    keep_best: bool = False
    reserve: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 100:
            raise ValueError(f"acceptance.attempts={self.attempts} must lie within 1..100")
        if not 0 <= self.reserve <= 1_000_000:
            raise ValueError(f"acceptance.reserve={self.reserve} must lie within 0..1000000")


@dataclass(frozen=True, slots=True)
class Marginals:
    """Wanted shares of apparent gender, race and age group among drawn subjects; any positive weights.

    No minors are drawn unless a profile asks for them.
    """

    gender: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(GENDERS, 1.0))
    race: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(RACES, 1.0))
    age: Mapping[str, float] = field(
        default_factory=lambda: {"20-29": 0.25, "30-39": 0.25, "40-49": 0.2, "50-59": 0.15, "60+": 0.15}
    )

    def __post_init__(self) -> None:
        for name, weights in (("gender", self.gender), ("race", self.race), ("age", self.age)):
            check_weights(f"marginals.{name}", name, weights)


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything that a plan needs to know besides portraits and a seed.

    Attributes:
        follows: which published statement the profile follows, since they contradict each other.
        size: width and height in pixels. frames, fps: length and rate of every clip.
        subjects: how many identities by default; sequences: clips per subject and emotion.
        intensity: range of peak AU intensity on the 0-5 scale.
        label_noise: scale of e_Y. sway_px: head sway at 256 px. noise_sigma: sensor noise in gray levels.
        shared_program_subjects: that many subjects perform the same programs (1: nobody shares).
        ablations: extra clips per sequence with one AU changed by `do`, each in its own way.
        split: shares of subjects for train, validation, test.
        shard_samples: samples per shard.
        license: of the dataset, by the Hub's name; none allows commercial use.
    """

    name: str
    follows: str
    size: int = 256
    fps: float = 100.0
    frames: int = 128
    emotions: tuple[str, ...] = EMOTIONS
    au_table: str = "corpora"
    subjects: int = 48
    sequences: int = 1
    intensity: tuple[float, float] = (1.2, 1.8)
    label_noise: float = 0.0
    sway_px: float = 0.1
    blink_probability: float = 0.1
    noise_sigma: float = 0.4
    shared_program_subjects: int = 4
    ablations: int = 0
    split: tuple[float, float, float] = (0.7, 0.15, 0.15)
    shard_samples: int = 64
    event: Event = Event()
    video: Video = Video()
    acceptance: Acceptance = Acceptance()
    audit: Thresholds = field(default_factory=Thresholds)
    marginals: Marginals = field(default_factory=Marginals)
    curation: Curation = field(default_factory=Curation)
    license: str = DEFAULT_LICENSE

    def __post_init__(self) -> None:
        _check_vocabulary(self)
        _check_numbers(self)
        _check_room(self)
        _check_ablations(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `profile_from_dict` reads them back."""
        return dict(json.loads(json.dumps(asdict(self))))


def _check_vocabulary(profile: Profile) -> None:
    unknown = [emotion for emotion in profile.emotions if emotion not in EMOTIONS]
    if unknown or not profile.emotions or len(set(profile.emotions)) != len(profile.emotions):
        raise ValueError(
            f"emotions={', '.join(profile.emotions) or 'none'}: each must be one of {', '.join(EMOTIONS)}, once"
            + (f" (unknown: {', '.join(unknown)})" if unknown else "")
        )
    if profile.au_table not in EMOTION_TABLES:
        raise ValueError(f"au_table={profile.au_table!r} must be one of {', '.join(EMOTION_TABLES)}")
    if profile.license not in LICENSES:
        raise ValueError(f"license={profile.license!r} must be one of {', '.join(LICENSES)}: none for commercial use")


def _check_numbers(profile: Profile) -> None:
    low, high = profile.intensity
    laws = (
        (
            profile.size % 16 == 0 and 64 <= profile.size <= 1024,
            "size",
            profile.size,
            "a multiple of 16 in 64..1024",
        ),
        (
            12 <= profile.fps <= 500 and profile.fps == int(profile.fps),
            "fps",
            profile.fps,
            "a whole number within 12..500",
        ),
        (profile.frames <= 5000, "frames", profile.frames, "at most 5000"),
        (1 <= profile.subjects <= 1_000_000, "subjects", profile.subjects, "within 1..1000000"),
        (1 <= profile.sequences <= 999, "sequences", profile.sequences, "within 1..999"),
        (
            LEAST_INTENSITY <= low <= high <= MAX_INTENSITY,
            "intensity",
            profile.intensity,
            f"{LEAST_INTENSITY} <= low <= high <= {MAX_INTENSITY}",
        ),
        (0 <= profile.label_noise <= 10, "label_noise", profile.label_noise, "within 0..10"),
        (0 <= profile.sway_px <= 2, "sway_px", profile.sway_px, "within 0..2: more reads as head motion"),
        (0 <= profile.blink_probability <= 1, "blink_probability", profile.blink_probability, "within 0..1"),
        (0 <= profile.noise_sigma <= 8, "noise_sigma", profile.noise_sigma, "within 0..8"),
        (
            1 <= profile.shared_program_subjects <= 10_000,
            "shared_program_subjects",
            profile.shared_program_subjects,
            "within 1..10000",
        ),
        (profile.ablations >= 0, "ablations", profile.ablations, "0 or more"),
        (
            profile.sequences * (1 + profile.ablations) <= 1000,
            "sequences * (1 + ablations)",
            profile.sequences * (1 + profile.ablations),
            "at most 1000: keys number the clips of a subject and emotion with three digits",
        ),
        (
            high - low >= LEAST_RANGE or not profile.ablations,
            "intensity",
            profile.intensity,
            f"a range of at least {LEAST_RANGE} where there are ablations, which move AUs inside it",
        ),
        (1 <= profile.shard_samples <= 5000, "shard_samples", profile.shard_samples, "within 1..5000"),
        (
            len(profile.split) == len(SPLITS) and min(profile.split) >= 0 and abs(sum(profile.split) - 1) < 1e-6,
            "split",
            profile.split,
            f"{len(SPLITS)} shares ({', '.join(SPLITS)}) that add up to 1",
        ),
    )
    for holds, name, value, bound in laws:
        if not holds:
            raise ValueError(f"{name}={value} must be {bound}")


def _check_room(profile: Profile) -> None:
    shortest, longest = profile.event.frame_bounds(profile.fps)
    if longest < shortest:
        raise ValueError(
            f"fps={profile.fps}: an event of at most {profile.event.longest_ms} ms has no two frames to move in"
        )
    least = math.ceil(longest / (1 - NEUTRAL_SHARE)) + 2
    if profile.frames < least:
        raise ValueError(
            f"frames={profile.frames} must be at least {least} at {profile.fps:g} fps: an event of up to "
            f"{profile.event.longest_ms:g} ms needs neutral frames before and after it"
        )


def _check_ablations(profile: Profile) -> None:
    most, emotion, aus = min(
        (_fewest_changes(aus), emotion, aus)
        for emotion in profile.emotions
        for aus, _ in au_sets(profile.au_table, emotion)
    )
    if profile.ablations > most:
        acts = " and ".join(f"AU{au}" for au in aus)
        raise ValueError(
            f"ablations={profile.ablations} must lie within 0..{most}: a program of {emotion} may be just {acts}, "
            f"which can be changed in {most} ways (AU table {profile.au_table!r})"
        )


def _fewest_changes(aus: tuple[int, ...]) -> int:
    """How many single changes `scm.interventions` finds for these AUs at least, at whatever intensities.

    Of the low, middle and high point of the range an intensity can be near one only; each of several AUs can be
    removed; a lateral AU has two other sides.
    """
    removals = len(aus) if len(aus) > 1 else 0
    return removals + sum(4 if ACTION_UNITS[au].lateral else 2 for au in aus)


def profile_from_dict(table: Mapping[str, Any], *, where: str) -> Profile:
    """Build a profile from plain values.

    Raises:
        ValueError: an unknown key, a value of the wrong kind or out of bounds; the message names `where` and the key.
    """
    try:
        profile: Profile = construct(Profile, table)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return profile


def shipped_profiles() -> list[str]:
    """Names of the profiles that come with the package."""
    folder = resources.files("equime_builder") / "data" / "profiles"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_profile(name_or_path: str, **overrides: Any) -> Profile:
    """A shipped profile by name, or one from a TOML file, with some values replaced (None replaces nothing).

    A dot leads into a section: ``load_profile("micro", **{"acceptance.reserve": 6})``.

    Raises:
        ValueError: no such profile, not TOML, or values that a profile cannot have.
    """
    if name_or_path in shipped_profiles():
        shipped = resources.files("equime_builder") / "data" / "profiles" / f"{name_or_path}.toml"
        text, where = shipped.read_text(encoding="utf-8"), name_or_path
    else:
        path = Path(name_or_path)
        if path.suffix != ".toml" or not path.is_file():
            raise ValueError(
                f"profile {name_or_path!r} is neither shipped ({', '.join(shipped_profiles())}) nor a .toml file"
            )
        try:
            text, where = path.read_text(encoding="utf-8"), str(path)
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where}: not valid TOML: {error}") from error
    profile = profile_from_dict(table, where=f"profile {where}")
    changes = {key: value for key, value in overrides.items() if value is not None}
    if not changes:
        return profile
    try:
        changed: Profile = construct(Profile, _replaced(profile.to_dict(), changes))
    except ValueError as error:
        if str(error).partition("=")[0] in profile.to_dict().keys() - changes.keys():  # of the file, beside the changes
            raise ValueError(f"profile {where}: {error}") from error
        raise
    return changed


def _replaced(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Values with some replaced, those of sections by ``section.name``."""
    result = dict(values)
    for key, value in changes.items():
        section, dot, name = key.partition(".")
        result[section] = {**result[section], name: value} if dot else value
    return result
