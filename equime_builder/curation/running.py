"""One run of curation: score, estimate, decide, and keep what is found out as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from equime_builder.attributes.agreement import Agreement, agreements
from equime_builder.attributes.estimates import Estimate, Estimator
from equime_builder.attributes.running import estimate_files, estimates_from_table
from equime_builder.curation.scores import Scores, fault
from equime_builder.curation.scoring import Job, Scored, score_files
from equime_builder.curation.store import Store
from equime_builder.curation.survey import Pool, Wanted, take_survey
from equime_builder.portraits import Survey
from equime_builder.profiles import Profile

KEPT_AT_ONCE = 64  # scores that are kept at a time: what a killed run loses at most, for each process


class Photographs(Protocol):
    """A source of photographs."""

    @property
    def root(self) -> Path: ...

    @property
    def limit(self) -> int | None: ...

    @property
    def model(self) -> Callable[[], Path]: ...

    def pool(self, profile: Profile, seed: int) -> Pool: ...


@dataclass(frozen=True, slots=True)
class Curated:
    """What a run of curation found: `faults` are rows of a table of estimates that are wrong, with reasons."""

    survey: Survey
    agreements: tuple[Agreement, ...]
    faults: Mapping[str, str] = field(default_factory=dict)


def curate(
    source: Photographs,
    profile: Profile,
    seed: int,
    store: Store,
    *,
    estimator: Estimator | Path | None = None,
    workers: int = 1,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Curated:
    """Score what is not scored yet, estimate what is not estimated yet, decide, and write the tables.

    Args:
        estimator: an estimator, or a CSV of estimates, whose earlier rows it replaces; None for what is known already.
        progress: told what is done, how many are, and of how many.
    """
    pool, known = source.pool(profile, seed), store.known()
    job = Job(source.root, source.model(), profile.size)
    references = [candidate.reference for candidate in pool.candidates]
    coming = score_files(job, references, known=known.scores, workers=workers)
    scored = list(_counted(_kept(coming, known.scores, store), "scoring", len(references), progress))
    estimates, faults = dict(known.estimates), dict[str, str]()
    if isinstance(estimator, Path):
        found, faults = estimates_from_table(estimator, scored)
        estimates = {digest: each for digest, each in estimates.items() if each.by != estimator.name} | found
    elif estimator is not None:
        estimates |= _estimated(source.root, scored, profile, estimates, estimator, store, progress)
    wanted = Wanted(profile.curation, profile.size, source.limit, profile.acceptance.reserve)
    survey = take_survey(pool, scored, wanted, estimates, all_of_them=True)
    assert survey.scores is not None
    found_out = tuple(agreements(survey.scores))
    store.finish(survey.scores, {each.sha256: each.scores for each in scored if each.sha256}, found_out)
    return Curated(survey, found_out, faults)


def _kept(coming: Iterable[Scored], known: Mapping[str, Scores], store: Store) -> Iterator[Scored]:
    """Scores as they come; new ones are kept, the last of them also when the run is broken off."""
    waiting: list[Scored] = []
    try:
        for each in coming:
            if each.sha256 is not None and known.get(each.sha256) is not each.scores:
                waiting.append(each)
            if len(waiting) >= KEPT_AT_ONCE:
                store.keep_scores(waiting)
                waiting.clear()
            yield each
    finally:
        store.keep_scores(waiting)


def _estimated(
    root: Path,
    scored: Iterable[Scored],
    profile: Profile,
    known: Mapping[str, Estimate],
    estimator: Estimator,
    store: Store,
    progress: Callable[[str, int, int], None],
) -> dict[str, Estimate]:
    """Estimates of the portraits that pass the thresholds and were not estimated by this estimator yet."""
    unknown: dict[str, Scored] = {}
    for each in scored:
        passes = each.sha256 is not None and fault(each.scores, profile.curation) is None
        if passes and ((old := known.get(each.sha256 or "")) is None or old.by != estimator.name):
            unknown[each.sha256 or ""] = each
    found: dict[str, Estimate] = {}
    for batch in estimate_files(root, unknown.values(), estimator):
        store.keep_estimates(batch)
        found |= batch
        progress("estimating", len(found), len(unknown))
    return found


def _counted(
    items: Iterable[Scored], what: str, total: int, progress: Callable[[str, int, int], None]
) -> Iterator[Scored]:
    for done, each in enumerate(items, start=1):
        progress(what, done, total)
        yield each
