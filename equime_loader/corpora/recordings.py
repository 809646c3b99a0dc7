"""Recordings of physiological signals: Neuroscan `.cdt`, BIOPAC `.mat`, and text, cut to the part beside a clip.

A `Device` is what one file holds: recordings of one clock, and the triggers that mark when trials began. A
`TrialSource` finds a trial by its trigger and cuts what lies beside some frames. No message names a file: in some
corpora files are named after participants.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equime_loader.corpora.events import Signal

MAX_TEXT_BYTES = 2**28
MAX_HEADER_LINES = 50
# Skin conductance answers 1-4 s after its cause (Boucsein 2012), so that the part beside an event reaches beyond it.
BEFORE_S, AFTER_S = 1.0, 4.0
MICROVOLTS = "µV"

# Neuroscan: which channels make up a recording, besides those of the type EEG.
_EYE_CHANNELS = ("HEO", "VEO")
# AcqKnowledge: labels such as `PPG, X, PPGED-R` and `Digital (STP Input 0)`.
_PHYSIOLOGY = re.compile(r"(?P<name>PPG|RSP|SKT|EDA|ECG|EMG)(?: (?P<part>[A-Z]))?(?:,|$)")
_DIGITAL = re.compile(r"Digital \(STP Input (?P<line>[0-9]+)\)")
_HIGH_VOLTS = 2.5  # of a 5 V logic line
_SECONDS = {"ms": 1e-3, "s": 1.0, "sec": 1.0, "seconds": 1.0, "milliseconds": 1e-3}

Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A signal from the beginning of a recording to its end.

    Attributes:
        name: lower case: `eeg`, `ppg`, … samples: how many there are. rate_hz: of them per second.
        part: gives samples `first` to `last`, the latter not included, as (samples, channels) float32.
    """

    name: str
    channels: tuple[str, ...]
    unit: str
    rate_hz: float
    samples: int
    part: Callable[[int, int], Values] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Device:
    """What one device recorded.

    Attributes:
        recordings: by name. triggers: (sample, code) of each marker that arrived. rate_hz: of the samples.
    """

    recordings: Mapping[str, Recording]
    triggers: tuple[tuple[int, int], ...]
    rate_hz: float

    def trial(self, marker: int) -> float:
        """When the trial with this marker began, in seconds after the recording's beginning.

        Raises:
            ValueError: the marker did not arrive, or more than once.
        """
        found = [sample for sample, code in self.triggers if code == marker]
        if len(found) != 1:
            raise ValueError(f"marker {marker} stands {len(found)} times in the recording, expected once")
        return found[0] / self.rate_hz


def open_curry(path: Path) -> Device:
    """A Neuroscan recording: `eeg`, and `eog` of the channels beside the eyes, in µV; markers from its event file.

    Values are read when they are asked for.

    Raises:
        ValueError: no such recording, one that is damaged, or mne is not installed.
    """
    try:
        import mne
    except ModuleNotFoundError:
        raise ValueError(".cdt recordings need mne; pip install 'equime[corpora]'") from None

    with _quiet():
        try:
            raw = mne.io.read_raw_curry(path, preload=False, verbose="CRITICAL")
        except Exception as error:
            raise ValueError(f"the .cdt recording cannot be read ({type(error).__name__})") from None
    kinds = raw.get_channel_types()
    groups = {
        "eeg": [place for place, kind in enumerate(kinds) if kind == "eeg"],
        "eog": [raw.ch_names.index(name) for name in _EYE_CHANNELS if name in raw.ch_names],
    }
    rate, samples = float(raw.info["sfreq"]), int(raw.n_times)

    def recording(name: str, places: list[int]) -> Recording:
        def part(first: int, last: int) -> Values:
            return np.asarray(raw.get_data(places, first, last, verbose="CRITICAL").T * 1e6, np.float32)

        return Recording(name, tuple(raw.ch_names[place] for place in places), MICROVOLTS, rate, samples, part)

    codes = ((round(mark["onset"] * rate), re.search(r"[0-9]+$", mark["description"])) for mark in raw.annotations)
    triggers = tuple((sample, int(code.group())) for sample, code in codes if code)
    return Device({name: recording(name, places) for name, places in groups.items() if places}, triggers, rate)


@contextmanager
def _quiet() -> Iterator[None]:
    """No warning, which would name the file, and no log of a reader that sets up logging for everybody."""
    root = logging.getLogger()
    handlers, level, disabled = root.handlers[:], root.level, root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.handlers[:] = handlers
        root.setLevel(level)


def open_biopac(path: Path) -> Device:
    """A BIOPAC recording as AcqKnowledge exports it: `ppg`, `rsp`, `skt`, `eda`, `ecg`, `emg`, two channels where A and
    B were recorded. A marker is the code on the eight digital lines, line 0 its lowest bit, where it changes.

    Raises:
        ValueError: no such export, or one that is damaged.
    """
    from scipy.io import loadmat

    try:
        file = loadmat(path, variable_names=("data", "isi", "isi_units", "labels", "units"))
        data = np.asarray(file["data"])
        labels = [str(label).strip() for label in file["labels"]]
        units = [str(unit).strip() for unit in file["units"]]
        rate = 1 / (float(np.squeeze(file["isi"])) * _SECONDS[str(np.squeeze(file["isi_units"])).strip()])
    except Exception as error:
        raise ValueError(f"the .mat recording cannot be read ({type(error).__name__})") from None
    if data.ndim != 2 or not data.shape[1] == len(labels) == len(units) or not np.issubdtype(data.dtype, np.number):
        raise ValueError(f"the .mat recording has data of shape {data.shape}, {len(labels)} labels, {len(units)} units")
    recordings: dict[str, Recording] = {}
    found = [(place, match) for place, label in enumerate(labels) if (match := _PHYSIOLOGY.match(label))]
    for name in dict.fromkeys(match["name"].lower() for _, match in found):
        own = [(place, match["part"] or "") for place, match in found if match["name"].lower() == name]
        channels = tuple(f"{name.upper()} {part}".strip() for _, part in own)
        values = data[:, [place for place, _ in own]].astype(np.float32)
        recordings[name] = _held(name, channels, units[own[0][0]], rate, values)
    return Device(recordings, _digital(data, labels), rate)


