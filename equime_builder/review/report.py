"""The report of a review: who judged how much, how far they agree, what they accept, how answers fit the label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from equime_builder.review.agreement import (
    CONFIDENCE,
    MISSING,
    RESAMPLES,
    Against,
    Figure,
    Ratings,
    against_label,
    cohen_kappas,
    fleiss_kappa,
    krippendorff_alpha,
    rate,
)
from equime_builder.review.clips import rows_of
from equime_builder.review.consensus import ACCEPTED, REJECTED, TIED, by_clip, opinion, pseudonym
from equime_builder.review.judgments import LABELS, VERDICTS
from equime_builder.review.store import Kept, Store
from equime_loader.fairness.formulas import TITLES
from equime_loader.index import Index
from equime_loader.schema import AUS
from equime_loader.tables import counted, text_table

UNSURE = "cannot tell"
ANSWERS = (*LABELS, UNSURE)
ALL = "majority"
RATED_BY = ("emotion", "apparent_gender", "apparent_race")
PAIRED = ("verdict", "label")
COEFFICIENTS = {"Krippendorff's alpha": krippendorff_alpha, "Fleiss' kappa": fleiss_kappa}


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Clips of a group by what the reviewers together say. `rate`: accepted among all that are judged."""

    accepted: int
    rejected: int
    tied: int
    rate: Figure


@dataclass(frozen=True, slots=True)
class ReviewReport:
    """A review in numbers.

    Attributes:
        blind: whether reviewers were kept from the label.
        clips: under review. judged: by anyone. judgments: that count. corrected: that were replaced by later ones.
        reviewers: clips judged, by pseudonym.
        agreement: coefficient by question (verdict, label, and each AU that somebody saw) and name.
        pairs: Cohen's kappa by question and pair of pseudonyms.
        verdicts: by label of `RATED_BY` and word.
        against: by pseudonym, and of the majority, answers against the intended label.
    """

    blind: bool
    clips: int
    judged: int
    judgments: int
    corrected: int
    reviewers: Mapping[str, int]
    agreement: Mapping[str, Mapping[str, Figure]]
    pairs: Mapping[str, Mapping[str, Figure]]
    verdicts: Mapping[str, Mapping[str, Verdicts]]
    against: Mapping[str, Against]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        mode = "blind" if self.blind else "open: reviewers saw the label"
        people = ", ".join(f"{name} {count}" for name, count in self.reviewers.items()) or "none"
        parts = [
            f"{self.judged} of {counted(self.clips, 'clip')} judged, {mode}\n"
            f"{counted(self.judgments, 'judgment')} that count, {self.corrected} corrected; by reviewer: {people}"
        ]
        if self.agreement:
            parts.append(_table("agreement", self.agreement, "coefficient"))
        if any(self.pairs.values()):
            parts.append(_table("Cohen's kappa", self.pairs, "reviewers"))
        if self.judged:
            parts += [_verdict_table(self.verdicts), _against_table(self.against, self.blind)]
        parts.append(
            f"intervals: {CONFIDENCE:.0%}; of kappa and alpha of all, and of scores, from {RESAMPLES:,} resamples of "
            "clips; Cohen's asymptotic; rates Wilson's. –: not defined, fewer than two clips or one answer alone"
        )
        return "\n\n".join(parts)


def make_report(index: Index, store: Store, kept: Sequence[Kept]) -> ReviewReport:
    """The report of a review's judgments.

    Raises:
        FolderError: a clip of the review is gone from the index, or has changed.
    """
    rows = rows_of(index, store)
    labels = {row["key"]: row for row in index.rows(rows, ("key", *RATED_BY))}
    clips = by_clip(kept)
    counting = [one for said in clips.values() for one in said]
    people = sorted({one.reviewer for one in counting})
    names = [pseudonym(reviewer) for reviewer in people]
    questions = _questions(counting, people, list(clips))
    return ReviewReport(
        blind=store.settings.blind,
        clips=len(store.clips),
        judged=len(clips),
        judgments=len(counting),
        corrected=len(kept) - len(counting),
        reviewers={pseudonym(person): sum(one.reviewer == person for one in counting) for person in people},
        agreement={
            question: {name: of(ratings, words=words) for name, of in COEFFICIENTS.items()}
            for question, (ratings, words) in questions.items()
        },
        pairs={question: _pairs(*questions[question], names) for question in PAIRED if question in questions},
        verdicts={name: _verdicts(name, clips, labels) for name in RATED_BY},
        against=_against(clips, labels, people),
    )


