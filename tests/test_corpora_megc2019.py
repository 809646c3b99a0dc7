"""The official composite is found whole in copies of its three corpora: names meet, however a release pads them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import SHARED
from corpora import make_casme2, make_samm
from corpora.stand_in import Cell, write_xlsx

from equime_loader.corpora import read_corpus
from equime_loader.corpora.classes import class_of

KEYS = SHARED / "data" / "protocols" / "megc2019_combined_3class_gt.csv"
LABELS = {"casme2": ("repression", "happiness", "surprise"), "samm": ("Anger", "Happiness", "Surprise")}
FIRST, LAST = 40, 49


@pytest.fixture(scope="module")
def keys() -> dict[str, list[list[str]]]:
    if not KEYS.is_file():
        pytest.skip(f"no official key list at {KEYS}")
    with open(KEYS, newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    return {corpus: [row for row in rows if row[0] == corpus] for corpus in ("casme2", "samm", "smic")}


def _write_frames(folder: Path, name: str) -> None:
    folder.mkdir(parents=True)
    for number in range(FIRST, LAST + 1):
        (folder / name.format(number)).write_bytes(b"")  # adapters decode none


def _row(subject: str, clip: str, label: str, header: Sequence[str | None]) -> list[Cell]:
    cells: dict[str | None, Cell] = {
        "Subject": subject,
        "Filename": clip,
        "Estimated Emotion": label,
        "Action Units": "4",
    }
    for name in header:
        if name in ("OnsetFrame", "Onset Frame"):
            cells[name] = FIRST
        elif name in ("ApexFrame", "Apex Frame"):
            cells[name] = FIRST + 4
        elif name in ("OffsetFrame", "Offset Frame"):
            cells[name] = LAST
    return [cells.get(name) for name in header]


def _copy(root: Path, corpus: str, rows: Sequence[Sequence[str]]) -> str:
    """A copy with the clips of the key list, named as the corpus names them; gives the adapter's name."""
    if corpus == "smic":  # the release of folders, whose subjects and clips are not padded
        for _, subject, clip, label in rows:
            plain, emotion = f"s{int(subject[1:])}", ("negative", "positive", "surprise")[int(label)]
            folder = root / "SMIC_all_raw" / "HS" / plain / "micro" / emotion / clip.replace(subject, plain)
            _write_frames(folder, "image{:08d}.bmp")
        return "smic_hs"
    header = make_casme2.HEADER if corpus == "casme2" else make_samm.HEADER
    table: list[Sequence[Cell]] = [header]
    for _, subject, clip, label in rows:
        folder = root / "frames" / (subject if corpus == "casme2" else f"{int(subject):03d}") / clip
        _write_frames(folder, "img{}.jpg" if corpus == "casme2" else "x_{:05d}.jpg")
        table.append(_row(subject.removeprefix("sub"), clip, LABELS[corpus][int(label)], header))
    sheet = make_casme2.VERSIONS[0] if corpus == "casme2" else "SAMM_Micro_FACS_Codes_v2.xlsx"
    write_xlsx(root / sheet, {"Sheet1": table})
    return corpus


@pytest.mark.parametrize("corpus", ["casme2", "samm", "smic"])
def test_every_key_of_the_official_list_is_read(tmp_path: Path, keys: dict[str, list[list[str]]], corpus: str) -> None:
    protocol = pytest.importorskip("training.protocols.megc2019")
    name = _copy(tmp_path, corpus, keys[corpus])
    reading = read_corpus(name, tmp_path)
    assert not reading.findings
    found = {
        protocol.place_of(corpus, event.subject, event.clip): class_of(
            event.label or "", corpus=event.corpus, kind="three"
        )
        for event in reading.events
    }
    classes = ("negative", "positive", "surprise")
    assert found == {protocol.place_of(*row[:3]): classes[int(row[3])] for row in keys[corpus]}
