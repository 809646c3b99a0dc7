"""MMME: times that name frames, signals beside them, and nobody's name anywhere."""

from __future__ import annotations

import errno
import logging
import os
import pickle
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from corpora import make_mmme
from corpora.checking import check
from corpora.make_mmme import BEGINS, DATE, NAMES, make, make_session
from corpora.make_signals import value
from corpora.stand_in import draw_face, write_csv
from hypothesis import given
from hypothesis import strategies as st

from equime_loader.corpora import read_corpus
from equime_loader.corpora.events import FrameFiles, SignalSource, VideoFile
from equime_loader.corpora.mmme import _cleaner
from equime_loader.corpora.mmme_trials import stamp_us
from equime_loader.corpora.pseudonyms import VARIABLE, Pseudonyms, plain_name
from equime_loader.corpora.sheets import SheetError


@pytest.fixture(autouse=True)
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pseudonyms:
    """Pseudonyms of a key for this test."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine" / "a.key"))
    return Pseudonyms.open()


def has_a_name(text: str) -> bool:
    """Whether a participant's name stands in a text, in any spelling."""
    words = re.split(r"[^a-z]+", text.casefold())
    return any(plain_name(name) in words or (len(name) > 4 and plain_name(name) in plain_name(text)) for name in NAMES)


@pytest.mark.parametrize("kinds", [True, False])
def test_every_version_and_every_quirk(tmp_path: Path, names: Pseudonyms, kinds: bool) -> None:
    made = make(tmp_path / "copy", kinds=kinds, signals=False, pseudonym=names.of)
    reading = read_corpus("mmme", tmp_path / "copy")
    check(reading, made)
    assert len([finding for finding in reading.findings if finding.left_out]) == 9
    assert any("no column Macro/Micro" in finding.reason for finding in reading.findings) == (not kinds)
    # The frames' own times say how many there were in a second.
    assert {event.fps for event in reading.events} <= {139.0, 140.0, 141.0}
    assert reading.known.rows == (3475 if kinds else 944)
    labels = {event.label for event in reading.events}
    assert labels <= set(make_mmme.LABELS)
    codings = {event.au_text: str(event.aus) for event in reading.events}
    assert codings["AU4, AU7"] == "4+7"


def test_each_fault_has_its_reason(tmp_path: Path, names: Pseudonyms) -> None:
    make(tmp_path / "copy", signals=False, subjects=1, clips=1, pseudonym=names.of)
    reasons = [finding.reason for finding in read_corpus("mmme", tmp_path / "copy").findings if finding.left_out]
    expected = (
        "Subject and Filename name different people",
        "Marker is not that of Filename",
        "onset is no time of the form",
        "apex: no frame of the trial lies within 10 ms of it",
        "label '(not quoted)' is none of",
        "expression '(not quoted)' is neither",
        "are out of order",
        "no subject",
        "Filename is not of the form",
    )
    for part in expected:
        assert any(part in reason for reason in reasons), part


def test_times_of_frames() -> None:
    assert stamp_us("11-05-19-038-498") == ((11 * 60 + 5) * 60 + 19) * 1_000_000 + 38_498
    assert stamp_us("11-05-19-038") == stamp_us("11-05-19-038-000") == stamp_us("11-05-19-037-1000")
    for text in ("", "11-05-19", "11:05:19:038", "a-b-c-d", "11-05-19-038-498-7"):
        assert stamp_us(text) is None


def test_frames_are_in_the_order_of_their_times(tmp_path: Path) -> None:
    make(tmp_path / "copy", signals=False, subjects=1, clips=2, quirks=False)
    for event in read_corpus("mmme", tmp_path / "copy").events:
        assert isinstance(event.frames, FrameFiles) and len(event.frames.paths) == 112
        marker = event.clip.split("_")[2]
        found = [path.stem.rsplit("-", 1) for path in event.frames.paths.values()]
        assert {mark for _, mark in found} == {marker}
        times = [stamp_us(stamp.split("-", 3)[3]) for stamp, _ in found]
        assert times == sorted(times)  # type: ignore[type-var]


