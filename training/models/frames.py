"""What the 3-D networks see: frames spread over the event, time an axis of its own."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from equime_loader import View, Window
from training.models.baseline import Batch
from training.models.inputs import Variation, check, check_truth, check_whole, standardized_video, varied_pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSettings(Variation):
    """What can be set of a network on frames.

    Attributes:
        frames: how many, spread evenly from onset to offset. size: pixels of the square. gray: one channel, else RGB.
        motion: show what moved since the onset, each frame less the first; else frames as they are, as published, in
            which who a clip shows outweighs what moves in it.
        dropout: share of features left out. Published faces were not varied.

    Raises:
        ValueError: a value out of its bounds.
    """

    frames: int = 16
    size: int = 64
    gray: bool = True
    motion: bool = True
    dropout: float = 0.5

    def __post_init__(self) -> None:
        Variation.__post_init__(self)  # no `super()`: a class with slots is made twice
        check_whole("frames", self.frames, 2, 1024)
        check_whole("size", self.size, 16, 512)
        check_truth("gray", self.gray)
        check_truth("motion", self.motion)
        check("dropout", self.dropout, 0, 0.95)

    @property
    def channels(self) -> int:
        return 1 if self.gray else 3


def view(settings: FrameSettings) -> View:
    """Frames from onset to offset: the whole expression, however long it is and whatever the clip's rate."""
    return View(Window.spread(settings.frames), size=settings.size, gray=settings.gray)


def inputs(batch: Batch, settings: FrameSettings) -> Tensor:
    """(B, C, T, h, w) float32, each clip of mean 0 and deviation 1."""
    return standardized_video(batch, motion=settings.motion)


def augment(inputs: Tensor, seeds: Tensor, settings: FrameSettings) -> Tensor:
    """All frames of a clip moved alike."""
    return varied_pictures(inputs, seeds, settings)
