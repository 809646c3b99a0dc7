"""LeRobot as it encodes by itself: AV1 with a keyframe every second frame, read like the other LeRobot dataset."""

from __future__ import annotations

from pathlib import Path

import av
import harness
from harness import Clip
from lerobot_v3 import SETTINGS, VIDEO, create, open_loader

__all__ = ["SETTINGS", "open_loader", "write"]


def write(clips: list[Clip], folder: Path) -> None:
    """Every frame goes through its writer and its own encoder, at its defaults."""
    dataset = None
    for clip in clips:
        with av.open(clip.path) as container:
            for frame in container.decode(video=0):
                picture = frame.to_ndarray(format="rgb24")
                if dataset is None:
                    dataset = create(clips, folder, None, *picture.shape[:2])
                dataset.add_frame({VIDEO: picture, "task": clip.key})
        dataset.save_episode()
    dataset.finalize()


if __name__ == "__main__":
    harness.main(__name__)
