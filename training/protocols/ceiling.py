"""The ceiling of a task: what a classifier reaches that sees the true program instead of the video.

Emotions share AUs, so even the AUs themselves do not tell every emotion, and no model can be asked for more than they
tell. How much that is, is found in two ways: by the AU table that programs are drawn from, for clips that are built
here; and by classifiers that learn from AUs, sides, intensities and timing of other subjects' clips, for any corpus
that codes AUs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equime_builder.facs import EXPRESSIVE_AUS
from equime_loader.corpora.classes import is_built
from equime_loader.joined import JoinedStore
from equime_loader.schema import EMOTIONS
from equime_loader.splits import k_fold
from equime_loader.storage import StorageError, Store
from training.protocols.apart import APART
from training.protocols.bayes import Outcome, best_rule, likelihoods, table_outcomes
from training.protocols.rounds import Pooled
from training.protocols.scores import scores
from training.protocols.tasks import Task

Floats = NDArray[np.float64]
FOLDS = 5
PLAN, MAX_PLAN = "__manifest__/plan.json", 64 << 20


@dataclass(frozen=True, eq=False)
class Ceiling:
    """What one classifier reaches that sees the programs.

    Attributes:
        method: its name. pooled: the class it gives each clip of the task, never having learned from that clip.
        expected_uf1: UF1 over endlessly many clips, NaN where the law of the programs is not known.
    """

    method: str
    pooled: Pooled
    expected_uf1: float = float("nan")

    def uf1_on(self, keys: Sequence[str]) -> float:
        """UF1 on some clips of the task, such as those that a model was tested on.

        Raises:
            ValueError: a key that the task does not have.
        """
        task = self.pooled.task
        if strange := sorted(set(keys) - task.by_key.keys()):
            raise ValueError(f"clip {strange[0]!r} is no clip of the {len(task)} whose ceiling is known")
        chosen = np.isin(np.array(task.keys), np.array(sorted(set(keys))))
        return scores(task.targets[chosen], self.pooled.predicted[chosen], task.classes).uf1


def ceilings(task: Task, *, table: str | None = None, folds: int = FOLDS, seed: int = 0) -> tuple[Ceiling, ...]:
    """Every ceiling that can be found for a task; the highest is the one to compare a model with.

    Args:
        table: AU table of the programs; without it, what the folders' plans say.
        folds: of the cross-validation of the classifiers that learn.
        seed: of the folds and of the classifiers.

    Raises:
        ValueError: clips without any AU, an unknown table, plans that do not agree on one, or fewer groups of subjects
            than folds.
    """
    if not any(aus for aus, _ in programs(task)):
        raise ValueError(f"none of {len(task)} clips has an AU, so that there is no program to see")
    learned = tuple(learned_ceiling(task, method, folds=folds, seed=seed) for method in LEARNERS)
    if not all(map(is_built, task.clips.counts("corpus"))):
        return learned
    return (bayes_ceiling(task, table=table or table_of(task)), *learned)


def table_of(task: Task) -> str:
    """AU table that the plans of the clips' folders say.

    Raises:
        ValueError: a folder without a plan that says so, or folders of different tables.
    """
    store = task.clips.index.store
    stores = store.stores.values() if isinstance(store, JoinedStore) else (store,)
    tables = {_planned_table(each) for each in stores}
    if len(tables) != 1:
        raise ValueError(
            f"programs are drawn from different AU tables, {' and '.join(sorted(tables))}; take one dataset"
        )
    return tables.pop()


def _planned_table(store: Store) -> str:
    try:
        file = store.file(PLAN)
        if (size := file.stat().st_size) > MAX_PLAN:
            raise ValueError(f"{size} bytes, expected at most {MAX_PLAN}")
        return str(json.loads(file.read_text(encoding="utf-8"))["profile"]["au_table"])
    except (StorageError, OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{store.root}: its plan does not say its AU table ({error}); say it: `table`") from error


def bayes_ceiling(task: Task, *, table: str) -> Ceiling:
    """The best rule for UF1 by the AU table; of the clips, only how frequent each emotion is.

    Raises:
        ValueError: no such table, or a clip without an emotion.
    """
    drawn, seen = table_outcomes(table), programs(task)
    emotions = task.clips.codes("emotion").codes
    if (emotions < 0).any():
        raise ValueError(f"{int((emotions < 0).sum())} of {len(task)} clips have no emotion that a table could tell")
    shares = np.zeros((len(task.classes), len(EMOTIONS)))
    np.add.at(shares, (task.targets, emotions), 1 / len(task))

    outcomes = sorted({*drawn, *seen})
    rule = best_rule(shares @ likelihoods(table, outcomes))
    answers = dict(zip(outcomes, rule.called.tolist(), strict=True))
    predicted = np.array([answers[outcome] for outcome in seen], np.int64)
    return Ceiling(f"Bayes rule of AU table {table}", Pooled(task, predicted), rule.uf1)


def programs(task: Task) -> list[Outcome]:
    """The AUs of each clip's program, and whether any of them acts on one side only."""
    found = []
    for row in task.clips.labels(["aus"]):
        acting = [action for action in row["aus"] or () if action["au"] in EXPRESSIVE_AUS]
        aus = tuple(sorted({int(action["au"]) for action in acting}))
        found.append((aus, any(action["side"] != "both" for action in acting)))
    return found


def learned_ceiling(task: Task, method: str, *, folds: int = FOLDS, seed: int = 0) -> Ceiling:
    """A classifier of `LEARNERS` by cross-validation, each clip told by one that learned from other subjects.

    Raises:
        ValueError: an unknown method, or fewer groups of subjects than folds.
    """
    if method not in LEARNERS:
        raise ValueError(f"{method=} must be one of {', '.join(LEARNERS)}")
    described = features(task)
    predicted = np.full(len(task), -1, np.int64)
    for fold in k_fold(task.clips, folds, by=APART, seed=seed):
        train, test = (np.searchsorted(task.clips.rows, part.rows) for part in (fold.train, fold.test))
        model = LEARNERS[method](seed).fit(described[train], task.targets[train])
        predicted[test] = model.predict(described[test])
    return Ceiling(f"{method}, {folds} folds of subjects", Pooled(task, predicted))


def features(task: Task) -> Floats:
    """What a program is, as numbers: (n, F).

    For each AU and side, whether it acts and its intensity (0 where the coder gave none); then milliseconds from onset
    to apex and from apex to offset.
    """
    clips = task.clips
    columns = []
    for au in EXPRESSIVE_AUS:
        both, left, right = (
            clips.index.au_intensity(au, side=side)[clips.rows].astype(np.float64) for side in ("both", "left", "right")
        )
        for half in (left, right):
            intensity = np.nan_to_num(np.fmax(both, half))
            columns += [np.isnan(both) | np.isnan(half) | (intensity > 0), intensity]
    onset, apex, offset = (clips.numbers(f"{name}_ms") for name in ("onset", "apex", "offset"))
    return np.stack([*columns, np.nan_to_num(apex - onset), np.nan_to_num(offset - apex)], axis=1)


def _logistic(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = LogisticRegression(class_weight="balanced", max_iter=2_000, random_state=seed)
    return make_pipeline(StandardScaler(), model)


def _trees(seed: int) -> Any:
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(
        100, min_samples_leaf=3, max_features=None, class_weight="balanced", random_state=seed, n_jobs=1
    )


LEARNERS: dict[str, Callable[[int], Any]] = {"logistic regression": _logistic, "extra trees": _trees}
