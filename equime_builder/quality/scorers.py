"""The two metrics that need weights: found, opened once, or named as missing while the others go on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from equime_builder.models import ModelMissing, find_model
from equime_builder.quality.brisque import Brisque
from equime_builder.quality.clip_iqa import ClipIqa
from equime_loader.files import file_sha256


@dataclass(frozen=True, slots=True)
class Weights:
    """Files of the metrics that need some, None where they are missing; `missing` says so, a line for each metric."""

    brisque: Path | None = None
    clip: Path | None = None
    tokens: Path | None = None
    missing: tuple[str, ...] = ()

    def sha256(self) -> dict[str, str | None]:
        """Hashes of the files that are there."""
        files = {"brisque": self.brisque, "clip": self.clip, "tokens": self.tokens}
        return {name: file_sha256(path) if path else None for name, path in files.items()}


@dataclass(frozen=True, slots=True)
class Scorers:
    """What scores frames, on `device`; a metric whose weights are missing is None."""

    device: str
    brisque: Brisque | None = None
    clip_iqa: ClipIqa | None = None


def find_weights(brisque: Path | None = None, clip: Path | None = None) -> Weights:
    """Where the weights lie.

    Args:
        brisque: the file, else where piq keeps it. clip: the folder of RN50.pt and clipiqa_tokens.pt, likewise.

    Raises:
        ModelMissing: files that the caller named are not there, or are others than the known ones.
    """
    missing = []
    brisque_file: Path | None = None
    network: Path | None = None
    tokens: Path | None = None
    try:
        brisque_file = find_model("brisque", brisque)
    except ModelMissing as error:
        if brisque is not None:
            raise
        missing.append(f"brisque stays null: {error}")
    try:
        network = find_model("clip-rn50", clip / "RN50.pt" if clip else None)
        tokens = find_model("clip-iqa-tokens", clip / "clipiqa_tokens.pt" if clip else None)
    except ModelMissing as error:
        if clip is not None:
            raise
        network = None
        missing.append(f"clip_iqa stays null: {error}")
    return Weights(brisque_file, network, tokens, tuple(missing))


def best_device() -> str:
    """`cuda` where there is one, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@lru_cache(maxsize=1)
def open_scorers(weights: Weights, device: str) -> Scorers:
    """Load the networks; a process that asks again gets the same.

    Raises:
        ModelMissing: a file is damaged.
    """
    return Scorers(
        device,
        Brisque.load(weights.brisque, device) if weights.brisque else None,
        ClipIqa.load(weights.clip, weights.tokens, device) if weights.clip and weights.tokens else None,
    )
