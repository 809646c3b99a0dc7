"""What the landmarker sees in a clip, and where it looks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from equime_builder.audit.features import Face, features, flow_between, mean_face
from equime_builder.audit.footage import Footage
from equime_builder.audit.motion import lead_frames
from equime_builder.landmarks import Detection, Landmarker

GRID = 14  # frames over the whole clip, three of them in its neutral beginning


class Look:
    """A clip, and what the landmarker saw in those frames that were asked for, each looked at once."""

    def __init__(self, footage: Footage, landmarker: Landmarker) -> None:
        self.footage, self._landmarker = footage, landmarker
        self._seen: dict[int, Detection | None] = {}

    def at(self, frame: int) -> Detection | None:
        """The face in a frame, None where there is none."""
        if frame not in self._seen:
            self._seen[frame] = self._landmarker.detect(self.footage.rgb(frame))
        return self._seen[frame]

    def found(self, frames: Sequence[int]) -> dict[int, Detection]:
        """The frames of these that show a face."""
        return {frame: detection for frame in frames if (detection := self.at(frame)) is not None}

    def face(self, frames: Sequence[int]) -> Face | None:
        """The mean face of some frames, None where none of them shows one."""
        found = self.found(frames)
        return mean_face(list(found.values()), self.footage.luma[list(found)]) if found else None

    def compare(
        self, rest: Face, apex: Face, between: Sequence[int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Features (2, F) and flow (H, W, 2) px from the neutral face to the apex, by way of frames between."""
        flow = flow_between([rest.luma, *(self.footage.luma[frame] for frame in between), apex.luma])
        return features(rest, apex, flow), flow


def grid(frames: int) -> list[int]:
    """The frames that are looked at in any clip."""
    lead = lead_frames(frames)
    places = np.concatenate([np.linspace(0, lead - 1, 3), np.linspace(lead, frames - 1, GRID - 3)])
    return sorted({round(float(place)) for place in places})
