"""EquiME's own loader, on the builder's folder as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import harness
import numpy as np
from harness import BATCH, FRAMES, SIZE, WORKERS, Batch, Clip, Job

import equime_loader
from equime_loader.loader import Loader

SETTINGS: list[dict[str, Any]] = [{}]


def write(clips: list[Clip], folder: Path) -> None:
    """The builder's folder is read where it lies."""


class Windows:
    """Shuffled, as its user would have it; the others read in their files' order."""

    def __init__(self, root: str, keys: list[str], *, rendition: int | None = None, **options: Any) -> None:
        cv2.setNumThreads(1)
        every = equime_loader.open_dataset(root)
        known, wanted = every.codes("key"), set(keys)
        chosen = np.array([word in wanted for word in known.words])[known.codes]
        view = equime_loader.View(equime_loader.Window.around("apex", FRAMES), size=SIZE, rendition=rendition)
        clips = every.narrowed(chosen, "clips of the benchmark")
        self.loader = Loader(clips, view, batch_size=BATCH, workers=WORKERS, ends="uneven", **options)

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.loader:
            yield Batch(batch["key"], batch["video"].permute(0, 2, 1, 3, 4))


def open_loader(folder: Path, clips: list[Clip], job: Job, **options: Any) -> Windows:
    return Windows(job.root, [clip.key for clip in clips], **options)


if __name__ == "__main__":
    harness.main(__name__)
