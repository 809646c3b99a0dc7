"""Which corpora there are: title, terms, where to ask for them, and how to cite them."""

from __future__ import annotations

from dataclasses import dataclass

_PACKAGE = "equime_loader.corpora"


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus that an adapter reads.

    Attributes:
        name: short name, as in the field `corpus` of a sample. terms: what its license allows, in short; the agreement
            that a user has signed is what counts. source: where to ask for it. citation: the paper to cite.
        module: of the adapter, which has `read(copy) -> Reading`. sheet: what an annotation file of it is called, for
            example; empty where there is none.
    """

    name: str
    title: str
    terms: str
    source: str
    citation: str
    module: str
    sheet: str = ""


_AGREEMENT = (
    "Academic research only, under a signed license agreement with its owners. No redistribution of pictures, videos "
    "or annotations, in whole or in part, in any form, converted ones included."
)


def _corpus(
    name: str, title: str, source: str, citation: str, *, sheet: str, module: str | None = None, more: str = ""
) -> Corpus:
    return Corpus(name, title, f"{_AGREEMENT} {more}".strip(), source, citation, f"{_PACKAGE}.{module or name}", sheet)


_SMIC = "Li et al., A Spontaneous Micro-expression Database: Inducement, Collection and Baseline, FG 2013"
_CASME3 = (
    "Li et al., CAS(ME)³: A Third Generation Facial Spontaneous Micro-Expression Database with Depth Information and "
    "High Ecological Validity, IEEE Transactions on Pattern Analysis and Machine Intelligence 45(3), 2023"
)

ENTRIES: tuple[Corpus, ...] = (
    _corpus(
        "casme2",
        "CASME II",
        "Institute of Psychology, Chinese Academy of Sciences",
        "Yan et al., CASME II: An Improved Spontaneous Micro-Expression Database and the Baseline Evaluation, PLOS ONE "
        "9(1), 2014",
        more="Pictures of subjects 12 and 22 may not be published.",
        sheet="CASME2-coding-20190701.xlsx",
    ),
    _corpus(
        "samm",
        "SAMM",
        "Manchester Metropolitan University",
        "Davison et al., SAMM: A Spontaneous Micro-Facial Movement Dataset, IEEE Transactions on Affective Computing "
        "9(1), 2018",
        sheet="SAMM_Micro_FACS_Codes_v2.xlsx",
    ),
    _corpus(
        "samm_long",
        "SAMM Long Videos",
        "Manchester Metropolitan University",
        "Yap et al., SAMM Long Videos: A Spontaneous Facial Micro- and Macro-Expressions Dataset, FG 2020",
        sheet="SAMM_LongVideos_V1_Release.xlsx",
    ),
    _corpus(
        "smic_hs", "SMIC, high speed", "University of Oulu", _SMIC, sheet="SMIC-HS-E_annotation.xlsx", module="smic"
    ),
    _corpus(
        "smic_vis",
        "SMIC, visible light",
        "University of Oulu",
        _SMIC,
        sheet="SMIC_VIS_E_annotation.xlsx",
        module="smic",
    ),
    _corpus(
        "smic_nir",
        "SMIC, near infrared",
        "University of Oulu",
        _SMIC,
        sheet="SMIC-NIR-E_annotation.xlsx",
        module="smic",
    ),
    _corpus(
        "casme_sq",
        "CAS(ME)²",
        "Institute of Psychology, Chinese Academy of Sciences",
        "Qu et al., CAS(ME)²: A Database for Spontaneous Macro-Expression and Micro-Expression Spotting and "
        "Recognition, IEEE Transactions on Affective Computing 9(4), 2018",
        sheet="CAS(ME)^2code_final.xlsx",
    ),
    _corpus(
        "casme3_a",
        "CAS(ME)³, part A",
        "Institute of Psychology, Chinese Academy of Sciences",
        _CASME3,
        sheet="cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx",
    ),
    _corpus(
        "casme3_c",
        "CAS(ME)³, part C",
        "Institute of Psychology, Chinese Academy of Sciences",
        _CASME3,
        more="Physiological signals are personal data.",
        sheet="CAS(ME)3_part_C_ME.xlsx",
    ),
    _corpus(
        "mmew",
        "MMEW",
        "Shandong University",
        "Ben et al., Video-Based Facial Micro-Expression Analysis: A Survey of Datasets, Features and Algorithms, IEEE "
        "Transactions on Pattern Analysis and Machine Intelligence 44(9), 2022",
        sheet="MMEW_Micro_Exp.xlsx",
    ),
    _corpus(
        "4dme",
        "4DME, gray videos",
        "University of Oulu",
        "Li et al., 4DME: A Spontaneous 4D Micro-Expression Dataset With Multimodalities, IEEE Transactions on "
        "Affective Computing 14(4), 2023",
        module="fourdme",
        sheet="4DME_Labelling_Micro_release v1.xlsx",
    ),
    _corpus(
        "dfme",
        "DFME",
        "Zhao et al., the authors of the paper",
        "Zhao et al., DFME: A New Benchmark for Dynamic Facial Micro-Expression Recognition, IEEE Transactions on "
        "Affective Computing 15(3), 2024",
        sheet="train_full_with_AU.xlsx",
    ),
    _corpus(
        "mmme",
        "MMME",
        "Ma et al., the authors of the paper",
        "Ma et al., MMME: A Spontaneous Multi-Modal Micro-Expression Dataset Enabling Visual-Physiological Fusion, "
        "2025",
        more="Names of participants are replaced by pseudonyms; physiological signals are personal data.",
        sheet="coding_file.xlsx",
    ),
    Corpus(
        "miex",
        "MiE-X",
        "Synthetic. Academic research; the faces are those of CelebA and EmotionNet, whose terms hold too. They may "
        "be those of CelebA-HQ, too: keep it out of tests of what was trained on such portraits, and vice versa.",
        "Liu et al., the authors of the paper",
        "Liu et al., How to Synthesize a Large-Scale and Trainable Micro-Expression Dataset?, ECCV 2022",
        f"{_PACKAGE}.miex",
    ),
    Corpus(
        "equime_published",
        "EquiME as published",
        "Synthetic. CC BY-NC 4.0 by its README, CC BY-NC-SA 4.0 by its paper; the stricter holds until its authors say "
        "which. The faces are those of CelebA-HQ, whose terms hold too.",
        "the authors of EquiME",
        "EquiME: Equitable Micro-Expression Dataset for Cross-Demographic Emotion Recognition, 2025",
        f"{_PACKAGE}.equime_published",
    ),
)
