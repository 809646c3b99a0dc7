"""Train on each data set and test on every one, into one page; the same command goes on with a study that stopped."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--data", type=dict[str, str], required=True, help="folders by name: --data.samm FOLDER")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="YAML files, such as training/configs/*")
    parser.add_argument("--classes", type=str, default="three", help="kind of task")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="a run for each")
    parser.add_argument("--each", type=bool, default=True, help="train on each data set")
    parser.add_argument("--leave_one_out", type=bool, default=False, help="train on all but one, test on that")
    parser.add_argument("--change", type=dict, default={}, help="of every model: '{optimization: {epochs: 5}}'")
    parser.add_argument("--out", type=Path, required=True, help="folder for runs and page")


def run(arguments: Namespace) -> None:
    """Run what is missing, then write the page."""
    from training.matrix import MatrixPlan, run_matrix
    from training.studies import changed, report_study

    plan = MatrixPlan(
        models=tuple(changed(file, arguments.change) for file in arguments.models),
        data=arguments.data,
        kind=arguments.classes,
        seeds=tuple(arguments.seeds),
        each=arguments.each,
        leave_one_out=arguments.leave_one_out,
    )
    run_matrix(plan, arguments.out)
    print(report_study(arguments.out, title="Across data sets"))
