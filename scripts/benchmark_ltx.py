#!/usr/bin/env python3
"""LTX-Video of true size with random weights: clips a minute and peak memory, ours against the published call.

The published call is one clip at a time: prompt and negative prompt through T5-XXL in every call, nothing compiled,
frames as PIL pictures. Ours is `LtxGenerator.render` with each preset: prompts embedded (each clip has its own),
frames as I420 planes. Rounds take turns, so that a ratio comes from one run on one card. Peak memory is PyTorch's, of
the variant alone. Without a GPU a tiny model runs, which tells nothing but that all of it works.
"""

from __future__ import annotations

import itertools
import re
import statistics
import string
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import door
import numpy as np
import torch
import typer
from diffusers import (
    AutoencoderKLLTXVideo,
    FlowMatchEulerDiscreteScheduler,
    LTXImageToVideoPipeline,
    LTXVideoTransformer3DModel,
)
from diffusers.utils import logging
from door import Rounds
from PIL import Image
from transformers import T5Config, T5EncoderModel, T5TokenizerFast

from equime_builder.generators.ltx.drawing import LtxGenerator
from equime_builder.generators.ltx.options import LtxOptions
from equime_builder.generators.ltx.pipelines import AnchoredPipeline, set_up
from equime_builder.generators.ltx.texts import Texts
from equime_builder.generators.protocol import ClipRequest
from equime_builder.profiles import load_profile
from equime_builder.prompts import NEGATIVE_PROMPT, prompt
from equime_builder.scm import sample_nuisance, sample_program
from equime_builder.sources.drawn import ProceduralSource

GB = 1e9
PRESETS = ("fast", "float8", "low_memory", "least_memory")
# The scheduler of Lightricks/LTX-Video, version 0.9.
SCHEDULER = {
    "use_dynamic_shifting": True,
    "base_shift": 0.95,
    "max_shift": 2.05,
    "base_image_seq_len": 1024,
    "max_image_seq_len": 4096,
    "shift_terminal": 0.1,
}
_TINY_T5 = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
_T5_XXL = {"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64}


@dataclass(frozen=True)
class Model:
    """Configurations of the parts, and the clip: `size` pixels, `frames`, `steps`."""

    name: str
    transformer: dict[str, Any]
    vae: dict[str, Any]
    t5: dict[str, Any]
    size: int
    frames: int


MODELS = {
    True: Model("LTX-Video 2B with T5-XXL", {}, {}, _T5_XXL, 256, 161),
    False: Model(
        "a tiny model",
        {
            "in_channels": 8,
            "out_channels": 8,
            "num_attention_heads": 4,
            "attention_head_dim": 8,
            "cross_attention_dim": 32,
            "num_layers": 2,
            "caption_channels": 32,
        },
        {
            "latent_channels": 8,
            "block_out_channels": (8,) * 4,
            "decoder_block_out_channels": (8,) * 4,
            "layers_per_block": (1,) * 5,
            "decoder_layers_per_block": (1,) * 5,
        },
        _TINY_T5,
        96,
        33,
    ),
}


def randomized(make: Callable[[], Any], device: torch.device, dtype: torch.dtype) -> Any:
    """A module with random weights, made where it is wanted: a block of random numbers, repeated."""
    with torch.device("meta"):
        module = make()
    module = module.to(dtype).to_empty(device=device)
    block = torch.randn(1 << 24, generator=torch.Generator().manual_seed(0)).mul_(0.02).to(device, dtype)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.ndim < 2:
                parameter.fill_(1.0 if name.endswith("weight") else 0.0)
                continue
            flat = parameter.view(-1)
            for start in range(0, len(flat), len(block)):
                flat[start : start + len(block)].copy_(block[: len(flat) - start])
        for name, buffer in module.named_buffers():
            buffer.fill_(1.0 if name.endswith("std") else 0.0)
    return module.eval().requires_grad_(False)


def tokenizer(texts: Sequence[str]) -> Any:
    """One whose vocabulary holds the words of these texts."""
    words = sorted({word for text in texts for word in re.findall(r"[A-Za-z]+", text)})
    characters = [(c, -3.0) for c in string.ascii_letters + string.digits + string.punctuation]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -2.0), *characters]
    return T5TokenizerFast(vocab=pieces + [(f"▁{word}", -1.0) for word in words if len(word) > 1], extra_ids=0)


