"""ResNet3D as published: seven convolutions deep, 64 to 256 channels, at half the resolution from the first on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from training.models.baseline import Baseline
from training.models.frames import FrameSettings, augment, inputs, view
from training.models.inputs import check_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNet3DSettings(FrameSettings):
    """`FrameSettings`, and the width of the network.

    Attributes:
        width: channels of the first blocks; the second and third groups have two and four times as many.
    """

    width: int = 64

    def __post_init__(self) -> None:
        FrameSettings.__post_init__(self)
        check_whole("width", self.width, 1, 1024)


class Residual(nn.Module):
    """Two 3 x 3 x 3 convolutions beside a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.straight = nn.Sequential(
            nn.Conv3d(before, after, 3, stride, padding=1, bias=False),
            nn.BatchNorm3d(after),
            nn.ReLU(),
            nn.Conv3d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm3d(after),
        )
        same = stride == 1 and before == after
        self.shortcut: nn.Module = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv3d(before, after, 1, stride, bias=False), nn.BatchNorm3d(after))
        )

    def forward(self, volume: Tensor) -> Tensor:
        found: Tensor = self.straight(volume) + self.shortcut(volume)
        return found.relu()


def make(classes: int, settings: ResNet3DSettings) -> nn.Module:
    """Frames (B, C, T, h, w) float32 to logits (B, classes)."""
    width = settings.width
    groups = [(width, width, 1), (width, 2 * width, 2), (2 * width, 4 * width, 2)]
    blocks = [
        block
        for before, after, stride in groups
        for block in (Residual(before, after, stride), Residual(after, after, 1))
    ]
    return nn.Sequential(
        nn.Conv3d(settings.channels, width, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm3d(width),
        nn.ReLU(),
        nn.MaxPool3d(3, stride=2, padding=1),
        *blocks,
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
        nn.Dropout(settings.dropout),
        nn.Linear(4 * width, classes),
    )


RESNET3D = Baseline("resnet3d", "small 3-D ResNet (published)", ResNet3DSettings, make, view, inputs, augment)
