"""Kill an import with SIGKILL at random moments, resume it, and compare the folder with an uninterrupted one.

The corpus is a stand-in of CASME II. usage: kill_imports.py [ROUNDS] [SUBJECTS]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from kill_builds import equime, kill_and_compare

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from corpora import make_casme2


def main(rounds: int, subjects: int) -> None:
    with tempfile.TemporaryDirectory() as copy:
        make_casme2.make(Path(copy), subjects=subjects, clips=5, size=128)
        kill_and_compare(rounds, lambda root, workers: equime("import", "casme2", copy, root, "--workers", workers))


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    main(*(numbers + [20, 40][len(numbers) :]))
