"""The plan: every clip that will exist, before any exists. A pure function of (profile, survey, seed)."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from equime_builder.curation.survey import kind_of
from equime_builder.portrait_table import portrait_table
from equime_builder.portraits import Attributes, Rejection, Subject, Survey
from equime_builder.profiles import Profile, profile_from_dict
from equime_builder.seeds import derive_seed
from equime_builder.version import VERSION
from equime_loader.schema import SPLITS, age_group

FORMAT_VERSION = 1
UNKNOWN = "unknown"
MOST_REASONS = 3
CHANGES = "changes"  # in the header: what editions have changed
REJECTED_LEFT = "rejected clips left out"  # what a note says of an edition without them

CLIP_SCHEMA = pa.schema(
    [
        ("shard", pa.int32()),
        ("key", pa.string()),
        ("subject", pa.string()),
        ("split", pa.string()),
        ("emotion", pa.string()),
        ("program_seed", pa.int64()),
        ("nuisance_seed", pa.int64()),
        ("ablation", pa.int16()),
        ("counterfactual_group", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class PlannedClip:
    """One row of the plan. `ablation` 0 is the program itself, above that the n-th change by `do`."""

    shard: int
    key: str
    subject: str
    split: str
    emotion: str
    program_seed: int
    nuisance_seed: int
    ablation: int
    counterfactual_group: str | None


@dataclass(frozen=True, slots=True)
class Shard:
    """The unit of work, retry and regeneration: the same samples as tar, Parquet and, on request, Arrow.

    A shard of the reserve is built after all shards of lower numbers: of its clips it takes those that stand in for
    clips that were refused there.
    """

    number: int
    split: str
    index: int
    of: int
    clips: int
    reserve: bool = False

    @property
    def name(self) -> str:
        return f"{self.split}-{self.index:05d}"

    def files(self, formats: Iterable[str]) -> dict[str, str]:
        """Path of each format's file, relative to the dataset folder."""
        paths = {
            "webdataset": f"wds/{self.name}.tar",
            "parquet": f"data/{self.name}-of-{self.of:05d}.parquet",
            "arrow": f"arrow/{self.name}-of-{self.of:05d}.arrow",
        }
        return {name: path for name, path in paths.items() if name in formats}


FORMATS = ("webdataset", "parquet", "arrow")


@dataclass(frozen=True, slots=True)
class Plan:
    """`header` says what was asked for, `clips` and `portraits` are tables of the schemas above.

    `curation` is the table of how portraits were chosen (`curation.table.COLUMNS`), None for drawn faces.
    """

    header: Mapping[str, Any]
    clips: pa.Table
    portraits: pa.Table
    curation: pa.Table | None = None

    @property
    def profile(self) -> Profile:
        return profile_from_dict(self.header["profile"], where="plan")

    @property
    def shards(self) -> list[Shard]:
        return shards_of(self.header)


def shards_of(header: Mapping[str, Any]) -> list[Shard]:
    """The shards that a plan's header announces, in order."""
    shards: list[Shard] = []
    reserve: dict[str, list[int]] = header["reserve"]
    for split, sizes in header["shards"].items():
        of = len(sizes) + len(reserve.get(split, ()))
        shards += [Shard(len(shards) + i, split, i, of, size) for i, size in enumerate(sizes)]
    for split, sizes in reserve.items():
        first = len(header["shards"].get(split, ()))
        of = first + len(sizes)
        shards += [Shard(len(shards) + i, split, first + i, of, size, True) for i, size in enumerate(sizes)]
    return shards


def stratum(attributes: Attributes) -> tuple[str, str, str]:
    """Apparent gender, race and age group, `unknown` where nobody judged."""
    group = age_group(attributes.age) if attributes.age is not None else UNKNOWN
    return attributes.gender or UNKNOWN, attributes.race or UNKNOWN, group


def assign_splits(subjects: Sequence[Subject], shares: Sequence[float], seed: int) -> dict[str, str]:
    """Split of each subject: persons are never divided, strata are spread evenly, totals come within one person.

    Persons are sorted by stratum and, inside it, by a draw; each goes to the split that lacks most of its share.
    """
    people: dict[str, Subject] = {}
    for subject in subjects:
        people.setdefault(subject.person, subject)
    order = sorted(people, key=lambda person: (stratum(people[person].attributes), derive_seed(seed, "split", person)))
    counts, split_of = [0] * len(SPLITS), {}
    for index, person in enumerate(order):
        lacking = [share * (index + 1) - count for share, count in zip(shares, counts, strict=True)]
        chosen = max(range(len(SPLITS)), key=lambda which: (lacking[which], -which))
        counts[chosen] += 1
        split_of[person] = SPLITS[chosen]
    return {subject.subject: split_of[subject.person] for subject in subjects}


