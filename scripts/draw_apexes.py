"""Draw subjects against emotions: each subject at rest, then at the apex of one clip per emotion.

usage: draw_apexes.py FOLDER PICTURE [SUBJECTS]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
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


def main(folder: Path, picture: Path, most: int) -> None:
    index = pq.read_table(folder / "index.parquet").to_pylist()
    emotions = list(dict.fromkeys(row["emotion"] for row in index))
    subjects = sorted({row["subject"] for row in index})[:most]
    width, height = 1.35 * (len(emotions) + 1), 1.75 * len(subjects) + 0.3
    figure = Figure(figsize=(width, height), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(subjects), len(emotions) + 1, squeeze=False)
    figure.subplots_adjust(0.005, 0.005, 0.995, 1 - 0.25 / height, 0.03, 0.16)
    for number, subject in enumerate(subjects):
        rows = {row["emotion"]: row for row in reversed(index) if row["subject"] == subject}
        for column, emotion in enumerate(("neutral", *emotions)):
            place = axes[number][column]
            place.axis("off")
            row = rows[emotions[0] if emotion == "neutral" else emotion]
            frames = frames_of(folder, row)
            place.imshow(face(frames[0 if emotion == "neutral" else row["apex_frame"]]))
            title = "" if number else f"{emotion}\n"
            who = f"{row['apparent_gender'] or ''} {row['apparent_age'] or 0:.0f}".strip()
            place.set_title(title + (who if emotion == "neutral" else row["au_text"]), fontsize=7.5, pad=2)
    figure.savefig(picture, metadata={"Software": None})


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) == 4 else 12)
