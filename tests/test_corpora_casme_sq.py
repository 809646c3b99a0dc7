"""CAS(ME)²: sheets without headers, and every quirk, on a stand-in."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest
from corpora import make_casme_sq
from corpora.checking import check

from equime_loader.corpora import read_corpus
from equime_loader.corpora.events import FrameFiles, VideoFile
from equime_loader.corpora.sheets import SheetError


@pytest.mark.parametrize("sheet", make_casme_sq.SHEETS)
def test_every_name_of_the_sheet_and_every_quirk(tmp_path: Path, sheet: str) -> None:
    made = make_casme_sq.make(tmp_path, sheet=sheet)
    reading = read_corpus("casme_sq", tmp_path)
    check(reading, made)
    assert {event.fps for event in reading.events} == {30.0}
    assert {event.expression for event in reading.events} == {"micro", "macro"}
    by = {event.onset: event.timing_by for event in reading.events if event.subject == "s23"}
    assert list(by.values()) == ["coder", "assumed", "coder, apex halfway"]


def test_a_folder_below_another_subject_is_found(tmp_path: Path) -> None:
    make_casme_sq.make(tmp_path)
    event = next(event for event in read_corpus("casme_sq", tmp_path).events if event.subject == "s23")
    assert isinstance(event.frames, FrameFiles)
    path = next(iter(event.frames.paths.values()))
    assert path.parts[-3:-1] == ("s19", "23_0502funnyerrors")


def test_videos_where_there_are_no_pictures(tmp_path: Path) -> None:
    make_casme_sq.make(tmp_path, subjects=1, videos=1, quirks=False)
    for folder in (tmp_path / "rawpic" / "s15").iterdir():
        video = tmp_path / "rawvideo" / "s15" / f"{folder.name}.avi"
        video.parent.mkdir(parents=True)
        video.write_bytes(b"video")
        for picture in folder.iterdir():
            picture.unlink()
    frames = {event.frames for event in read_corpus("casme_sq", tmp_path).events}
    assert frames == {VideoFile(video, first=1)}


def test_a_sheet_without_the_naming_rules_is_refused(tmp_path: Path) -> None:
    make_casme_sq.make(tmp_path, subjects=1, quirks=False)
    path = tmp_path / make_casme_sq.SHEETS[0]
    for rule, lacking in (("naming rule2", "videos' codes"), ("naming rule1", "participants' subjects")):
        book = openpyxl.load_workbook(path)
        del book[rule]
        book.save(path)
        with pytest.raises(SheetError, match=lacking):
            read_corpus("casme_sq", tmp_path)


def test_known_counts_are_compared_by_expression(tmp_path: Path) -> None:
    make_casme_sq.make(tmp_path, subjects=2, quirks=False)
    compared = {what: (known, found) for what, known, found in read_corpus("casme_sq", tmp_path).compared()}
    assert compared["micro-expressions"] == (57, 4) and compared["macro-expressions"] == (300, 4)
