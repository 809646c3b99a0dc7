"""LeRobot: its dataset in the v3 layout (many clips behind one another in a video file), two worker processes.

The writer is its own; only the encoder inside it is replaced by one that hands over the clip's file as it is.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import harness
import numpy as np
import torch
from decoders import interpolate
from harness import BATCH, FRAMES, Clip, Job, PairLoader, collate, worker_options
from lerobot.configs import RGBEncoderConfig
from lerobot.datasets.lerobot_dataset import LeRobotDataset

NAME, VIDEO = "equime/benchmark", "observation.images.face"
SETTINGS: list[dict[str, Any]] = [
    {"backend": "torchcodec", "prefetch": 2},
    {"backend": "torchcodec", "prefetch": 4},
    {"backend": "pyav", "prefetch": 2},
]


class HandOver:
    """Stands where the dataset's streaming encoder stands, and gives the files that exist already."""

    def __init__(self, clips: list[Clip]) -> None:
        self.waiting = iter(clips)

    def start_episode(self, **_: Any) -> None: ...

    def feed_frame(self, key: str, frame: Any) -> None: ...

    def close(self) -> None: ...

    def finish_episode(self) -> dict[str, tuple[Path, None]]:
        folder = Path(tempfile.mkdtemp())
        return {VIDEO: (Path(shutil.copy(next(self.waiting).path, folder)), None)}


def create(
    clips: list[Clip], folder: Path, encoder: RGBEncoderConfig | None, height: int, width: int
) -> LeRobotDataset:
    """An empty dataset for clips of this size. Small files: each new clip rewrites the file it goes to."""
    shape = (height, width, 3)
    return LeRobotDataset.create(
        NAME,
        fps=round(clips[0].fps),
        root=folder,
        features={VIDEO: {"dtype": "video", "shape": shape, "names": ["height", "width", "channels"]}},
        rgb_encoder=encoder,
        streaming_encoding=True,
        video_files_size_in_mb=8,
    )


def write(clips: list[Clip], folder: Path) -> None:
    import av

    with av.open(clips[0].path) as container:
        height, width = container.streams.video[0].height, container.streams.video[0].width
    dataset = create(clips, folder, RGBEncoderConfig(vcodec="h264"), height, width)
    dataset.writer._streaming_encoder = HandOver(clips)
    blank = np.zeros((height, width, 3), np.uint8)
    for clip in clips:
        for _ in range(clip.frames):
            dataset.add_frame({VIDEO: blank, "task": clip.key})
        dataset.save_episode()
    dataset.finalize()


class Windows(torch.utils.data.Dataset[tuple[str, torch.Tensor]]):
    """One window per clip. The episode's number is the clip's."""

    def __init__(self, folder: Path, clips: list[Clip], backend: str) -> None:
        before = FRAMES // 2
        deltas = [(number - before) / clips[0].fps for number in range(FRAMES)]
        self.clips = clips
        self.dataset = LeRobotDataset(
            NAME,
            root=folder,
            delta_timestamps={VIDEO: deltas},
            video_backend=backend,
            return_uint8=True,
            image_transforms=interpolate,
            tolerance_s=0.4 / clips[0].fps,
        )
        starts = self.dataset.meta.episodes["dataset_from_index"]
        self.rows = [start + clip.first + before for start, clip in zip(starts, clips, strict=True)]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, number: int) -> tuple[str, torch.Tensor]:
        sample = self.dataset[self.rows[number]]
        return sample["task"], sample[VIDEO]


def open_loader(folder: Path, clips: list[Clip], job: Job, *, backend: str, prefetch: int) -> PairLoader:
    loader = torch.utils.data.DataLoader(
        Windows(folder, clips, backend),
        batch_size=BATCH,
        collate_fn=collate,
        **worker_options(prefetch),
    )
    return PairLoader(loader)


if __name__ == "__main__":
    harness.main(__name__)
