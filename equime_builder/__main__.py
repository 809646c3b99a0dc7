"""The command `equime`, and ``python -m equime_builder``."""

from __future__ import annotations

import sys

from equime_builder.stopped import STOPPED


def main() -> None:
    """Run the command; Ctrl-C is one line, also in the half second in which the command is imported."""
    try:
        from equime_builder.cli import main as run

        run()
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
