"""A contact sheet of rejected clips: for each its neutral frame, its apex, its end, and what changed."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from equime_builder.audit.footage import Unreadable, read_footage
from equime_builder.audit.report import Judged
from equime_builder.page import CHANGE_GAIN, change_picture

CELL, TEXT, MARGIN = 176, 372, 10  # pixels
INK, PALE, RED = (30, 30, 34), (120, 120, 126), (176, 32, 32)
HEADS = ("neutral", "apex", "end", f"change to the apex x{CHANGE_GAIN:g}")
HEAD = 26


def sheet(clips: Sequence[tuple[Judged, bytes]]) -> Image.Image:
    """One row for each clip and its MP4: three frames, the change to the apex, and why it was rejected."""
    width = 4 * (CELL + MARGIN) + TEXT + MARGIN
    page = Image.new("RGB", (width, HEAD + max(1, len(clips)) * (CELL + MARGIN) + MARGIN), "white")
    draw = ImageDraw.Draw(page)
    for column, head in enumerate(HEADS):
        draw.text((MARGIN + column * (CELL + MARGIN), 6), head, fill=PALE, font=ImageFont.load_default(13))
    for row, (judged, video) in enumerate(clips):
        top = HEAD + row * (CELL + MARGIN)
        for column, picture in enumerate(_pictures(judged, video)):
            page.paste(Image.fromarray(picture), (MARGIN + column * (CELL + MARGIN), top))
        _write(draw, judged, 4 * (CELL + MARGIN) + MARGIN, top)
    return page


def _write(draw: ImageDraw.ImageDraw, judged: Judged, left: int, top: int) -> None:
    head = f"{judged.emotion}  {judged.au_text}".strip()
    lines = [(14, INK, part) for part in textwrap.wrap(judged.name, 46)[:2]] + [(13, PALE, head)]
    for reason in judged.audit.reasons:
        lines += [(13, RED, part) for part in textwrap.wrap(reason, 54)]
    for size, color, text in lines[: CELL // 18]:
        draw.text((left, top), text, fill=color, font=ImageFont.load_default(size))
        top += 18


def _pictures(judged: Judged, video: bytes) -> list[NDArray[np.uint8]]:
    try:
        footage = read_footage(video)
    except Unreadable:
        return [np.full((CELL, CELL, 3), 235, np.uint8)] * 4
    measured = judged.audit.measured
    apex = measured.apex if measured is not None else None
    middle = len(footage) // 2 if apex is None else min(round(apex), len(footage) - 1)
    first, last = 0, len(footage) - 1
    frames = [_fitted(footage.rgb(frame)) for frame in (first, middle, last)]
    change = change_picture(footage.luma[first], footage.luma[middle])
    return [*frames, _fitted(np.repeat(change[:, :, None], 3, axis=2))]


def _fitted(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture within a square cell, its shape kept."""
    height, width = picture.shape[:2]
    scale = CELL / max(height, width)
    small = cv2.resize(
        picture, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
    )
    cell = np.full((CELL, CELL, 3), 255, np.uint8)
    cell[: small.shape[0], : small.shape[1]] = small
    return cell
