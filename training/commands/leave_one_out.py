"""Train and test once for each subject, or each corpus, that is left out; the tests are pooled, then scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace

from equime_loader.tables import counted
from training.config import Config, config_of

FIGURES = ("uf1", "uar", "macro_f1", "accuracy")


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--config", action="config", help="YAML file, such as one of training/configs; may be repeated")
    parser.add_class_arguments(Config)
    parser.add_argument(
        "--held_out", type=Literal["subject", "corpus"], default="subject", help="what each round is tested on"
    )
    parser.add_argument(
        "--key_list", type=Path | None, default=None, help="list of keys of MEGC2019: its composite alone"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the rounds and their pool")


def run(arguments: Namespace) -> None:
    """Train every round that has not ended, pool what they predict, print the scores."""
    from equime_loader import open_dataset
    from training.data import joined, narrowed
    from training.leaving_out import leave_out
    from training.predictions import read_as_numbers
    from training.progress import is_first_process
    from training.protocols.cross import leave_one_dataset_out
    from training.protocols.loso import leave_one_subject_out
    from training.protocols.megc2019 import composite, read_keys, submission
    from training.protocols.tasks import make_task
    from training.runs import write_text

    own = ("config", "held_out", "key_list", "out")
    config = config_of({name: value for name, value in arguments.as_dict().items() if name not in own})
    data = config.data
    if not data.train:
        raise ValueError("data.train is empty; give folders, such as --data.train.casme2 FOLDER")
    if data.test:
        raise ValueError("data.test has no place here: each round is tested on what it leaves out")
    folders = {part: open_dataset(folder) for part, folder in data.train.items()}
    clips = narrowed(joined(folders), data.where)
    facts: dict[str, Any] = {"held_out": arguments.held_out}
    name, found = f"each_{arguments.held_out}_left_out", None
    if arguments.key_list is not None:
        if data.classes != "three":
            raise ValueError(f"data.classes={data.classes!r} must be three: MEGC2019 has no other")
        found = composite(clips, read_keys(arguments.key_list))
        name, facts["megc2019"] = f"megc2019_{name}", {"official": found.is_official, "samples": len(found.keys)}
        if is_first_process():
            print(found)
    task = make_task(clips, data.classes, expressions=data.expressions) if found is None else found.task
    share = data.sizes["validation"] / (data.sizes["train"] + data.sizes["validation"])
    divide = {"subject": leave_one_subject_out, "corpus": leave_one_dataset_out}[arguments.held_out]
    rounds = divide(task, validation=share, seed=config.seed)
    datasets = {part: opened.index.sha256 for part, opened in folders.items()}
    done = leave_out(config, task, rounds, arguments.out, name=name, datasets=datasets, facts=facts)
    if is_first_process():
        if found is not None:
            said = read_as_numbers(done.predictions(name)).predicted
            write_text(done.folder / "megc2019_log.txt", submission(found, said))
        print(_table(done.result, name))


def _table(result: dict[str, Any], name: str) -> str:
    """Scores of all clips and of each corpus, and what always saying one class scores on all."""
    from equime_loader.fairness.formulas import TITLES
    from equime_loader.tables import text_table
    from training.protocols.scores import PARTIAL_NOTE, partial_mark

    tested = result["predictions"][name]
    parts = {"all": tested["scores"], **tested["by_corpus"]}
    parts |= {f"always {word}": scores for word, scores in tested["constants"].items()}
    marks = {part: partial_mark(scores["confusion"]) for part, scores in parts.items()}
    rows = [
        (
            f"{part} {marks[part]}".strip(),
            f"{scores['clips']:,}",
            *("–" if scores[f] is None else f"{scores[f]:.3f}" for f in FIGURES),
        )
        for part, scores in parts.items()
    ]
    head = f"{counted(result['rounds'], 'round')} in {result['minutes']:.1f} minutes, ended by {result['stopped_by']}"
    table = text_table(("pooled", "clips", *(TITLES[f] for f in FIGURES)), rows)
    return "\n".join([head, table, *([PARTIAL_NOTE] if any(marks.values()) else [])])