def _questions(counting: Sequence[Kept], people: list[int], keys: list[str]) -> dict[str, tuple[Ratings, int]]:
    """Ratings (reviewers, clips) and number of possible answers of each question, where two reviewers or more were."""
    if len(people) < 2:
        return {}
    row = {person: number for number, person in enumerate(people)}
    column = {key: number for number, key in enumerate(keys)}
    seen = [au for au in AUS if any(au in one.judgment.aus for one in counting)]
    answers = {
        "verdict": ([VERDICTS.index(one.judgment.verdict) for one in counting], len(VERDICTS)),
        "label": ([ANSWERS.index(one.judgment.label or UNSURE) for one in counting], len(ANSWERS)),
        **{f"AU{au}": ([int(au in one.judgment.aus) for one in counting], 2) for au in seen},
    }
    places = (
        np.array([row[one.reviewer] for one in counting]),
        np.array([column[one.judgment.clip] for one in counting]),
    )
    questions = {}
    for question, (said, words) in answers.items():
        ratings = np.full((len(people), len(keys)), MISSING, np.int64)
        ratings[places] = said
        questions[question] = (ratings, words)
    return questions


def _pairs(ratings: Ratings, words: int, names: Sequence[str]) -> dict[str, Figure]:
    kappas = cohen_kappas(ratings, words=words)
    return {f"{names[one]} {names[other]}": figure for (one, other), figure in kappas.items()}


def _verdicts(
    name: str, clips: Mapping[str, list[Kept]], labels: Mapping[str, Mapping[str, Any]]
) -> dict[str, Verdicts]:
    groups: dict[str, Counter[str]] = {}
    for key, said in clips.items():
        groups.setdefault(labels[key][name] or "unknown", Counter())[opinion(said).verdict] += 1
    return {
        word: Verdicts(count[ACCEPTED], count[REJECTED], count[TIED], rate(count[ACCEPTED], sum(count.values())))
        for word, count in sorted(groups.items())
    }


def _against(
    clips: Mapping[str, list[Kept]], labels: Mapping[str, Mapping[str, Any]], people: list[int]
) -> dict[str, Against]:
    """Answers of each reviewer, and of the majority where there is one, against the intended label."""
    said: dict[str, dict[str, str | None]] = {pseudonym(person): {} for person in people}
    for key, judged in clips.items():
        for one in judged:
            said[pseudonym(one.reviewer)][key] = one.judgment.label
    if len(people) > 1:
        said[ALL] = {key: opinion(judged).label for key, judged in clips.items()}
    found = {}
    for name, answers in said.items():
        truth = np.array([ANSWERS.index(labels[key]["emotion"]) for key in answers], np.int64)
        spoken = np.array([ANSWERS.index(word or UNSURE) for word in answers.values()], np.int64)
        found[name] = against_label(truth, spoken, ANSWERS)
    return found


def _table(title: str, figures: Mapping[str, Mapping[str, Figure]], what: str) -> str:
    rows = [
        (question, name, _number(figure.value), _interval(figure), f"{figure.clips}", f"{figure.judgments}")
        for question, named in figures.items()
        for name, figure in named.items()
    ]
    return f"{title}\n{text_table(('question', what, 'value', 'interval', 'clips', 'judgments'), rows)}"


def _verdict_table(verdicts: Mapping[str, Mapping[str, Verdicts]]) -> str:
    rows = [
        (name, word, *(f"{n}" for n in (one.accepted, one.rejected, one.tied)), _percent(one.rate))
        for name, words in verdicts.items()
        for word, one in words.items()
    ]
    return "what most reviewers of a clip say\n" + text_table(
        ("label", "word", "accepted", "rejected", "tied", "accepted, with interval"), rows
    )


def _against_table(against: Mapping[str, Against], blind: bool) -> str:
    rows = [
        (who, TITLES[name], _number(figure.value), _interval(figure), _number(one.constant[name]), f"{figure.clips}")
        for who, one in against.items()
        for name, figure in one.scores.items()
    ]
    words = ", ".join(sorted({one.word for one in against.values()}))
    note = "" if blind else " (they saw it: this tests nothing)"
    title = f"answers against the intended emotion{note}; constant: always {words}"
    return f"{title}\n{text_table(('who', 'score', 'value', 'interval', 'constant', 'clips'), rows)}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return "–"
    return f"{figure.low:.3f}..{figure.high:.3f}"


def _percent(figure: Figure) -> str:
    if figure.value is None or figure.low is None or figure.high is None:
        return "–"
    return f"{figure.value:.0%} ({figure.low:.0%}..{figure.high:.0%})"
