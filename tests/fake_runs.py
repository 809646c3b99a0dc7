"""Run folders as the training loop writes them, with predictions of a made-up model of a given skill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from training.config import Config, DataConfig, ModelConfig, write_config
from training.predictions import write_predictions
from training.reports import write_report
from training.runs import Epoch, Study, record_splits, write_history, write_json, write_result

THREE = ("negative", "positive", "surprise")
FIVE = ("happiness", "sadness", "surprise", "disgust", "anger")
GENDERS, RACES = ("female", "male"), ("asian", "black", "white")


def table(
    classes: Sequence[str] = THREE,
    *,
    skill: float,
    clips: int = 160,
    subjects: int = 24,
    seed: int = 0,
    corpus: str = "equime",
    with_groups: bool = True,
    worse: str | None = None,
) -> pa.Table:
    """Predictions that are right with a probability of about `skill`; for women (`worse="female"`) less often.

    Clips depend on `corpus` alone, so that runs of several seeds are tested on the same ones.
    """
    fixed, drawn = np.random.default_rng(len(corpus)), np.random.default_rng([seed, len(corpus)])
    shares = np.array([0.6, 0.25, 0.15] if len(classes) == 3 else [1 / len(classes)] * len(classes))
    truth = fixed.choice(len(classes), clips, p=shares)
    subject = np.arange(clips) % subjects
    gender, race = np.array(GENDERS)[subject % 2], np.array(RACES)[subject % 3]
    logits = drawn.normal(size=(clips, len(classes)))
    pull = np.where(gender == worse, 0.4, 1.0) * 4 * skill
    logits[np.arange(clips), truth] += pull
    probabilities = np.exp(1.5 * logits)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    called = probabilities.argmax(axis=1)
    words = np.array(classes)
    groups = {"apparent_gender": gender.tolist(), "apparent_race": race.tolist(), "age_group": [None] * clips}
    nothing: Mapping[str, list[None]] = {name: [None] * clips for name in groups}
    columns = {name: pa.array(values, pa.string()) for name, values in (groups if with_groups else nothing).items()}
    return pa.table(
        {
            "key": [f"{corpus}-{number:04d}" for number in range(clips)],
            "subject": [f"{corpus}-{number:02d}" for number in subject],
            "label": words[truth],
            "prediction": words[called],
            "confidence": probabilities.max(axis=1).astype(np.float32),
            **{f"probability_{name}": probabilities[:, at].astype(np.float32) for at, name in enumerate(classes)},
            "corpus": [corpus] * clips,
            **columns,
        }
    )


def history(epochs: int, skill: float, seed: int) -> list[Epoch]:
    """Curves of a training that ends at about `skill`."""
    rng = np.random.default_rng(seed)
    rise = 1 - np.exp(-np.arange(epochs) / 5)
    return [
        Epoch(
            epoch=number,
            step=20 * (number + 1),
            train_loss=float(1.1 - 0.9 * part + 0.02 * rng.random()),
            validation_loss=float(1.1 - 0.5 * skill * part + 0.08 * rng.random()),
            validation_uf1=float(0.25 + (skill - 0.25) * part + 0.05 * rng.random()),
            validation_uar=float(0.33 + (skill - 0.33) * part + 0.05 * rng.random()),
            validation_accuracy=float(0.6 + (skill - 0.5) * 0.5 * part + 0.05 * rng.random()),
            learning_rate=1e-4,
            seconds=12.0,
            waiting_seconds=0.6,
        )
        for number, part in enumerate(rise)
    ]


def write_run(
    folder: Path,
    *,
    model: str = "flow",
    train: Sequence[str] = ("equime",),
    kind: str = "three",
    seed: int = 0,
    tests: Mapping[str, pa.Table],
    skill: float = 0.6,
    epochs: int = 14,
    arm: str = "",
    against: str = "",
    cautions: Mapping[str, str] | None = None,
    labels: str = "given",
    robustness: Sequence[Mapping[str, object]] = (),
) -> Path:
    """A run folder that has ended."""
    data = DataConfig(train={name: name for name in train}, classes=kind, labels=labels)  # type: ignore[arg-type]
    folder.mkdir(parents=True)
    write_config(Config(model=ModelConfig(name=model), data=data, seed=seed), folder / "config.yaml")
    write_json(folder / "environment.json", {"python": "3.11", "torch": "2.9"})
    sizes = {"train": 700, "validation": 150, "test": 160}
    splits = {
        name: {"clips": clips, "subjects": clips // 7, "sha256": f"{clips:064x}", "classes": {}}
        for name, clips in sizes.items()
    }
    record_splits(folder, dict.fromkeys(train, "0" * 64), splits)
    write_history(folder, history(epochs, skill, seed))
    for name, said in tests.items():
        write_predictions(said, folder / "predictions" / f"{name}.parquet")
    write_result(
        folder,
        {
            **{"minutes": 4.2, "epochs": epochs, "best_epoch": epochs - 4, "stopped_by": "patience"},
            **{"waiting_share": 0.05, "processes": 1, "predictions": {}},
        },
    )
    if arm or against or cautions:
        Study(arm, against, cautions or {}).write(folder)
    if robustness:
        write_json(folder / "robustness.json", {"rows": list(robustness)})
    return folder


def attacked(skill: float = 0.7) -> list[dict[str, object]]:
    """Rows of `training.robustness`."""
    base = {"test": "test", "clips": 160, "constant_uf1": 0.25, "constant_accuracy": 0.6}
    rows: list[dict[str, object]] = []
    for attack, loss in (("none", 0.0), ("noise", 0.1), ("FGSM", 0.8), ("PGD", 1.0)):
        for strength in (0.0,) if attack == "none" else (0.02, 0.05, 0.1):
            left = max(0.02, skill - loss * 4 * strength)
            figures = {"uf1": left, "uar": left, "accuracy": min(1.0, left + 0.1), "confidence": 0.7}
            rows.append({**base, "attack": attack, "strength": strength, **figures})
    return rows


MODELS = {"st_cnn": 0.08, "resnet3d": 0.25, "simple3dcnn": 0.0, "mobilenet": 0.3, "flow": 0.75}


def write_study(
    folder: Path, *, models: Mapping[str, float] = MODELS, names: Sequence[str] = ("equime", "casme2", "samm")
) -> Path:
    """Runs of a cross-dataset matrix, a subset study and one with shuffled labels."""
    for model, skill in models.items():
        for train in names:
            tests = {
                "test" if name == train else name: table(
                    skill=skill * (1.0 if name == train else 0.55),
                    corpus=name,
                    clips=113 if name == "samm" else 160,
                    with_groups=name == "equime",
                    worse="female",
                )
                for name in names
            }
            cautions = {"samm": "the same participants"} if train == names[0] else None
            write_run(
                folder / f"{model}-{train}",
                model=model,
                train=(train,),
                tests=tests,
                skill=skill,
                cautions=cautions,
                robustness=attacked(skill) if (model, train) == ("flow", "equime") else (),
            )
    best = max(models, key=lambda name: models[name])
    for arm, gain in (("random clips", 0.0), ("balanced", 0.12), ("counterfactual", 0.05)):
        for seed in range(6):
            said = table(FIVE, skill=0.35 + gain, seed=seed, worse="female" if arm != "balanced" else None)
            name = f"{best}-five-{arm.replace(' ', '-')}-{seed}"
            options = {"model": best, "kind": "five", "seed": seed, "arm": arm, "skill": 0.35 + gain}
            options["against"] = "" if arm == "random clips" else "random clips"
            write_run(folder / name, tests={"test": said}, **options)  # type: ignore[arg-type]
    shuffled = {"test": table(skill=0.0, corpus="equime")}
    write_run(folder / f"{best}-shuffled", model=best, tests=shuffled, labels="shuffled", skill=0.05)
    return folder


@cache
def reported(base: Path) -> tuple[Path, Path]:
    """A study and its report, written once for all tests of a session; both are only read."""
    study = write_study(base / "reported" / "runs", models={"flow": 0.75, "simple3dcnn": 0.0}, names=("equime", "samm"))
    write_report([study], base / "reported" / "page", resamples=60)
    return study, base / "reported" / "page"
