#!/usr/bin/env python3
"""Does memory grow with the number of clips? Peak of builds of the micro profile in one process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import door
import typer

CLIPS = [105, 2002]
CHILD = """
import resource, sys
from pathlib import Path
from equime_builder.build import Request, build
from equime_builder.profiles import load_profile
from equime_builder.sources.drawn import ProceduralSource
request = Request(load_profile("micro", subjects=int(sys.argv[2])), ProceduralSource())
assert build(Path(sys.argv[1]), request)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def main(clips: Annotated[list[int], typer.Argument(min=7, help="seven of each subject")] = CLIPS) -> None:
    print("| clips | peak MiB |\n| ---: | ---: |")
    for count in clips:
        with tempfile.TemporaryDirectory() as work:
            command = [sys.executable, "-c", CHILD, str(Path(work) / "equime"), str(count // 7)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        print(f"| {count // 7 * 7} | {float(done.stdout):.0f} |", flush=True)


if __name__ == "__main__":
    door.run(main)
