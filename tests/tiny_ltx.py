"""A tiny LTX-Video pipeline of true geometry (32 pixels and 8 frames per latent), with random weights."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

# ▁ is the tokenizer's mark of a word's beginning. Single characters and a few words: more tokens than T5 makes.
PIECES = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -2.0), ("▁", -2.0)]
PIECES += [(character, -3.0) for character in string.ascii_letters + string.digits + ".,:;-'"]


def tokenizer(pieces: list[tuple[str, float]] | None = None) -> Any:
    from transformers import T5TokenizerFast

    return T5TokenizerFast(vocab=pieces or PIECES, extra_ids=0, model_max_length=128)


def save_tiny_pipeline(folder: Path, *, timestep_conditioning: bool = False, words: tuple[str, ...] = ()) -> Path:
    """Write the pipeline, as diffusers lays it out. `words` are tokens of their own."""
    import torch
    from diffusers import (
        AutoencoderKLLTXVideo,
        FlowMatchEulerDiscreteScheduler,
        LTXImageToVideoPipeline,
        LTXVideoTransformer3DModel,
    )
    from transformers import T5Config, T5EncoderModel

    torch.manual_seed(0)
    transformer = LTXVideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        num_attention_heads=4,
        attention_head_dim=8,
        cross_attention_dim=32,
        num_layers=2,
        caption_channels=32,
    )
    vae = AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4,
        layers_per_block=(1,) * 5,
        decoder_layers_per_block=(1,) * 5,
        timestep_conditioning=timestep_conditioning,
    )
    pieces = PIECES + [(f"▁{word}", -1.0) for word in words]
    encoder = T5EncoderModel(
        T5Config(
            vocab_size=len(pieces),
            d_model=32,
            d_kv=8,
            d_ff=37,
            num_layers=2,
            num_heads=4,
            relative_attention_num_buckets=8,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            is_encoder_decoder=False,
        )
    ).eval()
    scheduler = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, base_image_seq_len=1024, shift_terminal=0.1
    )
    LTXImageToVideoPipeline(scheduler, vae, encoder, tokenizer(pieces), transformer).save_pretrained(folder)
    return folder
