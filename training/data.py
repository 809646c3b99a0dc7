"""From folders to batches: open, join, make a task of it, keep subjects apart, load."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from equime_loader import Loader, Selection, View, WindowCacheSettings, check_leakage, holdout, join, open_dataset
from equime_loader.order import Balanced
from equime_loader.order.keys import purpose_key
from equime_loader.split_checks import PEOPLE
from equime_loader.splits import STRATIFY
from training.config import SPLITS, Config, DataConfig, LoaderConfig
from training.progress import is_first_process
from training.protocols.apart import APART, PROGRAM, sharing
from training.protocols.tasks import Task, make_task
from training.runs import check_name

log = logging.getLogger(__name__)
Where = Mapping[str, Any]
# Fields whose words are spread evenly over splits; a corpus has classes where EquiME has emotions.
FIELDS = (*STRATIFY, "three_class", "corpus")


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What a run trains on, validates on, and tests on.

    Attributes:
        test: by name; `test` is the test split of what is trained on.
        trained: SHA-256 of the index of each folder trained on, by name.
        dropped: by name, clips that are left out of a test since their people are trained on; a test of which none is
            left is not in `test`.
    """

    train: Task
    validation: Task
    test: Mapping[str, Task]
    trained: Mapping[str, str]
    dropped: Mapping[str, int] = field(default_factory=dict)


def open_parts(config: Config) -> Parts:
    """Open a configuration's folders and divide their clips.

    Raises:
        LeakageError: a subject, portrait or program stands in two splits. ValueError: no folder, no clip with a class,
            or sizes that cannot be met. IndexFault, StorageError: a folder that cannot be read.
    """
    data = config.data
    if not data.train:
        raise ValueError("data.train is empty; give a folder, such as --data.train.equime FOLDER")
    folders = {name: open_dataset(folder) for name, folder in data.train.items()}
    task = make_task(narrowed(joined(folders), data.where), data.classes, expressions=data.expressions)
    splits = divided(task, data)
    train, validation = splits["train"], splits["validation"]
    if data.labels == "shuffled":
        train, validation = (shuffled(part, seed=config.seed) for part in (train, validation))
    tests = {name: part for name, part in splits.items() if name == "test"}
    parts = Parts(train, validation, tests, {name: clips.index.sha256 for name, clips in folders.items()})
    opened = {name: open_test(name, folder, parts, data) for name, folder in data.test.items()}
    others = {name: test for name, (test, _) in opened.items() if len(test)}
    dropped = {name: clips for name, (_, clips) in opened.items() if clips}
    return replace(parts, test=tests | others, dropped=dropped)


def open_test(
    name: str, folder: str, parts: Parts, data: DataConfig, *, where: Where = MappingProxyType({})
) -> tuple[Task, int]:
    """A folder's clips to test on, nobody in them trained on or validated on.

    Args:
        data: says the classes and expressions, and what becomes of people seen in training. where: labels that narrow
            the clips.

    Returns:
        The task, and how many clips of people seen in training were dropped from it.

    Raises:
        LeakageError: a subject, portrait or program was seen in training. ValueError: no clip with a class.
    """
    check_name(name)
    task = make_task(narrowed(open_dataset(folder), where), data.classes, expressions=data.expressions)
    seen = {"train": parts.train.clips, "validation": parts.validation.clips}
    by, dropped = kept_apart(data), 0
    if data.shared == "dropped":
        shared = sharing(task.clips, seen.values(), by)
        if dropped := int(shared.sum()):
            task = task.narrowed(~shared, f"{dropped:,} of {len(task):,} clips left out: of people trained on")
    check_leakage({**seen, name: task.clips}, by=by)
    return task, dropped


def joined(folders: Mapping[str, Selection]) -> Selection:
    """Clips of several folders as one; those of a single folder as they are."""
    return join(folders) if len(folders) > 1 else next(iter(folders.values()))


def narrowed(clips: Selection, where: Where) -> Selection:
    """Clips whose labels are as asked; see `Selection.where`. A list of two numbers is a range: YAML has no tuples."""
    return clips.where(**{name: tuple(asked) if isinstance(asked, list) else asked for name, asked in where.items()})


