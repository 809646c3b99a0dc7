"""MobileNetV2 hybrid as published: one frame of a clip, a network that knows pictures, and dense layers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from equime_loader import View, Window
from training.models.baseline import Baseline, Batch
from training.models.inputs import Variation, check, check_truth, check_whole, standardized_video, varied_pictures
from training.models.pretrained import begin_with

FEATURES = 1280
# The first 100 layers, by Keras' count, end with the expansion of the twelfth block.
FROZEN_BLOCKS, FROZEN_STEPS = 12, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileNetSettings(Variation):
    """What can be set.

    Attributes:
        size: pixels of the square. gray: one channel, shown as three as published; else RGB.
        pretrained: ImageNet weights, see `begin_with`; the first 100 layers then stay as they are.
        units: of the dense layer. dropout: share of features left out before and after it. Published faces were not
            varied.

    Raises:
        ValueError: a value out of its bounds.
    """

    size: int = 96
    gray: bool = True
    pretrained: str | None = None
    units: int = 128
    dropout: float = 0.5

    def __post_init__(self) -> None:
        Variation.__post_init__(self)  # no `super()`: a class with slots is made twice
        check_whole("size", self.size, 32, 512)
        check_truth("gray", self.gray)
        check_whole("units", self.units, 1, 8192)
        check("dropout", self.dropout, 0, 0.95)


class MobileNet(nn.Module):
    """A picture (B, 1 or 3, h, w) float32 to logits (B, classes)."""

    def __init__(self, classes: int, settings: MobileNetSettings) -> None:
        super().__init__()
        from torchvision.models import mobilenet_v2

        self.features = mobilenet_v2(weights=None).features
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(settings.dropout),
            nn.Linear(FEATURES, settings.units),
            nn.ReLU(),
            nn.Dropout(settings.dropout),
            nn.Linear(settings.units, classes),
        )
        # Layers that nobody trained would stay what chance made them.
        self._is_frozen = settings.pretrained is not None
        for layer in self.frozen:
            layer.requires_grad_(False)

    @property
    def frozen(self) -> list[nn.Module]:
        """Layers that stay as they are."""
        if not self._is_frozen:
            return []
        expansion = self.features[FROZEN_BLOCKS].conv[:FROZEN_STEPS]
        return [*self.features[:FROZEN_BLOCKS], expansion]

    def train(self, mode: bool = True) -> MobileNet:
        """As of `torch.nn.Module`; statistics of frozen layers stay, too."""
        super().train(mode)
        for layer in self.frozen:
            layer.eval()
        return self

    def forward(self, picture: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(picture.expand(-1, 3, -1, -1)))
        return logits


def view(settings: MobileNetSettings) -> View:
    """The apex: the middle of an expression. The published frame was the middle of the file's first 96."""
    return View(Window.around("apex", 1, before=0), size=settings.size, gray=settings.gray)


def inputs(batch: Batch, settings: MobileNetSettings) -> Tensor:
    """(B, C, h, w) float32, each picture of mean 0 and deviation 1."""
    return standardized_video(batch)[:, :, 0]


def augment(inputs: Tensor, seeds: Tensor, settings: MobileNetSettings) -> Tensor:
    """Pictures mirrored, shifted, turned and zoomed."""
    return varied_pictures(inputs, seeds, settings)


def begin(network: nn.Module, settings: MobileNetSettings) -> None:
    """ImageNet weights, where the settings name a file."""
    from torchvision.models import MobileNet_V2_Weights

    assert isinstance(network, MobileNet)
    weights = MobileNet_V2_Weights.IMAGENET1K_V1
    begin_with(network, settings.pretrained, weights, new=("head.", "classifier."))


MOBILENET = Baseline(
    "mobilenet",
    "MobileNetV2 on the apex frame",
    MobileNetSettings,
    MobileNet,
    view,
    inputs,
    augment,
    begin,
)