def test_signals_lie_beside_the_frames(tmp_path: Path) -> None:
    make(tmp_path / "copy", subjects=2, quirks=False)
    for event in read_corpus("mmme", tmp_path / "copy").events:
        assert [source.name for source in event.signals] == ["eeg", "eog", "ppg", "rsp", "skt", "eda", "ecg", "emg"]
        assert isinstance(event.frames, FrameFiles)
        stamps = [stamp_us(path.stem.rsplit("-", 1)[0].split("-", 3)[3]) for path in event.frames.paths.values()]
        first = (stamps[event.onset] or 0) - (stamps[0] or 0)
        begin = BEGINS[int(event.clip.split("_")[2])] + round(first / 1000)
        for name, channel in (("eeg", 0), ("eda", 4), ("skt", 3)):
            (source,) = [source for source in event.signals if source.name == name]
            signal = source.read(event.onset, event.offset)
            before = round(-signal.start_ms)
            assert 999 <= before <= 1001 and signal.rate_hz == 1000
            assert abs(float(signal.values[before, 0]) - float(value(channel, begin))) <= 1.5 / 1024


def test_a_session_without_recordings_has_no_signals(tmp_path: Path) -> None:
    make(tmp_path / "copy", subjects=2, quirks=False, signals=False)
    make_session(tmp_path / "copy", NAMES[0])
    counts = {event.subject: len(event.signals) for event in read_corpus("mmme", tmp_path / "copy").events}
    assert sorted(counts.values()) == [0, 8]


def test_the_same_key_gives_the_same_pseudonyms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "copy", quirks=False, signals=False)
    first = [event.subject for event in read_corpus("mmme", tmp_path / "copy").events]
    assert [event.subject for event in read_corpus("mmme", tmp_path / "copy").events] == first
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine" / "other.key"))
    assert not set(first) & {event.subject for event in read_corpus("mmme", tmp_path / "copy").events}
    monkeypatch.setenv(VARIABLE, str(tmp_path / "copy" / "a.key"))
    with pytest.raises(ValueError, match="must lie outside"):
        read_corpus("mmme", tmp_path / "copy")


def test_the_second_session_of_a_participant_is_told_apart_and_dates_are_not_told(tmp_path: Path) -> None:
    made = make(tmp_path / "copy", subjects=1, clips=1, quirks=False, signals=False)
    (event,) = read_corpus("mmme", tmp_path / "copy").events
    assert re.fullmatch(r"[a-z]+_1_146_p[0-9a-f]{12}", event.clip) and made.rows == 1
    assert DATE not in event.clip and event.clip.endswith(event.subject)


def test_folders_without_a_date(tmp_path: Path, names: Pseudonyms) -> None:
    made = make(tmp_path / "copy", subjects=1, clips=1, quirks=False, pseudonym=names.of)
    (folder,) = (tmp_path / "copy" / "data").iterdir()
    folder = folder.rename(folder.with_name(NAMES[0].title()))
    reading = read_corpus("mmme", tmp_path / "copy")
    check(reading, made)
    assert len(reading.events[0].signals) == 8
    # With frames of another day, nothing says of which day the recordings are.
    (folder / "2023-07-19-11-05-19-038-498-146.tif").write_bytes(b"")
    (event,) = read_corpus("mmme", tmp_path / "copy").events
    assert event.signals == () and isinstance(event.frames, FrameFiles) and len(event.frames.paths) == 112
    (folder / "EEG").rename(folder / f"EEG_{DATE}")
    (event,) = read_corpus("mmme", tmp_path / "copy").events
    assert [source.name for source in event.signals] == ["eeg", "eog"]


def test_a_video_stands_in_for_frames(tmp_path: Path) -> None:
    import av

    make(tmp_path / "copy", subjects=1, clips=1, quirks=False, signals=False)
    for path in list((tmp_path / "copy" / "data").rglob("*.tif")):
        path.unlink()
    file = tmp_path / "copy" / "videos" / f"disgust_1_146_{NAMES[0]}_{DATE}.avi"
    file.parent.mkdir()
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mjpeg", rate=150)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuvj420p"
        picture = draw_face("disgust", 0.5, identity=1, color=True)
        for _ in range(130):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
        container.mux(stream.encode())
    (event,) = read_corpus("mmme", tmp_path / "copy").events
    assert isinstance(event.frames, VideoFile) and event.fps == 150 and 0 < event.onset < event.apex
    assert not has_a_name(repr(event))
    file.write_bytes(b"no video")
    reading = read_corpus("mmme", tmp_path / "copy")
    assert not reading.events and any("cannot be read" in finding.reason for finding in reading.findings)


