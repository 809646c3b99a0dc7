"""Cuts, keys and the plan of an import, before any frame is decoded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from importing import event, reading

from equime_builder.importing.cuts import Cut, CutRefused, cut_event
from equime_builder.importing.labels import activations, caption_of
from equime_builder.importing.plan import CLIP_SCHEMA, Request, clip_table, lay_out, make_plan
from equime_loader.corpora.aus import parse_aus
from equime_loader.corpora.events import CorpusEvent, Finding, FrameFiles, VideoFile
from equime_loader.schema import KEY_PATTERN


def frames(*numbers: int) -> FrameFiles:
    return FrameFiles({number: Path(f"Ada Lovelace/{number}.png") for number in numbers})


def cut(of: CorpusEvent, *others: CorpusEvent, context_ms: float = 100.0) -> Cut:
    return cut_event(of, others, context_ms=context_ms)


FULL = frames(*range(101))


def test_context_is_bounded_by_the_recording() -> None:
    assert cut(event(FULL, (50, 55, 60))) == Cut(40, 70)
    assert cut(event(FULL, (4, 55, 98))) == Cut(0, 100)
    assert cut(event(FULL, (50, 55, 60)), context_ms=0) == Cut(50, 60)
    assert cut(event(FULL, (50, 55, 60), fps=25.0), context_ms=250) == Cut(43, 67)


def test_context_ends_before_other_events() -> None:
    before, after = event(FULL, (30, 35, 44)), event(FULL, (63, 64, 65))
    assert cut(event(FULL, (50, 55, 60)), before, after) == Cut(45, 62)
    assert cut(event(FULL, (50, 55, 60)), event(FULL, (30, 35, 50))) == Cut(50, 70)
    assert cut(event(FULL, (50, 55, 60)), event(FULL, (20, 35, 90))) == Cut(50, 60)
    assert cut(event(FULL, (50, 55, 60)), event(FULL, (52, 53, 54))) == Cut(40, 70)


def test_context_ends_at_a_gap_and_an_event_may_lack_a_tenth() -> None:
    lacks = frames(*range(45), *range(46, 52), *range(53, 66), *range(67, 101))
    assert cut(event(lacks, (50, 55, 60))) == Cut(46, 65)
    with pytest.raises(CutRefused, match="2 of the 9 frames from onset to offset are missing"):
        cut(event(frames(0, 1, 3, 5, 6, 7, 8), (0, 3, 8)))


@pytest.mark.parametrize(
    ("span", "moment"), [((45, 55, 60), "onset"), ((50, 52, 60), "apex"), ((50, 55, 66), "offset")]
)
def test_a_moment_without_its_frame_is_refused(span: tuple[int, int, int], moment: str) -> None:
    lacks = frames(*range(45), *range(46, 52), *range(53, 66), *range(67, 101))
    with pytest.raises(CutRefused, match=rf"its {moment} frame \d+ is missing; the copy has 98 frames within 0..100"):
        cut(event(lacks, span))


def test_a_video_has_no_end_before_it_is_decoded() -> None:
    assert cut(event(VideoFile(Path("a.avi"), first=45), (50, 55, 60))) == Cut(45, 70)


spans = st.lists(st.integers(0, 200), min_size=3, max_size=3).map(sorted)


@given(spans, st.lists(spans, max_size=6), st.sets(st.integers(0, 200)), st.integers(0, 900))
def test_a_cut_holds_its_event_and_nothing_else(
    span: list[int], others: list[list[int]], dropped: set[int], context_ms: int
) -> None:
    there = [number for number in range(201) if number not in dropped or number in span]
    of = event(frames(*there), span)
    rest = [event(frames(*there), other) for other in others]
    try:
        made = cut(of, *rest, context_ms=context_ms)
    except CutRefused:
        return
    assert made.first <= of.onset <= of.offset <= made.last
    assert max(of.onset - made.first, made.last - of.offset) <= context_ms / 10 + 1
    context = [*range(made.first, of.onset), *range(of.offset + 1, made.last + 1)]
    assert set(context) <= set(there)
    apart = [other for other in rest if other.offset < of.onset or other.onset > of.offset]
    assert not [number for number in context for other in apart if other.onset <= number <= other.offset]


def test_keys_are_unique_and_of_the_letters_that_keys_have() -> None:
    events = [
        event(FULL, (50, 55, 60), subject=subject, clip=clip, label=label, corpus="4dme", occurrence=occurrence)
        for subject in ("006", "S 6", "Ünal")
        for clip, occurrence in (("a", 0), ("a", 1), ("b", 0))
        for label in ("surprise", "surprise+positive", None)
    ]
    clips, findings = lay_out(reading(*events, corpus="4dme"), Request())
    keys = [clip.key for clip in clips]
    assert len(set(keys)) == len(events) and not findings
    assert all(KEY_PATTERN.fullmatch(key) for key in keys)
    assert keys[0].startswith("surprise_u_4dmex006_") and "unlabeled_u_4dmexs6_000" in keys


def test_the_plan_is_a_function_of_what_is_read_not_of_its_order() -> None:
    events = [event(FULL, (50, 55, 60), subject=f"sub{n:02d}", clip=f"EP{n % 3}") for n in range(9)]
    plan = make_plan(reading(*events), Request(shard_frames=100))
    again = make_plan(reading(*reversed(events)), Request(shard_frames=100))
    assert plan.header == again.header and clip_table(plan.clips).equals(clip_table(again.clips))
    assert plan.header["shards"] == {"train": [2, 2, 2, 2, 1]}
    other = make_plan(reading(*events[1:], replace(events[0], apex=56)), Request(shard_frames=100))
    assert other.header["plan_sha256"] != plan.header["plan_sha256"]


def test_no_path_stands_in_the_plan() -> None:
    plan = make_plan(reading(event(FULL, (50, 55, 60))), Request())
    table = clip_table(plan.clips)
    assert table.schema.equals(CLIP_SCHEMA)
    assert "Lovelace" not in str(table.to_pylist()) + str(plan.header) + str(plan.findings)


def test_persons_of_one_session_are_one_subject() -> None:
    subjects = set()
    for corpus in ("smic_hs", "smic_vis", "smic_nir"):
        clips, _ = lay_out(reading(event(FULL, (50, 55, 60), corpus=corpus), corpus=corpus), Request())
        subjects.add(clips[0].subject)
    assert subjects == {"smic-sub01"}


def test_what_cannot_be_planned_is_said() -> None:
    lost = Finding("sheet.xlsx, line 3", "sub01/EP01", "offset 0")
    with pytest.raises(ValueError, match="casme2: no event can be imported: 1 x offset 0"):
        make_plan(reading(findings=[lost]), Request())
    with pytest.raises(ValueError, match=r"context_ms=-1 must lie within 0\.\.10000"):
        Request(context_ms=-1)
    with pytest.raises(ValueError, match="format 'zip' must be one of"):
        Request(formats=("zip",))
    with pytest.raises(ValueError, match="formats must hold webdataset or parquet"):
        Request(formats=("arrow",))


def test_aus_that_the_coder_was_sure_of() -> None:
    coding = parse_aus("A1B+L4+ref(10)+(12 or 14)+AD38+17?")
    assert activations(coding) == [
        {"au": 1, "side": "both", "intensity": 2.0},
        {"au": 4, "side": "left", "intensity": None},
        {"au": 10, "side": "both", "intensity": None},
    ]
    # No AU acts, or it is not told whether any does.
    assert [activations(parse_aus(text)) for text in ("AD38", "M57", "12(k)")] == [[], [], []]
    assert [activations(parse_aus(text)) for text in ("", "?", "12?", "12 or 14", "soft focus")] == [None] * 5
    assert activations(None) is None
    of = event(FULL, (50, 55, 60), aus=coding, label="surprise+positive", expression="macro")
    assert caption_of(of) == "A macro-expression labeled surprise and positive, AU1, AU4, AU10."
    assert caption_of(replace(of, aus=None, label=None)) == "A macro-expression."


def test_labels_of_corpora_are_mapped_by_the_classes() -> None:
    events = [event(FULL, (50, 55, 60), label=label, clip=str(label)) for label in ("repression", "disgust", None)]
    rows = clip_table(lay_out(reading(*events), Request())[0])
    assert isinstance(rows, pa.Table)
    found = {row["corpus_label"]: (row["emotion"], row["three_class"]) for row in rows.to_pylist()}
    assert found == {"repression": (None, "negative"), "disgust": ("disgust", "negative"), None: (None, None)}
