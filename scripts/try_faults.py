#!/usr/bin/env python3
"""Damage copies of a dataset in every known way, at many random places; count what verify finds and repair mends.

FOLDER is left as it is; it must be drawn faces in all three formats, with two shards for training.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import door
import numpy as np
import typer
from conftest import tree
from door import Count, Dataset
from faults import FAULTS

from equime_builder.repair import repair
from equime_builder.sources.drawn import ProceduralSource
from equime_builder.verify import verify


def main(folder: Dataset, times: Count = 5) -> None:
    if len(list(folder.glob("wds/train-*.tar"))) < 2:
        raise typer.BadParameter(f"{folder} has not two shards for training, which some faults swap")
    whole, total = tree(folder), [0, 0, 0]
    print("| fault | tried | found | repaired |\n| --- | ---: | ---: | ---: |")
    for name, damage in FAULTS.items():
        counts = [0, 0, 0]
        for attempt in range(times):
            with tempfile.TemporaryDirectory() as work:
                root = Path(shutil.copytree(folder, Path(work) / "equime"))
                damage(root, np.random.default_rng([attempt, len(name)]))
                if tree(root) == whole:
                    continue
                counts[0] += 1
                counts[1] += bool(verify(root))
                repair(root, ProceduralSource())
                counts[2] += tree(root) == whole
        print(f"| {name.replace('_', ' ')} | {counts[0]} | {counts[1]} | {counts[2]} |", flush=True)
        total = [one + other for one, other in zip(total, counts, strict=True)]
    print(f"| all | {total[0]} | {total[1]} | {total[2]} |")


if __name__ == "__main__":
    door.run(main)
