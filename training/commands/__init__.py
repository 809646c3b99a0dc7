"""The commands of `python -m training`: each module here is one, under its own name.

A command's module has a docstring, whose first line is its help, and two functions:

    def add_arguments(parser: jsonargparse.ArgumentParser) -> None: ...
    def run(arguments: jsonargparse.Namespace) -> None: ...

Importing it must be quick: what is heavy is imported in `run`.
"""
