"""CLIP-IQA (Wang et al. 2023) of batches: piq's network, loaded once from files that the user names.

`piq.CLIPIQA` reads its weights from a fixed folder, downloads what is not there, and loads them anew at every
construction.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equime_builder.models import ModelMissing

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class ClipIqa:
    """CLIP's image network and the directions of "Good photo." and "Bad photo." (2, dim), on the device that scores."""

    visual: Any
    anchors: Tensor
    logit_scale: Tensor
    mean: Tensor
    deviation: Tensor

    @classmethod
    def load(cls, weights: Path, tokens: Path, device: str) -> ClipIqa:
        """Load the network and embed the two texts.

        Args:
            weights: RN50.pt, a TorchScript archive. tokens: clipiqa_tokens.pt, the two texts as numbers.

        Raises:
            ModelMissing: a file is damaged or another one.
        """
        import torch
        from piq.clip_iqa import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD
        from piq.feature_extractors import clip
        from torch.nn.utils.fusion import fuse_conv_bn_eval

        path = tokens
        try:
            numbers = torch.load(tokens, map_location="cpu", weights_only=True)
            path = weights
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # torch plans to leave TorchScript, CLIP's form
                state = torch.jit.load(str(weights), map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
            network = clip.build_model(state).float().eval().requires_grad_(False)
            with torch.inference_mode():
                anchors = network.encode_text(numbers).float()
        except Exception as error:
            why = " ".join(str(error).split())[:200]
            raise ModelMissing(f"{path}: cannot be used for CLIP-IQA ({why})") from error
        _fuse(network.visual, fuse_conv_bn_eval)
        network.visual.attnpool = _pooling(network.visual.attnpool)
        return cls(
            network.visual.to(device=device, memory_format=torch.channels_last),
            (anchors / anchors.norm(dim=-1, keepdim=True)).to(device),
            network.logit_scale.exp().to(device),
            torch.tensor(OPENAI_CLIP_MEAN).view(1, 3, 1, 1).to(device),
            torch.tensor(OPENAI_CLIP_STD).view(1, 3, 1, 1).to(device),
        )

    def score(self, frames: Tensor) -> Tensor:
        """Scores of frames in 0..1, gray or RGB, at their own size: (N,) float32 in 0..1, higher is better."""
        import torch

        pixels = ((frames.float() - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)
        seen = self.visual(pixels, pos_embedding=False)
        seen = seen / seen.norm(dim=-1, keepdim=True)
        scores: Tensor = (self.logit_scale * seen @ self.anchors.T).softmax(dim=-1)[:, 0]
        return scores


def _fuse(module: Any, fuse: Any) -> None:
    """Fold each normalization into the convolution before it: the same sums, read and written once less."""
    import torch

    for name in ("conv1", "conv2", "conv3"):
        norm = name.replace("conv", "bn")
        if hasattr(module, name) and hasattr(module, norm):
            setattr(module, name, fuse(getattr(module, name), getattr(module, norm)))
            setattr(module, norm, torch.nn.Identity())
    shortcut = getattr(module, "downsample", None)
    if shortcut is not None:
        shortcut[1] = fuse(shortcut[1], shortcut[2])
        shortcut[2] = torch.nn.Identity()
    for child in module.children():
        _fuse(child, fuse)


def _pooling(pool: Any) -> Any:
    """CLIP's attention pooling of which only the first output is taken, as CLIP-IQA does, without positions.

    One query needs neither key nor value of a place: heads' queries are carried to the places' own space, and the
    places are weighed there. The same sums in another order, for a fiftieth of the multiplications.
    """
    import torch

    heads = pool.num_heads

    class Pooling(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key, self.value, self.out = pool.q_proj, pool.k_proj, pool.v_proj, pool.c_proj

        def forward(self, places: Tensor, return_token: bool = False, pos_embedding: bool = False) -> Tensor:
            seen = places.flatten(2).transpose(1, 2)  # (N, H * W, C)
            mean = seen.mean(dim=1)
            seen = torch.cat([mean[:, None], seen], dim=1)
            count, width = mean.shape
            query = self.query(mean).view(count, heads, width // heads) * (width // heads) ** -0.5
            keys = self.key.weight.view(heads, width // heads, width)
            # A key's bias adds the same to all places, which the softmax takes away.
            weights = (torch.einsum("nhd,hdc->nhc", query, keys) @ seen.transpose(1, 2)).softmax(dim=-1)
            values = self.value.weight.view(heads, width // heads, width)
            pooled = torch.einsum("nhc,hdc->nhd", weights @ seen, values).flatten(1) + self.value.bias
            result: Tensor = self.out(pooled)
            return result

    return Pooling()
