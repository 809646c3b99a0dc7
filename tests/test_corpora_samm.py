"""SAMM and its long videos, on stand-ins with every quirk."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpora import make_samm
from corpora.checking import check
from corpora.stand_in import write_frames

from equime_loader.corpora import read_corpus
from equime_loader.corpora.aus import parse_aus
from equime_loader.corpora.events import FrameFiles
from equime_loader.corpora.sheets import SheetError


@pytest.mark.parametrize("text_above", [13, 0])
def test_released_and_repaired_sheets_and_every_quirk(tmp_path: Path, text_above: int) -> None:
    made = make_samm.make(tmp_path, subjects=3, text_above=text_above)
    reading = read_corpus("samm", tmp_path)
    check(reading, made)
    assert {event.fps for event in reading.events} == {200.0}
    assert {event.objective_class for event in reading.events} <= set(range(1, 8))


def test_every_coding_of_the_sheet_is_read(tmp_path: Path) -> None:
    make_samm.make(tmp_path, subjects=3, clips=6, quirks=False)
    events = read_corpus("samm", tmp_path).events
    # Cells lose the spaces around them; nothing else.
    assert {event.au_text for event in events} == {coding.strip() for coding in make_samm.CODINGS}
    for event in events:
        assert event.aus == parse_aus(event.au_text or "") and not event.aus.unknown
    reflex = next(event for event in events if event.au_text == "ref(L10)+A12B")
    assert reflex.aus is not None
    assert [(action.au, action.side, action.reflex, action.unequal) for action in reflex.aus.actions] == [
        (10, "left", True, False),
        (12, "both", False, True),
    ]


def test_numbers_are_padded_differently_by_clip(tmp_path: Path) -> None:
    made = make_samm.make(tmp_path, subjects=1, quirks=False)
    lengths = set()
    for event in read_corpus("samm", tmp_path).events:
        assert isinstance(event.frames, FrameFiles)
        assert list(event.frames.paths) == list(
            range(made.events[event.subject, event.clip, event.onset].first, max(event.frames.paths) + 1)
        )
        lengths.add(len(event.frames.paths[event.onset].stem.split("_")[1]))
    assert lengths == {4, 5}


def test_faces_cut_by_others_are_taken_where_asked(tmp_path: Path) -> None:
    made = make_samm.make(tmp_path, subjects=1, clips=1, quirks=False)
    event = next(iter(made.events.values()))
    write_frames(tmp_path / "SAMM_CROP" / event.subject / event.clip, f"{event.subject}_{{:05d}}.jpg".format, event)
    for part, folder in ((None, "SAMM"), ("SAMM_CROP", "SAMM_CROP")):
        (read,) = read_corpus("samm", tmp_path, frames=part).events
        assert isinstance(read.frames, FrameFiles)
        assert next(iter(read.frames.paths.values())).relative_to(tmp_path).parts[0] == folder


@pytest.mark.parametrize("version", ["V1", "V2", "V3"])
def test_long_videos(tmp_path: Path, version: str) -> None:
    made = make_samm.make_long(tmp_path, version=version)
    reading = read_corpus("samm_long", tmp_path)
    check(reading, made)
    assert f"_{version}_" in reading.sheet
    assert [(event.expression, event.occurrence, event.label) for event in reading.events] == [
        ("micro", 0, None),
        ("macro", 1, None),
    ] * 2
    macro = reading.events[1]
    assert macro.timing_by == "coder, apex halfway" and macro.clip == "006_1"
    known = {what: count for what, count, _ in reading.compared()}
    assert known["rows"] == known["events"] == 343 + 159


def test_long_videos_take_the_emotions_of_the_sheet_of_samm(tmp_path: Path) -> None:
    make_samm.make_long(tmp_path, emotions=True)
    labels = {(event.expression, event.label) for event in read_corpus("samm_long", tmp_path).events}
    assert labels == {("micro", "surprise"), ("macro", None)}


def test_the_sheet_of_one_is_not_that_of_the_other(tmp_path: Path) -> None:
    make_samm.make_long(tmp_path, subjects=1)
    with pytest.raises(SheetError, match=r"no annotation file such as SAMM_Micro_FACS_Codes_v2\.xlsx; if yours"):
        read_corpus("samm", tmp_path)
