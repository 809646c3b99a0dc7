"""BRISQUE (Mittal et al. 2012) of batches, by piq's features and the LIVE support vectors, read once.

`piq.brisque` reads its weights from disk at every call and fails as a whole where one frame is flat.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from equime_builder.models import ModelMissing

if TYPE_CHECKING:
    from torch import Tensor

KERNEL_SIDE, KERNEL_SIGMA, SCALES = 7, 7 / 6, 2
# Of the support vector machine, as in piq and in the authors' MATLAB code.
GAMMA, RHO = 0.05, -153.591
VECTORS, FEATURES = 774, 36
# The machine was trained with this bound of its coefficients, which sum to zero: what tells the file from another one.
LARGEST_COEFFICIENT = 1024.0


@dataclass(frozen=True, slots=True)
class Brisque:
    """Support vectors (FEATURES, n) and their coefficients (n, 1), float64, on the device that scores."""

    coefficients: Tensor
    vectors: Tensor

    @classmethod
    def load(cls, path: Path, device: str) -> Brisque:
        """Read the weights; nothing in the file is executed.

        Raises:
            ModelMissing: the file is not what piq published.
        """
        import torch

        try:
            coefficients, vectors = torch.load(path, map_location="cpu", weights_only=True)
            if coefficients.shape != (VECTORS, 1) or vectors.shape != (VECTORS, FEATURES):
                raise ValueError(f"shapes {tuple(coefficients.shape)} and {tuple(vectors.shape)}")
            if float(coefficients.abs().max()) != LARGEST_COEFFICIENT or abs(float(coefficients.sum())) > 0.1:
                raise ValueError("coefficients of another machine")
        except Exception as error:
            raise ModelMissing(
                f"{path}: is no file of BRISQUE weights ({' '.join(str(error).split())[:200]})"
            ) from error
        return cls(coefficients.double().to(device), vectors.double().T.contiguous().to(device))

    def score(self, frames: Tensor) -> Tensor:
        """Scores of frames in 0..1, gray or RGB: (N,) float64, NaN where a frame is too flat to be scored.

        Lower is better; values may lie below 0 and above 100. The machine's sum cancels to a ten-thousandth of its
        terms, so it is taken in double precision whatever the frames are; piq's, in single, scatters by 0.01.
        """
        import torch

        scores = torch.full((len(frames),), torch.nan, dtype=torch.float64, device=frames.device)
        luma = self._luma(frames)
        for chosen, features in _features(luma, torch.arange(len(frames), device=frames.device)):
            distances = (features.double().unsqueeze(-1) - self.vectors).square().sum(dim=1)
            scores[chosen] = (torch.exp(-GAMMA * distances) @ self.coefficients).squeeze(1) - RHO
        return scores.where(scores.isfinite(), torch.nan)

    @staticmethod
    def _luma(frames: Tensor) -> Tensor:
        """Gray levels 0..255; of colors rounded, as MATLAB does."""
        piq = importlib.import_module("piq.functional")
        levels = frames * 255
        return levels if levels.shape[1] == 1 else piq.rgb2yiq(levels)[:, :1].round()


def _features(luma: Tensor, numbers: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Numbers and scaled features (n, FEATURES) of the frames that have some.

    piq asserts that every frame of a batch varies enough; one that does not is found by halving the batch.
    """
    lively = luma.amax(dim=(1, 2, 3)) > luma.amin(dim=(1, 2, 3))
    luma, numbers = luma[lively], numbers[lively]
    if not len(luma):
        return []
    try:
        return [(numbers, _statistics(luma))]
    except AssertionError:
        if len(luma) == 1:
            return []
        half = len(luma) // 2
        return _features(luma[:half], numbers[:half]) + _features(luma[half:], numbers[half:])


def _statistics(luma: Tensor) -> Tensor:
    """Natural scene statistics at two scales, scaled as the support vectors are.

    Raises:
        AssertionError: a frame is too flat.
    """
    import torch

    # The package's name `brisque` is the function; its parts lie in the module.
    parts = importlib.import_module("piq.brisque")
    resize = importlib.import_module("piq.functional").imresize
    found = []
    for _ in range(SCALES):
        found.append(parts._natural_scene_statistics(luma, KERNEL_SIDE, KERNEL_SIGMA))
        luma = resize(luma, sizes=(luma.shape[2] // 2, luma.shape[3] // 2))
    scaled: Tensor = parts._scale_features(torch.cat(found, dim=-1))
    return scaled
