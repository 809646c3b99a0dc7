"""The contact sheet: clips of a dataset side by side, each with its labels, its motion and its expression program."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from equime_builder.counts import read_index
from equime_builder.encode import decode_planes
from equime_builder.facs import ACTION_UNITS, AUS, describe
from equime_builder.origins import IMPORTED, headline
from equime_builder.page import CHANGE_GAIN, POINTS_PER_PIXEL, Page, change_picture, check_suffix
from equime_builder.plan import UNKNOWN
from equime_builder.readers import read_samples
from equime_builder.spread import spread
from equime_loader.palette import BLACK, BLUE, GREEN, INK, MUTED, OLIVE, ORANGE, PALE, PURPLE, RULE, SKY, VERMILION
from equime_loader.schema import LOCATION

LABEL_COLUMNS = (
    *("key", "subject", "split", "emotion", "derived_emotion", "aus", "au_text", "intervention"),
    *("onset_frame", "apex_frame", "offset_frame", "onset_ms", "apex_ms", "offset_ms"),
    *("apparent_gender", "apparent_race", "apparent_age", "age_group", "fps", "profile", "generator"),
)
LINE_COLORS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, OLIVE, BLACK)
LINE_STYLES = ("solid", (0, (5, 2)))  # curves of equal intensity lie on each other: both stay visible
BLINK = 45

MOMENTS = ("onset", "halfway up", "apex", "halfway down", "offset", "last frame")
# The middle of a portrait, where its face is: left, top and side as shares of the frame.
CROP = (0.1, 0.14, 0.8)
WINDOW_MS = 1500.0

CELL, GAP = 164, 4
MARGIN, HEAD, FOOT = 36, 160, 12
ROW = CELL + 40
LABELS_WIDTH, PLOT_WIDTH, LEGEND_WIDTH = 196, 270, 196
FRAMES_X = MARGIN + LABELS_WIDTH
CHANGE_X = FRAMES_X + len(MOMENTS) * (CELL + GAP) + 10
PLOT_X = CHANGE_X + CELL + 46
LEGEND_X = PLOT_X + PLOT_WIDTH + 14
WIDTH = LEGEND_X + LEGEND_WIDTH + MARGIN


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A clip as a row of the sheet.

    Attributes:
        labels: its index row.
        frames: numbers of the frames of `MOMENTS`.
        pictures: (6, CELL, CELL, 3) uint8 RGB, those frames.
        change: (CELL, CELL) uint8, apex minus onset in luma, amplified around mid gray.
        curves: (T, AUs) AU intensity per frame.
    """

    labels: Mapping[str, Any]
    frames: tuple[int, ...]
    pictures: NDArray[np.uint8]
    change: NDArray[np.uint8]
    curves: NDArray[np.float32]


def contact_sheet(root: Path, target: Path, *, keys: Sequence[str] | None = None, rows: int = 12) -> list[str]:
    """Write a contact sheet of a dataset folder; its suffix is one of `page.METADATA`.

    Args:
        keys: clips to show, in this order; by default `rows` clips, chosen by `spread`.

    Returns:
        Keys of the shown clips, from top to bottom.

    Raises:
        FolderError: the folder holds no index, no clips, or lacks a file of samples.
        ValueError: a suffix that cannot be written, no key or an unknown one, or `rows` below 1.
    """
    check_suffix(target)
    index = read_index(root, (*LABEL_COLUMNS, *(field.name for field in LOCATION)))
    chosen = spread(index, rows) if keys is None else places(index, keys)
    labels = index.take(chosen).to_pylist()
    samples = read_samples(root, labels)
    draw_sheet([show(row, *samples[row["key"]]) for row in labels]).save(target)
    return [row["key"] for row in labels]


def places(index: pa.Table, keys: Sequence[str]) -> list[int]:
    """Rows of the index with the given keys.

    Raises:
        ValueError: no key, or one that the index lacks.
    """
    found: list[int] = pc.index_in(pa.array(keys, pa.string()), index["key"].combine_chunks()).to_pylist()
    if not found:
        raise ValueError("keys=[] must name at least one clip")
    for key, place in zip(keys, found, strict=True):
        if place is None:
            raise ValueError(f"{key=} is not in the index")
    return found


