"""What a run depends on: frozen, validated, read from YAML with overrides, written back whole.

`training/configs/*.yaml` hold the published hyper-parameters; everything left out there has the default of this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from equime_loader.files import write_atomic
from equime_loader.schema import EXPRESSIONS

# Plain values only: of a type that takes anything, the parser would make whatever class a file names.
Value = bool | int | float | str | None
SPLITS = ("train", "validation", "test")
MAX_FILE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which baseline, and what is asked of it.

    Attributes:
        name: of a baseline in `training.models.MODELS`.
        settings: of that baseline, by name; what is left out has the baseline's default.
    """

    name: str
    settings: dict[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("model.name='' must name a baseline")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which clips are trained on, validated on and tested on.

    Attributes:
        train: folders or URLs by name; clips of several are trained on as one data set.
        test: further folders by name, each tested on whole once training has ended.
        where: labels that narrow the clips of `train`, as for `Selection.where`; `test` is not narrowed by them, so
            that a model of one kind of portraits can be tested on another.
        shared: what becomes of people of `test` who are trained on: `refused` ends the command, `dropped` leaves
            their clips out of the test.
        classes: kind of task, see `training.protocols.tasks`: `three`, `five`, `seven`, …
        expressions: what to train and test on, of `micro` and `macro`; clips of which neither is known are kept.
        split: `drawn` divides the subjects of `train` anew by `sizes`; `given` takes the column `split` of the index.
        split_seed: of the drawing, apart from the run's seed: runs with other seeds are tested on the same subjects.
        sizes: shares of subjects of train, validation and test, where they are drawn.
        labels: `shuffled` permutes the classes of the training clips, to see what chance gives.
    """

    train: dict[str, str] = field(default_factory=dict)
    test: dict[str, str] = field(default_factory=dict)
    where: dict[str, Value | list[Value]] = field(default_factory=dict)
    shared: Literal["refused", "dropped"] = "refused"
    classes: str = "three"
    expressions: list[str] = field(default_factory=lambda: ["micro"])
    split: Literal["drawn", "given"] = "drawn"
    split_seed: int = 0
    sizes: dict[str, float] = field(default_factory=lambda: {"train": 0.7, "validation": 0.15, "test": 0.15})
    labels: Literal["given", "shuffled"] = "given"

    def __post_init__(self) -> None:
        for word in self.expressions or [""]:
            _one_of("data.expressions", word, EXPRESSIONS)
        _one_of("data.shared", self.shared, ("refused", "dropped"))
        _one_of("data.split", self.split, ("drawn", "given"))
        _within("data.split_seed", self.split_seed, 0, (1 << 63) - 1)
        _one_of("data.labels", self.labels, ("given", "shuffled"))
        if not {"train", "validation"} <= set(self.sizes) <= set(SPLITS):
            raise ValueError(f"data.sizes={self.sizes} must name train, validation and, if wanted, test")
        if not all(share > 0 for share in self.sizes.values()) or sum(self.sizes.values()) > 1 + 1e-9:
            raise ValueError(f"data.sizes={self.sizes} must be shares above 0 that add up to at most 1")
        if clash := set(self.test) & set(SPLITS):
            raise ValueError(f"data.test: {sorted(clash)[0]!r} is the name of a split of data.train; give another")


@dataclass(frozen=True, kw_only=True)
class OptimizationConfig:
    """How weights are fitted.

    Attributes:
        optimizer: `adam`, `adamw`, or `sgd` with momentum 0.9. learning_rate, weight_decay: of it.
        batch_size: clips of a step, over all processes.
        epochs: at most.
        imbalance: `weights` weighs the loss by the inverse frequency of each class, `sampling` draws each class
            equally often (then an epoch does not show every clip once), `none` does neither.
        label_smoothing: 0..1, of the cross-entropy.
        precision: `no`, `fp16` or `bf16`; gradients of fp16 are scaled.
    """

    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    batch_size: int = 16
    epochs: int = 100
    imbalance: Literal["none", "weights", "sampling"] = "weights"
    label_smoothing: float = 0.0
    precision: Literal["no", "fp16", "bf16"] = "no"

    def __post_init__(self) -> None:
        _one_of("optimization.optimizer", self.optimizer, ("adam", "adamw", "sgd"))
        _one_of("optimization.imbalance", self.imbalance, ("none", "weights", "sampling"))
        _one_of("optimization.precision", self.precision, ("no", "fp16", "bf16"))
        _within("optimization.learning_rate", self.learning_rate, 0, 10, above=True)
        _within("optimization.weight_decay", self.weight_decay, 0, 10)
        _within("optimization.label_smoothing", self.label_smoothing, 0, 1)
        _within("optimization.batch_size", self.batch_size, 1, 1 << 20)
        _within("optimization.epochs", self.epochs, 1, 1_000_000)


@dataclass(frozen=True, kw_only=True)
class StoppingConfig:
    """What is watched on the validation split: for the best weights, for stopping, for the learning rate.

    Attributes:
        monitor: `uf1`, `uar`, `accuracy` (more is better) or `loss` (less is better).
        patience: epochs without a better figure after which training ends.
        plateau_factor: by which the learning rate is multiplied after each `plateau_patience` epochs without a better
            figure, down to `least_learning_rate`.
    """

    monitor: Literal["uf1", "uar", "accuracy", "loss"] = "uf1"
    patience: int = 15
    plateau_factor: float = 0.2
    plateau_patience: int = 5
    least_learning_rate: float = 1e-5

    def __post_init__(self) -> None:
        _one_of("stopping.monitor", self.monitor, ("uf1", "uar", "accuracy", "loss"))
        _within("stopping.patience", self.patience, 1, 1_000_000)
        _within("stopping.plateau_factor", self.plateau_factor, 0, 0.999, above=True)
        _within("stopping.plateau_patience", self.plateau_patience, 1, 1_000_000)
        _within("stopping.least_learning_rate", self.least_learning_rate, 0, 10)


@dataclass(frozen=True, kw_only=True)
class LoaderConfig:
    """How clips come to the model; none of it changes which, nor their order. See `equime_loader.Loader`.

    Attributes:
        workers: threads or processes that decode, of each training process. processes: which of the two.
        prefetch: batches worked on ahead.
        cache: folder for decoded windows, so that later epochs do not decode; `cache_gib` bounds it.
    """

    workers: int = 2
    processes: bool = False
    prefetch: int = 3
    cache: str | None = None
    cache_gib: float = 8.0

    def __post_init__(self) -> None:
        _within("loader.workers", self.workers, 0, 1024)
        _within("loader.prefetch", self.prefetch, 1, 1024)
        _within("loader.cache_gib", self.cache_gib, 0, 1 << 20, above=True)


@dataclass(frozen=True, kw_only=True)
class Config:
    """All that a run depends on.

    Attributes:
        seed: of first weights, order, augmentation, dropout and shuffled labels.
        checkpoint_steps: steps between checkpoints within an epoch; 0 for one at each epoch's end only.
    """

    model: ModelConfig
    data: DataConfig = field(default_factory=DataConfig)
    optimization: OptimizationConfig = field(default_factory=OptimizationConfig)
    stopping: StoppingConfig = field(default_factory=StoppingConfig)
    loader: LoaderConfig = field(default_factory=LoaderConfig)
    seed: int = 0
    checkpoint_steps: int = 200

    def __post_init__(self) -> None:
        _within("seed", self.seed, 0, (1 << 63) - 1)
        _within("checkpoint_steps", self.checkpoint_steps, 0, 1 << 40)


def config_of(values: Mapping[str, Any]) -> Config:
    """A configuration from plain values, as `plain` gives them; what is left out has its default.

    Raises:
        ValueError: an unknown name, a value of the wrong type or out of its bounds.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Config)
    try:
        found = parser.instantiate(parser.parse_object(dict(values)))
    except (ArgumentError, TypeError) as error:
        raise ValueError(f"configuration: {' '.join(str(error).split())}") from error
    return Config(**vars(found))


