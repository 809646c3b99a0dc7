"""The door of every script: the parameters of its `main` are the command line, and a wrong word is one line, as typer
tells it. `--help` shows the script's docstring as it is written.

With it come the modules of `tests`: stand-ins of corpora, servers and faults.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "tests"))


def _dataset(folder: Path) -> Path:
    if not (folder / "index.parquet").is_file():
        raise typer.BadParameter(f"{folder} has no index.parquet: it is no dataset, or its build did not end")
    return folder


# What a script is called with, in the order of `main`. Keyword-only parameters are options, as typer has them.
Dataset = Annotated[Path, typer.Argument(exists=True, file_okay=False, callback=_dataset)]
Folder = Annotated[Path, typer.Argument(exists=True, file_okay=False)]
File = Annotated[Path, typer.Argument(exists=True, dir_okay=False)]
Target = Annotated[Path, typer.Argument()]
Count = Annotated[int, typer.Argument(min=1)]
Seed = Annotated[int, typer.Argument(min=0)]
Counts = Annotated[list[int], typer.Argument(min=1)]
Rounds = Annotated[int, typer.Option(min=1)]


def run(main: Callable[..., Any]) -> None:
    """Call `main` with the words of the command line, and end the process."""
    text = str(main.__globals__["__doc__"]).strip()
    # Typer fills paragraphs unless told to leave each alone.
    kept = "\b\n" + text.replace("\n\n", "\n\n\b\n")
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(help=kept)(main)
    app()


def one_of(names: list[str] | None, known: list[str]) -> list[str]:
    """The names that were asked for, all of them where none was; a wrong one ends the command in one line."""
    for name in names or []:
        if name not in known:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(dict.fromkeys(known))}")
    return names or known