# ------------------------------------------------------------------------------------------------- samples


def show(labels: Mapping[str, Any], video: bytes, curves: NDArray[np.float32]) -> Shown:
    """Decode what a row shows.

    Raises:
        ValueError: the video ends before the offset.
    """
    planes = decode_planes(video, first=labels["onset_frame"])
    if labels["onset_frame"] + len(planes) <= labels["offset_frame"]:
        raise ValueError(f"clip {labels['key']}: its video ends before the offset, frame {labels['offset_frame']}")
    frames = moments(labels, curves, len(planes) + labels["onset_frame"])
    pictures = [planes[frame - labels["onset_frame"]] for frame in frames]
    height = planes.shape[1] * 2 // 3
    change = change_picture(*(pictures[MOMENTS.index(name)][:height] for name in ("onset", "apex")))
    shown = [_cell(cv2.cvtColor(picture, cv2.COLOR_YUV2RGB_I420)) for picture in pictures]
    return Shown(labels, frames, np.stack(shown), _cell(change), curves)


def moments(labels: Mapping[str, Any], curves: NDArray[np.float32], count: int) -> tuple[int, ...]:
    """Frame numbers of `MOMENTS` in a clip of `count` frames.

    Halfway is where the acting AUs, summed, are nearest to half of their peak; where no frame
    lies between, the next one. Without a program it is the middle of the time.

    Args:
        curves: (T, AUs), intensities.
    """
    onset, apex, offset = (labels[f"{name}_frame"] for name in ("onset", "apex", "offset"))
    level = curves[:, [AUS.index(activation["au"]) for activation in programmed(labels)]].sum(axis=1)
    from_half = np.abs(level - level.max(initial=0.0) / 2)

    def halfway(start: int, end: int) -> int:
        if labels.get("generator") == IMPORTED:
            return (start + end) // 2
        return min(range(start + 1, max(start + 2, end)), key=lambda frame: (from_half[frame], frame))

    return onset, halfway(onset, apex), apex, halfway(apex, offset), offset, count - 1


def programmed(labels: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The AUs of a clip that its program moves; none of a clip from a corpus."""
    return list(labels["aus"]) if labels.get("generator") != IMPORTED else []


def _cell(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The face of a picture at the size of a cell."""
    height, width = picture.shape[:2]
    left, top, side = round(CROP[0] * width), round(CROP[1] * height), round(CROP[2] * min(height, width))
    face = picture[top : top + side, left : left + side]
    method = cv2.INTER_AREA if face.shape[0] > CELL else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(face, (CELL, CELL), interpolation=method), np.uint8)


# ------------------------------------------------------------------------------------------------- drawing


def draw_sheet(shown: Sequence[Shown]) -> Page:
    """The page of some clips."""
    page = Page(WIDTH, HEAD + ROW * len(shown) + FOOT)
    _draw_head(page, shown)
    acting = [activation["intensity"] for clip in shown for activation in programmed(clip.labels)]
    tallest = float(np.ceil(max(acting, default=1.0)))
    for number, clip in enumerate(shown):
        y = HEAD + number * ROW
        page.rule(y - 12, left=MARGIN, right=WIDTH - MARGIN)
        _draw_labels(page, clip.labels, y)
        _draw_pictures(page, clip, y)
        _draw_curves(page, clip, y, tallest=tallest)
    return page


def _draw_head(page: Page, shown: Sequence[Shown]) -> None:
    labels, clips = shown[0].labels, len(shown)
    page.text(MARGIN, 26, headline(labels["profile"], labels["generator"]), size=22, weight="bold")
    page.text(MARGIN, 58, f"clips shown: {clips}", size=13, color=MUTED)
    heads = [(MARGIN, "clip", "labels, and apparent attributes")]
    heads += [(FRAMES_X + number * (CELL + GAP), name, "") for number, name in enumerate(MOMENTS)]
    heads.append((CHANGE_X, "apex − onset", f"luma × {CHANGE_GAIN:g}, gray: no change"))
    heads.append((PLOT_X, "expression program", "AU intensity, 0-5, over ms; shaded from onset to offset, line: apex"))
    for x, head, note in heads:
        page.text(x, HEAD - 52, head, size=13, weight="bold")
        page.text(x, HEAD - 35, note, size=11, color=MUTED)


