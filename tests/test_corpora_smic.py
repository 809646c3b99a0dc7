"""SMIC: three cameras, both releases, on stand-ins with every quirk."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpora import make_smic
from corpora.checking import check
from corpora.stand_in import write_csv

from equime_loader.corpora import read_corpus
from equime_loader.corpora.events import FrameFiles

CORPUS = {"HS": "smic_hs", "VIS": "smic_vis", "NIR": "smic_nir"}
RATE = {"HS": 100.0, "VIS": 25.0, "NIR": 25.0}


@pytest.mark.parametrize("camera", ["HS", "VIS", "NIR"])
def test_extended_release(tmp_path: Path, camera: make_smic.Camera) -> None:
    made = make_smic.make(tmp_path, camera=camera, subjects=2)
    reading = read_corpus(CORPUS[camera], tmp_path)
    check(reading, made)
    assert {event.fps for event in reading.events} == {RATE[camera]}
    assert {event.timing_by for event in reading.events} == {"coder, apex halfway"}
    assert {event.aus for event in reading.events} == {None} == {event.au_text for event in reading.events}
    assert ("several" in reading.sheet) == (camera == "HS")


def test_a_row_holds_up_to_three_events(tmp_path: Path) -> None:
    make_smic.make(tmp_path, subjects=1)
    events = [event for event in read_corpus("smic_hs", tmp_path).events if event.clip == "s01_ne_01"]
    assert [event.occurrence for event in events] == [0, 1, 2]
    assert len({event.onset for event in events}) == 3
    assert all(event.frames is events[0].frames for event in events)


@pytest.mark.parametrize("cropped", [False, True])
def test_folders_of_events(tmp_path: Path, cropped: bool) -> None:
    made = make_smic.make_folders(tmp_path, subjects=2, cropped=cropped)
    reading = read_corpus("smic_hs", tmp_path)
    check(reading, made)
    assert "a folder is an event" in reading.sheet
    # Names are those of the extended release and of the official key list, whatever the copy's padding.
    assert {event.subject for event in reading.events} == {"s01", "s02"}
    known = {what: (count, found) for what, count, found in reading.compared()}
    assert known["events"] == (164, 6) and known["label negative"][0] == 70


def test_cameras_of_one_copy_are_told_apart(tmp_path: Path) -> None:
    made = {
        camera: make_smic.make_folders(tmp_path, camera=camera, subjects=2, quirks=False) for camera in ("HS", "NIR")
    }
    for camera, planned in made.items():
        events = read_corpus(CORPUS[camera], tmp_path).events
        assert {(event.subject, event.clip, event.onset) for event in events} == planned.events.keys()
        for event in events:
            assert isinstance(event.frames, FrameFiles)
            assert camera in next(iter(event.frames.paths.values())).parts
    assert not read_corpus("smic_vis", tmp_path).events
    # The folder of one camera can be named, too.
    assert len(read_corpus("smic_nir", tmp_path / "SMIC_all_raw" / "NIR").events) == 6


def test_folders_are_corrected_by_name(tmp_path: Path) -> None:
    make_smic.make_folders(tmp_path, subjects=1, quirks=False)
    write_csv(
        tmp_path / "right.csv",
        [
            ["corpus", "subject", "clip", "onset", "field", "value"],
            ["smic_hs", "s1", "s1_ne_01", None, "label", "surprise"],
            ["smic_hs", "s1", "s1_ne_77", None, "label", "surprise"],
        ],
    )
    reading = read_corpus("smic_hs", tmp_path, corrections=tmp_path / "right.csv")
    assert {event.label for event in reading.events if event.clip == "s01_ne_01"} == {"surprise"}
    assert ["no such event" in finding.reason for finding in reading.findings] == [False, True]


def test_a_sheet_of_ones_own(tmp_path: Path) -> None:
    made = make_smic.make_folders(tmp_path, subjects=1, quirks=False)
    rows = [[event.subject, event.clip, event.label, event.onset, event.offset] for event in made.events.values()]
    write_csv(tmp_path / "smic.csv", [["subject", "material", "emotion", "onset", "offset"], *rows])
    reading = read_corpus("smic_hs", tmp_path, sheet=tmp_path / "smic.csv")
    check(reading, made)
    assert "one event in a row" in reading.sheet


@pytest.mark.parametrize("below", ["", "s1"])
def test_a_root_within_the_folder_of_a_camera(tmp_path: Path, below: str) -> None:
    for camera in ("HS", "VIS", "NIR"):
        make_smic.make_folders(tmp_path, camera=camera, subjects=2, quirks=False)
    for camera in ("HS", "VIS", "NIR"):
        (root,) = [path for path in tmp_path.rglob(f"{camera}/{below}") if path.is_dir()]
        counts = {corpus: len(read_corpus(corpus, root).events) for corpus in CORPUS.values()}
        assert [corpus for corpus, count in counts.items() if count] == [CORPUS[camera]], counts


def test_folders_are_read_where_a_sheet_lies_beside(tmp_path: Path) -> None:
    """The composite of MEGC2019 needs the events by folder, as the extended release names several alike."""
    made = make_smic.make_folders(tmp_path, subjects=2)
    write_csv(tmp_path / "SMIC-HS-E_annotation.csv", [["Subject", "Filename", "OnsetF", "OffsetF", "Emotion"]])
    assert not read_corpus("smic_hs", tmp_path).events
    check(read_corpus("smic_hs", tmp_path, sheet="none"), made)
