"""MMEW, 4DME, DFME, MiE-X and EquiME as published: every version and every quirk, on stand-ins."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpora import make_casme3, make_dfme, make_equime_published, make_fourdme, make_miex, make_mmew
from corpora.checking import check, check_findings
from corpora.stand_in import write_csv

from equime_loader.corpora import CORPORA, read_corpus
from equime_loader.corpora.classes import class_of
from equime_loader.corpora.events import FrameFiles, VideoFile
from equime_loader.corpora.sheets import SheetError


@pytest.mark.parametrize("version", make_mmew.VERSIONS)
def test_mmew_every_version_and_every_quirk(tmp_path: Path, version: str) -> None:
    made = make_mmew.make(tmp_path, version=version)
    reading = read_corpus("mmew", tmp_path)
    check(reading, made)
    assert version in reading.sheet
    assert {event.fps for event in reading.events} == {90.0}


def test_mmew_with_a_level_for_subjects(tmp_path: Path) -> None:
    made = make_mmew.make(tmp_path, level=True)
    check(read_corpus("mmew", tmp_path), made)


def test_mmew_known_counts(tmp_path: Path) -> None:
    make_mmew.make(tmp_path, quirks=False)
    known = {what: known for what, known, _ in read_corpus("mmew", tmp_path).compared()}
    assert known["rows"] == 300 == sum(number or 0 for what, number in known.items() if what.startswith("label"))


@pytest.mark.parametrize("long", [False, True])
def test_4dme_every_version_and_every_quirk(tmp_path: Path, long: bool) -> None:
    made = make_fourdme.make(tmp_path, long=long)
    reading = read_corpus("4dme", tmp_path)
    check(reading, made)
    assert {event.fps for event in reading.events} == {60.0}
    assert {event.expression for event in reading.events} == ({"micro", "macro"} if long else {"micro"})
    (several, *_) = [event for event in reading.events if event.label == "surprise+positive"]
    assert class_of(several.label or "", corpus="4dme", kind="three") is None


def test_4dme_aus_that_are_kept(tmp_path: Path) -> None:
    make_fourdme.make(tmp_path, quirks=False)
    codings = {event.au_text: event.aus for event in read_corpus("4dme", tmp_path).events}
    first, second = codings["AU4(k)+L7"], codings["AUR2+12(k)+45"]
    assert first is not None and [(a.au, a.side, a.kept) for a in first.actions] == [
        (4, "both", True),
        (7, "left", False),
    ]
    assert second is not None and [a.au for a in second.certain] == [2, 45]


def test_4dme_long_videos_come_first(tmp_path: Path) -> None:
    make_fourdme.make(tmp_path, quirks=False, subjects=1)
    make_fourdme.make(tmp_path, quirks=False, subjects=1, long=True)
    for event in read_corpus("4dme", tmp_path, sheet=tmp_path / make_fourdme.MICRO).events:
        assert isinstance(event.frames, FrameFiles) and next(iter(event.frames.paths)) < event.onset


def test_dfme_every_sheet_and_every_quirk(tmp_path: Path) -> None:
    made = make_dfme.make(tmp_path)
    reading = read_corpus("dfme", tmp_path)
    check(reading, made)
    assert reading.sheet.count("_full_with_AU.xlsx") == 3
    assert {event.fps for event in reading.events} == {200.0, 300.0, 500.0}
    # Frames count from 0: an apex 0 is one.
    assert any(event.apex == 0 for event in reading.events)
    assert all(event.timing_by == "coder" for event in reading.events)
    codings = {event.au_text: event.aus for event in reading.events}
    assert [action.kind for action in codings["AD38"].actions] == ["AD"]  # type: ignore[union-attr]
    known = {what: known for what, known, _ in reading.compared()}
    assert (known["rows"], known["subjects"], known["label disgust"]) == (2629, 259, 735)


def test_dfme_one_part(tmp_path: Path) -> None:
    made = make_dfme.make(tmp_path, parts=("testA",), quirks=False)
    reading = read_corpus("dfme", tmp_path)
    check(reading, made)
    known = {what: known for what, known, _ in reading.compared()}
    assert (known["rows"], known["subjects"]) == (474, 42) and known["label disgust"] is None
    given = read_corpus("dfme", tmp_path, sheet=tmp_path / "annotation" / "testA_full_with_AU.xlsx")
    assert given.known == reading.known and len(given.events) == len(reading.events)


def test_dfme_of_two_sheets_the_one_with_aus(tmp_path: Path) -> None:
    make_dfme.make(tmp_path, parts=("train",), quirks=False)
    folder = tmp_path / "annotation"
    write_csv(folder / "train.csv", [[name for name in make_dfme.HEADER if name != "AU"]])
    reading = read_corpus("dfme", tmp_path)
    assert "with AUs" in reading.sheet and reading.events
    assert any("train.csv" in finding.reason for finding in reading.findings)


@pytest.mark.parametrize("old", [False, True])
def test_miex_classes_are_those_of_megc2019(tmp_path: Path, old: bool) -> None:
    made = make_miex.make(tmp_path, old=old)
    reading = read_corpus("miex", tmp_path)
    check(reading, made)
    labels = {event.clip[-1]: event.label for event in reading.events}
    assert labels == {"0": "negative", "1": "positive", "2": "surprise"}
    assert {event.timing_by for event in reading.events} == {"assumed"}
    for event in reading.events:
        assert isinstance(event.frames, FrameFiles) and list(event.frames.paths) == [0, 1]


def test_miex_known_counts_are_those_of_the_sources_there(tmp_path: Path) -> None:
    make_miex.make(tmp_path, subjects=2, sources=("mmew", "prior"), quirks=False)
    reading = read_corpus("miex", tmp_path)
    known = {what: known for what, known, _ in reading.compared()}
    assert (known["rows"], known["subjects"], known["label surprise"]) == (30_000, 5_000, 10_000)
    # One identity is one subject, whatever its AUs came from.
    assert len(reading.events) == 12 and len({event.subject for event in reading.events}) == 2


@pytest.mark.parametrize("released", [True, False])
def test_equime_published(tmp_path: Path, released: bool) -> None:
    made = make_equime_published.make(tmp_path, subjects=2, released=released)
    reading = read_corpus("equime_published", tmp_path)
    check_findings(reading, made)
    assert {(e.subject, e.clip, e.onset): (e.label, e.apex, e.offset) for e in reading.events} == {
        key: (event.label, event.apex, event.offset) for key, event in made.events.items()
    }
    assert all(isinstance(event.frames, VideoFile) and event.fps == 24 for event in reading.events)
    assert {event.timing_by for event in reading.events} == {"assumed"}
    assert reading.known.rows == 75_000


def test_a_part_of_the_folders_can_be_asked_for(tmp_path: Path) -> None:
    make_miex.make(tmp_path / "a", subjects=1, sources=("mmew", "prior"), quirks=False)
    assert {event.clip.split("_")[1] for event in read_corpus("miex", tmp_path / "a", frames="priorAU").events} == {
        "prior"
    }
    make_equime_published.make(tmp_path / "b", subjects=1, quirks=False)
    assert {event.label for event in read_corpus("equime_published", tmp_path / "b", frames="anger").events} == {
        "anger"
    }
    make_casme3.make_a(tmp_path / "c", subjects=1, quirks=False)
    reading = read_corpus("casme3_a", tmp_path / "c", frames="cropped")
    assert not reading.events and "no folder of frames" in reading.findings[0].reason


def test_corrections_apply_without_a_sheet(tmp_path: Path) -> None:
    make_miex.make(tmp_path / "copy", subjects=1, quirks=False)
    rows = [
        ["corpus", "subject", "clip", "onset", "field", "value"],
        ["miex", "106", "000106_mmew_1", None, "label", "surprise"],
    ]
    write_csv(tmp_path / "corrections.csv", rows)
    reading = read_corpus("miex", tmp_path / "copy", corrections=tmp_path / "corrections.csv")
    assert [event.label for event in reading.events].count("surprise") == 2


@pytest.mark.parametrize("corpus", [name for name in CORPORA if name not in ("smic_hs", "smic_vis", "smic_nir")])
def test_an_empty_folder_is_said(corpus: str, tmp_path: Path) -> None:
    with pytest.raises(SheetError, match=r"no (annotation|folder|video)"):
        read_corpus(corpus, tmp_path)


def test_every_corpus_has_classes() -> None:
    for corpus in CORPORA:
        class_of("positive", corpus=corpus, kind="three")