def read_config(path: str | Path) -> Config:
    """A configuration of a YAML file.

    Raises:
        ValueError: the file is no configuration; the message names it. OSError: it cannot be read.
    """
    file = Path(path)
    if file.stat().st_size > MAX_FILE:
        raise ValueError(f"{file}: {file.stat().st_size} bytes, a configuration has at most {MAX_FILE}")
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("holds no names with values")
        return config_of(values)
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{file}: {' '.join(str(error).split())}") from error


def plain(config: Config) -> dict[str, Any]:
    """A configuration as plain dictionaries, lists, words and numbers."""
    return asdict(config)


def write_config(config: Config, path: str | Path) -> None:
    """Write a configuration as YAML with every default, whole or not at all."""
    text = yaml.safe_dump(plain(config), sort_keys=False, allow_unicode=True)
    write_atomic(Path(path), text.encode(), shared=True)


def changes(before: Config, after: Config) -> list[str]:
    """What differs between two configurations, one line each: `seed: 0, now 3`."""
    old, new = _flat(plain(before)), _flat(plain(after))
    names = dict.fromkeys([*old, *new])
    return [f"{name}: {old.get(name)!r}, now {new.get(name)!r}" for name in names if old.get(name) != new.get(name)]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name}={value!r} must be one of {', '.join(known)}")


def _within(name: str, value: float, least: float, most: float, *, above: bool = False) -> None:
    if not (least < value if above else least <= value) or not value <= most:
        raise ValueError(f"{name}={value} must be {'above' if above else 'at least'} {least:g} and at most {most:g}")
