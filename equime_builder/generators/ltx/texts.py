"""Prompts to embeddings: each text once, and the text encoder never stays on the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from equime_builder.generators.ltx.options import LtxOptions
from equime_builder.prompts import TOKEN_LIMIT

# Texts that are encoded together. Every call has this many, so that an embedding does not depend on its neighbors.
AT_ONCE = 16
# Embeddings that are kept; one of LTX-Video takes 1 MB.
KEPT = 2048


class Embedding(NamedTuple):
    """`states` (1, tokens, channels) in the pipeline's dtype and `mask` (1, tokens) bool, on the CPU."""

    states: torch.Tensor
    mask: torch.Tensor


class Texts:
    """Embeddings of texts, computed when first asked for.

    On a GPU the encoder's weights are streamed through it layer by layer: T5-XXL takes 9.5 GB in 16 bits, more than the
    model that draws.

    Args:
        load: gives tokenizer and encoder; called once, when there is a text to encode.
        limit: most tokens of a text, to which all are padded.
    """

    def __init__(self, load: Callable[[], tuple[Any, Any]], device: torch.device, limit: int = TOKEN_LIMIT) -> None:
        self._load, self._device, self._limit = load, device, limit
        self._encoder: tuple[Any, Any] | None = None
        self._known: dict[str, Embedding] = {}

    def embed(self, texts: Sequence[str]) -> list[Embedding]:
        """Embeddings in the order of the texts.

        Raises:
            ValueError: a text is longer than the limit. diffusers would cut it.
        """
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        for start in range(0, len(missing), AT_ONCE):
            self._encode(missing[start : start + AT_ONCE])
        found = [self._known[text] for text in texts]
        for text in list(self._known)[:-KEPT]:
            del self._known[text]
        return found

    def _encode(self, texts: list[str]) -> None:
        if self._encoder is None:
            tokenizer, encoder = self._load()
            self._encoder = tokenizer, streamed(encoder, self._device)
        tokenizer, encoder = self._encoder
        lengths = [len(ids) for ids in tokenizer(texts)["input_ids"]]
        for text, length in zip(texts, lengths, strict=True):
            if length > self._limit:
                raise ValueError(f"a prompt of {length} tokens must have at most {self._limit}: {text!r}")
        padded = texts + [""] * (AT_ONCE - len(texts))
        tokens = tokenizer(padded, padding="max_length", max_length=self._limit, return_tensors="pt")
        with torch.no_grad():
            states = encoder(tokens["input_ids"].to(self._device))[0].cpu()
        for row, text in enumerate(texts):
            mask = tokens["attention_mask"][row : row + 1].bool()
            self._known[text] = Embedding(states[row : row + 1].clone(), mask)


def text_encoder(folder: Path, options: LtxOptions) -> tuple[Any, Any]:
    """Tokenizer and encoder stack of a pipeline's folder."""
    from transformers import AutoTokenizer, T5EncoderModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    encoder = T5EncoderModel.from_pretrained(
        folder / "text_encoder", dtype=getattr(torch, options.dtype), use_safetensors=True, local_files_only=True
    )
    return tokenizer, encoder.encoder.eval()


def streamed(encoder: Any, device: torch.device) -> Any:
    """The encoder, run on `device`; where that is a GPU its weights stay on the host and visit it layer by layer."""
    if device.type == "cuda":
        from diffusers.hooks import apply_group_offloading

        apply_group_offloading(encoder, device, offload_type="leaf_level", use_stream=True)
    return encoder
