"""diffusers' pipelines for LTX-Video, loaded without a text encoder and set up by a preset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    FirstBlockCacheConfig,
    FlowMatchEulerDiscreteScheduler,
    LTXConditionPipeline,
    LTXImageToVideoPipeline,
)
from diffusers.utils import logging

from equime_builder.generators.ltx.float8 import use_float8
from equime_builder.generators.ltx.options import PRESETS, SPATIAL, TEMPORAL, LtxOptions


class AnchoredPipeline(LTXConditionPipeline):
    """`LTXConditionPipeline` whose clips have anchors of their own.

    In a condition, `image` is a list with one picture per clip, and `frame_index` a list with one frame per clip.
    Every clip is prepared alone, with its own generator, so that its noise and its anchors' latents depend on it only.
    """

    def prepare_latents(
        self,
        conditions: Sequence[torch.Tensor],
        condition_strength: Sequence[float],
        condition_frame_index: Sequence[Sequence[int]],
        *,
        batch_size: int,
        generator: Sequence[torch.Generator],
        **rest: Any,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
        clips = [
            super(AnchoredPipeline, self).prepare_latents(
                [pictures[clip : clip + 1] for pictures in conditions],
                condition_strength,
                [frames[clip] for frames in condition_frame_index],
                batch_size=1,
                generator=generator[clip],
                **rest,
            )
            for clip in range(batch_size)
        ]
        latents, masks, places, extra = zip(*clips, strict=True)
        if len(set(extra)) > 1:
            raise ValueError(f"clips of one batch have anchors of {sorted(set(extra))} tokens; they must be equal")
        return torch.cat(latents), torch.cat(masks), torch.cat(places), extra[0]


def load(folder: Path, options: LtxOptions, device: torch.device) -> Any:
    """The pipeline of the options' mode, ready on `device`, without tokenizer and text encoder.

    Raises:
        ValueError: a VAE of another geometry than LTX-Video's.
    """
    logging.disable_progress_bar()
    kind = LTXImageToVideoPipeline if options.mode == "prompt" else AnchoredPipeline
    pipe = kind.from_pretrained(
        folder,
        text_encoder=None,
        tokenizer=None,
        dtype=getattr(torch, options.dtype),
        use_safetensors=True,
        local_files_only=True,
    )
    return set_up(pipe, options, device)


def set_up(pipe: Any, options: LtxOptions, device: torch.device) -> Any:
    """Place a pipeline on `device` and prepare it as options and preset say.

    Raises:
        ValueError: the model's latents are of another size than clips are laid out for.
    """
    ratios = pipe.vae_spatial_compression_ratio, pipe.vae_temporal_compression_ratio
    if ratios != (SPATIAL, TEMPORAL):
        raise ValueError(f"the model's VAE makes latents of {ratios} pixels and frames, not of {(SPATIAL, TEMPORAL)}")
    pipe.set_progress_bar_config(disable=True)
    if options.mode == "keyframe":
        logging.get_logger(FlowMatchEulerDiscreteScheduler.__module__).setLevel(logging.ERROR)
        # The condition pipeline brings its own schedule; the shift of the first models' schedulers would bend it.
        # Without a shift its sigmas are the time steps that it gives, of which the scheduler warns in every call.
        pipe.scheduler = FlowMatchEulerDiscreteScheduler.from_config(
            pipe.scheduler.config, use_dynamic_shifting=False, shift_terminal=None, shift=1.0
        )
    preset = PRESETS[options.preset]
    if preset.storage == "float8":
        pipe.transformer.enable_layerwise_casting(torch.float8_e4m3fn, pipe.transformer.dtype)
    pipe.vae.use_framewise_decoding = preset.decode == "pieces"
    pipe.to(device)
    if preset.arithmetic == "float8":
        use_float8(pipe.transformer.transformer_blocks, device)
    if options.step_cache:
        pipe.transformer.enable_cache(FirstBlockCacheConfig(threshold=options.step_cache))
    if preset.compiled and device.type == "cuda":
        pipe.transformer.compile_repeated_blocks(fullgraph=True, dynamic=False)
    return pipe
