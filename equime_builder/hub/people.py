"""Who is who in a plan: all that is known of a person, and what a publication does not show of photographs.

A published folder shows people who are in the dataset and nobody else; of photographs that are not public it shows
neither names nor hashes, by which whoever has one could tell who takes part.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from equime_builder import manifest
from equime_builder.curation.survey import kind_of
from equime_builder.manifest import FolderError
from equime_builder.plan import CHANGES, Plan, changes_of

IDENTITY = ("subject", "person", "sha256")
# Sources whose photographs everybody may have, and the one that has none.
PUBLIC, DRAWN = frozenset({"celeba-hq"}), "procedural"
NUMBERED = re.compile(r"portrait-\d{6}(\.\w+)?")
# What is blotted out of somebody who is planned and whose clips were all refused; the balance needs the rest.
_LIKENESS = ("crop", "landmarks")


@dataclass(frozen=True, slots=True)
class Known:
    """What a plan knows people by: `ids` (subjects, persons, SHA-256 of photographs) and `references` (file names)."""

    ids: frozenset[str]
    references: frozenset[str]

    def has(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of portraits or curation is about them, or names them."""
        return bool(
            not self.ids.isdisjoint(_ids(row))
            or row["reference"] in self.references
            or any(_names(reason, self.references) for reason in (row.get("reason"), row.get("rejected")) if reason)
        )


@dataclass(frozen=True, slots=True)
class Traces:
    """What a publication does not show of photographs, and of people who are not in the dataset.

    Attributes:
        names: their file names, those that are numbers left out; empty for a public source. hashes: how many SHA-256
            of photographs that are not public. absent: how many photographs of people who are not in the dataset.
        left: how many notes of editions name who has left; those that `editing` writes count them.
    """

    names: tuple[str, ...] = ()
    hashes: int = 0
    absent: int = 0
    left: int = 0

    def __bool__(self) -> bool:
        return bool(self.names or self.hashes or self.absent or self.left)


def _ids(row: Mapping[str, Any]) -> set[str]:
    return {row[name] for name in IDENTITY if row[name]}


def _names(reason: str, references: Collection[str]) -> bool:
    return any(re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w/-]|\.\w)", reason) for name in references if name)


def _identities(plan: Plan) -> list[dict[str, Any]]:
    tables = [plan.portraits, *([] if plan.curation is None else [plan.curation])]
    return [row for table in tables for row in table.select([*IDENTITY, "reference"]).to_pylist()]


def known_of(plan: Plan, subjects: Iterable[str]) -> Known:
    """All that a plan knows the people by who these subjects are: their other subjects, persons and photographs."""
    rows = _identities(plan)
    ids = set(subjects)
    while more := {each for row in rows if not ids.isdisjoint(found := _ids(row)) for each in found} - ids:
        ids |= more
    references = {row["reference"] for row in rows if row["reference"] and not ids.isdisjoint(_ids(row))}
    return Known(frozenset(ids), frozenset(references))


def same_person(plan: Plan, subject: str) -> frozenset[str]:
    """All subjects of the person who this subject is.

    Raises:
        FolderError: no such subject.
    """
    everybody = {name for name in plan.portraits["subject"].to_pylist() if name}
    if subject not in everybody:
        raise FolderError(f"subject {subject!r} is not in this dataset")
    return frozenset(everybody & known_of(plan, [subject]).ids)


def without(table: pa.Table, gone: Known) -> pa.Table:
    """Portraits or curation without all rows of some people, and without rows that name them."""
    names = [name for name in (*IDENTITY, "reference", "reason", "rejected") if name in table.column_names]
    return table.filter(pa.array([not gone.has(row) for row in table.select(names).to_pylist()], pa.bool_()))


def of_subjects(table: pa.Table, subjects: Collection[str]) -> pa.Table:
    """Rows of these subjects only, in the order of the subjects' names, which no file name has a part in."""
    kept = table.filter(pc.is_in(table["subject"], pa.array(sorted(subjects), pa.string())))
    return kept.take(pc.sort_indices(kept["subject"])) if len(kept) else kept


