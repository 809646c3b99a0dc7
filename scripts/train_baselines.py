#!/usr/bin/env python3
"""Train every baseline on a set of drawn and photographed faces, test it on unseen subjects, and report.

The set: 160 drawn subjects with ten clips each, and those of a folder of photographs that show one face, with forty;
the five emotions of the paper. Every run divides the subjects in the same way. Beside the baselines: the flow reference
on shuffled labels, and trained on faces of one kind and tested on the other. What was done is not done again, so the
command goes on where it was stopped. The report lies in WORK/report, the ceilings in WORK/ceiling-*.json, the tables of
docs/baselines.md in WORK/baselines.md.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import door
from door import File, Folder, Target

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "training" / "configs"
TASKS = ("three", "five")
# One permutation may give all clips of an AU the right class by luck; several show what chance is.
SHUFFLES = (1, 2, 3, 4, 5)
COLUMNS = (
    *("run", "tested on", "clips", "UF1", "UAR", "accuracy"),
    *("constant UF1", "ceiling UF1", "share", "epochs", "minutes", "waiting"),
)
# Configuration, and as many epochs as cost ten minutes or so on two cores; published are up to 100.
PUBLISHED = {
    "st_cnn": ("config_original", 10),
    "simple3dcnn": ("simple3dcnn", 10),
    "resnet3d": ("resnet3d", 4),
    "mobilenet": ("config_3class_mobilenet", 4),
}
SIZES = '{"train": 0.6, "validation": 0.15, "test": 0.25}'
# Photographs with open mouths and turned heads too: what is tried is the model, on whatever faces there are.
PHOTOS = """name = "photos"
follows = "demo, with portraits whose mouths are open or heads turned"
emotions = ["happiness", "sadness", "surprise", "disgust", "anger"]
subjects = 24
shard_samples = 20
[curation]
max_turn = 40
max_lip_gap = 0.2
"""


@dataclass(frozen=True, slots=True)
class Planned:
    """A run: its folder's name, its configuration, and what is asked otherwise."""

    name: str
    config: str
    changes: tuple[str, ...]
    seed: int = 1


def planned(work: Path) -> list[Planned]:
    """All runs, the quick ones first."""
    kinds = {kind: f"--data.train.{kind}={work / kind}" for kind in ("faces", "photos")}
    both, other = tuple(kinds.values()), {"faces": "photos", "photos": "faces"}
    runs = []
    for task in TASKS:
        classes = f"--data.classes={task}"
        runs.append(Planned(f"flow-{task}", "flow", (*both, classes)))
        shuffled = (*both, classes, "--data.labels=shuffled", "--optimization.epochs=10")
        runs += [Planned(f"flow-{task}-shuffled-{seed}", "flow", shuffled, seed) for seed in SHUFFLES]
        runs += [
            Planned(
                f"flow-{task}-on-{kind}", "flow", (folder, classes, f"--data.test.{other[kind]}={work / other[kind]}")
            )
            for kind, folder in kinds.items()
        ]
    return runs + [
        Planned(f"{model}-{task}", config, (*both, f"--data.classes={task}", f"--optimization.epochs={epochs}"))
        for task in TASKS
        for model, (config, epochs) in PUBLISHED.items()
    ]


def main(work: Target, portraits: Folder, face_model: File) -> None:
    """Build, train, compare, report."""
    work, portraits, face_model = (path.resolve() for path in (work, portraits, face_model))
    work.mkdir(parents=True, exist_ok=True)
    (work / "photos.toml").write_text(PHOTOS)
    equime = [sys.executable, "-m", "equime_builder"]
    tell(*equime, "build", work / "faces", "--subjects", 160, "--sequences", 2, "--profile", "demo", "--seed", 21)
    tell(
        *equime, "build", work / "photos", "--source", "folder", "--portraits", portraits, "--sequences", 8,
        "--profile", work / "photos.toml", "--seed", 3, "--face-model", face_model,
    )  # fmt: skip
    training = [sys.executable, "-m", "training"]
    for run in planned(work):
        tell(
            *training, "train", "--config", CONFIGS / f"{run.config}.yaml", *run.changes, f"--data.sizes={SIZES}",
            f"--seed={run.seed}", f"--loader.cache={work / 'cache'}", "--out", work / "runs" / run.name,
        )  # fmt: skip
    for task in TASKS:
        compared = [
            f"--runs+={work / 'runs' / run.name}"
            for run in planned(work)
            if f"-{task}" in run.name and "shuffled" not in run.name
        ]
        tell(
            *training, "ceiling", f"--on.faces={work / 'faces'}", f"--on.photos={work / 'photos'}",
            f"--classes={task}", *compared, "--out", work / f"ceiling-{task}.json",
        )  # fmt: skip
    tell(*training, "report", work / "runs", "--out", work / "report", "--title", "Baselines on faces never seen")
    runs = planned(work)
    (work / "baselines.md").write_text("\n\n".join(table(work, task, runs) for task in TASKS) + "\n")


def table(work: Path, task: str, runs: list[Planned]) -> str:
    """Markdown: each run of a task, and what the constant predictor and the programs give on its test subjects."""
    ceiling = json.loads((work / f"ceiling-{task}.json").read_text())
    shares = {each["run"]: each for each in ceiling["runs"]}
    lines = [f"| {' | '.join(COLUMNS)} |", f"| --- | --- |{' ---: |' * (len(COLUMNS) - 2)}"]
    for run in runs:
        if f"-{task}" in run.name and "shuffled" not in run.name:
            lines += rows(run.name, result_of(work, run), shares.get(run.name))
    tests = [result_of(work, run)["predictions"]["test"]["scores"] for run in runs if f"-{task}-shuffled" in run.name]
    told = (f"{name.upper()} {spread([each[name] for each in tests])}" for name in ("uf1", "uar"))
    return "\n".join(
        [*lines, "", f"Shuffled labels, {len(tests)} permutations, mean (least to most): {', '.join(told)}."]
    )


def rows(name: str, result: dict[str, Any], share: dict[str, Any] | None) -> Iterator[str]:
    """A line for each test set of a run."""
    cost = f"{result['epochs']} | {result['minutes']:.1f} | {result['waiting_share']:.1%}"
    for test, found in result["predictions"].items():
        if test != "validation":
            scores, constant = found["scores"], max(each["uf1"] for each in found["constants"].values())
            ceiling = f"{share['ceiling']:.3f} | {share['share']:.2f}" if share and test == "test" else "– | –"
            where = "unseen subjects" if test == "test" else test
            reached = f"{scores['uf1']:.3f} | {scores['uar']:.3f} | {scores['accuracy']:.3f} | {constant:.3f}"
            yield f"| {name} | {where} | {scores['clips']} | {reached} | {ceiling} | {cost} |"


def result_of(work: Path, run: Planned) -> dict[str, Any]:
    """What a run came to."""
    result: dict[str, Any] = json.loads((work / "runs" / run.name / "result.json").read_text())
    return result


def spread(values: list[float]) -> str:
    """Mean, least and most."""
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def tell(*words: object) -> None:
    """Run a command in the checkout."""
    command = [str(word) for word in words]
    print("+", *command[2:], flush=True)
    subprocess.run(command, check=True, cwd=ROOT)


if __name__ == "__main__":
    door.run(main)
