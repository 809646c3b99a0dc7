"""Does memory grow with the number of clips? Peak of builds of the micro profile in one process.

usage: measure_memory.py [CLIPS ...]      (default 105 2002)
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

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


def main(counts: list[int]) -> None:
    print("| clips | peak MiB |\n| ---: | ---: |")
    for clips in counts:
        with tempfile.TemporaryDirectory() as work:
            command = [sys.executable, "-c", CHILD, str(Path(work) / "equime"), str(clips // 7)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        print(f"| {clips // 7 * 7} | {float(done.stdout):.0f} |", flush=True)


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [105, 2002])
