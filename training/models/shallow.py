"""ST-CNN and Simple3DCNN: one 3-D convolution and two dense layers.

Published sizes: 32 kernels and 128 units (ST-CNN), 16 and 64 (Simple3DCNN). The published code gave the convolution
its frames as channels, so that kernels did not move over time; here time is their first axis. The flattened volume
then makes the first dense layer large: 64 x 64 pixels and 96 frames are 201 million weights in ST-CNN. On frames as
they are, whose convolved values have one sign, all these weights pull a unit the same way: at the published learning
rate its units leave the range of their rectifier within an epoch, and what is left is a constant predictor.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from training.models.baseline import Baseline
from training.models.frames import FrameSettings, augment, inputs, view
from training.models.inputs import check_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class ShallowSettings(FrameSettings):
    """`FrameSettings`, of fewer frames, and the width of the layers.

    Attributes:
        kernels: of the convolution. units: of the dense layer.
    """

    frames: int = 8
    kernels: int = 32
    units: int = 128

    def __post_init__(self) -> None:
        # Not super(): a dataclass with slots is another class than the one that super() would mean.
        FrameSettings.__post_init__(self)
        check_whole("kernels", self.kernels, 1, 1024)
        check_whole("units", self.units, 1, 8192)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simple3DCNNSettings(ShallowSettings):
    """`ShallowSettings` with the published sizes of Simple3DCNN."""

    dropout: float = 0.3
    kernels: int = 16
    units: int = 64


def make(classes: int, settings: ShallowSettings) -> nn.Module:
    """Frames (B, C, T, h, w) float32 to logits (B, classes)."""
    half = (settings.size + 1) // 2
    volume = settings.kernels * ((settings.frames + 1) // 2) * half * half
    return nn.Sequential(
        nn.Conv3d(settings.channels, settings.kernels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool3d(2, ceil_mode=True),
        nn.Dropout(settings.dropout),
        nn.Flatten(),
        nn.Linear(volume, settings.units),
        nn.ReLU(),
        nn.Dropout(settings.dropout),
        nn.Linear(settings.units, classes),
    )


ST_CNN = Baseline(
    "st_cnn", "one 3-D convolution, dense layers (published)", ShallowSettings, make, view, inputs, augment
)
SIMPLE_3D_CNN = Baseline(
    "simple3dcnn", "ST-CNN at half its width (published)", Simple3DCNNSettings, make, view, inputs, augment
)
