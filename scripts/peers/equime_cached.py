"""EquiME's own loader with its cache of decoded windows: the first epoch fills it, the second reads it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import harness
from equime_folder import SETTINGS, Windows, write
from harness import Clip, Job

from equime_loader import WindowCacheSettings

__all__ = ["SETTINGS", "open_loader", "write"]


class CachedWindows(Windows):
    """Its cache is a folder that is new, and goes with it."""

    def __init__(self, job: Job, keys: list[str]) -> None:
        self.folder = tempfile.TemporaryDirectory(dir=job.cache or None)
        super().__init__(job.root, keys, cache=WindowCacheSettings(self.folder.name, 2**33))

    def close(self) -> None:
        self.folder.cleanup()


def open_loader(folder: Path, clips: list[Clip], job: Job) -> CachedWindows:
    return CachedWindows(job, [clip.key for clip in clips])


if __name__ == "__main__":
    harness.main(__name__)
