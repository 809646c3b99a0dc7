"""Windows: which frames a model sees, as laws over any event."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime_loader.windows import MAX_FRAMES, MAX_WINDOW, MOMENTS, Event, Window

RATES = (24.0, 25.0, 29.97, 30.0, 50.0, 100.0, 119.88, 200.0)


@st.composite
def events(draw: st.DrawFn) -> Event:
    frames = draw(st.integers(1, 400))
    onset, apex, offset = sorted(draw(st.lists(st.integers(0, frames - 1), min_size=3, max_size=3)))
    return Event(onset, apex, offset, frames, draw(st.sampled_from(RATES)))


MOMENT = st.sampled_from(MOMENTS)


@given(events(), MOMENT, st.integers(1, 300), st.data())
def test_a_window_in_frames_is_a_run_clamped_to_the_clip(
    event: Event, moment: str, frames: int, data: st.DataObject
) -> None:
    before = data.draw(st.one_of(st.none(), st.integers(0, frames)))
    indices, mask = Window.around(moment, frames, before=before).indices(event)
    first = getattr(event, moment) - (frames // 2 if before is None else before)
    run = np.arange(first, first + frames)
    assert indices.dtype == np.int64 and mask.dtype == np.bool_
    np.testing.assert_array_equal(indices, np.clip(run, 0, event.frames - 1))
    np.testing.assert_array_equal(mask, (run >= 0) & (run < event.frames))


@given(events(), MOMENT, st.integers(1, 40), st.data())
def test_the_moment_stands_where_it_was_asked_for(event: Event, moment: str, frames: int, data: st.DataObject) -> None:
    before = data.draw(st.integers(0, frames - 1))
    indices, mask = Window.around(moment, frames, before=before).indices(event)
    assert indices[before] == getattr(event, moment) and mask[before]


@given(events(), MOMENT, st.floats(1, 2000), st.floats(0, 1))
def test_milliseconds_are_frames_at_the_rate_of_the_clip(
    event: Event, moment: str, milliseconds: float, share: float
) -> None:
    window = Window.around_ms(moment, milliseconds, before=milliseconds * share)
    frames = max(1, round(milliseconds * event.fps / 1000))
    before = round(milliseconds * share * event.fps / 1000)
    indices, mask = window.indices(event)
    first = getattr(event, moment) - before
    np.testing.assert_array_equal(indices, np.clip(np.arange(first, first + frames), 0, event.frames - 1))
    assert len(mask) == frames


@pytest.mark.parametrize(("fps", "frames"), [(25, 4), (50, 8), (100, 16), (200, 32)])
def test_160_ms_by_rate(fps: float, frames: int) -> None:
    indices, mask = Window.around_ms("apex", 160).indices(Event(20, 40, 60, 100, fps))
    assert indices.tolist() == list(range(40 - frames // 2, 40 + frames // 2)) and mask.all()


@given(events(), MOMENT, st.floats(20, 2000), st.integers(1, 64))
def test_a_number_of_frames_covers_the_milliseconds_evenly(
    event: Event, moment: str, milliseconds: float, frames: int
) -> None:
    window = Window.around_ms(moment, milliseconds, frames=frames)
    far = Event(5000, 5000, 5000, 20_000, event.fps)
    indices, mask = window.indices(far)
    assert len(indices) == frames and mask.all()
    count = max(1, round(milliseconds * event.fps / 1000))
    start = 5000 - round(milliseconds / 2 * event.fps / 1000)
    assert indices[0] >= start and indices[-1] < start + count
    steps = np.diff(indices)
    assert not len(steps) or steps.max() - steps.min() <= 1
    # Each of the equal parts is shown by a frame of its own, off by no more than half a frame from its middle.
    middles = start + (np.arange(frames) + 0.5) * count / frames
    assert np.abs(indices + 0.5 - middles).max() <= 0.5 + 1e-9


@given(events(), st.integers(2, 64))
def test_a_spread_goes_from_onset_to_offset(event: Event, frames: int) -> None:
    indices, mask = Window.spread(frames).indices(event)
    assert len(indices) == frames and mask.all()
    assert indices[0] == event.onset and indices[-1] == event.offset
    assert (np.diff(indices) >= 0).all() and np.ptp(np.diff(indices)) <= 1


@given(events())
def test_one_frame_of_the_event_is_its_apex(event: Event) -> None:
    indices, mask = Window.spread(1).indices(event)
    assert indices.tolist() == [event.apex] and mask.tolist() == [True]


@given(events())
def test_the_whole_clip(event: Event) -> None:
    indices, mask = Window.whole().indices(event)
    np.testing.assert_array_equal(indices, np.arange(event.frames))
    assert mask.all()


@given(events(), st.sampled_from([Window.around(), Window.around_ms(), Window.spread(9), Window.whole()]))
def test_no_index_lies_outside_and_the_mask_says_where_the_clip_ends(event: Event, window: Window) -> None:
    indices, mask = window.indices(event)
    assert ((indices >= 0) & (indices < event.frames)).all() and (np.diff(indices) >= 0).all()
    # Padding repeats an end of the clip, and only at the ends of the window.
    assert set(indices[~mask].tolist()) <= {0, event.frames - 1}
    assert np.abs(np.diff(np.concatenate([[0], mask, [0]]).astype(int))).sum() <= 2


@given(st.floats(0.01, 1e6), st.floats(0.001, 9e6))
@settings(max_examples=50)
def test_any_rate_gives_a_window_or_says_why_not(fps: float, milliseconds: float) -> None:
    event, window = Event(0, 1, 2, 3, fps), Window.around_ms("apex", milliseconds)
    if round(milliseconds * fps / 1000) > MAX_WINDOW:
        with pytest.raises(ValueError, match=rf"are \d+ frames at .* fps; at most {MAX_WINDOW}$"):
            window.indices(event)
    else:
        assert 1 <= len(window.indices(event)[0]) <= MAX_WINDOW


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Window.around("peak"), r"moment='peak' must be one of onset, apex, offset"),
        (lambda: Window.around(frames=0), r"frames=0 must lie within 1\.\.10000"),
        (lambda: Window.around(frames=10_001), r"frames=10001 must lie within 1\.\.10000"),
        (lambda: Window.around(frames=4, before=5), r"before=5 must lie within 0\.\.4, the frames of the window"),
        (lambda: Window.around(frames=4, before=-1), r"before=-1 must lie within 0\.\.4"),
        (lambda: Window.around(frames=4.5), r"frames=4\.5 must be a whole number"),
        (lambda: Window.around(frames=4, before=1.5), r"before=1\.5 must be a whole number"),
        (lambda: Window.around_ms("peak"), r"moment='peak' must be one of"),
        (lambda: Window.around_ms(milliseconds=0), r"milliseconds=0 must lie within 0\.\.10,000,000"),
        (lambda: Window.around_ms(milliseconds=float("nan")), r"milliseconds=nan must lie within"),
        (lambda: Window.around_ms(milliseconds=float("inf")), r"milliseconds=inf must lie within"),
        (lambda: Window.around_ms(milliseconds=80, before=81), r"before=81 must lie within 0\.\.80, the milliseconds"),
        (lambda: Window.around_ms(milliseconds=80, before=float("nan")), r"before=nan must lie within 0\.\.80"),
        (lambda: Window.around_ms(frames=0), r"frames=0 must lie within"),
        (lambda: Window.spread(0), r"frames=0 must lie within 1\.\.10000"),
    ],
)
def test_what_cannot_be_a_window_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    "numbers",
    [
        (-1, 2, 3, 10), (3, 2, 4, 10), (1, 5, 4, 10), (1, 2, 10, 10), (0, 0, 0, 0), (1, 2, 2**62, 2**62 + 1),
        (0, 0, 0, MAX_FRAMES + 1), (-(2**62), 1, 2, 3),
    ],
)  # fmt: skip
def test_an_event_outside_its_clip_is_refused(numbers: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"must satisfy 0 <= onset <= apex <= offset < frames <= 1000000"):
        Event(*numbers, 100.0)


@pytest.mark.parametrize("fps", [float("nan"), float("inf"), 0.0, -25.0, 2e6])
def test_a_rate_that_is_none_is_refused(fps: float) -> None:
    with pytest.raises(ValueError, match=r"fps must lie within 0\.\.1000000"):
        Event(1, 2, 3, 10, fps)


@pytest.mark.parametrize(
    ("window", "told"),
    [
        (Window.around("onset", 8, before=2), "8 frames around onset, 2 before"),
        (Window.around_ms("apex", 160), "160 ms around apex, 80 before"),
        (Window.around_ms("apex", 160, frames=5), "160 ms around apex, 80 before as 5 frames"),
        (Window.spread(7), "7 frames from onset to offset"),
        (Window.whole(), "whole clip"),
    ],
)
def test_windows_are_values_that_say_what_they_are(window: Window, told: str) -> None:
    assert str(window) == told
    copy = pickle.loads(pickle.dumps(window))
    assert copy == window and hash(copy) == hash(window)
