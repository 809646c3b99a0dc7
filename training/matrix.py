"""The cross-dataset matrix: train on each data set and test on every one, or on all but one and test on that.

Each run's configuration names its folders, so that its divisions follow from it alone, as in `python -m training
train`: tests within a data set are on subjects kept apart, tests across on all of the other who are not trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

from equime_loader.tables import counted
from training.config import SPLITS, Config
from training.runs import Study, check_name
from training.studies import RUNS, Trial, run_trial, trial_name

if TYPE_CHECKING:
    from training.data import Parts
    from training.runs import Run

Relations = Mapping[tuple[str, str], str]
"""By names of two folders, why the same people may be in both; pairs of which nothing says so are missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixPlan:
    """What a matrix is made of.

    Attributes:
        models: a configuration for each model; their data, seed and classes are replaced.
        data: folders by name. kind: of task. seeds: a run for each.
        each: train on each data set. leave_one_out: train on all but one, of those that show nobody of it.
    """

    models: tuple[Config, ...]
    data: Mapping[str, str]
    kind: str = "three"
    seeds: tuple[int, ...] = (0,)
    each: bool = True
    leave_one_out: bool = False

    def __post_init__(self) -> None:
        if not self.models or not self.seeds:
            raise ValueError("a matrix needs at least one model and one seed")
        if len(self.data) < 2:
            raise ValueError(f"data={list(self.data)} must name at least two folders to train and test across")
        if self.leave_one_out and len(self.data) < 3:
            raise ValueError(f"data={list(self.data)} must name at least three folders, to leave one out")
        if not (self.each or self.leave_one_out):
            raise ValueError("a matrix needs each, leave_one_out, or both")
        for name in self.data:
            check_name(name)
            if name in SPLITS:
                raise ValueError(f"data: {name!r} is the name of a split; give the folder another")
        for what, values in (("models", [model.model.name for model in self.models]), ("seeds", self.seeds)):
            if len(set(values)) < len(values):
                raise ValueError(f"{what}={list(values)} must each stand once")


def configurations(plan: MatrixPlan, relations: Relations) -> list[Config]:
    """The runs of a matrix.

    Raises:
        ValueError: leaving one out leaves nothing to train on.
    """
    trains: list[tuple[str, ...]] = [(name,) for name in plan.data] if plan.each else []
    tests = {train: tuple(name for name in plan.data if name not in train) for train in trains}
    for left in plan.data if plan.leave_one_out else ():
        train = tuple(name for name in plan.data if name != left and (name, left) not in relations)
        if not train:
            raise ValueError(f"nothing is left to train on without {left} and what shows its people")
        tests[train] = (*tests.get(train, ()), *(() if left in tests.get(train, ()) else (left,)))
    return [_configuration(model, plan, train, tests[train], seed)
            for model in plan.models for train in tests for seed in plan.seeds]  # fmt: skip


def _configuration(model: Config, plan: MatrixPlan, train: Sequence[str], test: Sequence[str], seed: int) -> Config:
    sizes = model.data.sizes
    if len(train) > 1:  # tested on what is left out alone, so that nothing need be kept apart
        whole = sizes["train"] + sizes["validation"]
        sizes = {name: sizes[name] / whole for name in ("train", "validation")}
    own, others = ({name: plan.data[name] for name in names} for names in (train, test))
    data = replace(model.data, train=own, test=others, sizes=sizes, shared="dropped", classes=plan.kind, where={})
    return replace(model, data=data, seed=seed)


def trials(plan: MatrixPlan) -> Iterator[Trial]:
    """The runs of a matrix with their clips, opened one after the other.

    Raises:
        ValueError, IndexFault, StorageError: as `training.data.open_parts`.
    """
    from training.data import open_parts

    expressions = {word for model in plan.models for word in model.data.expressions}
    relations = relations_of(plan.data, plan.kind, expressions=sorted(expressions))
    for config in configurations(plan, relations):
        parts = open_parts(config)
        pairs = ((train, test) for test in config.data.test for train in config.data.train)
        related = {test: relations[train, test] for train, test in pairs if (train, test) in relations}
        cautions = {test: caution(why, parts, test) for test, why in related.items()}
        name = trial_name(config.data.classes, config.model.name, "+".join(config.data.train), str(config.seed))
        yield Trial(name, config, parts.train, parts.validation, parts.test, parts.trained, Study(cautions=cautions))


def caution(why: str, parts: Parts, test: str) -> str:
    """What is to be known of a test set that may show people trained on.

    Args:
        why: it may. parts: what is trained on and tested. test: name of the set.
    """
    if test not in parts.test:
        return f"{why}; not tested, since everyone in it is trained on"
    if clips := parts.dropped.get(test):
        return f"{why}; left out of the test: {counted(clips, 'clip')} of people trained on"
    return f"{why}; read its scores as an upper bound"


def relations_of(data: Mapping[str, str], kind: str, *, expressions: Sequence[str]) -> dict[tuple[str, str], str]:
    """Which of the folders may show the same people.

    Raises:
        ValueError, IndexFault, StorageError: a folder cannot be read, or has no clip with a class.
    """
    from equime_loader import open_dataset
    from equime_loader.people import related
    from training.protocols.tasks import make_task

    tasks = {name: make_task(open_dataset(folder), kind, expressions=expressions) for name, folder in data.items()}
    found = {(one, other): related(tasks[one].clips, tasks[other].clips) for one, other in permutations(tasks, 2)}
    return {pair: words for pair, words in found.items() if words}


def run_matrix(plan: MatrixPlan, out: Path) -> list[Run]:
    """Run a matrix into `out/runs`; run folders that have ended are not run again."""
    return [run_trial(trial, out / RUNS) for trial in trials(plan)]
