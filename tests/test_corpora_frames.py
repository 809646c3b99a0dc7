"""Frames of a clip: files by their numbers, folders by the end of their path, events on the frames that there are."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equime_loader.corpora.annotations import (
    Annotation,
    Conventions,
    Ledger,
    RowFault,
    Span,
    choose,
    fit,
    numbered,
    read_event,
    read_label,
    read_span,
    subject_number,
    whole,
)
from equime_loader.corpora.corrections import name_key, read_corrections
from equime_loader.corpora.events import FrameFiles, VideoFile
from equime_loader.corpora.frames import Tree, frame_number, in_order, list_frames
from equime_loader.corpora.sheets import SheetError

RULES = Conventions("casme2", 200.0, ("happiness", "others"))


def frames(*numbers: int) -> FrameFiles:
    return FrameFiles({number: Path(f"{number}.jpg") for number in numbers})


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("img1.jpg", 1),
        ("reg_img46.jpg", 46),
        ("006_05562.jpg", 5562),
        ("image17581039.bmp", 17581039),
        ("Frame_000001826.jpg", 1826),
        ("355.png", 355),
        ("img.jpg", None),
        ("img1(copy).jpg", None),
    ],
)
def test_the_last_number_of_a_name(name: str, number: int | None) -> None:
    assert frame_number(name) == number


def test_a_folder_with_strays_and_mixed_padding(tmp_path: Path) -> None:
    for name in (
        "img1.jpg",
        "img002.jpg",
        "IMG3.JPG",
        "img2.jpg",
        "reg_img1.jpg",
        "img4.png",
        "Thumbs.db",
        "._img9.jpg",
    ):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "img7.jpg").mkdir()
    listing = list_frames(tmp_path)
    assert listing.frames is not None
    assert {number: path.name for number, path in listing.frames.paths.items()} == {
        1: "img1.jpg",
        2: "img2.jpg",
        3: "IMG3.JPG",
    }
    assert set(listing.strays) == {"img002.jpg", "reg_img1.jpg", "img4.png", "Thumbs.db", "._img9.jpg"}


def test_an_empty_folder_has_no_frames(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("a")
    assert list_frames(tmp_path).frames is None


def test_folders_by_the_end_of_their_path(tmp_path: Path) -> None:
    for path in ("a/RAW/Sub01/EP1", "Cropped/sub01/ep1", "RAW_selected/sub01/EP1", "a/RAW/sub02/EP1", "b/EP1"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "video").mkdir()
    (tmp_path / "video" / "EP1.avi").write_bytes(b"")
    (tmp_path / "loop").symlink_to(tmp_path)
    tree = Tree(tmp_path)
    found = tree.ending(("sub01", "s1"), "EP1")
    assert {tree.relative(path) for path in found} == {"a/RAW/Sub01/EP1", "Cropped/sub01/ep1", "RAW_selected/sub01/EP1"}
    ordered = in_order(found, tmp_path, (r"raw(?!_selected)", "selected", "crop"))
    assert [tree.relative(path).split("/")[0] for path in ordered] == ["a", "RAW_selected", "Cropped"]
    assert tree.ending("video", "EP1") == [tmp_path / "video" / "EP1.avi"]
    assert [path.name for path in tree.named("sub[0-9]+")] == ["Sub01", "sub01", "sub01", "sub02"]
    # The folder of a subject can be the root.
    below = tmp_path / "a" / "RAW" / "sub02"
    assert Tree(below).ending("sub02", "EP1") == [below / "EP1"]


def test_frames_of_an_event() -> None:
    span = Span(10, 15, 29)
    assert fit(span, frames(*range(40))) == span
    assert fit(span, VideoFile(Path("a.avi"))) == span
    ends = fit(span, frames(*(number for number in range(40) if number not in (10, 15))))
    assert (ends.onset, ends.apex, ends.offset) == (11, 14, 29)
    assert ends.notes == ("2 of 20 frames are missing",)
    # Of a short event, one may be missing.
    assert fit(Span(3, 4, 6), frames(3, 4, 5)).offset == 5


def test_too_many_missing_frames_cost_the_event() -> None:
    with pytest.raises(RowFault, match=r"3 of the 20 frames 10\.\.29 are missing; the folder holds 0\.\.26"):
        fit(Span(10, 15, 29), frames(*range(27)))
    with pytest.raises(RowFault, match="no folder of frames"):
        choose(Span(10, 15, 29), [])


def test_the_copy_that_holds_the_event_whole_is_taken() -> None:
    span, gap, part, everything = Span(10, 15, 29), frames(*range(29)), frames(*range(20)), frames(*range(40))
    assert choose(span, [part, gap, everything])[1] is everything
    assert choose(span, [part, gap])[1] is gap


@pytest.mark.parametrize(
    ("moments", "read"),
    [
        (("5", "9", "12"), (5, 9, 12, "coder")),
        (("5", "/", "12"), (5, 8, 12, "coder, apex halfway")),
        (("5", "", "12"), (5, 8, 12, "coder, apex halfway")),
        (("5", "0", "12"), (5, 8, 12, "coder, apex halfway")),
        (("5", "9.0", "12"), (5, 9, 12, "coder")),
    ],
)
def test_moments_of_a_row(moments: tuple[str, str, str], read: tuple[int, int, int, str]) -> None:
    onset, apex, offset = moments
    span = read_span(Annotation("", "sub01", "a", onset, offset, apex), RULES)
    assert (span.onset, span.apex, span.offset, span.timing_by) == read


@pytest.mark.parametrize(
    ("moments", "reason"),
    [
        (("5", "9", "0"), "offset 0"),
        (("5", "13", "12"), r"apex 13 lies outside 5\.\.12"),
        (("5", "4", "12"), "apex 4 lies outside"),
        (("15", "/", "12"), "onset 15 lies after offset 12"),
        (("", "9", "12"), "onset '' is no whole number"),
        (("5", "9", "1e99"), "no whole number"),
        (("5", "9.5", "12"), "apex '9.5' is no whole number"),
        (("nan", "9", "12"), "onset 'nan' is no whole number"),
        (("-5", "9", "12"), "onset '-5' is no whole number"),
    ],
)
def test_moments_that_cannot_be_right(moments: tuple[str, str, str], reason: str) -> None:
    onset, apex, offset = moments
    with pytest.raises(RowFault, match=reason):
        read_span(Annotation("", "sub01", "a", onset, offset, apex), RULES)


def test_an_apex_0_is_one_where_frames_count_from_0() -> None:
    rules = Conventions("dfme", 500.0, None, first_frame=0)
    span = read_span(Annotation("", "sub0001", "a", "0", "9", "0"), rules)
    assert (span.apex, span.timing_by) == (0, "coder")


def test_labels_are_spelled_in_one_way() -> None:
    assert read_label(" Happy", ("happiness", "others")) == "happiness"
    assert read_label("Other", ("happiness", "others")) == "others"
    assert read_label("Surprise+ Positive", ("positive", "surprise")) == "surprise+positive"
    assert read_label("whatever", None) is None
    with pytest.raises(RowFault, match="label '' is none of happiness"):
        read_label("", ("happiness",))


def test_a_row_that_cannot_be_right_is_named_and_costs_itself_only() -> None:
    for change, reason in (
        ({"label": "joy"}, "label 'joy'"),
        ({"expression": "both"}, "neither micro nor macro"),
        ({"objective_class": "IX"}, "objective class 'IX'"),
        ({"fps": "0"}, "frame rate '0'"),
    ):
        ledger = Ledger()
        fields = {"onset": "3", "apex": "5", "offset": "9", "label": "others", **change}
        assert (
            read_event(Annotation("a.xlsx, line 7", "sub01", "c", **fields), [frames(*range(20))], RULES, ledger)
            is None
        )
        (finding,) = ledger.findings
        assert finding.left_out and reason in finding.reason and str(finding).startswith("a.xlsx, line 7: sub01/c: ")


def test_events_of_a_clip_are_numbered_by_time_and_doubles_dropped() -> None:
    ledger = Ledger()
    rows = [Annotation("", "sub01", "c", onset, str(int(onset) + 5), label="others") for onset in ("30", "3", "30")]
    events = [read_event(row, [frames(*range(50))], RULES, ledger) for row in rows]
    kept = numbered([event for event in events if event], ledger)
    assert [(event.onset, event.occurrence) for event in kept] == [(30, 1), (3, 0)]
    assert [finding.reason for finding in ledger.findings if finding.left_out] == ["frames 30..35 stand twice"]


def test_names_are_compared_without_padding() -> None:
    assert name_key("sub01") == name_key("Sub1") == name_key("1") == name_key("s01") == name_key("spNO.1")
    assert name_key("EP02_01f") == name_key("ep2_1F") != name_key("EP02_01")
    assert subject_number("spNO.007") == 7
    with pytest.raises(RowFault, match="has no number"):
        subject_number("someone")


@pytest.mark.parametrize(("field", "match"), [("Offset", "must be one of onset"), ("frames", "line 2: field 'frames'")])
def test_corrections_of_no_field_are_refused(tmp_path: Path, field: str, match: str) -> None:
    path = tmp_path / "c.csv"
    path.write_text(f"corpus,subject,clip,onset,field,value\nsamm,6,006_1_2,,{field},9\n")
    with pytest.raises(SheetError, match=match):
        read_corrections(path)


@given(st.text(max_size=12))
def test_any_text_is_a_number_or_refused(text: str) -> None:
    with contextlib.suppress(RowFault):
        assert whole(text, "onset") >= 0
