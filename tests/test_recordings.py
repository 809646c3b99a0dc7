"""Recordings of signals: what is read of each device's file, and which part lies beside which frames."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
from corpora.make_signals import EEG, RATE, make_biopac, make_curry, make_text, value
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from equime_loader.corpora.recordings import Shelf, TrialSource, open_biopac, open_curry, open_text

SECRET = "nadiaquill"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is named after a participant."""
    folder = tmp_path / f"{SECRET}_20230718"
    folder.mkdir()
    return folder


def test_neuroscan_values_names_and_markers(folder: Path) -> None:
    make_curry(folder / "Acquisition 01.cdt", samples=3000, triggers=[(500, 146), (1700, 107)])
    device = open_curry(folder / "Acquisition 01.cdt")
    assert device.triggers == ((500, 146), (1700, 107))
    assert set(device.recordings) == {"eeg", "eog"}
    eeg = device.recordings["eeg"]
    assert eeg.channels == EEG and eeg.rate_hz == RATE and eeg.samples == 3000 and eeg.unit == "µV"
    found = eeg.part(100, 220)
    expected = np.stack([value(channel, np.arange(100, 220)) for channel in range(len(EEG))], axis=1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(device.recordings["eog"].part(0, 1)[0], [400.0, 500.0], rtol=1e-6)


def test_a_reader_leaves_logging_as_it_was(folder: Path) -> None:
    make_curry(folder / "a.cdt", samples=100, triggers=[])
    root = logging.getLogger()
    before = root.handlers[:], root.level, root.manager.disable
    root.handlers[:] = []
    open_curry(folder / "a.cdt")
    assert not root.handlers
    root.handlers[:] = before[0]
    assert (root.handlers, root.level, root.manager.disable) == before


def test_a_cut_off_recording_is_read_as_far_as_it_goes_or_refused(folder: Path) -> None:
    make_curry(folder / "a.cdt", samples=100, triggers=[])
    data = (folder / "a.cdt").read_bytes()
    for length in (0, 1, 100, len(data) // 2):
        (folder / "a.cdt").write_bytes(data[:length])
        with pytest.raises(ValueError, match="cannot be read"):
            open_curry(folder / "a.cdt")


def test_biopac_values_names_units_and_markers(folder: Path) -> None:
    make_biopac(folder / "Untitled1 (001).mat", samples=900, triggers=[(100, 146), (500, 101)])
    device = open_biopac(folder / "Untitled1 (001).mat")
    assert [code for code in device.triggers if code[1]] == [(100, 146), (500, 101)]
    assert set(device.recordings) == {"ppg", "rsp", "skt", "eda", "ecg", "emg"}
    assert device.recordings["skt"].channels == ("SKT A", "SKT B") and device.recordings["skt"].unit == "Deg C"
    assert device.recordings["eda"].unit == "microsiemens"
    np.testing.assert_array_equal(
        device.recordings["skt"].part(3, 5), np.stack([value(3, np.r_[3, 4]), value(7, np.r_[3, 4])], 1)
    )


def test_text_and_the_first_of_its_markers(tmp_path: Path) -> None:
    make_text(tmp_path / "1.txt", samples=400, marker=90)
    device = open_text(tmp_path / "1.txt", columns={"ppg": 1, "eda": 4}, marker=5, rate_hz=200)
    assert device.triggers == ((90, 5),) and device.trial(5) == 0.45
    assert device.recordings["eda"].channels == ("EDA",) and device.recordings["eda"].samples == 400
    np.testing.assert_array_equal(device.recordings["eda"].part(0, 400)[:, 0], value(4, np.arange(400)))


@pytest.mark.parametrize("text", ["", "words only\n", "1 2 3\n3 4\n", "1 2 3\n3 x\n", "1 2\n3 4\n"])
def test_a_text_that_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(ValueError, match="text recording"):
        open_text(tmp_path / "a.txt", columns={"ppg": 1}, marker=2, rate_hz=200)


def test_damaged_files_are_refused_without_naming_them(folder: Path) -> None:
    curry, biopac = folder / f"{SECRET}.cdt", folder / f"{SECRET}.mat"
    make_curry(curry, samples=100, triggers=[])
    biopac.write_bytes(b"MATLAB" + bytes(300))
    cases = [(open_biopac, biopac), (open_curry, folder / f"{SECRET}2.cdt")]
    Path(f"{curry}.dpa").unlink()
    cases.append((open_curry, curry))
    for opener, path in cases:
        with pytest.raises(ValueError, match="cannot be read") as caught:
            opener(path)
        assert SECRET not in str(caught.value) and caught.value.__cause__ is None and caught.value.__suppress_context__


def test_a_recording_whose_labels_do_not_fit_is_refused(tmp_path: Path) -> None:
    content = {
        "data": np.zeros((5, 2)),
        "isi": 1.0,
        "isi_units": "ms",
        "labels": ["PPG", "RSP", "EDA"],
        "units": ["V"] * 3,
    }
    savemat(tmp_path / "a.mat", content)
    with pytest.raises(ValueError, match="3 labels"):
        open_biopac(tmp_path / "a.mat")


def _source(path: Path, name: str = "eda", *, marker: int | None = 146, fps: float = 100.0) -> TrialSource:
    return TrialSource(name, (path,), open_biopac, Shelf(), lambda frame: frame / 100, fps, marker)


@given(first=st.integers(0, 60), frames=st.integers(1, 30))
def test_the_part_beside_frames(first: int, frames: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "aligned.mat"
    if not path.exists():
        make_biopac(path, samples=9000, triggers=[(1700, 146)])
    signal = _source(path).read(first, first + frames - 1)
    # The trial began at 1.7 s; a frame lasts 10 ms; the part reaches from 1 s before to 4 s after.
    begin = 1700 + 10 * first
    assert signal.start_ms == pytest.approx(-1000)
    np.testing.assert_array_equal(signal.values[:, 0], value(4, np.arange(begin - 1000, begin + 10 * frames + 4000)))


def test_the_part_ends_where_the_recording_does(tmp_path: Path) -> None:
    make_biopac(tmp_path / "a.mat", samples=2000, triggers=[(500, 146)])
    signal = _source(tmp_path / "a.mat").read(20, 29)
    assert signal.start_ms == pytest.approx(-700) and len(signal.values) == 2000
    with pytest.raises(ValueError, match=r"lasts 2\.000 s, the frames lie at 1\.900\.\.2\.010 s"):
        _source(tmp_path / "a.mat").read(140, 150)


def test_a_marker_must_stand_once(tmp_path: Path) -> None:
    make_biopac(tmp_path / "a.mat", samples=2000, triggers=[(500, 146), (900, 146), (1200, 107)])
    for marker, times in ((146, 2), (112, 0)):
        with pytest.raises(ValueError, match=f"eda: marker {marker} stands {times} times"):
            _source(tmp_path / "a.mat", marker=marker).read(0, 1)
    with pytest.raises(ValueError, match="eeg: the recording has ppg"):
        _source(tmp_path / "a.mat", "eeg", marker=107).read(0, 1)


def test_of_several_recordings_the_one_that_has_the_trial(tmp_path: Path) -> None:
    make_biopac(tmp_path / "a.mat", samples=900, triggers=[(500, 107)])
    make_biopac(tmp_path / "b.mat", samples=900, triggers=[(300, 146)])
    files = (tmp_path / "a.mat", tmp_path / "b.mat")
    signal = TrialSource("eda", files, open_biopac, Shelf(), float, 100.0, 146).read(0, 0)
    assert signal.start_ms == -300


def test_a_recording_that_begins_with_its_trial_needs_no_marker(tmp_path: Path) -> None:
    make_biopac(tmp_path / "a.mat", samples=2000, triggers=[])
    signal = _source(tmp_path / "a.mat", marker=None).read(0, 9)
    assert signal.start_ms == 0 and signal.values[0, 0] == value(4, 0)


def test_a_source_names_no_file_and_can_be_sent_to_a_process(folder: Path) -> None:
    make_biopac(folder / "a.mat", samples=2000, triggers=[(500, 146)])
    source = TrialSource("eda", (folder / "a.mat",), open_biopac, Shelf(), float, 100.0, 146)
    assert SECRET not in repr(source)
    source.read(0, 0)
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again.read(0, 0).values, source.read(0, 0).values)


def test_the_last_device_is_kept(tmp_path: Path) -> None:
    opened = []

    def opener(path: Path) -> object:
        opened.append(path.name)
        return object()

    shelf = Shelf()
    for name in "aabbba":
        shelf.open(tmp_path / name, opener)  # type: ignore[arg-type]
    assert opened == ["a", "b", "a"]
