"""Which datasets may show the same people: of whom a model may have seen one, it is not tested on the other."""

from __future__ import annotations

import numpy as np

from equime_loader.corpora.classes import EQUIME, is_built
from equime_loader.selection import Selection
from equime_loader.split_checks import PEOPLE, common_codes

RELATED: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"smic_hs", "smic_vis", "smic_nir"}), "the same participants before three cameras"),
    (frozenset({"samm", "samm_long"}), "the same participants"),
    (frozenset({"casme3_a", "casme3_c"}), "one corpus; participants may have taken part twice"),
    (frozenset({"equime celeba-hq", "equime_published", "miex"}), "portraits of CelebA may be in both"),
)
"""Origins whose people are or may be the same, with why."""


def origins(clips: Selection) -> frozenset[str]:
    """Where the people of clips are from: their corpora, and of what is built here the source of the portraits."""
    corpus, source = clips.codes("corpus"), clips.codes("source")
    found = set(zip(corpus.codes.tolist(), source.codes.tolist(), strict=True))
    words = [((*corpus.words, None)[of], (*source.words, None)[by]) for of, by in found]  # -1, null, is the last
    return frozenset(f"{EQUIME} {source}" if is_built(corpus) else str(corpus) for corpus, source in words)


def related(one: Selection, other: Selection) -> str:
    """Why two selections may show the same people, empty where nothing says that they do."""
    first, second = origins(one), origins(other)
    reasons = [why for family, why in RELATED if family & first and family & second]
    if same := sorted(name for name in first & second if not name.startswith(f"{EQUIME} ")):
        reasons.append(f"both hold clips of {', '.join(same)}")
    if shared := max(_shared(one, other, field) for field in PEOPLE):
        reasons.append("1 person is in both" if shared == 1 else f"{shared:,} people are in both")
    return "; ".join(reasons)


def _shared(one: Selection, other: Selection, field: str) -> int:
    """How many words of a field both have."""
    (first, second), _ = common_codes([one, other], field)
    return len(np.intersect1d(first[first >= 0], second[second >= 0]))
