"""One process of a training that tests watch: it notes what each step reads, and waits to be killed.

    torchrun -m tests.training_worker FOLDER STOP COMMANDS

FOLDER gets `RUN-RANK.json` lines of step, epoch, keys and repeated; before step STOP of the last command a file
`stopped-RANK` with the number of the process. COMMANDS is JSON: arguments of `train`, for one run after another.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from training.__main__ import make_parser
from training.commands import train
from training.loop import _Training


def main() -> None:
    """Train as told."""
    folder, stop, commands = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
    rank = os.environ["RANK"]
    step = _Training._step

    def watched(self: _Training, batch: dict[str, Any]) -> tuple[float, float]:
        if self.step == stop and self.run.name == Path(commands[-1][-1]).name:
            (folder / f".stopped-{rank}").write_text(str(os.getpid()))
            (folder / f".stopped-{rank}").rename(folder / f"stopped-{rank}")
            time.sleep(600)
        note = [self.step, len(self.history), batch["key"], batch["repeated"].tolist()]
        with open(folder / f"{self.run.name}-{rank}.json", "a", encoding="utf-8") as file:
            file.write(json.dumps(note) + "\n")
        return step(self, batch)

    _Training._step = watched  # type: ignore[method-assign]
    for arguments in commands:
        train.run(make_parser().parse_args(["train", *arguments]).train)


if __name__ == "__main__":
    main()
