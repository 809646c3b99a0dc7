"""The modern reference: a small network on optical flow from onset to apex and its strain."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from equime_loader import View, Window
from equime_loader.video.flow import METHODS
from training.models.baseline import Baseline, Batch
from training.models.inputs import Variation, check, check_whole, varied_flow

# Flow and strain; and the places of a face, in each direction, that the last layer tells apart.
PARTS, CELLS = 5, 4
# Flow below this, in pixels of the input, is what noise leaves of a face that does not move.
LEAST_MOTION = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSettings(Variation):
    """What can be set.

    Attributes:
        method: of optical flow: `dis`, `farneback` or `tvl1`. size: pixels of the square it is scaled to.
        width: channels of the first of three convolutions; each further one has twice as many.
        dropout: share of features left out.

    Raises:
        ValueError: a value out of its bounds.
    """

    method: str = "dis"
    size: int = 64
    width: int = 24
    dropout: float = 0.4
    mirror: bool = True
    shift: float = 0.1
    turn: float = 10.0
    zoom: float = 0.15

    def __post_init__(self) -> None:
        Variation.__post_init__(self)  # no `super()`: a class with slots is made twice
        if self.method not in METHODS:
            raise ValueError(f"method={self.method!r} must be one of {', '.join(METHODS)}")
        check_whole("size", self.size, 16, 512)
        check_whole("width", self.width, 4, 512)
        check("dropout", self.dropout, 0, 0.95)


class Strain(nn.Module):
    """Flow (B, 2, h, w) to flow, and the three parts of its strain: (B, 5, h, w).

    Infinitesimal strain: xx = du/dx, yy = dv/dy, xy = (du/dy + dv/dx) / 2 (Shreve et al. 2011). A head that moves
    as a whole has none.
    """

    def forward(self, flow: Tensor) -> Tensor:
        right, down = flow.unbind(1)
        right_down, right_right = torch.gradient(right, dim=(1, 2))
        down_down, down_right = torch.gradient(down, dim=(1, 2))
        strain = torch.stack([right_right, down_down, (right_down + down_right) / 2], 1)
        return torch.cat([flow, strain], 1)


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)
    )


def make(classes: int, settings: FlowSettings) -> nn.Module:
    """Flow (B, 2, h, w) float32 to logits (B, classes)."""
    width = settings.width
    return nn.Sequential(
        Strain(),
        nn.Conv2d(PARTS, width, 5, stride=2, padding=2, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        _block(width, 2 * width),
        _block(2 * width, 4 * width),
        nn.AdaptiveAvgPool2d(CELLS),
        nn.Flatten(),
        nn.Dropout(settings.dropout),
        nn.Linear(4 * width * CELLS**2, classes),
    )


def view(settings: FlowSettings) -> View:
    """The loader needs one frame, the apex; flow does not use it."""
    return View(Window.around("apex", 1, before=0), size=settings.size, gray=True, flow=settings.method)


def inputs(batch: Batch, settings: FlowSettings) -> Tensor:
    """(B, 2, h, w) float32: each clip's flow without the motion of the whole head, of mean square 1."""
    flow: Tensor = batch["flow"].to(torch.float32)
    flow = flow - flow.flatten(2).median(2).values[:, :, None, None]
    deviation = flow.square().mean((1, 2, 3), keepdim=True).sqrt()
    return flow / deviation.clamp(min=LEAST_MOTION)


def augment(inputs: Tensor, seeds: Tensor, settings: FlowSettings) -> Tensor:
    """Faces mirrored, shifted, turned and zoomed; their vectors with them."""
    return varied_flow(inputs, seeds, settings)


FLOW = Baseline("flow", "small network on optical flow from onset to apex", FlowSettings, make, view, inputs, augment)
