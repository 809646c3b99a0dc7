"""What training on balanced or counterfactual subsets changes, with a paired test over seeds."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--data", type=dict[str, str], required=True, help="folders by name: --data.equime FOLDER")
    parser.add_argument("--model", type=Path, required=True, help="YAML file, such as one of training/configs")
    parser.add_argument("--classes", type=str, default="three", help="kind of task")
    balance, across = ["apparent_gender", "apparent_race"], ["apparent_gender"]
    parser.add_argument("--balance", type=str, nargs="*", default=balance, help="attributes whose groups are made even")
    weights = dict[str, dict[str, float]]
    parser.add_argument(
        "--skew", type=weights, default={}, help="an uneven arm: '{apparent_race: {white: 9, black: 1}}'"
    )
    parser.add_argument("--across", type=str, nargs="*", default=across, help="attributes of counterfactual pairs")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(6)), help="a run of each arm for each")
    parser.add_argument("--whole", type=bool, default=True, help="whether all training clips are an arm, too")
    parser.add_argument("--change", type=dict, default={}, help="of the model: '{optimization: {epochs: 5}}'")
    parser.add_argument("--out", type=Path, required=True, help="folder for runs and page")


def run(arguments: Namespace) -> None:
    """Run what is missing, then write the page."""
    from dataclasses import replace

    from training.studies import changed, report_study
    from training.subsets import SubsetPlan, run_comparison

    model = changed(arguments.model, arguments.change)
    data = replace(model.data, train=arguments.data, test={}, classes=arguments.classes)
    plan = SubsetPlan(
        model=replace(model, data=data),
        balance=tuple(arguments.balance),
        skew=arguments.skew,
        across=tuple(arguments.across),
        seeds=tuple(arguments.seeds),
        whole=arguments.whole,
    )
    run_comparison(plan, arguments.out)
    print(report_study(arguments.out, title="Training on subsets"))