def text_model(model: Model, device: torch.device, dtype: torch.dtype) -> Any:
    config = T5Config(
        vocab_size=32128, dropout_rate=0.0, feed_forward_proj="gated-gelu", is_encoder_decoder=False, **model.t5
    )
    return randomized(lambda: T5EncoderModel(config), device, dtype)


def pipeline(model: Model, device: torch.device, dtype: torch.dtype, kind: Any, **text: Any) -> Any:
    parts = {"text_encoder": None, "tokenizer": None, **text}
    return kind(
        scheduler=FlowMatchEulerDiscreteScheduler(**SCHEDULER),
        vae=randomized(lambda: AutoencoderKLLTXVideo(**model.vae), device, dtype),
        transformer=randomized(lambda: LTXVideoTransformer3DModel(**model.transformer), device, dtype),
        **parts,
    )


def make_requests(model: Model, generator: LtxGenerator, count: int) -> list[ClipRequest]:
    """Clips of the paper's profile, each of another drawn subject."""
    profile = load_profile("paper", subjects=count, size=model.size, frames=max(model.frames, 33))
    source, requests = ProceduralSource(), []
    for number, subject in enumerate(source.survey(profile, 0).subjects):
        emotion = profile.emotions[number % len(profile.emotions)]
        program = sample_program(profile, emotion, number)
        text = prompt(program, emotion, subject.attributes)
        portrait = generator.prepare(source.portrait(subject, profile.size))
        nuisance = sample_nuisance(profile, program.timing, number)
        requests.append(ClipRequest(portrait, program, nuisance, emotion, text, NEGATIVE_PROMPT, number))
    return requests


@dataclass
class Variant:
    """Something that makes `clips` clips per call, seconds per clip of each round, and its peak memory in bytes."""

    name: str
    clips: int
    run: Callable[[int], Any]
    seconds: list[float]
    peak: int = 0


class Bench:
    """Variants over one model, loaded side by side."""

    def __init__(self, model: Model, device: torch.device, steps: int, dtype: torch.dtype) -> None:
        self.model, self.device, self.steps, self.dtype = model, device, steps, dtype
        self.gpu = device.type == "cuda"
        self.texts = Texts(self.load_words, device)
        self.texts.embed([NEGATIVE_PROMPT])
        self.told = itertools.count()

    def load_words(self) -> tuple[Any, Any]:
        """Tokenizer and encoder stack on the host."""
        words = [request.prompt for request in make_requests(self.model, LtxGenerator(LtxOptions()), 16)]
        self.tokenizer = tokenizer([*words, NEGATIVE_PROMPT])
        return self.tokenizer, text_model(self.model, torch.device("cpu"), self.dtype).encoder

    def generator(self, **chosen: Any) -> LtxGenerator:
        options = LtxOptions(steps=self.steps, dtype=str(self.dtype).removeprefix("torch."), **chosen)
        kind = LTXImageToVideoPipeline if options.mode == "prompt" else AnchoredPipeline

        def load(options: LtxOptions, device: torch.device) -> tuple[Any, Texts]:
            pipe = pipeline(self.model, device, self.dtype, kind)
            return set_up(pipe, options, device), self.texts

        return LtxGenerator(options, load=load, device=str(self.device))

    def ours(self, name: str, **chosen: Any) -> Variant:
        generator = self.generator(**chosen)
        requests = make_requests(self.model, generator, generator.batch)

        def run(_: int) -> Any:  # no text is known from an earlier round or another variant
            told = next(self.told)
            return generator.render([replace(request, prompt=f"{request.prompt} {told}") for request in requests])

        variant = Variant(name, generator.batch, run, [])
        self.measured(variant)
        return variant

    def published(self) -> Variant:
        requests = make_requests(self.model, self.generator(), 4)
        before = self.allocated()
        encoder = text_model(self.model, self.device, self.dtype)
        pipe = pipeline(
            self.model, self.device, self.dtype, LTXImageToVideoPipeline, text_encoder=encoder, tokenizer=self.tokenizer
        )
        pipe.set_progress_bar_config(disable=True)

        def run(number: int) -> Any:
            request = requests[number % len(requests)]
            return pipe(
                image=Image.fromarray(request.portrait.image),
                prompt=request.prompt,
                negative_prompt=request.negative_prompt,
                width=self.model.size,
                height=self.model.size,
                num_frames=self.model.frames,
                num_inference_steps=self.steps,
            ).frames[0]

        variant = Variant("published call", 1, run, [])
        self.measured(variant, before)
        return variant

    def allocated(self) -> int:
        return torch.cuda.memory_allocated() if self.gpu else 0

    def measured(self, variant: Variant, before: int | None = None) -> None:
        """Run once to warm up, and note the peak over what other variants hold."""
        held = self.allocated() if before is None else before
        if self.gpu:
            torch.cuda.reset_peak_memory_stats()
        start = time.monotonic()
        variant.run(-1)
        self.wait()
        variant.peak = torch.cuda.max_memory_allocated() - held if self.gpu else 0
        print(f"{variant.name}: ready after {time.monotonic() - start:.0f} s", flush=True)

    def wait(self) -> None:
        if self.gpu:
            torch.cuda.synchronize()

    def round(self, variants: Sequence[Variant], number: int) -> None:
        for variant in variants:
            start = time.monotonic()
            variant.run(number)
            self.wait()
            variant.seconds.append((time.monotonic() - start) / variant.clips)

    def neighbors(self, preset: str) -> str:
        """Whether a clip is the same alone, in a batch, in another place of it, and again; of a few steps."""
        generator = self.generator(preset=preset)
        generator.options = replace(generator.options, steps=8)
        requests = make_requests(self.model, generator, max(2, generator.batch))
        batch, again = generator.render(requests), generator.render(requests)
        turned, alone = generator.render(requests[::-1])[::-1], generator.render(requests[:1])
        same = [np.array_equal(one, other) for one, other in zip(batch, turned, strict=True)]
        repeated = all(np.array_equal(one, other) for one, other in zip(batch, again, strict=True))
        return (
            f"{preset}: again {repeated}, alone {np.array_equal(batch[0], alone[0])}, in another place "
            f"{sum(same)} of {len(same)}, clips differ from one another {not np.array_equal(batch[0], batch[1])}"
        )


