"""Test the best weights of a run on further folders; nobody in them may have been trained on."""

from __future__ import annotations

from dataclasses import replace

from jsonargparse import ArgumentParser, Namespace

from training.config import SPLITS, Value


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("run", type=str, help="run folder")
    parser.add_argument("--on", type=dict[str, str], required=True, help="folders by name: --on.samm FOLDER")
    parser.add_argument(
        "--where",
        type=dict[str, Value | list[Value]],
        default={},
        help="labels that narrow their clips: --where.source photograph",
    )
    parser.add_argument(
        "--train", type=dict[str, str], default={}, help="where folders trained on lie now, if they were moved"
    )


def run(arguments: Namespace) -> None:
    """Test on each folder."""
    from training.data import open_parts, open_test
    from training.loop import evaluate
    from training.progress import is_first_process, show_scores
    from training.runs import Run

    if clash := set(arguments.on) & set(SPLITS):
        raise ValueError(f"--on: {sorted(clash)[0]!r} is the name of a split of the run's own folders; give another")
    done = Run.open(arguments.run)
    config = done.config
    data = replace(config.data, train={**config.data.train, **arguments.train}, test={})
    parts = open_parts(replace(config, data=data))
    for name, folder in arguments.on.items():
        task, _ = open_test(name, folder, parts, data, where=arguments.where)
        if not len(task):
            raise ValueError(f"--on.{name}: everyone in it was trained on")
        evaluate(done, task, name)
    if is_first_process():
        show_scores(done)
