"""The warp generator behind the protocol of generators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equime_builder.generators.protocol import ClipRequest
from equime_builder.generators.warp import WarpRig, build_rig, moved_mask, render_clip
from equime_builder.portraits import Portrait
from equime_builder.scm import Nuisance, Program, sided_curves


@dataclass(frozen=True)
class PreparedWarp:
    """A rig, and the clips that it makes."""

    rig: WarpRig

    def render(self, program: Program, nuisance: Nuisance) -> NDArray[np.uint8]:
        left, right = sided_curves(program, nuisance)
        return render_clip(
            self.rig,
            left=left,
            right=right,
            sway=nuisance.sway,
            noise_seed=nuisance.noise_seed,
            noise_sigma=nuisance.noise_sigma,
        )

    def moved(self, program: Program) -> NDArray[np.bool_]:
        mask = np.zeros(self.rig.size, bool)
        for activation in program.activations:
            sides = ("left", "right") if activation.side == "both" else (activation.side,)
            mask |= moved_mask(self.rig, [activation.au], sides)
        return mask


@dataclass(frozen=True)
class WarpGenerator:
    """Displaces a portrait's landmarks by AU fields; needs no model."""

    name: str = "warp"
    model: str | None = None
    revision: str | None = None
    batch: int = 1
    keeps_nuisance: bool = True
    on_gpu: bool = False

    def prepare(self, portrait: Portrait) -> PreparedWarp:
        return PreparedWarp(build_rig(portrait.image, portrait.landmarks))

    def render(self, requests: Sequence[ClipRequest]) -> list[NDArray[np.uint8]]:
        return [request.portrait.render(request.program, request.nuisance) for request in requests]