def divided(task: Task, data: DataConfig) -> dict[str, Task]:
    """Train, validation and, where wanted, test: no subject, no portrait and no shared program in two of them.

    Splits that are `given` by the index may share programs; then their last step says so, and a line.

    Raises:
        LeakageError, ValueError: as `open_parts`.
    """
    if data.split == "given":
        parts = {name: task.clips.where(split=name) for name in SPLITS}
    else:
        sizes = {name: data.sizes[name] for name in SPLITS if name in data.sizes}
        parts = holdout(task.clips, sizes, by=APART, stratify=FIELDS, seed=data.split_seed)
    parts = {name: part for name, part in parts.items() if len(part)}
    if missing := [name for name in ("train", "validation") if name not in parts]:
        raise ValueError(f"data.split={data.split}: no clip of {len(task):,} is in the split {missing[0]!r}")
    check_leakage(parts, by=kept_apart(data))
    if data.split == "given":
        parts = _noted(parts)
    return {name: task.of(part) for name, part in parts.items()}


def kept_apart(data: DataConfig) -> tuple[str, ...]:
    """What no two parts share: of splits that the index gives, which may share programs, people alone."""
    return PEOPLE if data.split == "given" else APART


def _noted(parts: Mapping[str, Selection]) -> dict[str, Selection]:
    """Splits whose last step says, as a line does, how many clips share a program with another split."""
    noted = dict(parts)
    for name, part in parts.items():
        if shared := int(sharing(part, [other for other in parts.values() if other is not part], [PROGRAM]).sum()):
            told = f"split given: {shared:,} of {len(part):,} clips share a program with another split"
            noted[name] = part.narrowed(np.ones(len(part), np.bool_), told)
            if is_first_process():
                log.warning("%s: %s; data.split drawn keeps them apart", name, told)
    return noted


def shuffled(task: Task, *, seed: int) -> Task:
    """The clips with the classes of one another, as often as before: what can be learned of them is chance."""
    order = np.random.default_rng([seed, purpose_key("shuffled labels")]).permutation(len(task))
    return Task(task.clips, task.classes, task.targets[order])


def training_loader(task: Task, view: View, config: Config, *, rank: int, ranks: int) -> Loader:
    """Batches to train on, `optimization.batch_size` clips over all ranks; see `_Labeled` for what they hold.

    Raises:
        ValueError: a batch size that the ranks do not divide.
    """
    whole = config.optimization.batch_size
    if whole % ranks:
        raise ValueError(f"optimization.batch_size={whole} must be a multiple of {ranks}, the number of processes")
    sampling = Balanced(task.targets) if config.optimization.imbalance == "sampling" else None
    options = _options(task, config.loader, rank, ranks)
    return Loader(task.clips, view, batch_size=whole // ranks, seed=config.seed, sampling=sampling, **options)


def evaluation_loader(task: Task, view: View, config: Config, *, rank: int, ranks: int) -> Loader:
    """Batches of every clip once, over all ranks, in the order of the index."""
    size = max(1, config.optimization.batch_size // ranks)
    options = _options(task, config.loader, rank, ranks)
    return Loader(task.clips, view, batch_size=size, shuffle=False, ends="uneven", **options)


def _options(task: Task, loader: LoaderConfig, rank: int, ranks: int) -> dict[str, Any]:
    return {
        "labels": (),
        "workers": loader.workers,
        "processes": loader.processes,
        "prefetch": loader.prefetch,
        "cache": WindowCacheSettings(loader.cache, int(loader.cache_gib * 2**30)) if loader.cache else None,
        "pin_memory": True,
        "rank": rank,
        "ranks": ranks,
        "transform": _Labeled(task),
    }


class _Labeled:
    """Gives a batch `target` (B,) int64, the class of each clip, and `position` (B,) int64, its place in the task."""

    def __init__(self, task: Task) -> None:
        self._place = {key: place for place, key in enumerate(task.keys)}
        self._targets = torch.from_numpy(task.targets.copy())

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        places = torch.tensor([self._place[key] for key in batch["key"]], dtype=torch.int64)
        return {**batch, "position": places, "target": self._targets[places]}
