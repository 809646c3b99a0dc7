"""EquiME's own loader with worker processes, on a rendition of the clips at the size that is asked for."""

from __future__ import annotations

from pathlib import Path

import harness
from equime_folder import SETTINGS, Windows, write
from harness import SIZE, Clip, Job

__all__ = ["SETTINGS", "open_loader", "write"]


def open_loader(folder: Path, clips: list[Clip], job: Job) -> Windows:
    return Windows(job.root, [clip.key for clip in clips], rendition=SIZE, processes=True)


if __name__ == "__main__":
    harness.main(__name__)
