"""The command `equime`."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from equime_builder.commands import access
from equime_builder.commands.acceptance import acceptance
from equime_builder.commands.audit import audit
from equime_builder.commands.bench import bench_loader
from equime_builder.commands.build import build, plan
from equime_builder.commands.card import card
from equime_builder.commands.curate import curate
from equime_builder.commands.export import export
from equime_builder.commands.import_ import import_
from equime_builder.commands.metrics import metrics
from equime_builder.commands.models import models
from equime_builder.commands.preview import preview
from equime_builder.commands.publish import publish
from equime_builder.commands.rendition import rendition
from equime_builder.commands.review import review
from equime_builder.commands.shared import notes
from equime_builder.commands.site import site
from equime_builder.commands.verify import verify
from equime_builder.stopped import STOPPED
from equime_loader.error_lines import as_typed, error_line
from equime_loader.extras import MissingExtra

# What typer raises for a call that it cannot read; the class has no public name.
WrongCall: type[Any] = typer.BadParameter.__mro__[1]


class Commands(TyperGroup):
    """Commands, of which a file that ends too early is an error like any other; typer takes it for Ctrl-D."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except EOFError as error:
            raise ValueError(f"a file ends too early ({error}); `equime verify FOLDER` tells which") from error


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="EquiME: build, check and look at synthetic micro-expression datasets.",
)
for command in (curate, build, plan, verify, preview, export, metrics, audit, acceptance, review, models, publish):
    app.command()(command)
app.command()(rendition)
app.command()(site)
app.command("import")(import_)
app.command()(card)
bench = typer.Typer(help="Measure this machine.")
bench.command("loader")(bench_loader)
app.add_typer(bench, name="bench")
app.add_typer(access.app, name="access")


def main() -> None:
    """Run the command; a user's mistake is one line on standard error and exit code 1, never a traceback."""
    arguments = sys.argv[1:] or ["--help"]
    try:
        code = app(arguments, prog_name="equime", standalone_mode=False)
    except WrongCall as error:
        text = error.format_message().rstrip(".")
        _fail(f"{text}; see `{error.ctx.command_path} --help`" if error.ctx and not text.endswith("?") else text)
    except (ValueError, OSError, MissingExtra) as error:
        _fail(as_typed(error_line(error), arguments))
    if code == 130:  # typer makes Ctrl-C this
        notes.print(STOPPED, highlight=False)
    sys.exit(code)


def _fail(line: str) -> NoReturn:
    notes.print(f"error: {line}", markup=False, highlight=False, soft_wrap=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
