"""From scored candidates to a survey: who is taken, who is not and why, and the table of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from equime_builder.attributes.estimates import Estimate, joined
from equime_builder.curation.choosing import NOT_NEEDED, Choice, Fit, choose
from equime_builder.curation.scores import Scores, fault
from equime_builder.curation.scoring import Scored
from equime_builder.curation.table import COLUMNS, estimate_row, make_table, scores_row
from equime_builder.curation.thresholds import Curation
from equime_builder.portraits import Attributes, Rejection, Subject, Survey


@dataclass(frozen=True, slots=True)
class Candidate:
    """A photograph before it is examined. `subject` is derived from its bytes where it is None."""

    reference: str
    attributes: Attributes
    subject: str | None = None
    person: str | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """What a source offers: candidates in the order in which they are taken, and what it refuses itself."""

    candidates: tuple[Candidate, ...]
    rejections: tuple[Rejection, ...]
    license: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a survey: see `Curation`; `count` subjects (None: all) for clips of `size` pixels."""

    curation: Curation
    size: int
    count: int | None = None
    reserve: int = 0


@dataclass(frozen=True, slots=True)
class _Examined:
    """A candidate with what is known of it. `reason` says why it cannot be taken."""

    candidate: Candidate
    subject: str | None
    scored: Scored
    estimate: Estimate | None
    attributes: Attributes
    reason: str | None

    @property
    def person(self) -> str:
        return self.candidate.person or self.subject or ""


@dataclass(slots=True)
class _Examiner:
    """Examines candidates one after another; the same picture is taken once."""

    curation: Curation
    estimates: Mapping[str, Estimate]
    seen: dict[str, str] = field(default_factory=dict)

    def examine(self, candidate: Candidate, scored: Scored) -> _Examined:
        digest = scored.sha256
        subject = candidate.subject or (f"s{digest[:10]}" if digest else None)
        estimate = self.estimates.get(digest) if digest else None
        reason = fault(scored.scores, self.curation) or self._not_neutral(estimate)
        if subject in self.seen:
            reason = f"same picture as {self.seen[subject]}"
        elif reason is None and subject is not None:
            self.seen[subject] = candidate.reference
        attributes = joined(candidate.attributes, estimate)
        return _Examined(candidate, subject, scored, estimate, attributes, reason)

    def _not_neutral(self, estimate: Estimate | None) -> str | None:
        least = self.curation.min_neutral
        if estimate is None or estimate.neutral is None or estimate.neutral >= least:
            return None
        shown = estimate.expression_probabilities or {}
        likeliest = max(shown, key=lambda name: shown[name])
        return (
            f"not neutral: {estimate.by} sees {likeliest} ({shown[likeliest]:.2f}), "
            f"neutral {estimate.neutral:.2f}, {least} needed"
        )


def take_survey(
    pool: Pool,
    scored: Iterable[Scored],
    wanted: Wanted,
    estimates: Mapping[str, Estimate] | None = None,
    *,
    all_of_them: bool = False,
) -> Survey:
    """Decide about every candidate; a bad one costs itself, never the survey.

    Args:
        scored: the candidates' scores, in their order. Without shares in `wanted`, no more of them are taken out once
            enough are found, unless all of them are asked for; the same subjects are taken either way.
        estimates: of apparent attributes, by the file's SHA-256.
    """
    examiner = _Examiner(wanted.curation, estimates or {})
    choosy = all_of_them or wanted.count is None or wanted.curation.marginals.asked()
    enough = None if choosy else (wanted.count or 0) + wanted.reserve
    examined: list[_Examined] = []
    fit = 0
    for candidate, found in zip(pool.candidates, scored, strict=False):
        examined.append(examiner.examine(candidate, found))
        fit += examined[-1].reason is None
        if fit == enough:
            break
    fits = [each for each in examined if each.reason is None]
    choice = choose(
        [Fit(each.subject or "", each.person, each.attributes) for each in fits],
        wanted.curation.marginals,
        count=wanted.count,
        reserve=wanted.reserve,
    )
    subjects, reserve = (
        tuple(_subject(fits[place], pool, wanted.size) for place in places)
        for places in (choice.chosen, choice.reserve)
    )
    rejections = [Rejection(each.candidate.reference, each.reason) for each in examined if each.reason is not None]
    table = _table(pool, examined, fits, choice)
    return Survey(subjects, (*pool.rejections, *rejections), reserve, table, choice.shortfall)


def _subject(each: _Examined, pool: Pool, size: int) -> Subject:
    scores = each.scored.scores
    assert each.subject is not None
    return Subject(
        each.subject,
        each.person,
        each.candidate.reference,
        each.attributes,
        pool.license,
        each.scored.sha256 or "",
        scores.crop,
        scores.landmarks_at(size),
    )


def _table(pool: Pool, examined: Sequence[_Examined], fits: Sequence[_Examined], choice: Choice) -> pa.Table:
    """One row per candidate, in their order; then what the source refused itself."""
    why: dict[int, str] = {id(fits[place]): reason for place, reason in choice.left.items()}
    why |= {id(fits[place]): f"{NOT_NEEDED}held in reserve" for place in choice.reserve}
    rows = [_row(each, each.reason or why.get(id(each))) for each in examined]
    unscored = f"{NOT_NEEDED}{len(choice.chosen)} were taken before it"
    for candidate in pool.candidates[len(examined) :]:
        nothing = _Examined(candidate, candidate.subject, Scored("", None, Scores()), None, candidate.attributes, None)
        rows.append(_row(nothing, unscored))
    rows += [
        {"reference": printable(each.name), "taken": False, "reason": printable(each.reason)}
        for each in pool.rejections
    ]
    return make_table(rows, COLUMNS)


def _row(each: _Examined, reason: str | None) -> dict[str, Any]:
    declared = each.candidate.attributes
    judges = sorted(set(declared.judged_by.values()))
    columns = {column.name for column in COLUMNS}
    row = {
        "reference": printable(each.candidate.reference),
        "subject": each.subject,
        "person": each.candidate.person,
        "taken": reason is None,
        "reason": None if reason is None else printable(reason),
        "declared_gender": declared.gender,
        "declared_race": declared.race,
        "declared_age": declared.age,
        "declared_by": ", ".join(judges) or None,
        **estimate_row(each.estimate),
        **scores_row(each.scored.sha256, each.scored.scores),
    }
    return {name: value for name, value in row.items() if name in columns}


# Reasons that name a file, a line or a number are of one kind.
_KINDS = (
    (re.compile(r"same picture as "), "same picture as another"),
    (re.compile(r"\d+ faces found"), "several faces found"),
    (re.compile(r"[^:]* line \d+: "), "wrong row of the table"),
)


def kind_of(reason: str) -> str:
    """The kind of a reason, for counting: what stands before its details."""
    for pattern, kind in _KINDS:
        if pattern.match(reason):
            return kind
    return reason.split(":", maxsplit=1)[0]


def printable(text: str) -> str:
    """Text whose bytes that are no Unicode are kept readable: file names may hold such."""
    return text.encode("utf-8", "backslashreplace").decode()
