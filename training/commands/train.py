"""Train a baseline, then test its best weights; the same command goes on with a run that was stopped."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from training.config import Config, config_of


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--config", action="config", help="YAML file, such as one of training/configs; may be repeated")
    parser.add_class_arguments(Config)
    parser.add_argument("--out", type=Path, required=True, help="run folder, made or gone on with")


def run(arguments: Namespace) -> None:
    """Train, then test on the test split and on each folder of `data.test`."""
    from training.data import open_parts
    from training.evaluation import evaluate_missing
    from training.loop import fit
    from training.progress import is_first_process, show_scores
    from training.runs import record_splits

    values = arguments.as_dict()
    config = config_of({name: value for name, value in values.items() if name not in ("config", "out")})
    parts = open_parts(config)
    done = fit(config, parts.train, parts.validation, arguments.out)
    if is_first_process():
        record_splits(done.folder, parts.trained, {})
    evaluate_missing(done, parts.test)
    if is_first_process():
        show_scores(done)
