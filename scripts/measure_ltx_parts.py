#!/usr/bin/env python3
"""What a clip of LTX-Video costs, part by part: one denoising step, decoding, texts. Random weights of true size.

For each number of clips: a step of the transformer with guidance (two rows per clip), as it is, compiled, and compiled
with matrix products in 8 bits; and whether a clip's result depends on the clips beside it. Then the VAE and T5-XXL, on
the device and streamed through it. Medians. Without a GPU a tiny model runs, which tells nothing but that all of it
works.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import door
import torch
from benchmark_ltx import MODELS, Model, randomized, text_model
from diffusers import AutoencoderKLLTXVideo, LTXVideoTransformer3DModel
from diffusers.utils import logging
from door import Counts

from equime_builder.generators.ltx.float8 import use_float8
from equime_builder.generators.ltx.options import SPATIAL, TEMPORAL
from equime_builder.generators.ltx.texts import AT_ONCE, streamed
from equime_builder.prompts import TOKEN_LIMIT

GB = 1e9
CLIPS = [1, 8, 16]


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def milliseconds(work: Callable[[], Any], *, rounds: int = 5) -> float:
    """Median of some runs, after two that warm up."""
    times = []
    for number in range(rounds + 2):
        start = time.monotonic()
        work()
        wait()
        times += [1000 * (time.monotonic() - start)] if number >= 2 else []
    return statistics.median(times)


class Step:
    """Inputs of the transformer for some clips, each with rows of its own."""

    def __init__(self, model: Model, clips: int, device: torch.device, dtype: torch.dtype) -> None:
        draws = torch.Generator().manual_seed(0)
        config = model.transformer
        self.grid = (model.frames - 1) // TEMPORAL + 1, model.size // SPATIAL, model.size // SPATIAL
        tokens = self.grid[0] * self.grid[1] * self.grid[2]
        latents = [torch.randn(1, tokens, config.get("in_channels", 128), generator=draws) for _ in range(clips)]
        states = torch.randn(2 * clips, TOKEN_LIMIT, config.get("caption_channels", 4096), generator=draws)
        self.rows = {
            "hidden_states": torch.cat(latents * 2).to(device, dtype),
            "encoder_hidden_states": states.to(device, dtype),
            "encoder_attention_mask": torch.arange(TOKEN_LIMIT, device=device).expand(2 * clips, -1) < 100,
            "timestep": torch.full((2 * clips, tokens), 700.0, device=device),
        }

    def run(self, transformer: Any, clips: Sequence[int] | None = None) -> torch.Tensor:
        """The transformer's output for the clips with these numbers, by default for all."""
        half = len(self.rows["timestep"]) // 2
        chosen = list(range(half)) if clips is None else list(clips)
        rows = {name: tensor[chosen + [half + clip for clip in chosen]] for name, tensor in self.rows.items()}
        frames, height, width = self.grid
        shape = {"num_frames": frames, "height": height, "width": width}
        with torch.no_grad():
            output: torch.Tensor = transformer(
                **rows, **shape, rope_interpolation_scale=(TEMPORAL / 24, SPATIAL, SPATIAL), return_dict=False
            )[0]
        return output


def neighbors(transformer: Any, step: Step, clips: int) -> str:
    """Largest difference of the first clip's result from the one in its batch."""
    batch = step.run(transformer)[0]

    def apart(chosen: Sequence[int], row: int = 0) -> float:
        return float((step.run(transformer, chosen)[row] - batch).abs().max())

    turned = list(range(clips))[::-1]
    return f"alone {apart([0]):g}, in the last place {apart(turned, clips - 1):g}, filled up {apart([0] * clips):g}"


def steps(model: Model, clips: Sequence[int], device: torch.device, dtype: torch.dtype) -> None:
    gpu = device.type == "cuda"
    for name in ("eager", "compiled", "8 bits") if gpu else ("eager",):
        transformer = randomized(lambda: LTXVideoTransformer3DModel(**model.transformer), device, dtype)
        if name == "8 bits":
            use_float8(transformer.transformer_blocks, device)
        if name != "eager":
            transformer.compile_repeated_blocks(fullgraph=True, dynamic=False)
        for count in clips:
            step = Step(model, count, device, dtype)
            spent = milliseconds(partial(step.run, transformer))
            print(f"step, {name}, {count} clips: {spent:.1f} ms, {spent / count:.1f} per clip", flush=True)
        many = max(clips)
        print(f"  a clip, {name}, of {many}: {neighbors(transformer, Step(model, many, device, dtype), many)}")


def decoding(model: Model, device: torch.device, dtype: torch.dtype) -> None:
    vae = randomized(lambda: AutoencoderKLLTXVideo(**model.vae), device, dtype)
    grid = (model.frames - 1) // TEMPORAL + 1, model.size // SPATIAL, model.size // SPATIAL
    latents = torch.randn(1, vae.config.latent_channels, *grid, device=device, dtype=dtype)
    picture = torch.randn(1, 3, 1, model.size, model.size, device=device, dtype=dtype)
    with torch.no_grad():
        spent = milliseconds(lambda: vae.decode(latents, return_dict=False))
        print(
            f"decoding a clip: {spent:.0f} ms; encoding a picture: {milliseconds(lambda: vae.encode(picture)):.0f} ms"
        )


def texts(model: Model, device: torch.device, dtype: torch.dtype) -> None:
    encoder = text_model(model, device, dtype).encoder
    tokens = torch.randint(0, 30000, (AT_ONCE, TOKEN_LIMIT), device=device)
    with torch.no_grad():
        one, many = (milliseconds(partial(encoder, tokens[:count])) for count in (1, AT_ONCE))
        print(f"texts, encoder on the device: one {one:.0f} ms, {AT_ONCE} {many:.0f} ms")
        resident = encoder(tokens)[0]
        moved = streamed(encoder.to("cpu"), device)
        held = torch.cuda.memory_allocated() if device.type == "cuda" else 0
        equal = torch.equal(moved(tokens)[0], resident)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        spent = milliseconds(lambda: moved(tokens), rounds=3)
        peak = (torch.cuda.max_memory_allocated() - held) / GB if device.type == "cuda" else 0.0
    print(f"texts, encoder streamed: {AT_ONCE} {spent:.0f} ms, {peak:.2f} GB at most, same embeddings: {equal}")


def main(clips: Counts = CLIPS) -> None:
    logging.set_verbosity_error()
    gpu = torch.cuda.is_available()
    device, dtype = torch.device("cuda" if gpu else "cpu"), torch.bfloat16 if gpu else torch.float32
    model = MODELS[gpu]
    print(f"{model.name}; {torch.cuda.get_device_name() if gpu else 'no GPU, so these figures tell nothing'}")
    steps(model, clips, device, dtype)
    decoding(model, device, dtype)
    texts(model, device, dtype)


if __name__ == "__main__":
    door.run(main)
