"""CAS(ME)³, parts A and C: two versions of the sheets, depth among color, damaged files, signals, on stand-ins."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpora import make_casme3
from corpora.checking import check
from corpora.make_signals import value
from corpora.stand_in import write_xlsx

from equime_loader.corpora import read_corpus
from equime_loader.corpora.events import FrameFiles
from equime_loader.corpora.sheets import SheetError


@pytest.mark.parametrize("everything", [True, False])
@pytest.mark.parametrize("version", ["v2", "v1"])
def test_part_a_every_version_and_every_quirk(tmp_path: Path, version: str, everything: bool) -> None:
    made = make_casme3.make_a(tmp_path, version=version, everything=everything)
    reading = read_corpus("casme3_a", tmp_path)
    check(reading, made)
    assert any(finding.name == "version 1" for finding in reading.findings) == (version == "v1")
    macro = [event for event in reading.events if event.expression == "macro"]
    assert len(macro) == everything and all(event.label is None for event in macro)
    assert {event.fps for event in reading.events} == {30.0}


def test_part_a_what_a_row_says(tmp_path: Path) -> None:
    make_casme3.make_a(tmp_path, subjects=4)
    events = {
        (event.subject, event.clip, event.occurrence): event for event in read_corpus("casme3_a", tmp_path).events
    }
    assert {event.label for event in events.values()} <= {*make_casme3.LABELS, None}
    assert {event.objective_class for event in events.values()} == set(range(1, 8))
    lips = next(event for event in events.values() if event.au_text == "T28+14")
    assert lips.aus is not None and str(lips.aus) == "14+T28"
    # Several events of a clip are told apart by their number, in time.
    own = [events["spNO.1", "a", number] for number in range(3)]
    assert [event.onset for event in own] == sorted(event.onset for event in own)


def test_part_a_depth_is_no_frame(tmp_path: Path) -> None:
    make_casme3.make_a(tmp_path, subjects=1)
    for event in read_corpus("casme3_a", tmp_path).events:
        assert isinstance(event.frames, FrameFiles)
        assert {path.suffix for path in event.frames.paths.values()} == {".jpg"}


def test_part_a_damaged_frames_are_not_read(tmp_path: Path) -> None:
    make_casme3.make_a(tmp_path, subjects=1)
    reading = read_corpus("casme3_a", tmp_path)
    (event,) = [event for event in reading.events if (event.subject, event.clip) == (make_casme3.ODD, "d")]
    assert isinstance(event.frames, FrameFiles) and event.apex - 1 not in event.frames.paths
    said = [finding.reason for finding in reading.findings if finding.where.startswith("error_info_damaged")]
    assert "1 of its frames are damaged" in " ".join(said)


def test_part_a_the_sheet_of_all_expressions_alone(tmp_path: Path) -> None:
    made = make_casme3.make_a(tmp_path, quirks=False)
    (tmp_path / "annotation" / "partA" / make_casme3.MICRO_V2).unlink()
    reading = read_corpus("casme3_a", tmp_path)
    check(reading, made)
    assert {event.label for event in reading.events} == {None}


def test_part_a_known_counts(tmp_path: Path) -> None:
    make_casme3.make_a(tmp_path, subjects=1, everything=False, quirks=False)
    table = {what: known for what, known, _ in read_corpus("casme3_a", tmp_path).compared()}
    assert table["rows"] == 860 and table["subjects"] == 94
    assert sum(known for what, known in table.items() if what.startswith("label") and known) == 860
    (tmp_path / "empty").mkdir()
    with pytest.raises(SheetError, match=r"no annotation file such as cas\(me\)3_part_A_ME_label_.*; if yours"):
        read_corpus("casme3_a", tmp_path / "empty")


def test_part_a_a_subject_without_a_number_is_left_out(tmp_path: Path) -> None:
    row = ["sp", "a", "1", "2", "3", "4", "I", "sad"]
    write_xlsx(tmp_path / make_casme3.MICRO_V2, {"label": [list(make_casme3.HEADER), row]})
    table = [list(make_casme3.ALL_HEADER), [*row[:6], "Micro-expression", "I"]]
    write_xlsx(tmp_path / "CAS(ME)3_part_A_v2.xlsx", {"AU+Emotion": table})
    reading = read_corpus("casme3_a", tmp_path)
    assert not reading.events and "has no number" in reading.findings[0].reason


@pytest.mark.parametrize("whole", [False, True])
def test_part_c_every_quirk(tmp_path: Path, whole: bool) -> None:
    made = make_casme3.make_c(tmp_path, whole=whole)
    reading = read_corpus("casme3_c", tmp_path)
    check(reading, made)
    assert {event.timing_by for event in reading.events} == {"coder, apex halfway"}
    codings = {event.au_text: event.aus for event in reading.events}
    assert all(aus is not None for aus in codings.values())
    assert {str(codings["4,7"]), str(codings["4，7"])} == {"4+7"} and str(codings["L14,12,"]) == "12+L14"
    assert {what: known for what, known, _ in reading.compared()}["label negative"] == 99
    if whole:
        assert all(len(event.frames.paths) > 200 for event in reading.events if isinstance(event.frames, FrameFiles))


def test_part_c_signals_lie_beside_the_frames(tmp_path: Path) -> None:
    make_casme3.make_c(tmp_path, subjects=2)
    for event in read_corpus("casme3_c", tmp_path).events:
        assert [source.name for source in event.signals] == ["ppg", "rsp", "ecg", "eda"]
        eda = event.signals[3].read(event.onset, event.offset)
        # Pictures began with sample 300; a frame lasts 200/30 samples; the signal begins 1 s before the frames.
        begin = 300 + round(event.onset * 200 / 30 - 200)
        assert eda.rate_hz == 200 and abs(eda.start_ms + 1000) <= 2.5
        assert abs(float(eda.values[0, 0]) - float(value(4, begin))) <= 2 / 1024
