"""Attack a run's best weights (FGSM, PGD) at given strengths; `report` then shows it."""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("run", type=str, help="run folder")
    parser.add_argument("--on", type=str, nargs="+", default=["test"], help="names of its predictions")
    strengths = [0.01, 0.03, 0.1]
    parser.add_argument("--strengths", type=float, nargs="+", default=strengths, help="in deviations of the inputs")
    parser.add_argument("--steps", type=int, default=10, help="of PGD")
    parser.add_argument("--seed", type=int, default=0, help="of the noise, and of the lot of clips")
    parser.add_argument("--clips", type=int, default=500, help="at most so many")
    parser.add_argument("--folders", type=dict[str, str], default={}, help="where data lies now, if it was moved")


def run(arguments: Namespace) -> None:
    """Attack, and print scores."""
    from equime_loader.fairness.figures import number
    from equime_loader.tables import text_table
    from training.protocols.scores import PARTIAL_NOTE
    from training.robustness import AttackPlan, attack_run
    from training.runs import Run

    plan = AttackPlan(
        strengths=tuple(arguments.strengths), steps=arguments.steps, seed=arguments.seed, clips=arguments.clips
    )
    rows = attack_run(Run.open(arguments.run), plan, arguments.on, arguments.folders)
    names = ("uf1", "uar", "accuracy", "confidence", "constant_uf1", "constant_accuracy")
    body = [
        (
            f"{row['test']} {row['mark']}".strip(),
            row["attack"],
            f"{row['strength']:g}",
            *(number(row[name]) for name in names),
        )
        for row in rows
    ]
    head = ("test", "attack", "strength", "UF1", "UAR", "accuracy", "confidence", "constant UF1", "constant accuracy")
    print(text_table(head, body))
    if any(row["mark"] for row in rows):
        print(PARTIAL_NOTE)
