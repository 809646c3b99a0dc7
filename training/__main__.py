"""The command `python -m training`; under torchrun, `torchrun --nproc-per-node 2 -m training`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING

from equime_loader.error_lines import error_line
from equime_loader.extras import MissingExtra, needing
from training import commands

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


def command_modules() -> dict[str, ModuleType]:
    """Modules of the commands, by name."""
    names = sorted(found.name for found in iter_modules(commands.__path__) if not found.name.startswith("_"))
    return {name.rstrip("_"): import_module(f"training.commands.{name}") for name in names}


def make_parser() -> ArgumentParser:
    """The parser of all commands."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(prog="python -m training", description="EquiME: train, test and report baselines.")
    subcommands = parser.add_subcommands(dest="command")
    for name, module in command_modules().items():
        first, *_ = (module.__doc__ or name).splitlines()
        subparser = ArgumentParser(description=first)
        module.add_arguments(subparser)
        subcommands.add_subcommand(name, subparser, help=first)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; a user's mistake is one line on standard error and exit code 1, never a traceback."""
    try:
        with needing("train", "training"):
            parsed = make_parser().parse_args(arguments)
            command_modules()[parsed.command].run(parsed[parsed.command])
    except (ValueError, OSError, RuntimeError, MissingExtra) as error:
        if isinstance(error, RuntimeError) and not _is_foreseen(error):
            raise
        print(f"error: {error_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run the same command to go on", file=sys.stderr)
        return 130
    finally:
        _leave_group()
    return 0


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
