"""Which corpora there are: title, terms, where to ask for them, and how to cite them."""

from __future__ import annotations

from dataclasses import dataclass

_PACKAGE = "equime_loader.corpora"


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus that an adapter reads.

    Attributes:
        name: short name, as in the field `corpus` of a sample. terms: what its licence allows, in short; the agreement
            that a user has signed is what counts. source: where to ask for it. citation: the paper to cite.
        module: of the adapter, which has `read(copy) -> Reading`.
    """

    name: str
    title: str
    terms: str
    source: str
    citation: str
    module: str


_AGREEMENT = (
    "Academic research only, under a signed licence agreement with its owners. No redistribution of pictures, videos "
    "or annotations, in whole or in part, in any form, converted ones included."
)


def _corpus(name: str, title: str, source: str, citation: str, *, module: str | None = None, more: str = "") -> Corpus:
    return Corpus(name, title, f"{_AGREEMENT} {more}".strip(), source, citation, f"{_PACKAGE}.{module or name}")


_SMIC = "Li et al., A Spontaneous Micro-expression Database: Inducement, Collection and Baseline, FG 2013"

ENTRIES: tuple[Corpus, ...] = (
    _corpus(
        "casme2",
        "CASME II",
        "Institute of Psychology, Chinese Academy of Sciences",
        "Yan et al., CASME II: An Improved Spontaneous Micro-Expression Database and the Baseline Evaluation, PLOS ONE "
        "9(1), 2014",
        more="Pictures of subjects 12 and 22 may not be published.",
    ),
    _corpus(
        "samm",
        "SAMM",
        "Manchester Metropolitan University",
        "Davison et al., SAMM: A Spontaneous Micro-Facial Movement Dataset, IEEE Transactions on Affective Computing "
        "9(1), 2018",
    ),
    _corpus(
        "samm_long",
        "SAMM Long Videos",
        "Manchester Metropolitan University",
        "Yap et al., SAMM Long Videos: A Spontaneous Facial Micro- and Macro-Expressions Dataset, FG 2020",
    ),
    _corpus("smic_hs", "SMIC, high speed", "University of Oulu", _SMIC, module="smic"),
    _corpus("smic_vis", "SMIC, visible light", "University of Oulu", _SMIC, module="smic"),
    _corpus("smic_nir", "SMIC, near infrared", "University of Oulu", _SMIC, module="smic"),
    _corpus(
        "casme_sq",
        "CAS(ME)²",
        "Institute of Psychology, Chinese Academy of Sciences",
        "Qu et al., CAS(ME)²: A Database for Spontaneous Macro-Expression and Micro-Expression Spotting and "
        "Recognition, IEEE Transactions on Affective Computing 9(4), 2018",
    ),
)
