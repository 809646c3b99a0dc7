"""What a model sees of a clip: the frames of a window, at a size, with the mask of padded frames and optical flow."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equime_loader.arguments import check_kind
from equime_loader.video.backends import backend
from equime_loader.video.faults import VideoFault
from equime_loader.video.flow import METHODS, flow
from equime_loader.video.scale import Scaling, room
from equime_loader.windows import Event, Window

__all__ = ["Clip", "VideoFault", "View", "read_frames"]

MAX_SIZE = 8192
# Pixels of the shorter side of what `equime rendition` makes.
RENDITION_SIZES = range(16, 4096 + 1, 2)
RENDITION_BOUNDS = f"an even number within {RENDITION_SIZES[0]}..{RENDITION_SIZES[-1]}"


@dataclass(frozen=True, slots=True)
class View:
    """How clips are looked at.

    Attributes:
        window: which frames.
        size: pixels of the square, (height, width), or None for the clip's own.
        gray: one channel in place of three.
        flow: None, or how optical flow from onset to apex is found: `dis`, `farneback` or `tvl1`.
        backend: `pyav`, `torchcodec`, `decord`, or None for the best that is installed.
        rendition: None for the clips themselves, or pixels of the smaller ones that `equime rendition` has made of
            them, which decode faster.

    Raises:
        TypeError: `window` is no Window. ValueError: a size outside 1..8192, or above the rendition's; a rendition that
            is odd or outside 16..4096; an unknown method or backend, one that is not installed.
    """

    window: Window = field(default_factory=Window.around)
    size: int | tuple[int, int] | None = 112
    gray: bool = False
    flow: str | None = None
    backend: str | None = None
    rendition: int | None = None

    def __post_init__(self) -> None:
        for name in ("size", "rendition"):
            object.__setattr__(self, name, _plain(getattr(self, name)))
        check_kind("window", self.window, Window, "a Window, such as Window.around('apex', 16)")
        if self.size is not None and not _is_size(self.scaling.size):
            raise ValueError(f"size={self.size!r} must be pixels within 1..{MAX_SIZE}, or (height, width)")
        check_kind("gray", self.gray, bool, "True or False")
        if self.flow is not None and self.flow not in METHODS:
            raise ValueError(f"flow={self.flow!r} must be one of {', '.join(METHODS)}")
        backend(self.backend)
        if self.rendition is not None:
            check_kind("rendition", self.rendition, int, "a number of pixels")
            if self.rendition not in RENDITION_SIZES:
                raise ValueError(f"rendition={self.rendition} must be {RENDITION_BOUNDS}")
            if max(self.scaling.size or (0,)) > self.rendition:
                raise ValueError(
                    f"size={self.size} is more than rendition={self.rendition} has; name one of the two anew"
                )

    @property
    def scaling(self) -> Scaling:
        return Scaling((self.size, self.size) if isinstance(self.size, int) else self.size, self.gray)


def _plain(size: Any) -> Any:
    """Whole numbers of NumPy as Python's, also within a tuple; all else as it is."""
    if isinstance(size, tuple):
        return tuple(_plain(side) for side in size)
    return int(size) if isinstance(size, Integral) and not isinstance(size, bool) else size


def _is_size(size: Any) -> bool:
    whole = isinstance(size, tuple) and len(size) == 2 and all(type(side) is int for side in size)
    return whole and all(1 <= side <= MAX_SIZE for side in size)


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """The frames of a window.

    Attributes:
        frames: (T, h, w, C) uint8, RGB or gray.
        mask: (T,) bool, False where the window reaches beyond the clip and its first or last frame stands in.
        indices: (T,) int64, numbers of the frames in the clip.
        flow: (2, h, w) float32, right and down in pixels from onset to apex, where the view asks for it.
    """

    frames: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    indices: NDArray[np.int64]
    flow: NDArray[np.float32] | None = None

    def __reduce__(self) -> tuple[type[Clip], tuple[Any, ...]]:
        # A third of the time that dataclasses take; worker processes answer with clips.
        return Clip, (self.frames, self.mask, self.indices, self.flow)

    def __repr__(self) -> str:
        return f"Clip(frames={self.frames.shape}, {int(self.mask.sum())} of {len(self.mask)} within the clip)"


def read_frames(video: bytes | memoryview, event: Event, view: View, out: NDArray[np.uint8] | None = None) -> Clip:
    """Decode a window of a clip.

    Args:
        video: the clip's file: MP4, or MOV, Matroska, WebM, AVI.
        event: its onset, apex, offset, number of frames and rate.
        out: (T, h, w, C) uint8, contiguous, where the frames are to be written; else they get an array of their own.

    Raises:
        VideoFault: the bytes hold no video, or not the frames that the event speaks of.
        ValueError: a window of too many frames at the clip's rate, or an `out` of another form.
    """
    indices, mask = view.window.indices(event)
    scaling = view.scaling
    scaling.shape(len(indices), 1, 1)
    decode = backend(view.backend)
    if (indices[1:] > indices[:-1]).all():
        frames = decode(video, indices, scaling, out)
    else:
        # Frames never go back; numpy.unique would import masked arrays while somebody waits for a first batch.
        first = np.diff(indices, prepend=-1) > 0
        place = np.cumsum(first) - 1
        decoded = decode(video, indices[first], scaling)
        # Clip only spares a copy: no place lies outside.
        frames = np.take(decoded, place, axis=0, out=room((len(place), *decoded.shape[1:]), out), mode="clip")
    if view.flow is None:
        return Clip(frames, mask, indices)
    pair = np.array([event.onset, event.apex]) if event.onset < event.apex else np.array([event.onset])
    gray = decode(video, pair, Scaling(None, True))[..., 0]
    return Clip(frames, mask, indices, flow(gray[0], gray[-1], method=view.flow, size=scaling.size))
