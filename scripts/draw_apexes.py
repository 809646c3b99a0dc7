#!/usr/bin/env python3
"""Draw subjects against emotions: each subject at rest, then at the apex of one clip per emotion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import door
import numpy as np
import pyarrow.parquet as pq
from door import Count, Dataset, Target
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from equime_loader import read_video

CROP = slice(0.14, 0.94), slice(0.16, 0.84)  # rows and columns of the picture that hold the face


def frames_of(folder: Path, row: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with open(folder / row["shard"], "rb") as shard:
        shard.seek(row["mp4_offset"])
        return read_video(shard.read(row["mp4_length"]))


def face(frame: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    rows, columns = (
        slice(round(part.start * side), round(part.stop * side)) for part, side in zip(CROP, frame.shape, strict=False)
    )
    return frame[rows, columns]


def main(folder: Dataset, picture: Target, subjects: Count = 12) -> None:
    index = pq.read_table(folder / "index.parquet").to_pylist()
    emotions = list(dict.fromkeys(row["emotion"] for row in index))
    people = sorted({row["subject"] for row in index})[:subjects]
    width, height = 1.35 * (len(emotions) + 1), 1.75 * len(people) + 0.3
    figure = Figure(figsize=(width, height), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(people), len(emotions) + 1, squeeze=False)
    figure.subplots_adjust(0.005, 0.005, 0.995, 1 - 0.25 / height, 0.03, 0.16)
    for number, subject in enumerate(people):
        rows = {row["emotion"]: row for row in reversed(index) if row["subject"] == subject}
        for column, emotion in enumerate(("neutral", *emotions)):
            place = axes[number][column]
            place.axis("off")
            row = rows[emotions[0] if emotion == "neutral" else emotion]
            frames = frames_of(folder, row)
            place.imshow(face(frames[0 if emotion == "neutral" else row["apex_frame"]]))
            title = "" if number else f"{emotion}\n"
            who = f"{row['apparent_gender'] or ''} {int(row['apparent_age'] or 0)}".strip()
            place.set_title(title + (who if emotion == "neutral" else row["au_text"]), fontsize=7.5, pad=2)
    figure.savefig(picture)


if __name__ == "__main__":
    door.run(main)
