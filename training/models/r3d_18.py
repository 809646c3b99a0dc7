"""torchvision's r3d_18 (Tran et al. 2018): a 3-D ResNet of 18 layers; Kinetics-400 weights where the user has them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from training.models.baseline import Baseline
from training.models.frames import FrameSettings, augment, inputs, view
from training.models.pretrained import begin_with

# The first convolution takes three channels in the file, and the last layer knows 400 actions.
NEW_LAYERS = ("fc.",)
NEW_WHERE_GRAY = ("fc.", "stem.0.")


@dataclass(frozen=True, slots=True, kw_only=True)
class R3DSettings(FrameSettings):
    """`FrameSettings` with the sizes of the Kinetics weights, and where they lie.

    Attributes:
        pretrained: see `begin_with`. With gray frames the first convolution begins at random.
    """

    frames: int = 16
    size: int = 112
    gray: bool = False
    motion: bool = False
    pretrained: str | None = None


def make(classes: int, settings: R3DSettings) -> nn.Module:
    """Frames (B, C, T, h, w) float32 to logits (B, classes)."""
    from torchvision.models.video import r3d_18

    network = r3d_18(weights=None)
    if settings.gray:
        network.stem[0] = nn.Conv3d(1, 64, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False)
    network.fc = nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(network.fc.in_features, classes))
    made: nn.Module = network
    return made


def begin(network: nn.Module, settings: R3DSettings) -> None:
    """Kinetics-400 weights, where the settings name a file."""
    from torchvision.models.video import R3D_18_Weights

    new = NEW_WHERE_GRAY if settings.gray else NEW_LAYERS
    begin_with(network, settings.pretrained, R3D_18_Weights.KINETICS400_V1, new=new)


R3D_18 = Baseline("r3d_18", "torchvision's 3-D ResNet of 18 layers", R3DSettings, make, view, inputs, augment, begin)
