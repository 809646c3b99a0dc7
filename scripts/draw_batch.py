#!/usr/bin/env python3
"""Draw the first batch that a loader gives: a row per clip, its frames around the apex, and what it is labeled."""

from __future__ import annotations

import door
from door import Dataset, Target
from matplotlib.figure import Figure

from equime_loader import Loader, View, Window, balance, open_dataset

CLIPS, FRAMES, SIZE = 7, 12, 112
LABEL_INCHES, CELL_INCHES = 1.9, 0.75


def main(folder: Dataset, picture: Target) -> None:
    clips = open_dataset(folder).where(split="train")
    view = View(Window.around("apex", FRAMES), SIZE, flow="dis")
    loader = Loader(clips, view, batch_size=CLIPS, sampling=balance(clips, "emotion"), labels=("emotion", "aus"))
    batch = next(iter(loader))
    width = LABEL_INCHES + (FRAMES + 1) * CELL_INCHES
    figure = Figure(figsize=(width, CLIPS * CELL_INCHES + 0.3), dpi=110)
    texts = {row["key"]: row["au_text"] for row in clips.labels(["key", "au_text"])}
    scale = float(batch["flow"].norm(dim=1).quantile(0.999))
    for row, key in enumerate(batch["key"]):
        emotion = loader.words["emotion"][batch["emotion"][row]]
        middle = 1 - (0.3 + (row + 0.5) * CELL_INCHES) / figure.get_figheight()
        figure.text(0.1 / width, middle + 0.012, emotion, size=11, weight="bold", va="bottom")
        figure.text(0.1 / width, middle - 0.004, texts[key], size=9, va="top", color="#444444")
        frames = batch["video"][row].permute(1, 2, 3, 0).numpy()
        for column in range(FRAMES + 1):
            left = (LABEL_INCHES + column * CELL_INCHES) / width
            place = (left, middle - CELL_INCHES / 2 / figure.get_figheight(), CELL_INCHES / width * 0.97)
            axes = figure.add_axes((*place, CELL_INCHES / figure.get_figheight() * 0.97))
            axes.set_axis_off()
            if column < FRAMES:
                axes.imshow(frames[column], interpolation="lanczos")
            else:
                axes.imshow(batch["flow"][row].norm(dim=0).numpy(), cmap="magma", vmin=0, vmax=scale)
            if row == 0:
                head = f"{column - FRAMES // 2:+d}" if column != FRAMES // 2 else "apex"
                axes.set_title(head if column < FRAMES else "flow", size=9, pad=3)
    figure.savefig(picture)


if __name__ == "__main__":
    door.run(main)
