#!/usr/bin/env python3
"""Kill an import with SIGKILL at random moments, resume it, and compare the folder with an uninterrupted one.

The corpus is a stand-in of CASME II.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import door
from corpora import make_casme2
from door import Count
from kill_builds import equime, kill_and_compare


def main(rounds: Count = 20, subjects: Count = 40) -> None:
    with tempfile.TemporaryDirectory() as copy:
        make_casme2.make(Path(copy), subjects=subjects, clips=5, size=128)
        kill_and_compare(rounds, lambda root, workers: equime("import", "casme2", copy, root, "--workers", workers))


if __name__ == "__main__":
    door.run(main)
