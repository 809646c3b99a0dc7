"""Linear layers that multiply in 8 bits on GPUs that can: twice the rate of 16 bits, at a small error."""

from __future__ import annotations

import torch
from torch import nn

# Least compute capability with 8-bit matrix units, and the largest value of e4m3.
CAPABILITY = (8, 9)
LARGEST = 448.0
_LEAST = 1e-12


class Float8Linear(nn.Module):
    """A linear layer in e4m3 with one scale per row of the weight and per token, summed in 32 bits."""

    weight: torch.Tensor
    scale: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        rows = linear.weight.detach().float()
        scale = rows.abs().amax(1, keepdim=True).clamp(min=_LEAST) / LARGEST
        self.register_buffer("weight", (rows / scale).to(torch.float8_e4m3fn))
        self.register_buffer("scale", scale.t().contiguous())
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) to (..., out) in the dtype of `x`."""
        tokens = x.reshape(-1, x.shape[-1])
        scale = tokens.abs().amax(1, keepdim=True).float().clamp(min=_LEAST) / LARGEST
        small = (tokens / scale).to(torch.float8_e4m3fn)
        product = torch._scaled_mm(
            small,
            self.weight.t(),
            scale_a=scale,
            scale_b=self.scale,
            bias=self.bias,
            out_dtype=x.dtype,
            use_fast_accum=True,
        )
        return product.reshape(*x.shape[:-1], -1)


def use_float8(blocks: nn.ModuleList, device: torch.device) -> None:
    """Replace the linear layers of transformer blocks, in place.

    Raises:
        ValueError: the device cannot multiply in 8 bits.
    """
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < CAPABILITY:
        raise ValueError(
            f"arithmetic in 8 bits needs a GPU of compute capability {CAPABILITY[0]}.{CAPABILITY[1]} or more"
        )
    for module in list(blocks.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, Float8Linear(child))
