"""What training on a subset changes: balanced or skewed groups, and counterfactual sets, against clips at random.

All arms of a seed have the validation and test clips in common, and the weights they begin with. They are as large as
the smallest of them, so that a difference is not one of having fewer clips. Counterfactual sets hold few subjects, each
with many clips: they are compared with clips of as many subjects by lot, the others with clips by lot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from equime_loader.tables import counted
from training.config import Config
from training.runs import Study
from training.studies import RUNS, Trial, run_trial, trial_name

if TYPE_CHECKING:
    from equime_loader import Selection
    from training.protocols.tasks import Task
    from training.runs import Run

WHOLE, BY_CLIP, BY_SUBJECT = "", "random clips", "random subjects"
MIN_PER_CLASS = 2  # clips of a class that the training clips have; an arm with fewer could not learn it


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsetPlan:
    """What a study of subsets is made of.

    Attributes:
        model: the configuration; its data names the folders. Its seed is replaced.
        balance: attributes whose groups are made even; none for no such arm.
        skew: by attribute, the weight of each word in a skewed arm (what balancing would have to mend); words left out
            are not in it; empty for no such arm.
        across: attributes that differ between subjects of one expression program; none for no such arm.
        seeds: a run of each arm for each. With n seeds the paired test cannot give p below 2 / 2^n.
        whole: whether all training clips are an arm, too.
    """

    model: Config
    balance: tuple[str, ...] = ("apparent_gender", "apparent_race")
    skew: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    across: tuple[str, ...] = ("apparent_gender",)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    whole: bool = True

    def __post_init__(self) -> None:
        if not (self.balance or self.skew or self.across):
            raise ValueError("a study of subsets needs balance, skew or across")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds={list(self.seeds)} must be at least one, each once")


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """Clips to train on, and the name of the arm that they are compared with, empty for none."""

    task: Task
    against: str = ""


def arms(train: Task, plan: SubsetPlan, *, seed: int) -> dict[str, Arm]:
    """Subsets of the training clips by name, all of one size (but the whole).

    Raises:
        ValueError: clips cannot be balanced, no program is shared across groups, or too few clips are left.
    """
    from equime_loader.fairness import balanced, counterfactuals

    chosen: dict[str, Selection] = {}
    if plan.balance:
        chosen[f"balanced by {_words(plan.balance)}"] = balanced(train.clips, plan.balance, seed=seed).selection
    if plan.skew:
        skewed = balanced(train.clips, list(plan.skew), target=plan.skew, seed=seed)
        chosen[f"skewed by {_words(list(plan.skew))}"] = skewed.selection
    found: dict[str, Arm] = {WHOLE: Arm(train, BY_CLIP if chosen else "")} if plan.whole else {}
    sets = counterfactuals(train.clips, plan.across).matched().selection if plan.across else None
    size = min(map(len, [*chosen.values(), *([sets] if sets is not None else [])]))
    rng = np.random.default_rng([seed, size])
    found |= {name: Arm(_drawn(train.of(clips), size, name, rng), BY_CLIP) for name, clips in chosen.items()}
    if chosen:
        found[BY_CLIP] = Arm(_drawn(train, size, BY_CLIP, rng))
    if sets is not None:
        paired = _drawn(train.of(sets), size, "counterfactual", rng)
        found[f"counterfactual across {_words(plan.across)}"] = Arm(paired, BY_SUBJECT)
        found[BY_SUBJECT] = Arm(_drawn(_of_subjects(train, len(_subjects(paired)), size, rng), size, BY_SUBJECT, rng))
    for name, arm in found.items():
        _check(train, name, arm.task)
    return found


def _check(train: Task, name: str, task: Task) -> None:
    """Raises ValueError where an arm has too few clips of a class that the training clips have."""
    left = task.counts()
    if any(left[word] < MIN_PER_CLASS for word, count in train.counts().items() if count):
        counts = ", ".join(f"{word} {count}" for word, count in left.items())
        raise ValueError(f"{name}: {counted(len(task), 'clip')}, too few to learn from ({counts}); give more data")


def _subjects(task: Task) -> NDArray[np.int32]:
    return np.unique(task.clips.codes("subject").codes)


def _of_subjects(train: Task, subjects: int, size: int, rng: np.random.Generator) -> Task:
    """All clips of so many subjects by lot; of more, where these have fewer than `size` clips."""
    codes = train.clips.codes("subject").codes
    order = rng.permutation(_subjects(train))
    clips = np.cumsum([int((codes == subject).sum()) for subject in order])
    enough = max(subjects, int(np.searchsorted(clips, size)) + 1)
    return train.narrowed(np.isin(codes, order[:enough]), f"{BY_SUBJECT}: {enough} of {len(order)} by lot")


def _words(attributes: Sequence[str]) -> str:
    return " and ".join(name.replace("apparent_", "").replace("_", " ") for name in attributes)


def _drawn(task: Task, size: int, name: str, rng: np.random.Generator) -> Task:
    """As many clips of a task, by lot."""
    if len(task) == size:
        return task
    places: NDArray[np.int64] = np.sort(rng.permutation(len(task))[:size])
    return task.narrowed(places, f"{name}: {size:,} of {len(task):,} clips by lot")


def trials(plan: SubsetPlan) -> Iterator[Trial]:
    """The runs of a study, all arms of a seed after each other.

    Raises:
        ValueError, IndexFault, StorageError: as `training.data.open_parts` and `arms`.
    """
    from training.data import open_parts

    for seed in plan.seeds:
        config = replace(plan.model, seed=seed)
        parts = open_parts(config)
        trained: Mapping[str, str] = parts.trained
        for name, arm in arms(parts.train, plan, seed=seed).items():
            folder = trial_name(config.data.classes, config.model.name, name or "all", str(seed))
            yield Trial(folder, config, arm.task, parts.validation, parts.test, trained, Study(name, arm.against))


def run_comparison(plan: SubsetPlan, out: Path) -> list[Run]:
    """Run a study of subsets into `out/runs`; run folders that have ended are not run again."""
    return [run_trial(trial, out / RUNS) for trial in trials(plan)]
