"""Small recordings, and readings as an adapter would give them, for tests of the importer."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from equime_loader.corpora.aus import parse_aus
from equime_loader.corpora.events import CorpusEvent, Finding, FrameFiles, Frames, Reading

HEIGHT, WIDTH = 36, 48


def picture(number: int, *, gray: bool = True, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """A bright square on a ramp, at another place in every frame: (H, W) gray or (H, W, 3) RGB."""
    ramp = np.tile(np.linspace(20, 220, width), (height, 1)).astype(np.uint8)
    left = number % (width - 10)
    ramp[8:18, left : left + 10] = 250
    return ramp if gray else np.dstack([ramp, ramp[:, ::-1], np.full_like(ramp, 90)])


def write_frames(folder: Path, numbers: Iterable[int], *, ending: str = "png", **drawn: Any) -> FrameFiles:
    """Picture files of these frame numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {number: folder / f"img{number}.{ending}" for number in numbers}
    for number, path in paths.items():
        shown = picture(number, **drawn)
        cv2.imwrite(str(path), shown if shown.ndim == 2 else shown[..., ::-1])
    return FrameFiles(paths)


def write_video(path: Path, frames: int, *, codec: str = "libx264", pixels: str = "yuv420p", rate: int = 25) -> Path:
    """A video file of `frames` frames."""
    form = "mp4" if path.suffix == ".mp4" else "avi"
    target = io.BytesIO()
    with av.open(target, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number, gray=False), format="rgb24").reformat(format=pixels)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(target.getvalue())
    return path


def event(frames: Frames, span: Sequence[int], **changes: Any) -> CorpusEvent:
    """A surprise of subject sub01 with these onset, apex and offset."""
    values: dict[str, Any] = {
        "corpus": "casme2",
        "subject": "sub01",
        "clip": "EP01_01",
        "label": "surprise",
        "fps": 100.0,
        "aus": parse_aus("1+2"),
        "au_text": "1+2",
    }
    onset, apex, offset = span
    return CorpusEvent(frames=frames, onset=onset, apex=apex, offset=offset, **{**values, **changes})


def reading(*events: CorpusEvent, findings: Sequence[Finding] = (), corpus: str = "casme2") -> Reading:
    return Reading(corpus, "sheet.xlsx, plain", len(events) + len(findings), events, tuple(findings))


def small_reading(root: Path) -> Reading:
    """Six clips of three subjects, one of whose pictures is no picture."""
    events = []
    for subject in ("sub01", "sub02", "sub03"):
        for clip, label in (("EP01_01", "surprise"), ("EP02_01", "happiness")):
            folder = root / subject / clip
            frames = write_frames(folder, range(1, 41)) if not folder.exists() else listed(folder, range(1, 41))
            events.append(event(frames, (15, 20, 28), subject=subject, clip=clip, label=label))
    (root / "sub02/EP02_01/img21.png").write_bytes(b"not a picture")
    return reading(*events, findings=[Finding("sheet.xlsx, line 9", "sub04/EP01_01", "offset 0")])


def listed(folder: Path, numbers: Iterable[int]) -> FrameFiles:
    return FrameFiles({number: folder / f"img{number}.png" for number in numbers})