def open_text(path: Path, *, columns: Mapping[str, int], marker: int, rate_hz: float) -> Device:
    """A recording as a table of numbers, one line per sample, lines of text above them passed over.

    Args:
        columns: the column of each recording, from 0. marker: the column of codes; only where one comes first counts.

    Raises:
        ValueError: a file of more than 256 MiB, without numbers, whose lines differ in length, or with fewer columns.
    """
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise ValueError(f"the text recording has {path.stat().st_size} bytes, at most {MAX_TEXT_BYTES} are read")
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    begin = next((place for place, line in enumerate(lines[:MAX_HEADER_LINES]) if _numbers(line)), None)
    if begin is None:
        raise ValueError(f"the text recording has no numbers in its first {MAX_HEADER_LINES} lines")
    rows = [_numbers(line) for line in lines[begin:] if line.strip()]
    width, needed = len(rows[0]), max(marker, *columns.values()) + 1
    if any(len(row) != width for row in rows) or width < needed:
        raise ValueError(f"the text recording has lines of {width} numbers and of others; {needed} columns are needed")
    values = np.array(rows, np.float32)
    codes, firsts = np.unique(values[:, marker], return_index=True)
    triggers = tuple((int(first), int(code)) for code, first in zip(codes, firsts, strict=True) if code > 0)
    recordings = {
        name: _held(name, (name.upper(),), "", rate_hz, np.ascontiguousarray(values[:, [column]]))
        for name, column in columns.items()
    }
    return Device(recordings, triggers, rate_hz)


def _numbers(line: str) -> list[float]:
    """The numbers of a line, none where it holds anything else."""
    try:
        return [float(word) for word in re.split(r"[\s,;]+", line.strip()) if word]
    except ValueError:
        return []


def _held(name: str, channels: tuple[str, ...], unit: str, rate: float, values: Values) -> Recording:
    return Recording(name, channels, unit, rate, len(values), lambda first, last: values[first:last])


def _digital(data: NDArray[Any], labels: Sequence[str]) -> tuple[tuple[int, int], ...]:
    code: NDArray[np.int64] = np.zeros(len(data), np.int64)
    for place, label in enumerate(labels):
        if match := _DIGITAL.fullmatch(label):
            code |= (data[:, place] > _HIGH_VOLTS).astype(np.int64) << int(match["line"])
    changes = np.flatnonzero(np.diff(code)) + 1
    return tuple((int(sample), int(code[sample])) for sample in changes)


class Shelf:
    """Opens devices and keeps the one that was opened last: the clips of a session come one after the other."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: tuple[Path, Device] | None = None

    def open(self, path: Path, opener: Callable[[Path], Device]) -> Device:
        """The device of a file, by `opener` where it is not the one that is kept."""
        with self._lock:
            if self._kept is None or self._kept[0] != path:
                self._kept = None  # before the next one takes as much memory
                self._kept = (path, opener(path))
            return self._kept[1]

    def __reduce__(self) -> tuple[type[Shelf], tuple[()]]:
        return Shelf, ()


@dataclass(frozen=True, slots=True, eq=False)
class TrialSource:
    """The part of a recording beside frames of a trial: a `SignalSource`.

    Attributes:
        name: of the recording. files, opener, shelf: how it is opened; of several files the one that has the trial.
        seconds: time of a frame number after the trial's beginning. marker: of the trial; None where the recording
            begins with the trial.
        fps: frames per second, by which the last frame lasts.
    """

    name: str
    files: tuple[Path, ...] = field(repr=False)
    opener: Callable[[Path], Device] = field(repr=False)
    shelf: Shelf = field(repr=False)
    seconds: Callable[[int], float] = field(repr=False)
    fps: float
    marker: int | None = None

    def read(self, first: int, last: int) -> Signal:
        """See `SignalSource`: from 1 s before frame `first` to 4 s after frame `last`, as far as was recorded.

        Raises:
            ValueError: the recording cannot be read, lacks the trial or this signal, or does not cover the frames.
        """
        device, begin = self._trial()
        if self.name not in device.recordings:
            raise ValueError(f"{self.name}: the recording has {', '.join(device.recordings) or 'no signal'}")
        recording = device.recordings[self.name]
        rate = recording.rate_hz
        start, stop = begin + self.seconds(first), begin + self.seconds(last) + 1 / self.fps
        if round(start * rate) < 0 or round(stop * rate) > recording.samples:
            raise ValueError(
                f"{self.name}: the recording lasts {recording.samples / rate:.3f} s, the frames lie at "
                f"{start:.3f}..{stop:.3f} s"
            )
        low = max(0, round((start - BEFORE_S) * rate))
        high = min(recording.samples, round((stop + AFTER_S) * rate))
        start_ms = (low / rate - start) * 1000
        return Signal(self.name, recording.part(low, high), recording.channels, rate, start_ms, recording.unit)

    def _trial(self) -> tuple[Device, float]:
        """The device that recorded the trial, and when the trial began, in seconds after the recording did."""
        fault = ValueError("there is no recording")
        for file in self.files:
            try:
                device = self.shelf.open(file, self.opener)
                return device, 0.0 if self.marker is None else device.trial(self.marker)
            except ValueError as error:
                fault = error
        raise ValueError(f"{self.name}: {fault}") from None
