"""What a page holds of a clip: labels, the curves of its AUs, a still of onset and apex, and perhaps its video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from equime_builder.documents.words import printable
from equime_builder.encode import decode_planes
from equime_builder.facs import AUS
from equime_builder.plan import UNKNOWN

COLUMNS = (
    *("key", "subject", "split", "emotion", "derived_emotion", "aus", "au_text", "caption", "intervention"),
    *("onset_frame", "apex_frame", "offset_frame", "fps", "frames"),
    *("apparent_gender", "apparent_race", "age_group", "audit_verdict", "review_verdict"),
)
STILL, JPEG_QUALITY = 160, 82
CURVE_SCALE = 100  # curves are whole hundredths of an intensity
BLINK = 45


@dataclass(frozen=True, slots=True)
class Shown:
    """A clip of the page: `data` for its scripts, `still` as JPEG, `video` as MP4, empty where it does not play."""

    data: dict[str, Any]
    still: bytes
    video: bytes


def show(labels: Mapping[str, Any], video: bytes, curves: NDArray[np.float32], *, plays: bool) -> Shown:
    """A clip from its index row with `COLUMNS` and its sample.

    Args:
        curves: (T, AUs) float32, intensity 0-5 per frame.

    Raises:
        ValueError: the video ends before the apex.
    """
    onset, apex = (_frame(labels, video, labels[name]) for name in ("onset_frame", "apex_frame"))
    data = {
        "key": printable(labels["key"]),
        "caption": printable(labels["caption"] or "", most=None),
        "emotion": printable(labels["emotion"] or UNKNOWN),
        "derived": printable(labels["derived_emotion"] or UNKNOWN),
        "intervention": printable(labels["intervention"] or ""),
        "aus": [[one["au"], printable(one["side"] or ""), _rounded(one["intensity"])] for one in labels["aus"]],
        "text": printable(labels["au_text"]),
        "split": printable(labels["split"]),
        "gender": printable(labels["apparent_gender"] or UNKNOWN),
        "race": printable(labels["apparent_race"] or UNKNOWN),
        "age": printable(labels["age_group"] or UNKNOWN),
        "audit": printable(labels["audit_verdict"] or ""),
        "review": printable(labels["review_verdict"] or ""),
        "fps": _rounded(labels["fps"]),
        "frames": labels["frames"],
        "event": [labels["onset_frame"], labels["apex_frame"], labels["offset_frame"]],
        "curves": _curves(labels, curves),
        "video": len(video) if plays else 0,
    }
    return Shown(data, _jpeg(np.concatenate([onset, apex], axis=1)), video if plays else b"")


def _curves(labels: Mapping[str, Any], curves: NDArray[np.float32]) -> list[list[Any]]:
    """AU, first frame that is not 0, and values up to the last that is not 0; of AUs that move."""
    moving = [one["au"] for one in labels["aus"]]
    found = []
    for au in (*moving, *(() if BLINK in moving else (BLINK,))):
        values = (
            np.rint(CURVE_SCALE * np.nan_to_num(curves[:, AUS.index(au)])).astype(int) if au in AUS else np.zeros(1)
        )
        acting = np.flatnonzero(values)
        if len(acting):
            found.append([au, int(acting[0]), values[acting[0] : acting[-1] + 1].tolist()])
    return found


def _frame(labels: Mapping[str, Any], video: bytes, frame: int) -> NDArray[np.uint8]:
    """A frame as a square of STILL pixels: (STILL, STILL, 3) uint8 BGR."""
    planes = decode_planes(video, first=frame, last=frame)
    if not len(planes):
        raise ValueError(f"clip {labels['key']}: its video ends before frame {frame}")
    picture = cv2.cvtColor(planes[0], cv2.COLOR_YUV2BGR_I420)
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top : top + side, left : left + side]
    method = cv2.INTER_AREA if side > STILL else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (STILL, STILL), interpolation=method), np.uint8)


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1])


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 3)