def table(variants: Sequence[Variant]) -> str:
    first = variants[0]
    rows = [
        "| variant | s per clip (least-most) | clips a minute | ratio | peak GB |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for variant in variants:
        each = variant.seconds
        ratio = statistics.median(a / b for a, b in zip(first.seconds, each, strict=True))
        middle = statistics.median(each)
        rows.append(
            f"| {variant.name} | {middle:.3f} ({min(each):.3f}-{max(each):.3f}) | {60 / middle:.1f} | {ratio:.2f} | "
            f"{variant.peak / GB:.2f} |"
        )
    return "\n".join(rows)


def main(
    *,
    steps: Rounds = 80,
    rounds: Rounds = 5,
    presets: str = ",".join(PRESETS),
    keyframe: Annotated[bool, typer.Option("--keyframe", help="keyframe mode with the preset fast, too")] = False,
    limit_gb: Annotated[
        float | None, typer.Option(help="most that PyTorch may allocate; the published call is left out")
    ] = None,
) -> None:
    names = door.one_of(presets.split(","), list(PRESETS))
    logging.set_verbosity_error()
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    model, steps = MODELS[gpu], steps if gpu else 2
    names = [name for name in names if gpu or name != "float8"]
    where = torch.cuda.get_device_name() if gpu else "no GPU, so these figures tell nothing"
    print(f"{model.name}, random weights, {model.size}x{model.size}, {model.frames} frames, {steps} steps; {where}")
    if limit_gb and gpu:
        share = limit_gb * GB / torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(share)
        print(f"PyTorch may allocate {limit_gb} GB")
    bench = Bench(model, device, steps, torch.bfloat16 if gpu else torch.float32)
    variants = [] if limit_gb else [bench.published()]
    variants += [bench.ours(f"prompt mode, {name}", preset=name) for name in names]
    if keyframe:
        variants.append(bench.ours("keyframe mode, fast", preset="fast", mode="keyframe"))
    for number in range(rounds):
        bench.round(variants, number)
    print(table(variants))
    if not limit_gb:
        for name in names[:2]:
            print(bench.neighbors(name), flush=True)


if __name__ == "__main__":
    door.run(main)
