"""Check which samples of the MEGC2019 composite imported folders hold, by its official list of keys."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("key_list", type=Path, help="the list of keys: dataset,subject,clip,label")
    parser.add_argument(
        "--on",
        type=dict[str, str],
        default={},
        help="imported folders by name: --on.casme2 FOLDER; none: the list alone",
    )


def run(arguments: Namespace) -> None:
    """Print what the list holds, what of it the folders hold, and what always saying one class scores."""
    import numpy as np

    from equime_loader import open_dataset
    from equime_loader.schema import THREE_CLASSES
    from equime_loader.tables import text_table
    from training.data import joined
    from training.protocols.megc2019 import composite, counts_table, read_keys
    from training.protocols.scores import constant_scores

    keys = read_keys(arguments.key_list)
    if arguments.on:
        found = composite(joined({name: open_dataset(folder) for name, folder in arguments.on.items()}), keys)
        keys = found.keys
        print(found)
    else:
        print(counts_table(keys))
    constants = constant_scores(np.array([key.target for key in keys]), THREE_CLASSES)
    rows = [(f"always {word}", f"{s.accuracy:.4f}", f"{s.uf1:.4f}", f"{s.uar:.4f}") for word, s in constants.items()]
    print("\n" + text_table(("constant predictor", "accuracy", "UF1", "UAR"), rows))
