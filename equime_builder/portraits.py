"""Subjects and their portraits: what every source gives, and what the generators take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from equime_builder.profiles import Profile
from equime_loader.schema import GENDERS, RACES, age_group

SUBJECT_PATTERN = re.compile(r"[a-z0-9]{1,40}")
LANDMARKS = 478  # MediaPipe FaceLandmarker topology, irises included
NOBODY = "nobody"
PROBABILITIES = "probabilities"  # key of `Attributes.judged_by`: whose the probabilities are


@dataclass(frozen=True, slots=True)
class Attributes:
    """Apparent attributes of a subject, each with the one who judged it; None where nobody did.

    `judged_by` names the judge of `gender`, `race` and `age`, and under `PROBABILITIES` whose the probabilities are.

    Raises:
        ValueError: a word outside `GENDERS` or `RACES`, or an age outside 0..130.
    """

    gender: str | None = None
    race: str | None = None
    age: float | None = None
    judged_by: Mapping[str, str] = field(default_factory=dict)
    gender_probabilities: Mapping[str, float] | None = None
    race_probabilities: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        for name, value, words in (("gender", self.gender, GENDERS), ("race", self.race, RACES)):
            if value is not None and value not in words:
                raise ValueError(f"apparent {name} {value!r} must be one of {', '.join(words)}")
        if self.age is not None:
            age_group(self.age)

    def judge(self, attribute: str) -> str:
        """Who judged `gender`, `race` or `age`."""
        return self.judged_by.get(attribute, NOBODY)


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One identity of a plan.

    Attributes:
        subject: its name in keys, lower-case letters and digits. person: whom splits keep together.
        reference: file within the source's folder, or a seed. sha256: of the file, empty for drawn faces.
        crop: left, top and side of the square that is cut out of the picture, in its pixels.
        landmarks: (478, 2) float32 in pixels of the cut square at the profile's size, None for drawn faces.
    """

    subject: str
    person: str
    reference: str
    attributes: Attributes
    license: str
    sha256: str = ""
    crop: tuple[int, int, int] | None = None
    landmarks: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if not SUBJECT_PATTERN.fullmatch(self.subject):
            raise ValueError(f"subject={self.subject!r} must be lower-case letters and digits")


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A neutral face: `image` (size, size, 3) uint8 RGB, `landmarks` (478, 2) float32 pixels."""

    image: NDArray[np.uint8]
    landmarks: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Rejection:
    """One portrait or clip that is not in the dataset, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Survey:
    """Every candidate of a source: those that can be animated, and those that cannot.

    Attributes:
        reserve: further subjects, in the order in which they step in for clips that are refused.
        scores: the table of curation (`curation.table.COLUMNS`), None where portraits need none.
        shortfall: what was asked for and could not be met, with numbers.
    """

    subjects: tuple[Subject, ...]
    rejections: tuple[Rejection, ...]
    reserve: tuple[Subject, ...] = ()
    scores: pa.Table | None = None
    shortfall: str | None = None


class PortraitSource(Protocol):
    """Where portraits come from."""

    @property
    def name(self) -> str:
        """The source as labels, plans and the command line name it."""
        ...

    def options(self) -> dict[str, Any]:
        """What was chosen of the source, as plain JSON values: a plan keeps it, `requests.source_of` reads it back."""
        ...

    def fingerprint(self) -> str:
        """Changes when, and only when, the source's portraits or attributes change."""
        ...

    def survey(self, profile: Profile, seed: int) -> Survey:
        """Examine every candidate; a bad one costs itself, never the survey."""
        ...

    def portrait(self, subject: Subject, size: int) -> Portrait:
        """The subject's portrait.

        Raises:
            PortraitError: it is gone, or is not the picture that was planned with.
        """
        ...


class PortraitError(ValueError):
    """A portrait that cannot be used; the message says why, in words for the curator."""
