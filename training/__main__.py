"""The command `python -m training`; under torchrun, `torchrun --nproc-per-node 2 -m training`."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentError
from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING

from equime_loader.error_lines import as_typed, error_line
from equime_loader.extras import MissingExtra, needing
from training import commands

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


PROGRAM = "python -m training"
# Kinds of values, as the parser calls them, in words; those of several values with how they are typed.
KINDS = {
    "<class 'int'>": "a whole number",
    "<class 'float'>": "a number",
    "<class 'bool'>": "true or false",
    "<class 'list'>": "a list, such as [{value}]",
    "<class 'dict'>": "values by name: --{option}.NAME VALUE",
}


def command_modules() -> dict[str, ModuleType]:
    """Modules of the commands, by name."""
    names = sorted(found.name for found in iter_modules(commands.__path__) if not found.name.startswith("_"))
    return {name.rstrip("_"): import_module(f"training.commands.{name}") for name in names}


def make_parser() -> ArgumentParser:
    """The parser of all commands. What it cannot read it raises as an `ArgumentError`."""
    from jsonargparse import ArgumentParser

    about = "EquiME: train, test and report baselines."
    parser = ArgumentParser(prog=PROGRAM, description=about, exit_on_error=False)
    subcommands = parser.add_subcommands(dest="command")
    for name in command_modules():
        subparser = _command_parser(name)
        subcommands.add_subcommand(name, subparser, help=subparser.description)
    return parser


def _command_parser(name: str) -> ArgumentParser:
    from jsonargparse import ArgumentParser

    module = command_modules()[name]
    first, *_ = (module.__doc__ or name).splitlines()
    parser = ArgumentParser(description=first, exit_on_error=False)
    module.add_arguments(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; a user's mistake is one line on standard error and exit code 1, never a traceback."""
    typed = sys.argv[1:] if arguments is None else arguments
    try:
        with needing("train", "training"):
            parsed = make_parser().parse_args(typed or ["--help"])
            command_modules()[parsed.command].run(parsed[parsed.command])
    except (ValueError, OSError, RuntimeError, MissingExtra, ArgumentError) as error:
        if isinstance(error, RuntimeError) and not _is_foreseen(error):
            raise
        line = _in_words(error_line(error)) if isinstance(error, ArgumentError) else error_line(error)
        print(f"error: {as_typed(line, typed)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run the same command to go on", file=sys.stderr)
        return 130
    finally:
        _leave_group()
    return 0


def _in_words(line: str) -> str:
    """What the parser says of a call that it cannot read, in the words of the one who typed it."""
    if lacking := re.fullmatch(r"the following arguments are required: (.*)", line):
        names = [name.partition(".") for name in lacking[1].split(", ")]
        command = names[0][0]
        positional = [action.dest for action in _command_parser(command)._actions if not action.option_strings]
        typed = ", ".join(name if name in positional else f"--{name}" for _, _, name in names)
        return f"{command} needs {typed}; see `{PROGRAM} {command} --help`"
    if wrong := re.fullmatch(r'Parser key "([\w.]+)".*?: Expected an? (.*)\. Got value: (.*)', line):
        option, kind, value = wrong.groups()
        words = re.fullmatch(r"typing\.Literal\[(.*)\]", kind)
        wanted = f"one of {words[1]}" if words else KINDS.get(kind, kind)
        return f"--{option} {value} must be {wanted.format(option=option, value=value)}"
    line = re.sub(r"^(Problems parsing|Unexpected) config:", "--config: is no YAML of names with values:", line)
    return re.sub(r'^Parser key "([\w.]+)":', r"--\1:", line)


def _is_foreseen(error: RuntimeError) -> bool:
    """Whether an error says what is wrong with data or training; any other is one of this program."""
    from equime_loader.loader import LoaderFault
    from training.loop import TrainingFault

    return isinstance(error, LoaderFault | TrainingFault)


def _leave_group() -> None:
    """Take leave of the other processes, if there are any; torch warns where that is left out."""
    distributed = getattr(sys.modules.get("torch"), "distributed", None)
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main())