def test_corrections_by_pseudonym(tmp_path: Path, names: Pseudonyms) -> None:
    make(tmp_path / "copy", subjects=1, clips=1, signals=False, pseudonym=names.of)
    before = read_corpus("mmme", tmp_path / "copy")
    (event,) = before.events
    header = ["corpus", "subject", "clip", "onset", "field", "value"]
    rows = [
        ["mmme", event.subject, event.clip, None, "label", "tense"],
        ["mmme", event.subject, event.clip, None, "apex", str(event.onset + 1)],
        ["mmme", NAMES[0], f"angry_1_146_{NAMES[0]}_{DATE}.avi", None, "label", "tense"],
        ["mmme", "someoneelse", "someoneelse/angry.avi", None, "label", "tense"],
    ]
    write_csv(tmp_path / "corrections.csv", [header, *rows])
    after = read_corpus("mmme", tmp_path / "copy", corrections=tmp_path / "corrections.csv")
    assert {found.label for found in after.events} == {"tense"}
    assert {found.apex for found in after.events} == {event.onset + 1}
    told = "\n".join(map(str, after.findings))
    assert not has_a_name(told) and "someoneelse" not in told and "not named by its pseudonym" in told


def test_labels_are_spelled_as_in_other_corpora(tmp_path: Path, names: Pseudonyms) -> None:
    made = make(tmp_path / "copy", subjects=2, clips=4, quirks=False, signals=False, size=16, pseudonym=names.of)
    reading = read_corpus("mmme", tmp_path / "copy")
    check(reading, made)
    assert set(reading.labels()) == set(make_mmme.LABELS)


def test_a_name_in_a_wrong_cell_is_not_read(tmp_path: Path) -> None:
    import openpyxl

    make(tmp_path / "copy", subjects=1, clips=4, quirks=False, signals=False, size=16)
    sheet = (tmp_path / "copy" / make_mmme.SHEET).rename(tmp_path / "copy" / f"coding_file_{NAMES[0]}.xlsx")
    book = openpyxl.load_workbook(sheet)
    table = book.active
    aus = make_mmme.HEADER.index("Action Units") + 1
    table.cell(2, aus).value = f"AU4, {NAMES[0]}"
    table.cell(3, aus).value = f"AU4! {NAMES[0]}"
    table.cell(4, 2).value = f"{NAMES[0]}_1_112_{NAMES[0]}_{DATE}.avi"
    book.save(sheet)
    reading = read_corpus("mmme", tmp_path / "copy")
    assert sorted(event.au_text or "" for event in reading.events) == ["4", "?", "AU1, AU2, AU10, AU20"]
    assert not has_a_name(repr(reading)) and "is not of the form" in repr(reading.findings)


