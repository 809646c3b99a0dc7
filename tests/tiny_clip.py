"""Stand-ins for weights that no test may download: networks of the right form with random numbers."""

from __future__ import annotations

import warnings
from pathlib import Path

CONTEXT = 77


def write_clip(folder: Path, *, true_size: bool = False, seed: int = 0) -> Path:
    """Write RN50.pt and clipiqa_tokens.pt as piq reads them, with random weights.

    Args:
        true_size: the geometry of CLIP's RN50, so that it costs the same; else a tiny one.

    Returns:
        The folder.
    """
    import torch
    from piq.feature_extractors.clip import CLIP

    torch.manual_seed(seed)
    vocabulary = 49_408 if true_size else 64
    image = (1024, 224, (3, 4, 6, 3), 64, None) if true_size else (32, 64, (1, 1, 1, 1), 8, None)
    text = (CONTEXT, vocabulary, 512, 8, 12) if true_size else (CONTEXT, vocabulary, 64, 1, 1)
    network = CLIP(*image, *text).eval()
    for name, weights in network.named_parameters():
        if name.endswith("bn3.weight"):
            torch.nn.init.ones_(weights)  # zero in a new network, so that its blocks would do nothing
    tokens = torch.zeros(2, CONTEXT, dtype=torch.int64)
    tokens[:, :5] = torch.tensor([[vocabulary - 2, 3, 5, 7, vocabulary - 1], [vocabulary - 2, 4, 5, 7, vocabulary - 1]])
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sample = (torch.rand(1, 3, image[1], image[1]), tokens)
        torch.jit.trace(network, sample, check_trace=False).half().save(str(folder / "RN50.pt"))
    torch.save(tokens, folder / "clipiqa_tokens.pt")
    return folder
