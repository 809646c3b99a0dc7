"""Recordings of signals as the devices write them, with known values, for stand-in corpora.

Every channel of a recording holds its own ramp: channel c at sample s is `value(c, s)`, so that a test can say what
must stand where.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 1000
EEG = ("FP1", "FPZ", "FP2", "AF3")
MISC = ("HEO", "VEO", "EKG", "EMG", "Trigger")
BIOPAC_LABELS = (
    "PPG, X, PPGED-R",
    "RSP, X, RSPEC-R",
    "EMG A, X, EMG2-R",
    "SKT A, X, SKT2-R",
    "EDA, X, PPGED-R",
    "ECG, X, RSPEC-R",
    "EMG B, X, EMG2-R",
    "SKT B, X, SKT2-R",
    *(f"Digital (STP Input {line})" for line in range(8)),
    "ECG rate (.5 - 35 Hz)",
)
_UNITS = ("Volts", "Volts", "mV", "Deg C", "microsiemens", "mV", "mV", "Deg C", *("Volts",) * 8, "BPM")
Triggers = Sequence[tuple[int, int]]


def value(channel: int, samples: NDArray[np.int64] | int) -> NDArray[np.float32]:
    """What a channel holds: exact in float32 for any recording of a test."""
    return np.asarray(channel * 100 + np.asarray(samples) / 1024, np.float32)


def make_curry(path: Path, *, samples: int, triggers: Triggers) -> None:
    """A Neuroscan recording at 1 kHz: `path` (.cdt), its parameters (.cdt.dpa) and its events (.cdt.ceo)."""
    channels = len(EEG) + len(MISC)
    data = np.stack([value(channel, np.arange(samples)) for channel in range(channels)], axis=1)
    path.write_bytes(data.astype("<f4").tobytes())
    groups = (("STANDARD", EEG, ""), ("OTHERS", MISC, "_OTHERS"))
    parts = [_PARAMETERS.format(samples=samples, channels=channels, amplifier="SynAmps2")]
    for group, names, suffix in groups:
        parts.append(
            f"DEVICE_PARAMETERS{suffix} START\n   GroupId = {group}\n   DataUnit = uV\n"
            f"   NumChanThisGroup = {len(names)}\nDEVICE_PARAMETERS{suffix} END\n"
        )
    for group, names, suffix in groups:
        parts.append(_list(f"LABELS{suffix}", names))
        if group == "STANDARD":
            parts.append(_list("SENSORS", [f"{10 * number} 0.0 90.0" for number in range(len(names))]))
    parts.append(_list("IMPEDANCE_VALUES", [" ".join(["-1"] * channels)]))
    Path(f"{path}.dpa").write_text("".join(parts))
    if not triggers:
        return
    numbers = [f"{sample} 0 {code} 0 {sample} {sample} 0 0 0 0 0" for sample, code in triggers]
    remarks = [" " for _ in triggers]
    Path(f"{path}.ceo").write_text(_list("NUMBER_LIST", numbers) + _list("REMARK_LIST", remarks))


def _list(name: str, lines: Sequence[str]) -> str:
    body = "".join(f"{line}\n" for line in lines)
    return f"{name} START\n{name} END\n{name} START_LIST\n{body}{name} END_LIST\n\n"


_PARAMETERS = """FileVersion = 805
DATA_PARAMETERS START
   NumSamples = {samples}
   NumChannels = {channels}
   NumTrials = 1
   SampleFreqHz = 1000.0
   TriggerOffsetUsec = 0
   DataFormat = FLOAT
   DataSampOrder = SAMP
   SampleTimeUsec = 1000
   StartYear = 2023
   StartMonth = 7
   StartDay = 18
   StartHour = 11
   StartMin = 5
   StartSec = 15
   StartMillisec = 716
   DataByteOrder = INTEL
   AmplifierInfo = {amplifier}
DATA_PARAMETERS END

"""


def make_biopac(path: Path, *, samples: int, triggers: Triggers, hold: int = 20) -> None:
    """An export of AcqKnowledge at 1 kHz; the code of a trigger stands on the digital lines for `hold` samples."""
    from scipy.io import savemat

    data = np.stack([value(channel, np.arange(samples)) for channel in range(len(BIOPAC_LABELS))], axis=1)
    data = data.astype(np.float64)
    data[:, 8:16] = 0.0
    for sample, code in triggers:
        for line in range(8):
            data[sample : sample + hold, 8 + line] = 5.0 * (code >> line & 1)
    content = {
        "data": data,
        "isi": 1000 / RATE,
        "isi_units": "ms",
        "labels": np.array(BIOPAC_LABELS),
        "units": np.array(_UNITS),
        "start_sample": 0.0,
    }
    savemat(path, content)


def make_text(path: Path, *, samples: int, marker: int, code: int = 5, rate: float = 200.0) -> None:
    """A table of time, four signals, and a marker that is `code` from sample `marker` for a while, and once later."""
    rows = np.stack(
        [np.arange(samples) / rate / 60, *(value(channel, np.arange(samples)) for channel in range(1, 5))], 1
    )
    codes = np.zeros(samples)
    codes[marker : marker + 3] = codes[samples - 2] = code
    lines = ["min\tCH1\tCH2\tCH3\tCH4\tCH14\tCH15"]
    lines += ["\t".join(f"{cell:.10g}" for cell in (*row, mark, 0.0)) for row, mark in zip(rows, codes, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
