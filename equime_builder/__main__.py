"""``python -m equime_builder`` is the command `equime`."""

from equime_builder.cli import main

if __name__ == "__main__":
    main()
