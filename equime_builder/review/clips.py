"""What a reviewer is shown of a clip: its frames, its curves, and of its labels only what the review's setting allows.

Frames are decoded here and sent as pictures, so that a step is exactly one frame in every browser, with any frame rate
and without a video codec of its own; nothing in them names the clip.
"""

from __future__ import annotations

import hmac
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from equime_builder.encode import decode_planes
from equime_builder.facs import describe
from equime_builder.manifest import FolderError
from equime_builder.readers import read_samples
from equime_builder.review.store import Store
from equime_loader.index import Index
from equime_loader.schema import AUS, LOCATION
from equime_loader.storage.paths import check_path

EVENT = ("onset_frame", "apex_frame", "offset_frame")
FACTS = ("key", "emotion", "derived_emotion", "au_text", "caption")
COLUMNS = (*FACTS, "aus", "fps", "frames", "width", "height", *EVENT, *(field.name for field in LOCATION))
# At 97 a picture differs from the decoded frame by less than one gray level in the mean: amplified, it shows the clip.
JPEG_QUALITY = 97
LARGEST_SIDE, MOST_FRAMES = 640, 1_000
MOTION_WIDTH, BUSIEST = 64, 0.02


@dataclass(frozen=True, slots=True, eq=False)
class ClipView:
    """A clip as it is sent: `head`, plain JSON, and `pictures`, one JPEG per frame."""

    head: Mapping[str, Any]
    pictures: tuple[bytes, ...]

    def packed(self) -> bytes:
        """One answer: length of the head (4 bytes, big-endian), the head as JSON, all pictures.

        The head's `bytes` are the lengths of the pictures.
        """
        head = json.dumps({**self.head, "bytes": [len(picture) for picture in self.pictures]}).encode()
        return b"".join((struct.pack(">I", len(head)), head, *self.pictures))


def opaque_names(keys: Iterable[str], secret: bytes) -> dict[str, str]:
    """Key by opaque name: 32 hex digits that only the holder of the secret can tell the clip from."""
    return {hmac.digest(secret, key.encode(), "sha256").hex()[:32]: key for key in keys}


class Clips:
    """The clips of a review, read from the dataset folder.

    Raises:
        FolderError: a clip of the review is gone, or its video is another than when the review began.
    """

    def __init__(self, root: Path, index: Index, store: Store) -> None:
        self.root, self.blind = root, store.settings.blind
        rows = rows_of(index, store)
        index.check(rows)
        self._labels = {row["key"]: row for row in index.rows(rows, COLUMNS)}
        for path in {row["shard"] for row in self._labels.values()} - {None}:
            check_path(path)

    def view(self, key: str) -> ClipView:
        """Read and decode a clip.

        Raises:
            FolderError: its file is missing. ValueError: its video cannot be shown.
        """
        labels = self._labels[key]
        ((video, curves),) = read_samples(self.root, [labels]).values()
        return show(labels, video, curves, blind=self.blind)


def rows_of(index: Index, store: Store) -> NDArray[np.int64]:
    """Rows of the review's clips in the index, in the order of the keys.

    Raises:
        FolderError: a clip is gone, or its video is another than when the review began.
    """
    rows = index.column("key")
    places = pc.index_in(pa.array(list(store.clips), pa.string()), rows).to_pylist()
    for key, place in zip(store.clips, places, strict=True):
        if place is None:
            raise FolderError(f"{index.path}: lacks {key}, which is under review; begin another review with --store")
    hashes = index.rows(places, ("mp4_sha256",))
    for (key, sha256), row in zip(store.clips.items(), hashes, strict=True):
        if row["mp4_sha256"] != sha256:
            raise FolderError(f"{index.path}: {key} has changed since its review began; begin another with --store")
    return np.array(places, np.int64)


def show(labels: Mapping[str, Any], video: bytes, curves: NDArray[np.float32], *, blind: bool) -> ClipView:
    """What is sent of a clip.

    Args:
        labels: its index row, with `COLUMNS`. curves: (T, AUs) intensities.
        blind: send no word of the labels, and of the curves only when something moves, not what and how far.

    Raises:
        ValueError: a clip too long to be shown, one that is not as long as it is labeled, or no video.
    """
    if labels["frames"] > MOST_FRAMES:
        raise ValueError(f"{labels['frames']} frames, at most {MOST_FRAMES} can be shown")
    try:
        planes = decode_planes(video, last=MOST_FRAMES)
    except (av.FFmpegError, IndexError, AssertionError) as error:
        raise ValueError("its video cannot be decoded") from error
    if not len(planes) == len(curves) == labels["frames"]:
        raise ValueError(f"{len(planes)} frames and {len(curves)} of curves, labeled {labels['frames']}")
    if not labels["onset_frame"] <= labels["apex_frame"] <= labels["offset_frame"] < len(planes):
        raise ValueError("onset, apex and offset do not lie in this order within the clip")
    luma = planes[:, : planes.shape[1] * 2 // 3]
    head: dict[str, Any] = {
        "fps": float(labels["fps"]),
        "onset": labels["onset_frame"],
        "apex": labels["apex_frame"],
        "offset": labels["offset_frame"],
        "motion": _rounded(motion(luma, labels["onset_frame"])),
        "curves": [envelope(labels["aus"], curves)] if blind else named_curves(labels["aus"], curves),
        "facts": None if blind else {name: labels[name] for name in FACTS},
    }
    return ClipView(head, tuple(_picture(frame) for frame in planes))


def motion(luma: NDArray[np.uint8], onset: int) -> NDArray[np.float32]:
    """How far each frame is from the one at onset, where it differs most: (T,) float32, gray levels.

    The mean absolute difference over the `BUSIEST` share of small blocks: blocks average out sensor noise, and most
    of a face does not move in a micro-expression.
    """
    height, width = luma.shape[1:]
    size = (MOTION_WIDTH, max(1, round(height * MOTION_WIDTH / width)))
    blocks = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in luma]).astype(np.float32)
    change = np.sort(np.abs(blocks - blocks[onset]).reshape(len(luma), -1), axis=1)
    busiest: NDArray[np.float32] = change[:, -max(1, round(BUSIEST * change.shape[1])) :].mean(axis=1)
    return busiest


def named_curves(aus: Sequence[Mapping[str, Any]], curves: NDArray[np.float32]) -> list[dict[str, Any]]:
    """The curve of each acting AU with its name, intensity 0-5."""
    return [
        {
            "name": describe(acting["au"], acting["side"], acting["intensity"]),
            "values": _rounded(curves[:, AUS.index(acting["au"])]),
        }
        for acting in aus
    ]


def envelope(aus: Sequence[Mapping[str, Any]], curves: NDArray[np.float32]) -> dict[str, Any]:
    """All acting AUs as one curve from 0 to 1 without a name: when something is to move, not what."""
    level = curves[:, [AUS.index(acting["au"]) for acting in aus]].sum(axis=1)
    return {"name": None, "values": _rounded(level / max(float(level.max(initial=0.0)), 1e-6))}


def _picture(planes: NDArray[np.uint8]) -> bytes:
    picture = cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420)
    largest = max(picture.shape[:2])
    if largest > LARGEST_SIDE:
        scale = LARGEST_SIDE / largest
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()


def _rounded(values: NDArray[np.floating[Any]]) -> list[float]:
    return [round(float(value), 3) for value in values]
