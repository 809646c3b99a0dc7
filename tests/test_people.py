"""Which datasets may show the same people."""

from __future__ import annotations

from collections.abc import Sequence

from indices import clips_of

from equime_loader.people import origins, related
from equime_loader.selection import Selection


def corpus(name: str, subjects: Sequence[str]) -> Selection:
    return clips_of(corpus=[name] * len(subjects), subject=subjects)


def built(source: str, portraits: Sequence[str]) -> Selection:
    subjects = [f"p{number:05d}" for number in range(len(portraits))]
    return clips_of(corpus=["equime"] * len(portraits), source=[source] * len(portraits), subject=subjects,
                    portrait=portraits)  # fmt: skip


def test_origins_are_corpora_and_of_what_is_built_the_source() -> None:
    assert origins(corpus("samm", ["samm-006"])) == {"samm"}
    assert origins(built("procedural", ["1"])) == {"equime procedural"}
    assert origins(clips_of(source=["folder", None], corpus=[None, "smic_hs"])) == {"equime folder", "smic_hs"}


def test_corpora_that_are_known_to_share_people() -> None:
    hs, vis = corpus("smic_hs", ["smic-s01"]), corpus("smic_vis", ["smic-s02"])
    samm, miex = corpus("samm", ["samm-006"]), corpus("miex", ["miex-1", "miex-2"])
    assert related(hs, vis) == "the same participants before three cameras"
    assert related(hs, samm) == related(samm, vis) == ""
    assert related(built("celeba-hq", ["p5"]), miex) == "portraits of CelebA may be in both"
    assert related(miex, miex) == ("portraits of CelebA may be in both; both hold clips of miex; 2 people are in both")


def test_people_are_compared_by_portrait_and_by_names_that_mean_the_same() -> None:
    drawn = built("procedural", ["a", "b"])
    assert related(drawn, built("procedural", ["c", "d"])) == ""  # both call theirs p00000
    assert related(drawn, built("folder", ["b", "c"])) == "1 person is in both"
    assert related(drawn, built("folder", ["b", "a"])) == "2 people are in both"
    assert related(drawn, corpus("miex", ["p00000"])) == ""
    assert related(corpus("samm", ["x-1"]), corpus("casme2", ["x-1"])) == "1 person is in both"
