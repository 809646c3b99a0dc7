"""A tiny LTX-Video pipeline of true geometry (32 pixels and 8 frames per latent), with random weights."""

from __future__ import annotations

import re
import string
from pathlib import Path

from equime_builder.facs import ACTION_UNITS, SIDES
from equime_builder.prompts import NEGATIVE_PROMPT
from equime_loader.schema import EMOTIONS

# Words of the prompts: T5 has a token for most of them.
TOLD = """A static frontal portrait of a man woman person about with a neutral face. At seconds a subtle
micro-expression begins: trace slight marked severe maximum AU. It peaks at and from on the is again. The head, hair
background stay still. Even light, locked camera. Then briefly"""
WORDS = set(re.findall("[A-Za-z]+", " ".join([TOLD, NEGATIVE_PROMPT, *EMOTIONS, *SIDES])))
WORDS |= {word for unit in ACTION_UNITS.values() for word in unit.name.split()}

# ▁ marks a word's beginning.
PIECES = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -2.0), ("▁", -2.0)]
PIECES += [(character, -3.0) for character in string.ascii_letters + string.digits + ".,:;-'"]
PIECES += [(f"▁{word}", -1.0) for word in sorted(WORDS)]


def save_tiny_pipeline(folder: Path, *, timestep_conditioning: bool = False) -> Path:
    """Write the pipeline, as diffusers lays it out."""
    import torch
    from diffusers import (
        AutoencoderKLLTXVideo,
        FlowMatchEulerDiscreteScheduler,
        LTXImageToVideoPipeline,
        LTXVideoTransformer3DModel,
    )
    from transformers import T5Config, T5EncoderModel, T5TokenizerFast

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
    encoder = T5EncoderModel(
        T5Config(
            vocab_size=len(PIECES),
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
    tokenizer = T5TokenizerFast(vocab=PIECES, extra_ids=0, model_max_length=128)
    LTXImageToVideoPipeline(scheduler, vae, encoder, tokenizer, transformer).save_pretrained(folder)
    return folder
