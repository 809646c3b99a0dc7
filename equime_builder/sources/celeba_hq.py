"""Source `celeba-hq`: a CelebAMask-HQ folder, with selection by its 40 attributes.

Layout: ``CelebA-HQ-img/0.jpg …`` and the attribute annotation, either ``CelebAMask-HQ-attribute-anno.txt`` (a count,
a line of names, then file and values) or the same as CSV. Where ``CelebA-HQ-to-CelebA-mapping.txt`` and CelebA's
``identity_CelebA.txt`` lie in the folder, pictures of one person share an identity.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equime_builder.curation.thresholds import check_selection
from equime_builder.portraits import Attributes, PortraitError, Rejection
from equime_builder.profiles import Profile
from equime_builder.seeds import derive_seed
from equime_builder.sources.photographs import Candidate, PhotographSource, Pool, fingerprint

IMAGES = "CelebA-HQ-img"
ANNOTATIONS = ("CelebAMask-HQ-attribute-anno.txt", "CelebAMask-HQ-attribute-anno.csv")
MAPPING, IDENTITIES = "CelebA-HQ-to-CelebA-mapping.txt", "identity_CelebA.txt"
LICENSE = "CelebAMask-HQ: non-commercial research and educational use only"


@dataclass(frozen=True)
class CelebAHQSource(PhotographSource):
    """Pictures of `root` whose attributes equal `select` (each 1 or -1), at most `limit` of them.

    Attributes:
        select: None for the profile's `curation.select`.
    """

    select: Mapping[str, int] | None = None
    name: str = "celeba-hq"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_selection("select", self.select or {})

    def options(self) -> dict[str, Any]:
        made = self.curation.sha256 if self.curation else None
        return {"select": None if self.select is None else dict(self.select), "limit": self.limit, "curation": made}

    def _annotation(self) -> Path:
        for name in ANNOTATIONS:
            if (self.root / IMAGES).is_dir() and (self.root / name).is_file():
                return self.root / name
        raise PortraitError(f"{self.root}: needs {IMAGES}/ and one of {', '.join(ANNOTATIONS)}")

    def _pictures(self) -> list[str]:
        return sorted(path.name for path in (self.root / IMAGES).glob("*.jpg"))

    def fingerprint(self) -> str:
        annotation = self._annotation()
        files = [f"{IMAGES}/{name}" for name in self._pictures()]
        people = sorted(read_people(self.root).items())
        return fingerprint(self.root, files, f"{annotation.read_bytes().hex()}|{people}")

    def pool(self, profile: Profile, seed: int) -> Pool:
        """Every picture that is selected, in an order drawn from the seed: the numbering may not be random.

        Raises:
            PortraitError: no such folder, an annotation that cannot be read, or an attribute that it lacks.
        """
        select = profile.curation.select if self.select is None else self.select
        annotation = self._annotation()
        table, faults = read_annotation(annotation)
        known = next(iter(table.values()), {})
        for name in select:
            if table and name not in known:
                raise PortraitError(f"{annotation.name} has no attribute {name!r}; it has: {', '.join(known)}")
        people = read_people(self.root)
        rejections = [Rejection(f"{IMAGES}/{file}", reason) for file, reason in faults.items()]
        rejections += [
            Rejection(f"{IMAGES}/{file}", f"no row in {annotation.name}")
            for file in self._pictures()
            if file not in table and file not in faults
        ]
        candidates = []
        for file, values in table.items():
            unlike = [f"{name} = {values[name]}" for name, wanted in select.items() if values[name] != wanted]
            if unlike:
                rejections.append(Rejection(f"{IMAGES}/{file}", f"not selected: {', '.join(unlike)}"))
                continue
            candidates.append(_candidate(file, values, people))
        candidates.sort(key=lambda candidate: derive_seed(seed, "celeba-hq", candidate.reference))
        return Pool(tuple(candidates), tuple(rejections), LICENSE)


def _candidate(file: str, values: Mapping[str, int], people: Mapping[int, str]) -> Candidate:
    number = int(Path(file).stem)
    gender = {1: "Man", -1: "Woman"}.get(values.get("Male", 0))
    attributes = Attributes(gender, judged_by={"gender": "CelebA attribute Male"} if gender else {})
    return Candidate(f"{IMAGES}/{file}", attributes, f"c{number:05d}", people.get(number))


def read_annotation(path: Path) -> tuple[dict[str, dict[str, int]], dict[str, str]]:
    """Attributes (1 or -1) by file, and the rows that cannot be right with their reasons.

    Raises:
        PortraitError: the file has neither the official text form nor the CSV form.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PortraitError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    if path.suffix == ".csv":
        try:
            header, *rows = list(csv.reader(lines)) or [[]]
        except csv.Error as error:
            raise PortraitError(f"{path}: cannot be read as CSV: {error}") from error
        names, first = header[1:], 2
    else:
        if len(lines) < 2 or not lines[0].strip().isdigit():
            raise PortraitError(f"{path}: line 1 must hold the number of pictures, line 2 the attribute names")
        names, rows, first = lines[1].split(), [line.split() for line in lines[2:]], 3
    if not names:
        raise PortraitError(f"{path}: no attribute names found")
    table: dict[str, dict[str, int]] = {}
    faults: dict[str, str] = {}
    for number, row in enumerate(rows, start=first):
        if not row:
            continue
        file = row[0] if row[0].endswith(".jpg") else f"{row[0]}.jpg"
        reason = _row_fault(file, row[1:], names)
        if reason or file in table or file in faults:
            table.pop(file, None)  # which row is right cannot be known
            faults[file] = f"{path.name} line {number}: {reason or 'named a second time'}"
        else:
            table[file] = {name: int(value) for name, value in zip(names, row[1:], strict=True)}
    return table, faults


def _row_fault(file: str, values: list[str], names: list[str]) -> str | None:
    if not re.fullmatch(r"[0-9]{1,6}\.jpg", file):
        return f"{file!r} is not the name of a CelebA-HQ picture"
    if len(values) != len(names):
        return f"{len(values)} values for {len(names)} attributes"
    wrong = [f"{name} = {value!r}" for name, value in zip(names, values, strict=True) if value not in ("1", "-1")]
    return f"must be 1 or -1: {', '.join(wrong)}" if wrong else None


def read_people(root: Path) -> dict[int, str]:
    """Person of each CelebA-HQ number, empty where the folder does not say.

    Raises:
        PortraitError: one of the two files is not what it should be, or they have no picture in common; who is who must
            not be guessed.
    """
    mapping, identities = root / MAPPING, root / IDENTITIES
    if not (mapping.is_file() and identities.is_file()):
        return {}
    person = dict(_rows(identities, 2, skip=0))
    found: dict[int, str] = {}
    for number, _, file in _rows(mapping, 3, skip=1):
        if not number.isdecimal():
            raise PortraitError(f"{mapping}: {number!r} is not the number of a picture")
        if file in person:
            found[int(number)] = f"celeba{person[file]}"
    if not found:
        raise PortraitError(f"{mapping} and {identities.name} have no picture in common")
    return found


def _rows(path: Path, columns: int, *, skip: int) -> Iterator[list[str]]:
    """Lines of a table of words, without the first `skip` and empty ones."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PortraitError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    for number, line in enumerate(lines[skip:], start=1 + skip):
        row = line.split()
        if row and len(row) != columns:
            raise PortraitError(f"{path} line {number}: {len(row)} values, {columns} expected")
        if row:
            yield row
