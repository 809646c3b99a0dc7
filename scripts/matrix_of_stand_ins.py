#!/usr/bin/env python3
"""From stand-in corpora to the cross-dataset matrix, all tables and one page with pictures, by one command.

Makes stand-ins of corpora (layout and headers of the real ones, no row or picture of them), imports each as `equime
import` does, builds a small EquiME set, trains every model on each set and tests it on every one, attacks one run, and
writes the page. What is there already stays, so the command goes on where it was stopped.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import door
import typer
from corpora import make_casme2, make_casme3, make_samm, make_smic
from door import Count, Target

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "training" / "configs"
SUBJECTS, EQUIME_SUBJECTS = 14, 16
COPIES: dict[str, Callable[..., Any]] = {
    "casme2": make_casme2.make,
    "samm": make_samm.make,
    "smic_hs": make_smic.make,
    "casme3_a": make_casme3.make_a,
}
MODELS = ["flow", "config_3class_original", "simple3dcnn", "resnet3d", "config_3class_mobilenet"]


def run(*words: str) -> None:
    """Run a module of the checkout; its output is shown."""
    subprocess.run([sys.executable, "-m", *words], cwd=ROOT, check=True)


def main(
    work: Target,
    epochs: Count = 8,
    models: Annotated[list[str] | None, typer.Argument(help="configurations; five without a name")] = None,
) -> None:
    known = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
    chosen, work = door.one_of(models, known) if models else MODELS, work.resolve()
    folders = {"equime": work / "sets" / "equime"}
    if not (folders["equime"] / "index.parquet").is_file():
        size = ("--profile", "demo", "--size", "128", "--sequences", "1", "--ablations", "0")
        emotions = ("--emotions", "happiness,surprise,disgust,anger", "--subjects", str(EQUIME_SUBJECTS))
        run("equime_builder", "build", str(folders["equime"]), *size, *emotions)
    for seed, (name, make) in enumerate(COPIES.items()):
        folders[name] = work / "sets" / name
        if not (folders[name] / "index.parquet").is_file():
            copy = work / "copies" / name
            if not copy.is_dir():
                make(copy, subjects=SUBJECTS, seed=seed)
            run("equime_builder", "import", name, str(copy), str(folders[name]))
    data = [word for name, folder in folders.items() for word in (f"--data.{name}", str(folder))]
    files = [str(CONFIGS / f"{model}.yaml") for model in chosen]
    # Forty clips of faces 64 pixels wide: with the batches and sizes of the configurations an epoch would be a single
    # step, and show nothing more.
    small = {
        "model": {"settings": {"size": 32}},
        "optimization": {"epochs": epochs, "batch_size": 8, "learning_rate": 1e-3},
        "loader": {"workers": 1},
    }
    change = ("--change", json.dumps(small))
    study = work / "matrix"
    run("training", "matrix", *data, "--models", *files, *change, "--out", str(study))
    for folder in sorted((study / "runs").glob("three-*-equime-0")):
        run("training", "robustness", str(folder), "--on", "casme2", "--strengths", "0.03", "0.1", "0.3")
    title = "Stand-in corpora: across data sets"
    run("training", "report", str(study / "runs"), "--out", str(study / "page"), "--title", title)


if __name__ == "__main__":
    door.run(main)
