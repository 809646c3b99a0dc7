"""What an estimator takes and gives, and how its word is joined with a source's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from equime_builder.portraits import PROBABILITIES, Attributes
from equime_loader.schema import GENDERS, RACES

# Expressions that estimators tell apart.
EXPRESSIONS: tuple[str, ...] = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
FACE_SIZE = 512  # pixels of the square that an estimator is shown
_WORDS = {"gender": GENDERS, "race": RACES, "expression": EXPRESSIONS}
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A portrait as an estimator is shown it.

    Attributes:
        reference: its name in the source. sha256: of its file.
        image: (`FACE_SIZE`, `FACE_SIZE`, 3) uint8 RGB, the square that frames the face.
        landmarks: (478, 2) float32 in its pixels.
    """

    reference: str
    sha256: str
    image: NDArray[np.uint8]
    landmarks: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Apparent attributes by an estimator; None where it says nothing. Probabilities are by word and add up to 1.

    Raises:
        ValueError: a word that is none, an age outside 0..130, or probabilities that are none.
    """

    by: str
    gender: str | None = None
    race: str | None = None
    age: float | None = None
    gender_probabilities: Mapping[str, float] | None = None
    race_probabilities: Mapping[str, float] | None = None
    expression_probabilities: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        Attributes(self.gender, self.race, self.age)
        for name, words in _WORDS.items():
            given = getattr(self, f"{name}_probabilities")
            if given is None:
                continue
            sound = set(given) == set(words) and all(0 <= value <= 1 for value in given.values())
            if not sound or abs(sum(given.values()) - 1) > _SUM_TOLERANCE:
                raise ValueError(f"{self.by}: {name} probabilities {dict(given)} must be one for each of {words}")

    @property
    def neutral(self) -> float | None:
        """Probability that the face shows no expression: a hint, no label."""
        return None if self.expression_probabilities is None else self.expression_probabilities["neutral"]


class Estimator(Protocol):
    """Estimates attributes of faces, many at a time."""

    @property
    def name(self) -> str:
        """Who judges, as labels name it: with version and engine."""
        ...

    @property
    def batch(self) -> int:
        """How many faces it takes at a time."""
        ...

    def estimate(self, faces: Sequence[Face]) -> list[Estimate]:
        """An estimate of each face; one without words where it says nothing of it."""
        ...


def joined(declared: Attributes, estimate: Estimate | None) -> Attributes:
    """What a source declares, completed by an estimate, whose probabilities are kept beside it.

    The source's word wins: it was judged by people who saw the portrait, or asked the person.
    """
    if estimate is None:
        return declared
    judged_by = dict(declared.judged_by)
    completed: dict[str, str | float | None] = {}
    for name in ("gender", "race", "age"):
        completed[name] = getattr(declared, name)
        if completed[name] is None and getattr(estimate, name) is not None:
            completed[name] = getattr(estimate, name)
            judged_by[name] = estimate.by
    probabilities = {
        name: given for name in ("gender_probabilities", "race_probabilities") if (given := getattr(estimate, name))
    }
    if probabilities:
        judged_by[PROBABILITIES] = estimate.by
    return replace(declared, **completed, **probabilities, judged_by=judged_by)  # type: ignore[arg-type]
