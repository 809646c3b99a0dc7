"""Which class each corpus' label belongs to, one table per task.

The three classes are those of MEGC2019 (See et al., "MEGC 2019 - The Second Facial Micro-Expressions Grand Challenge",
FG 2019): `positive` is happiness, `surprise` is surprise, `negative` every other emotion; labels that name no emotion
are left out. The five classes are those of the EquiME paper. Where a task of a corpus is defined by others (five
classes of CASME II, five of SAMM), no other corpus has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from equime_loader.schema import EMOTIONS, THREE_CLASS_OF, THREE_CLASSES

EQUIME = "equime"
EQUIME_FIVE: tuple[str, ...] = ("happiness", "sadness", "surprise", "disgust", "anger")

CLASSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "three": THREE_CLASSES,
        "five": EQUIME_FIVE,
        "seven": EMOTIONS,
        "casme2_five": ("happiness", "disgust", "repression", "surprise", "others"),
        "samm_five": ("anger", "contempt", "happiness", "surprise", "others"),
    }
)
"""Classes of each task, in their order: a class is known by its place. MEGC2019 numbers its three the same way."""

# The words of sheets for one thing.
SYNONYMS: Mapping[str, str] = MappingProxyType(
    {
        "happy": "happiness",
        "sad": "sadness",
        "angry": "anger",
        "disgusted": "disgust",
        "surprised": "surprise",
        "fearful": "fear",
        "other": "others",
    }
)

_Map = Mapping[str, str]
_SAME_THREE: _Map = {word: word for word in THREE_CLASSES}
# MEGC2019 leaves out the sadness (7 clips) and fear (2) of CASME II, and takes its repression as negative.
_CASME2_THREE: _Map = {
    "happiness": "positive",
    "surprise": "surprise",
    "disgust": "negative",
    "repression": "negative",
}
_THREE: Mapping[str, _Map] = {
    EQUIME: THREE_CLASS_OF,
    "equime_published": THREE_CLASS_OF,
    "casme2": _CASME2_THREE,
    "samm": THREE_CLASS_OF,
    "smic_hs": _SAME_THREE,
    "smic_vis": _SAME_THREE,
    "smic_nir": _SAME_THREE,
    "casme_sq": _SAME_THREE,
    "casme3_a": THREE_CLASS_OF,
    "casme3_c": _SAME_THREE,
    "mmew": THREE_CLASS_OF,
    "4dme": _SAME_THREE,  # its repression has no agreed class
    "dfme": THREE_CLASS_OF,
    "mmme": THREE_CLASS_OF,  # its `tense` has no agreed class
    "miex": _SAME_THREE,
    "samm_long": THREE_CLASS_OF,  # its own sheets name no emotion; that of SAMM does
}
CORPORA_WITH_CLASSES: tuple[str, ...] = tuple(_THREE)
_WITH_EMOTIONS = (EQUIME, "equime_published", "casme2", "samm", "samm_long", "casme3_a", "mmew", "dfme", "mmme")


def _itself(words: tuple[str, ...], corpora: tuple[str, ...]) -> Mapping[str, _Map]:
    return {corpus: {word: word for word in words} for corpus in corpora}


MAPS: Mapping[str, Mapping[str, _Map]] = MappingProxyType(
    {
        "three": _THREE,
        "five": _itself(EQUIME_FIVE, _WITH_EMOTIONS),
        "seven": _itself(EMOTIONS, _WITH_EMOTIONS),
        "casme2_five": _itself(CLASSES["casme2_five"], ("casme2",)),
        "samm_five": _itself(CLASSES["samm_five"], ("samm",)),
    }
)
"""Task to corpus to label to class. A corpus that a task does not name has no clip for it."""


def is_built(corpus: str | None) -> bool:
    """Whether clips of this `corpus` are built here.

    So are those without a corpus, and those that have the name of a part of a joined dataset for one.
    """
    return corpus == EQUIME or corpus not in CORPORA_WITH_CLASSES


def class_of(label: str, *, corpus: str, kind: str) -> str | None:
    """Class of a corpus' label in a task, None where it has none.

    Args:
        label: as the corpus words it, in any case; of several words joined by `+`, all must be of one class.
        corpus: short name of the corpus, `equime` for what is built here.
        kind: a key of `CLASSES`.

    Raises:
        ValueError: an unknown task or corpus.
    """
    if kind not in CLASSES:
        raise ValueError(f"{kind=} must be one of {', '.join(CLASSES)}")
    if corpus not in CORPORA_WITH_CLASSES:
        raise ValueError(f"{corpus=} must be one of {', '.join(CORPORA_WITH_CLASSES)}")
    words = MAPS[kind].get(corpus, {})
    found = {words.get(SYNONYMS.get(word, word)) for word in map(str.strip, label.lower().split("+"))}
    return found.pop() if len(found) == 1 else None
