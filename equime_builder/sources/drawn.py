"""Source `procedural`: drawn faces. No photographs, no license, no download, any number of identities."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equime_builder.licenses import LICENSES
from equime_builder.portraits import Attributes, Portrait, Subject, Survey
from equime_builder.profiles import Marginals, Profile
from equime_builder.seeds import derive_seed, generator
from equime_loader.schema import AGE_GROUPS

JUDGE = "requested of the face generator"
YOUNGEST, OLDEST = 10, 85


@dataclass(frozen=True)
class ProceduralSource:
    """Faces drawn from seeds; apparent gender, race and age follow the profile's marginals exactly."""

    name: str = "procedural"

    def options(self) -> dict[str, Any]:
        return {}

    def fingerprint(self) -> str:
        """Digest of the code and data that draw: another drawing is another source."""
        folder = Path(__file__).parent / "procedural"
        digest = hashlib.sha256()
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".npz", ".csv"):
                digest.update(path.read_bytes())
        return digest.hexdigest()

    def survey(self, profile: Profile, seed: int) -> Survey:
        subjects, license = [], LICENSES[profile.license].name
        drawn = allot(profile.marginals, profile.subjects, seed)
        drawn += allot(profile.marginals, profile.acceptance.reserve, derive_seed(seed, "reserve"))
        for number, (gender, race, group) in enumerate(drawn):
            face_seed = derive_seed(seed, "face", number)
            low, high = AGE_GROUPS[group]
            age = int(generator(face_seed, "age").integers(max(low, YOUNGEST), min(high, OLDEST) + 1))
            attributes = Attributes(gender, race, float(age), dict.fromkeys(("gender", "race", "age"), JUDGE))
            name = f"p{number:05d}"
            subjects.append(Subject(name, name, str(face_seed), attributes, license))
        count = profile.subjects
        return Survey(tuple(subjects[:count]), (), tuple(subjects[count:]))

    def portrait(self, subject: Subject, size: int) -> Portrait:
        from equime_builder.sources.procedural import draw_face, render_face

        attributes = subject.attributes
        assert attributes.gender is not None
        assert attributes.race is not None
        assert attributes.age is not None
        face = draw_face(
            seed=int(subject.reference), gender=attributes.gender, race=attributes.race, age=int(attributes.age)
        )
        image, landmarks = render_face(face, size=size)
        return Portrait(image, landmarks[:, :2])


def allot(marginals: Marginals, count: int, seed: int) -> list[tuple[str, str, str]]:
    """Gender, race and age group of `count` subjects, in an order drawn from the seed.

    Each marginal is met to within one subject, and gender is balanced within each race as far as counts allow.
    """
    races = _quota(marginals.race, count)
    genders = _quota(marginals.gender, count)
    ages = _quota(marginals.age, count)
    cells: list[tuple[str, str]] = []
    left = dict(genders)
    for race, number in races.items():
        if not number:
            continue
        # What is left is never less than what its share rounds up to, so the totals come out exactly.
        for gender, part in _quota(left, number).items():
            cells += [(gender, race)] * part
            left[gender] -= part
    rng = generator(seed, "allot")
    spread = _spread(ages, len(cells))
    # Shifting the ages by a drawn amount keeps them spread evenly over the cells without tying a group to a cell.
    shift = int(rng.integers(max(1, len(cells))))
    rows = [(gender, race, spread[(index + shift) % len(spread)]) for index, (gender, race) in enumerate(cells)]
    return [rows[index] for index in rng.permutation(len(rows))]


def _quota(weights: Mapping[str, float], count: int) -> dict[str, int]:
    """Whole numbers that add up to `count`, each within one of its share (largest remainder)."""
    total = sum(weights.values())
    exact = {word: count * weight / total for word, weight in weights.items()}
    quota = {word: int(value) for word, value in exact.items()}
    by_remainder = sorted(exact, key=lambda word: quota[word] - exact[word])
    for word in itertools.islice(by_remainder, count - sum(quota.values())):
        quota[word] += 1
    return quota


def _spread(quota: Mapping[str, int], count: int) -> list[str]:
    """A sequence with the quota's counts in which each word recurs as evenly as it can."""
    places = [((index + 0.5) / amount, word) for word, amount in quota.items() for index in range(amount)]
    return [word for _, word in sorted(places)][:count]