@pytest.mark.parametrize(
    "column", ["Marker", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion", "Macro/Micro"]
)
@pytest.mark.parametrize("words", ["coder Yolanda", "Yolanda", "4+Yolanda", "4! Yolanda", 'Yolanda\'s, "7"'])
def test_no_cell_is_quoted(tmp_path: Path, column: str, words: str) -> None:
    """A coder's name, or a participant's that is misspelled, is in no list of names that could be left out."""
    import openpyxl

    make(tmp_path / "copy", subjects=1, clips=1, quirks=False, signals=False, size=16)
    book = openpyxl.load_workbook(tmp_path / "copy" / make_mmme.SHEET)
    book.active.cell(2, make_mmme.HEADER.index(column) + 1).value = words
    book.save(tmp_path / "copy" / make_mmme.SHEET)
    header = ["corpus", "subject", "clip", "onset", "field", "value"]
    names = Pseudonyms.open()
    subject = names.of(NAMES[0])
    rows = [["mmme", subject, f"disgust_1_146_{subject}", None, "label", "tense"]]
    write_csv(tmp_path / "corrections.csv", [header, *rows])
    for corrections in (None, tmp_path / "corrections.csv"):
        reading = read_corpus("mmme", tmp_path / "copy", corrections=corrections)
        assert "yolanda" not in repr(reading).casefold()
        reported = [finding for finding in reading.findings if "line 2" in finding.where]
        assert reported or column == "Action Units" or (corrections and column == "Estimated Emotion")


@pytest.mark.parametrize("kinds", [True, False])
def test_no_name_anywhere(
    tmp_path: Path, kinds: bool, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "copy", subjects=6, clips=1, kinds=kinds)
    with caplog.at_level(logging.DEBUG):
        reading = read_corpus("mmme", tmp_path / "copy")
        texts = [repr(reading), *map(str, reading.findings), *(f"{row}" for row in reading.compared())]
        for event in reading.events:
            texts += [str(event), repr(event.frames), *map(repr, event.signals)]
            for source in event.signals:
                texts.append(repr(source.read(event.onset, event.offset).channels))
            _damage(tmp_path / "copy")
            texts += [_failure(source) for source in pickle.loads(pickle.dumps(event.signals))]
            _repair(tmp_path / "copy")
    out, err = capfd.readouterr()
    own = [record.getMessage() for record in caplog.records if not record.name.startswith("PIL")]
    for text in (*texts, out, err, *own):
        assert not has_a_name(text), text
    assert len(reading.events) == 6 and reading.findings


def _failure(source: SignalSource) -> str:
    """What is printed when a recording cannot be read."""
    try:
        source.read(0, 1)
    except ValueError as error:
        return "".join(traceback.format_exception(error))
    raise AssertionError("did not fail")


def _damage(root: Path) -> None:
    for pattern in ("*.mat", "*.cdt.dpa"):
        for path in root.rglob(pattern):
            path.rename(path.with_name(path.name + ".kept"))


def _repair(root: Path) -> None:
    for path in list(root.rglob("*.kept")):
        path.rename(path.with_suffix(""))


@given(
    person=st.one_of(
        st.text(st.characters(categories=("L", "Zs", "Pd")), min_size=2, max_size=12).filter(plain_name),
        st.sampled_from(["bo", "Ana-Lucía de la Cruz", "张三", "O'Neil", "a+b", "Straße", "İpek"]),
    ),
    before=st.sampled_from(["", " ", "_", "'", "7"]),
    after=st.sampled_from(["", " ", "_20230718", "'", ".avi"]),
)
def test_texts_lose_any_name(person: str, before: str, after: str) -> None:
    names = Pseudonyms(bytes(32))
    for spelling in (person, person.upper(), plain_name(person)):
        if spelling.casefold() not in (person.casefold(), plain_name(person)):
            continue  # a letter that no other case leads back to
        text = f"label '{before}{spelling}{after}' is none of 1, 2"
        clean = _cleaner({person, "somebodyelse"}, names)(text)
        told = clean.casefold().replace(names.of(person), "")
        assert not re.search(rf"(?<![a-z]){re.escape(person.casefold())}(?![a-z])", told), (text, clean)


def test_events_can_be_sent_to_a_process(tmp_path: Path) -> None:
    make(tmp_path / "copy", subjects=1, clips=1, quirks=False)
    (event,) = read_corpus("mmme", tmp_path / "copy").events
    again = pickle.loads(pickle.dumps(event))
    assert isinstance(event.frames, FrameFiles) and isinstance(again.frames, FrameFiles)
    assert dict(again.frames.paths) == dict(event.frames.paths)
    for name, mine in zip(event.signals, again.signals, strict=True):
        np.testing.assert_array_equal(name.read(0, 5).values, mine.read(0, 5).values)


def test_a_folder_that_cannot_be_read_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "copy", subjects=1, clips=1, quirks=False, signals=False, size=16)
    real = os.scandir

    def scandir(path: str | Path) -> Iterator[os.DirEntry[str]]:
        if has_a_name(str(path)):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(PermissionError) as caught:
        read_corpus("mmme", tmp_path / "copy")
    assert not has_a_name("".join(traceback.format_exception(caught.value)))


def test_a_sheet_of_another_form_is_refused_without_its_cells(tmp_path: Path) -> None:
    write_csv(tmp_path / "coding_file.csv", [["Subject", "File"], [NAMES[0], "x"]])
    with pytest.raises(SheetError) as caught:
        read_corpus("mmme", tmp_path)
    assert not has_a_name(str(caught.value))
