"""CASME II: three versions of the sheet, three trees of frames, and every quirk, on a stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpora import make_casme2
from corpora.checking import check
from corpora.stand_in import write_csv

from equime_loader.corpora import read_corpus
from equime_loader.corpora.events import FrameFiles
from equime_loader.corpora.sheets import SheetError


@pytest.mark.parametrize("version", make_casme2.VERSIONS)
def test_every_version_of_the_sheet_and_every_quirk(tmp_path: Path, version: str) -> None:
    made = make_casme2.make(tmp_path, subjects=3, version=version)
    reading = read_corpus("casme2", tmp_path)
    check(reading, made)
    assert version in reading.sheet
    # The version with a column more says so; in the others the class comes from the sheet beside it.
    assert ("with objective" in reading.sheet) == ("20190701" in version)
    assert {event.objective_class for event in reading.events} <= set(range(1, 8))
    restricted = {event.subject for event in reading.events if event.publication == "restricted"}
    assert restricted == {"sub12", "sub22"}
    assert {event.fps for event in reading.events} == {200.0}


def test_codings(tmp_path: Path) -> None:
    make_casme2.make(tmp_path, subjects=2)
    events = {(event.subject, event.clip): event for event in read_corpus("casme2", tmp_path).events}
    plain, left = events["sub01", "EP01_01f"], events["sub01", "EP02_02"]
    assert plain.aus is not None and str(plain.aus) == "12" == plain.au_text
    assert left.aus is not None and [action.side for action in left.aus.actions] == ["left"]
    unknown, unread = events["sub30", "EP01_09"], events["sub30", "EP01_06"]
    assert unknown.aus is not None and unknown.aus.unknown
    assert unread.aus is not None and unread.aus.unknown and unread.au_text == "4+7x"


def test_who_judged_the_timing(tmp_path: Path) -> None:
    make_casme2.make(tmp_path, subjects=1)
    by = {event.clip: event.timing_by for event in read_corpus("casme2", tmp_path).events if event.subject == "sub30"}
    assert by["EP01_01"] == "coder, apex halfway"
    assert by["EP01_03"] == "assumed"
    assert by["EP01_10"] == "coder"


def test_whole_recordings_come_first_and_a_part_can_be_asked_for(tmp_path: Path) -> None:
    make_casme2.make(tmp_path, subjects=1, cropped=True, quirks=False)
    (tmp_path / "Cropped" / "sub01" / "Desktop - Shortcut.lnk").write_bytes(b"stray")
    for part, folder, name in ((None, "CASME2-RAW", "img"), ("cropped", "Cropped", "reg_img")):
        for event in read_corpus("casme2", tmp_path, frames=part).events:
            assert isinstance(event.frames, FrameFiles)
            first, path = next(iter(event.frames.paths.items()))
            assert folder in path.parts and path.name == f"{name}{first}.jpg"


def test_a_folder_that_lacks_frames_gives_way_to_one_that_has_them(tmp_path: Path) -> None:
    made = make_casme2.make(tmp_path, subjects=1, clips=1, cropped=True, quirks=False)
    event = next(iter(made.events.values()))
    for number in range(event.onset, event.last + 1):
        (tmp_path / "CASME2_RAW" / "CASME2-RAW" / event.subject / event.clip / f"img{number}.jpg").unlink()
    (read,) = read_corpus("casme2", tmp_path).events
    assert isinstance(read.frames, FrameFiles)
    assert "CASME2_RAW_selected" in next(iter(read.frames.paths.values())).parts


def test_corrections_by_name(tmp_path: Path) -> None:
    make_casme2.make(tmp_path / "copy", subjects=1)
    before = read_corpus("casme2", tmp_path / "copy")
    (fault,) = [finding for finding in before.findings if "EP01_05" in finding.name]
    assert "line" in fault.where and fault.left_out
    write_csv(
        tmp_path / "corrections.csv",
        [
            ["corpus", "subject", "clip", "onset", "field", "value"],
            ["casme2", "30", "ep1_5", None, "label", "happiness"],
            ["casme2", "sub99", "EP01_05", None, "label", "happiness"],
            ["samm", "006", "006_1_2", None, "label", "happiness"],
        ],
    )
    after = read_corpus("casme2", tmp_path / "copy", corrections=tmp_path / "corrections.csv")
    assert len(after.events) == len(before.events) + 1
    said = [finding for finding in after.findings if not finding.left_out]
    assert any("'delight' corrected to 'happiness'" in finding.reason for finding in said)
    assert any(finding.name == "sub99/EP01_05" and "no such event" in finding.reason for finding in said)
    assert not any("006" in finding.name for finding in said)


def test_of_several_sheets_one_is_read_and_the_others_are_named(tmp_path: Path) -> None:
    for version in make_casme2.VERSIONS[:2]:
        make_casme2.make(tmp_path, subjects=1, clips=1, quirks=False, version=version)
    (tmp_path / "~$CASME2-coding-20190701.xlsx").write_bytes(b"lock")
    reading = read_corpus("casme2", tmp_path)
    assert "20190701" in reading.sheet
    assert any("20140508" in finding.reason for finding in reading.findings)
    named = read_corpus("casme2", tmp_path, sheet=tmp_path / make_casme2.VERSIONS[0])
    assert "20140508" in named.sheet and not named.findings


def test_compared_with_the_known_counts(tmp_path: Path) -> None:
    made = make_casme2.make(tmp_path, subjects=2, quirks=False)
    table = {what: (known, found) for what, known, found in read_corpus("casme2", tmp_path).compared()}
    assert table["rows"] == (255, made.rows) and table["subjects"] == (26, 2)
    assert table["label others"][0] == 99 and table["label fear"] == (2, 0)


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name='casme' must be one of casme2"):
        read_corpus("casme", tmp_path)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        read_corpus("casme2", tmp_path / "nowhere")
    with pytest.raises(SheetError, match=r"no annotation file such as CASME2-coding-20190701\.xlsx; if yours"):
        read_corpus("casme2", tmp_path)
    (tmp_path / "CASME2-coding-20140508.xlsx").write_bytes(b"PK no sheet")
    with pytest.raises(SheetError, match="is no Excel file"):
        read_corpus("casme2", tmp_path)
    write_csv(tmp_path / "other.csv", [["Subject", "Clip"], ["1", "a"]])
    with pytest.raises(SheetError, match="no sheet has the columns Subject, Filename"):
        read_corpus("casme2", tmp_path, sheet=tmp_path / "other.csv")
