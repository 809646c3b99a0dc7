"""torchcodec in two threads: each way to seek and to scale that its documentation recommends for many short clips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import harness
import threads
import torch
from harness import FRAMES, SIZE, Clip, Job
from torchcodec.decoders import VideoDecoder
from torchcodec.transforms import Resize

SETTINGS: list[dict[str, Any]] = [
    {"decoder": "torchcodec_transform"},
    {"decoder": "torchcodec_interpolate"},
    {"decoder": "mapped"},
]


def mapping(path: str) -> str:
    """The table of frames that torchcodec takes in place of a scan, as ffprobe would print it."""
    with av.open(path) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    frames = [{"pts": p.pts, "duration": p.duration, "key_frame": int(p.is_keyframe)} for p in packets]
    return json.dumps({"frames": sorted(frames, key=lambda frame: frame["pts"])})


def write(clips: list[Clip], folder: Path) -> None:
    """One table of frames per clip; the clips are read as the files they are."""
    folder.mkdir(parents=True)
    (folder / "mappings.json").write_text(json.dumps({clip.key: mapping(clip.path) for clip in clips}))


def open_loader(folder: Path, clips: list[Clip], job: Job, *, decoder: str) -> threads.ThreadLoader:
    if decoder != "mapped":
        return threads.open_loader(folder, clips, job, decoder=decoder)
    mappings = {key: text.encode() for key, text in json.loads((folder / "mappings.json").read_text()).items()}

    def decode(clip: Clip) -> torch.Tensor:
        data, resize = Path(clip.path).read_bytes(), [Resize((SIZE, SIZE))]
        decoder = VideoDecoder(data, custom_frame_mappings=mappings[clip.key], transforms=resize)
        return decoder.get_frames_in_range(clip.first, clip.first + FRAMES).data

    return threads.ThreadLoader(clips, decode)


if __name__ == "__main__":
    harness.main(__name__)