def numbers(plan: Plan) -> dict[str, str]:
    """What stands in the place of each file name of a photograph; empty where they are public, or none are."""
    if plan.header["source"] in (*PUBLIC, DRAWN):
        return {}
    found = {row["reference"]: "a photograph" for row in _identities(plan) if row["reference"]}
    subjects, references = (plan.portraits[name].to_pylist() for name in ("subject", "reference"))
    shown = sorted((subject, name) for subject, name in zip(subjects, references, strict=True) if subject)
    for number, (_, name) in enumerate(shown, start=1):
        found[name] = f"portrait-{number:06d}{PurePosixPath(name).suffix.lower()}"
    return found


def replacing_names(names: Mapping[str, str]) -> Callable[[str], str]:
    """What puts other words in the place of file names, in any text; made once, for its pattern is of all names."""
    longest_first = sorted(filter(None, names), key=len, reverse=True)
    if not longest_first:
        return lambda text: text
    pattern = re.compile("|".join(map(re.escape, longest_first)))
    return lambda text: pattern.sub(lambda found: names[found[0]], text)


def stripped(plan: Plan, shown: Collection[str]) -> Plan:
    """A plan of people who are in the dataset only, without names and hashes of photographs that are not public.

    Args:
        shown: subjects who are in the dataset. Others whose clips were planned keep what the balance of groups needs.
    """
    portraits = of_subjects(plan.portraits, set(plan.clips["subject"].to_pylist()))
    curation = plan.curation
    if curation is not None:
        curation = of_subjects(curation.filter(curation["taken"]), shown)
    names = numbers(plan)
    if plan.header["source"] != DRAWN:
        is_shown = [subject in shown for subject in portraits["subject"].to_pylist()]
        for column in _LIKENESS:
            values = zip(is_shown, portraits[column].to_pylist(), strict=True)
            portraits = _set(portraits, column, [value if show else None for show, value in values])
    if names:
        portraits = _set(portraits, "reference", [names[name] for name in portraits["reference"].to_pylist()])
        portraits = _set(portraits, "sha256", [""] * len(portraits))
        if curation is not None:
            curation = _set(curation, "reference", [names[name] for name in curation["reference"].to_pylist()])
            curation = _set(curation, "sha256", [None] * len(curation))
    return Plan(plan.header, plan.clips, portraits, curation)


def _set(table: pa.Table, name: str, values: Sequence[Any]) -> pa.Table:
    place = table.schema.get_field_index(name)
    field = table.schema.field(place)
    return table.set_column(place, field, pa.array(values, field.type))


def reasons(plan: Plan) -> dict[str, int]:
    """How many photographs were left out, by the kind of the reason, which names none of them."""
    table, column = (plan.portraits, "rejected") if plan.curation is None else (plan.curation, "reason")
    counts = Counter(kind_of(reason) for reason in table[column].to_pylist() if reason)
    return dict(sorted(counts.items()))


def traces(root: Path) -> Traces:
    """What a folder holds of photographs, and of people who are not in it, that a publication does not show."""
    header = manifest.read_header(root)
    left = sum(note != counted for note, counted in zip(header.get(CHANGES, ()), changes_of(header), strict=True))
    if header["source"] == DRAWN:
        return Traces(left=left)
    shown = set(pq.read_table(root / manifest.INDEX, columns=["subject"])["subject"].to_pylist())
    columns = ["subject", "reference", "sha256"]
    planned = pq.read_table(root / manifest.PORTRAITS, columns=[*columns, "landmarks"]).to_pylist()
    scored = []
    if header.get("curation"):
        scored = pq.read_table(root / manifest.CURATION, columns=[*columns, "taken"]).to_pylist()
    bare = {row["subject"] for row in planned if row["subject"] and not row["landmarks"]}
    known = shown | bare
    absent = {row["reference"] for row in planned if row["subject"] not in known}
    absent |= {row["reference"] for row in scored if row["subject"] not in shown or not row["taken"]}
    if header["source"] in PUBLIC:
        return Traces(absent=len(absent), left=left)
    rows = [*planned, *scored]
    names = {row["reference"] for row in rows if row["reference"] and not NUMBERED.fullmatch(row["reference"])}
    hashes = {row["sha256"] for row in rows if row["sha256"]}
    return Traces(tuple(sorted(names)), len(hashes), len(absent), left)
