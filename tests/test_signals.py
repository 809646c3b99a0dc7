"""Signals beside imported clips: the file form, and batches that have them at the right time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from indices import write_index

from equime_loader.corpora.events import Signal
from equime_loader.corpora.signals import Signals, cut, read_signals, signal_bytes, span_ms
from equime_loader.windows import Event, Window

EVENT = Event(onset=20, apex=30, offset=50, frames=80, fps=100)
WINDOWS = (Window.around("apex", 16), Window.around_ms("onset", 160, before=60), Window.spread(8), Window.whole())


def ramp(name: str, *, channels: int = 2, samples: int = 3000, rate: float = 1000, start: float = -1000) -> Signal:
    """A signal whose channel c at time t (ms) is 10000 c + t."""
    times = start + np.arange(samples) * 1000 / rate
    values = (np.arange(channels)[None] * 10_000 + times[:, None]).astype(np.float32)
    return Signal(name, values, tuple(f"{name.upper()} {c}" for c in range(channels)), rate, start, "mV")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    given = [ramp("ppg"), ramp("eda", channels=1, rate=200)]
    (tmp_path / "a.safetensors").write_bytes(signal_bytes(given))
    found = read_signals(tmp_path / "a.safetensors")
    assert list(found) == ["eda", "ppg"]
    for signal in given:
        np.testing.assert_array_equal(found[signal.name].values, signal.values)
        for name in ("channels", "rate_hz", "start_ms", "unit"):
            assert getattr(found[signal.name], name) == getattr(signal, name)
    assert signal_bytes(given[::-1]) == signal_bytes(given)


def test_a_file_needs_signals_each_of_its_own_name() -> None:
    for signals in ([], [ramp("ppg"), ramp("ppg")]):
        with pytest.raises(ValueError, match="each of its own name"):
            signal_bytes(signals)


@pytest.mark.parametrize("data", [b"", b"\xff" * 40, b"\x02\0\0\0\0\0\0\0{}"])
def test_a_damaged_file_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.safetensors").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.safetensors: holds no signals"):
        read_signals(tmp_path / "a.safetensors")


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_the_span_of_a_window_is_that_of_its_frames(window: Window) -> None:
    indices, inside = window.indices(EVENT)
    assert inside.all()
    assert span_ms(window, EVENT) == pytest.approx((indices[0] * 10, (indices[-1] + 1) * 10))


@given(
    start=st.floats(-3000, 5000),
    length=st.floats(1, 4000),
    rate=st.sampled_from([200.0, 1000.0]),
    channels=st.integers(1, 3),
)
def test_a_cut_holds_what_was_recorded_then(start: float, length: float, rate: float, channels: int) -> None:
    signal = ramp("ppg", channels=channels, samples=int(3 * rate), rate=rate)
    values, mask = cut(signal, start, start + length, None)
    assert values.shape == (max(1, round(length * rate / 1000)), channels) and values.dtype == np.float32
    times = start + np.arange(len(values)) * 1000 / rate
    assert (np.abs(values[mask, 0] - times[mask]) <= 500 / rate + 1e-2).all()
    assert not values[~mask].any()
    sure = (times > -1000 + 1000 / rate) & (times < 2000 - 2000 / rate)
    assert mask[sure].all()


def test_a_cut_of_a_number_of_samples_is_linear_between() -> None:
    values, mask = cut(ramp("ppg"), 0, 100, 7)
    np.testing.assert_allclose(values[:, 1], 10_000 + (np.arange(7) + 0.5) * 100 / 7, rtol=1e-6)
    assert mask.all()


def test_what_is_not_finite_was_not_recorded() -> None:
    signal = ramp("ppg")
    signal.values[1010, 1] = np.nan
    values, mask = cut(signal, 0, 20, None)
    assert mask.tolist() == [number != 10 for number in range(20)] and np.isfinite(values).all()
    values, mask = cut(Signal("x", np.zeros((0, 2), np.float32), ("a", "b"), 1.0, 0.0), 0, 3000, None)
    assert values.shape == (3, 2) and not mask.any()


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    """A dataset of three clips: two with signals, of 100 and 200 fps, and one without."""
    keys = ["fear_u_p1_000", "fear_u_p1_001", "fear_u_p2_000"]
    fps = np.array([100, 200, 100])
    columns = {"key": keys, "onset_frame": [20, 40, 20], "apex_frame": [30, 60, 30], "offset_frame": [50, 100, 50]}
    root = write_index(tmp_path / "mmme", columns | {"frames": [80, 160, 80], "fps": fps})
    (root / "signals").mkdir()
    events = {"key": [*keys, None], "signals": [["ppg", "eda"], ["ppg", "eda"], [], ["ppg"]]}
    pq.write_table(pa.table(events), root / "events.parquet")
    for key in keys[:2]:
        (root / "signals" / f"{key}.safetensors").write_bytes(
            signal_bytes([ramp("ppg"), ramp("eda", channels=1, rate=200)])
        )
    return root


def test_a_batch_gets_signals_at_the_time_of_its_window(imported: Path) -> None:
    signals = Signals.open(imported)
    assert signals.names == ("eda", "ppg") and signals.channels["ppg"] == ("PPG 0", "PPG 1")
    batch = {"key": ["fear_u_p2_000", "fear_u_p1_001", "fear_u_p1_000"], "video": None}
    given = signals.attach(batch, Window.around_ms("onset", 400, before=100))
    assert "ppg" not in batch and given["video"] is None
    assert given["ppg"].shape == (3, 2, 400) and given["eda"].shape == (3, 1, 80)
    assert given["ppg_mask"].sum(1).tolist() == [0, 400, 400] and not given["ppg"][0].any()
    # Onset lies at 200 ms in both clips, whatever their rate.
    for row in (1, 2):
        np.testing.assert_allclose(given["ppg"][row, 1], 10_000 + 100 + np.arange(400), rtol=1e-6)
        np.testing.assert_allclose(given["eda"][row, 0], 100 + 5 * np.arange(80), rtol=1e-6)


def test_a_sample_gets_signals_without_a_batch(imported: Path) -> None:
    signals = Signals.open(imported)
    one = signals.attach({"key": "fear_u_p1_001"}, Window.spread(8))
    many = signals.attach({"key": ["fear_u_p1_001"]}, Window.spread(8))
    for name in ("ppg", "ppg_mask", "eda", "eda_mask"):
        assert torch.equal(one[name], many[name][0])


def test_signals_reach_beyond_the_clip(imported: Path) -> None:
    given = Signals.open(imported).attach(
        {"key": ["fear_u_p1_000"]}, Window.around_ms("offset", 3000, before=1000), names=["ppg"], samples=30
    )
    assert given["ppg"].shape == (1, 2, 30) and "eda" not in given
    # The clip lasts 800 ms, what was recorded beside it ends at 2000 ms.
    assert given["ppg_mask"][0].tolist() == [-500 + 50 + 100 * number <= 1999 for number in range(30)]


def test_the_end_of_a_shorter_window_is_padded(imported: Path) -> None:
    given = Signals.open(imported).attach({"key": ["fear_u_p1_000", "fear_u_p1_001"]}, Window.around("apex", 20))
    assert given["ppg"].shape == (2, 2, 200)
    assert given["ppg_mask"].sum(1).tolist() == [200, 100] and not given["ppg"][1, :, 100:].any()


def test_joined_folders_have_their_names_before_the_keys(imported: Path, tmp_path: Path) -> None:
    other = write_index(tmp_path / "other", {"key": ["anger_u_s_000"], "frames": [2]})
    signals = Signals.open({"a": imported, "b": other})
    given = signals.attach({"key": ["b-anger_u_s_000", "a-fear_u_p1_000"]}, Window.whole(), names=["eda"])
    assert given["eda_mask"].any(1).tolist() == [False, True]
    with pytest.raises(KeyError, match="no clip 'c-x'"):
        signals.attach({"key": ["c-x"]}, Window.whole())


def test_a_clip_whose_channels_differ_counts_as_without(imported: Path) -> None:
    path = imported / "signals" / "fear_u_p1_001.safetensors"
    path.write_bytes(signal_bytes([ramp("ppg", channels=3), ramp("eda", channels=1)]))
    given = Signals.open(imported).attach({"key": ["fear_u_p1_000", "fear_u_p1_001"]}, Window.whole())
    assert given["ppg_mask"].any(1).tolist() == [True, False] and given["eda_mask"].any(1).tolist() == [True, True]


def test_a_file_that_went_missing_counts_as_without(imported: Path) -> None:
    (imported / "signals" / "fear_u_p1_001.safetensors").unlink()
    given = Signals.open(imported).attach({"key": ["fear_u_p1_000", "fear_u_p1_001"]}, Window.whole())
    assert given["ppg_mask"].any(1).tolist() == [True, False]


def test_bounds(imported: Path, tmp_path: Path) -> None:
    signals = Signals.open(imported)
    with pytest.raises(ValueError, match="no signal 'eeg'; there are eda, ppg"):
        signals.attach({"key": []}, Window.whole(), names=["eeg"])
    with pytest.raises(ValueError, match="samples=0"):
        signals.attach({"key": []}, Window.whole(), samples=0)
    assert signals.read("fear_u_p2_000") == {}
    (imported / "events.parquet").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"events\.parquet: cannot be read"):
        Signals.open(imported)
    with pytest.raises(ValueError, match="no signals in"):
        Signals.open(write_index(tmp_path / "other", {"key": ["anger_u_s_000"]}))