def interleave(subjects: Sequence[Subject], seed: int) -> list[Subject]:
    """Order in which neighbors differ in gender and race where they can: who shares a program differs in group."""
    groups: dict[tuple[str, str], list[Subject]] = defaultdict(list)
    for subject in sorted(subjects, key=lambda subject: derive_seed(seed, "order", subject.subject)):
        groups[stratum(subject.attributes)[:2]].append(subject)
    genders, races = (sorted(set(words)) for words in zip(*groups, strict=True)) if groups else ((), ())
    # Genders take turns, each at another place in the circle of races, so that few neighbors cover many groups.
    keys = [
        (gender, races[(turn + place * len(races) // len(genders)) % len(races)])
        for turn in range(len(races))
        for place, gender in enumerate(genders)
    ]
    rounds = itertools.zip_longest(*(groups[key] for key in keys if key in groups))
    return [subject for row in rounds for subject in row if subject is not None]


ASKED = (
    "format_version",
    "builder_version",
    "profile",
    "seed",
    "source",
    "source_options",
    "source_fingerprint",
    "generator",
    "generator_options",
    "audit",
    "formats",
)


def ask(
    profile: Profile,
    *,
    seed: int,
    source: str,
    options: Mapping[str, Any],
    fingerprint: str,
    generator: str,
    formats: Sequence[str],
    generator_options: Mapping[str, Any] = MappingProxyType({}),
    audit: bool = False,
) -> dict[str, Any]:
    """The part of a plan's header that says what is asked for; two plans are the same if it is.

    Raises:
        ValueError: an unknown format.
    """
    if unknown := [name for name in formats if name not in FORMATS]:
        raise ValueError(f"format {unknown[0]!r} must be one of {', '.join(FORMATS)}")
    kept = [name for name in FORMATS if name in formats]
    return {
        "format_version": FORMAT_VERSION,
        "builder_version": VERSION,
        "profile": profile.to_dict(),
        "seed": seed,
        "source": source,
        "source_options": dict(options),
        "source_fingerprint": fingerprint,
        "generator": generator,
        "generator_options": dict(generator_options),
        "audit": audit,
        "formats": kept,
    }


def make_plan(asked: Mapping[str, Any], survey: Survey) -> Plan:
    """Lay out every clip.

    Raises:
        ValueError: no subject is left.
    """
    if not survey.subjects:
        raise ValueError(f"no portrait can be used{_reasons(survey.rejections)}{_told(survey.shortfall)}")
    profile, seed = profile_from_dict(asked["profile"], where="plan"), int(asked["seed"])
    split_of = assign_splits(survey.subjects, profile.split, seed)
    clips: list[PlannedClip] = []
    sizes: dict[str, list[int]] = {}
    for split in SPLITS:
        members = interleave([subject for subject in survey.subjects if split_of[subject.subject] == split], seed)
        sizes[split] = _lay_out(profile, members, split, seed, clips)
    planned = len(clips)
    extra = _lay_out_reserve(profile, survey, split_of, seed, clips)
    header = {
        **asked,
        "subjects": len(survey.subjects),
        "clips": planned,
        "shards": {split: parts for split, parts in sizes.items() if parts},
        "reserve": {split: parts for split, parts in extra.items() if parts},
        "curation": None if survey.scores is None else {"portraits": len(survey.scores), "shortfall": survey.shortfall},
    }
    portraits = portrait_table(survey)
    table = pa.Table.from_pydict(
        {name: [getattr(clip, name) for clip in clips] for name in CLIP_SCHEMA.names}, schema=CLIP_SCHEMA
    )
    sha256 = plan_hash(header, table, portraits, survey.scores)
    return Plan({**header, "plan_sha256": sha256}, table, portraits, survey.scores)


def _reasons(rejections: Sequence[Rejection]) -> str:
    """How often each kind of reason was given, with the first of its kind in full."""
    kinds: dict[str, list[Rejection]] = {}
    for rejection in rejections:
        kinds.setdefault(kind_of(rejection.reason), []).append(rejection)
    most = sorted(kinds.values(), key=len, reverse=True)[:MOST_REASONS]
    told = "; ".join(f"{len(alike)} x {alike[0].reason} ({alike[0].name})" for alike in most)
    return f": {told}; `equime curate` tells them all" if told else ""


def _told(shortfall: str | None) -> str:
    return f"; {shortfall}" if shortfall else ""


def _lay_out(
    profile: Profile, subjects: Sequence[Subject], split: str, seed: int, clips: list[PlannedClip]
) -> list[int]:
    """Append the clips of one split, subject by subject, and return the sizes of its shards."""
    per_subject = len(profile.emotions) * profile.sequences * (1 + profile.ablations)
    subjects_per_shard = max(1, profile.shard_samples // per_subject)
    first_shard = clips[-1].shard + 1 if clips else 0
    share = profile.shared_program_subjects
    for place, subject in enumerate(subjects):
        shard, block = first_shard + place // subjects_per_shard, place // share
        letter = {"Man": "m", "Woman": "f"}.get(subject.attributes.gender or "", "u")
        for emotion, sequence in itertools.product(profile.emotions, range(profile.sequences)):
            program_seed = derive_seed(seed, "program", split, block, emotion, sequence)
            shared = share > 1 or profile.ablations > 0
            group = f"{split}-{emotion}-{block:05d}-{sequence:03d}" if shared else None
            for ablation in range(1 + profile.ablations):
                number = sequence * (1 + profile.ablations) + ablation
                key = f"{emotion}_{letter}_{subject.subject}_{number:03d}"
                nuisance_seed = derive_seed(seed, "nuisance", subject.subject, emotion, sequence)
                clips.append(
                    PlannedClip(
                        shard, key, subject.subject, split, emotion, program_seed, nuisance_seed, ablation, group
                    )
                )
    counts = [min(subjects_per_shard, len(subjects) - start) for start in range(0, len(subjects), subjects_per_shard)]
    return [count * per_subject for count in counts]


def _lay_out_reserve(
    profile: Profile, survey: Survey, split_of: Mapping[str, str], seed: int, clips: list[PlannedClip]
) -> dict[str, list[int]]:
    """Append every clip that a subject of the reserve may stand in with, and return the sizes of the shards.

    Nobody shares their programs: who stands in performs alone, and may be drawn again with another program.
    """
    known = {subject.person: split_of[subject.subject] for subject in survey.subjects}
    free = [subject for subject in survey.reserve if subject.person not in known]
    assigned = assign_splits(free, profile.split, derive_seed(seed, "reserve"))
    alone = replace(profile, shared_program_subjects=1, ablations=0)
    sizes = {}
    for split in SPLITS:
        members = [
            subject
            for subject in survey.reserve
            if (known.get(subject.person) or assigned.get(subject.subject)) == split
        ]
        sizes[split] = _lay_out(alone, members, split, derive_seed(seed, "reserve"), clips)
    return sizes


def plan_hash(header: Mapping[str, Any], clips: pa.Table, portraits: pa.Table, curation: pa.Table | None = None) -> str:
    """SHA-256 of what a plan says, whatever its files' encoding and however its tables are chunked in memory."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for table in (clips, portraits, *([] if curation is None else [curation])):
        for batch in table.to_batches(max_chunksize=4096):
            for row in batch.to_pylist():
                digest.update(repr(row).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def changes_of(header: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What editions have changed in a folder since it was built, by its plan's header; the first one first.

    Subjects are counted. Notes of older versions list the names of those who left, and these are not to come out again.
    """
    return [
        {**change, "subjects": len(change["subjects"])} if isinstance(change.get("subjects"), list) else dict(change)
        for change in header.get(CHANGES, [])
    ]


def rejected_left(header: Mapping[str, Any]) -> int:
    """How many rejected clips have left in editions: those that stayed tell no share of accepted clips."""
    return sum(change.get("clips", 0) for change in changes_of(header) if change["what"] == REJECTED_LEFT)


def differences(asked: Mapping[str, Any], stored: Mapping[str, Any]) -> list[str]:
    """Fields in which two plan headers differ, as ``profile.fps: 100.0 asked, 24 planned``."""
    left, right = ({name: header.get(name) for name in ASKED} for header in (asked, stored))
    return _differences(left, right, "")


def _differences(asked: Mapping[str, Any], stored: Mapping[str, Any], prefix: str) -> list[str]:
    found = []
    for name in [*asked, *(name for name in stored if name not in asked)]:
        one, other = asked.get(name), stored.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += _differences(one, other, f"{prefix}{name}.")
        elif one != other:
            found.append(f"{prefix}{name}: {one} asked, {other} planned")
    return found


def summary(plan: Plan) -> dict[str, dict[str, int]]:
    """Clips per split, emotion, gender, race and age group, without those of the reserve."""
    attributes = {
        row["subject"]: Attributes(**json.loads(row["attributes"]))
        for row in plan.portraits.select(["subject", "attributes"]).to_pylist()
        if row["subject"]
    }
    strata = {subject: stratum(value) for subject, value in attributes.items()}
    counts: dict[str, Counter[str]] = {
        name: Counter() for name in ("split", "emotion", "apparent gender", "apparent race", "age group")
    }
    for split, emotion, subject in zip(
        *(plan.clips[name][: plan.header["clips"]].to_pylist() for name in ("split", "emotion", "subject")),
        strict=True,
    ):
        for name, word in zip(counts, (split, emotion, *strata[subject]), strict=True):
            counts[name][word] += 1
    return {name: dict(counter) for name, counter in counts.items()}