def _draw_labels(page: Page, labels: Mapping[str, Any], y: float) -> None:
    for words, style in label_lines(labels):
        y = page.text(MARGIN, y, words, **style) + 4


def label_lines(labels: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The text left of a clip: words and style of each line."""
    age = labels["apparent_age"]
    person = (labels["apparent_gender"], labels["apparent_race"], None if age is None else f"{int(age)}")
    known = ", ".join(word for word in person if word is not None)
    title = labels["emotion"] or labels["key"].split("_")[0]
    lines: list[tuple[str, dict[str, Any]]] = [(_wrapped(title, 20), {"size": 15, "weight": "bold"})]
    if labels["derived_emotion"] not in (labels["emotion"], None):
        lines.append((f"derived: {labels['derived_emotion']}", {"color": VERMILION}))
    lines.append((_wrapped(labels["au_text"].replace("+", "+ "), 22).replace("+ ", "+"), {"size": 13}))
    if labels["intervention"]:
        lines.append((labels["intervention"], {"color": VERMILION}))
    lines.append((f"{labels['offset_ms'] - labels['onset_ms']:.0f} ms event", {}))
    lines.append((_wrapped(known.lower() or f"attributes {UNKNOWN}", 27), {"color": MUTED}))
    lines.append((labels["split"], {"color": MUTED}))
    lines.append((_wrapped(labels["key"], 28), {"color": MUTED, "size": 11}))
    return lines


def _wrapped(words: str, width: int) -> str:
    return "\n".join(textwrap.wrap(words, width, max_lines=2, placeholder="…"))


def _draw_pictures(page: Page, clip: Shown, y: float) -> None:
    for number, picture in enumerate((*clip.pictures, clip.change)):
        x = CHANGE_X if number == len(clip.pictures) else FRAMES_X + number * (CELL + GAP)
        axes = page.axes(x, y, CELL, CELL)
        axes.set_axis_off()
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, aspect="auto", interpolation="none")
    for number, frame in enumerate(clip.frames):
        words = f"{1000 * frame / clip.labels['fps']:.0f} ms"
        page.text(FRAMES_X + number * (CELL + GAP), y + CELL + 3, words, size=11, color=MUTED)


def _draw_curves(page: Page, clip: Shown, y: float, *, tallest: float) -> None:
    labels, count = clip.labels, len(clip.curves)
    time = 1000 / labels["fps"] * np.arange(count)
    axes = page.axes(PLOT_X, y + 4, PLOT_WIDTH, CELL - 6)
    axes.axvspan(labels["onset_ms"], labels["offset_ms"], color=PALE, linewidth=0)
    axes.axvline(labels["apex_ms"], color=MUTED, linewidth=0.8)
    blink = clip.curves[:, AUS.index(BLINK)]
    if blink.max(initial=0.0) > 0:
        name = f"{BLINK} {ACTION_UNITS[BLINK].name}, to {blink.max():.0f}"
        axes.plot(time, blink, color=MUTED, linewidth=1, linestyle=(0, (1, 1.5)), label=name)
    styles = itertools.cycle(LINE_STYLES)
    for activation, color in zip(programmed(labels), itertools.cycle(LINE_COLORS), strict=False):
        name = describe(activation["au"], activation["side"], activation["intensity"])
        curve, dashes = clip.curves[:, AUS.index(activation["au"])], next(styles)
        axes.plot(time, curve, color=color, linestyle=dashes, linewidth=1.5, label=name)
    middle = (labels["onset_ms"] + labels["offset_ms"]) / 2
    span = min(WINDOW_MS, time[-1])
    start = min(max(0.0, middle - span / 2), time[-1] - span)
    axes.set(xlim=(start, start + span), ylim=(0, 1.05 * tallest), yticks=np.arange(tallest + 1))
    axes.grid(axis="y", color=RULE, linewidth=0.5)
    axes.set_axisbelow(True)
    if axes.lines[1:]:
        place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1 + 14 / PLOT_WIDTH, 1.03)}
        size = 11 * POINTS_PER_PIXEL
        axes.legend(frameon=False, fontsize=size, labelcolor=INK, handlelength=1.8, borderaxespad=0, **place)
