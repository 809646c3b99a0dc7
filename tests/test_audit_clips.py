"""The audit on rendered, encoded clips: good ones are accepted, planted faults found; and `equime audit` on folders."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import small_request
from numpy.typing import NDArray
from PIL import Image
from planted import FAULTS, Actor, Take, actor, good, performed
from typer.testing import CliRunner

from equime_builder.audit.auditor import Auditor, open_auditor
from equime_builder.audit.cases import table_cases
from equime_builder.audit.claim import Claim
from equime_builder.audit.run import Bench, run
from equime_builder.audit.thresholds import Thresholds
from equime_builder.build import build
from equime_builder.cli import app
from equime_builder.profiles import Profile, load_profile
from equime_builder.scm import Activation, Program, sample_timing
from equime_builder.sources.drawn import ProceduralSource


@pytest.fixture(scope="module")
def auditor(face_model: Path) -> Iterator[Auditor]:
    with open_auditor(face_model, Thresholds()) as opened:
        yield opened


@pytest.fixture(scope="module")
def profile() -> Profile:
    return load_profile("micro", subjects=2, frames=96)


@pytest.fixture(scope="module")
def cast(profile: Profile) -> list[Actor]:
    source = ProceduralSource()
    return [actor(source.portrait(subject, profile.size)) for subject in source.survey(profile, 6).subjects]


@pytest.fixture(scope="module")
def take(cast: list[Actor], profile: Profile) -> Take:
    return good(cast[0], profile, "happiness", 11)


def test_good_clips_are_accepted_with_their_times(auditor: Auditor, cast: list[Actor], profile: Profile) -> None:
    errors = []
    for seed, emotion in enumerate(("happiness", "anger", "surprise", "fear")):
        take = good(cast[seed % 2], profile, emotion, seed)
        audit = auditor.judge(take.video, take.claim, take.portrait)
        assert audit.accepted, (emotion, audit.reasons)
        measured, timing = audit.measured, take.program.timing
        assert measured is not None
        assert measured.onset is not None
        assert measured.apex is not None
        assert measured.offset is not None
        errors.append((measured.onset - timing.onset, measured.apex - timing.apex, measured.offset - timing.offset))
    assert np.median(np.abs(errors), axis=0).max() <= 2


def test_same_bytes_same_verdict_whatever_was_judged_before(auditor: Auditor, take: Take, cast: list[Actor]) -> None:
    first = auditor.judge(take.video, take.claim, take.portrait)
    auditor.judge(take.video[: len(take.video) // 3], take.claim, cast[1].portrait)
    assert auditor.judge(take.video, take.claim, take.portrait) == first


def test_less_may_be_known(auditor: Auditor, take: Take) -> None:
    audit = auditor.judge(take.video, Claim(take.claim.aus), None)
    assert audit.accepted
    assert audit.measured is not None
    assert audit.measured.identity is None


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_found(name: str, auditor: Auditor, cast: list[Actor], profile: Profile) -> None:
    plant, word = FAULTS[name]
    take = plant(cast[0], cast[1], profile, "happiness", 4)
    audit = auditor.judge(take.video, take.claim, take.portrait)
    assert not audit.accepted
    assert any(word in reason for reason in audit.reasons), audit.reasons


def test_a_side_that_does_not_act_is_told_in_any_order(auditor: Auditor, cast: list[Actor], profile: Profile) -> None:
    timing = sample_timing(profile, 3)
    right, left = Activation(1, 1.6, "right"), Activation(1, 1.6, "left")
    video = performed(cast[0], profile, Program((right,), timing), 3)
    assert auditor.judge(video, Claim((right,))).accepted
    for sides in ((right, left), (left, right)):
        reasons = auditor.judge(video, Claim(sides)).reasons
        assert [reason.split(":")[0] for reason in reasons] == ["L1 (inner brow raiser) does not show"]


def test_a_clip_without_a_face_is_rejected(auditor: Auditor, take: Take, profile: Profile) -> None:
    from equime_builder.encode import encode

    gray = np.full((20, 384, 256), 128, np.uint8)
    video = encode(gray, fps=100, keyframes=(), video=profile.video).data
    audit = auditor.judge(video, take.claim, take.portrait)
    assert not audit.accepted
    assert any("no face" in reason for reason in audit.reasons)


def test_faces_are_compared_by_an_embedder(face_model: Path, take: Take, cast: list[Actor]) -> None:
    """An embedder that tells faces apart by their brightness."""

    def bright(face: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.array([1.0, 200.0 if face.mean() > 100 else -200.0], np.float32)

    with open_auditor(face_model, Thresholds(), bright) as opened:
        same = opened.judge(take.video, take.claim, take.portrait)
    assert same.measured is not None
    assert same.measured.embedding == pytest.approx(1.0)


# --- the command


@pytest.fixture
def invoke(face_model: Path) -> Callable[..., str]:
    def call(*arguments: object, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["audit", *map(str, arguments), "--face-model", str(face_model)])
        if code == 0:
            assert result.exception is None, result.exception
            return result.output
        assert result.exception is not None
        return str(result.exception)

    return call


def test_a_dataset_gets_its_verdicts(tmp_path: Path, invoke: Callable[..., str]) -> None:
    root = tmp_path / "ds"
    assert build(root, small_request(size=256, subjects=3, emotions=("happiness",), split=(1.0, 0.0, 0.0)))
    facts = json.loads(invoke(root, "--workers", 1, "--json"))
    assert facts["clips"] == 3
    index = pq.read_table(root / "index.parquet").to_pylist()
    assert [row["audit_verdict"] for row in index].count("accepted") == facts["accepted"]
    assert all(row["audit_identity"] < 0.02 for row in index)
    record = (tmp_path / "ds-audit.jsonl").read_text().splitlines()
    assert len(record) == 1 + 3
    # A killed run goes on: one verdict is whole, one cut off, one missing.
    (tmp_path / "ds-audit.jsonl").write_text("\n".join([*record[:2], record[2][:40]]))
    again = json.loads(invoke(root, "--workers", 1, "--json"))
    assert again == facts
    assert (tmp_path / "ds-audit.jsonl").read_text().splitlines()[:2] == record[:2]


def test_foreign_clips_are_judged_by_a_table(tmp_path: Path, take: Take, invoke: Callable[..., str]) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "good.mp4").write_bytes(take.video)
    (folder / "broken.mp4").write_bytes(take.video[:2000])
    Image.fromarray(take.portrait.image).save(folder / "face.png")
    aus = "+".join(str(a.au) for a in take.claim.aus)
    rows: list[dict[str, object]] = [
        {"file": "good.mp4", "aus": aus, "onset": take.claim.onset, "portrait": "face.png", "emotion": "happiness"},
        {"file": "broken.mp4", "aus": "12"},
        {"file": "gone.mp4", "aus": "12"},
        {"file": "good.mp4", "aus": "x9"},
        {"file": "good.mp4", "aus": "12", "onset": "early"},
    ]
    with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["file", "aus", "onset", "portrait", "emotion"])
        table.writeheader()
        table.writerows(rows)
    labels, sheet = folder / "labels.csv", tmp_path / "sheet.png"
    out = tmp_path / "report.parquet"
    text = invoke(folder, "--labels", labels, "--out", out, "--sheet", sheet, "--workers", 1, "--json")
    facts = json.loads(text)
    assert facts["accepted"] == 1
    assert [row["clip"] for row in facts["rejected"]] == ["broken.mp4"]
    reasons = {row["row"]: row["reason"] for row in facts["not_judged"]}
    assert reasons["gone.mp4"] == "no such file"
    assert "does not read as an AU" in reasons["good.mp4 (line 5)"]
    assert "must be a number" in reasons["good.mp4 (line 6)"]
    written = pq.read_table(out).to_pylist()
    assert [row["file"] for row in written] == ["good.mp4", "broken.mp4"]
    assert written[0]["identity"] < 0.02
    with Image.open(sheet) as picture:
        assert picture.size[1] > 150


def test_a_portrait_that_cannot_be_compared_costs_its_clip(
    tmp_path: Path, take: Take, invoke: Callable[..., str]
) -> None:
    for name in ("broken", "empty", "good"):
        (tmp_path / f"{name}.mp4").write_bytes(take.video)
        Image.fromarray(take.portrait.image if name == "good" else np.full((64, 64, 3), 90, np.uint8)).save(
            tmp_path / f"{name}.png"
        )
    (tmp_path / "broken.png").write_bytes((tmp_path / "broken.png").read_bytes()[:60])
    aus = "+".join(str(a.au) for a in take.claim.aus)
    rows = [f"{name}.mp4,{aus},{name}.png" for name in ("broken", "empty", "good")]
    (tmp_path / "labels.csv").write_text("\n".join(["file,aus,portrait", *rows]))
    facts = json.loads(invoke(tmp_path, "--labels", tmp_path / "labels.csv", "--workers", 1, "--json"))
    assert {row["clip"]: row["reasons"] for row in facts["rejected"]} == {
        "broken.mp4": ["portrait cannot be read: broken.png: is no picture that can be read"],
        "empty.mp4": ["no face in the portrait"],
    }
    assert facts["accepted"] == 1
    assert facts["notes"] == []


def test_rows_are_named_by_their_lines(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('file,aus\n\n"a\nb",1\n,12\n"a\nb",4\n')
    assert list(table_cases(tmp_path, tmp_path / "t.csv").faults) == ["a\nb", "t.csv line 5", "a\nb (line 7)"]


def test_a_users_mistake_is_one_line(tmp_path: Path, invoke: Callable[..., str]) -> None:
    assert "--labels" in invoke(tmp_path, code=1)
    (tmp_path / "t.csv").write_text("name,aus\nx,1\n")
    assert "no column 'file'" in invoke(tmp_path, "--labels", tmp_path / "t.csv", code=1)
    (tmp_path / "t.csv").write_text("file,aus\n")
    assert "names no clip" in invoke(tmp_path, "--labels", tmp_path / "t.csv", code=1)
    assert "cannot be read" in invoke(tmp_path, "--labels", tmp_path / "none.csv", code=1)
    same = ("--labels", tmp_path / "t.csv", "--out", tmp_path / "t.csv")
    assert "would be overwritten by the report" in invoke(tmp_path, *same, code=1)
    assert "must end in .csv or .parquet" in invoke(
        tmp_path, "--labels", tmp_path / "t.csv", "--out", tmp_path / "t.txt", code=1
    )
    named = ("--labels", tmp_path / "t.csv")
    assert "must end in .png" in invoke(tmp_path, *named, "--sheet", tmp_path / "x.jpg", code=1)
    assert "in its column portrait" in invoke(tmp_path, *named, "--portraits", tmp_path, code=1)


def test_a_record_of_something_else_is_left_alone(tmp_path: Path, face_model: Path) -> None:
    other = tmp_path / "x.jsonl"
    other.write_text('{"piq": "0.8"}\n')
    with pytest.raises(ValueError, match="no record of an audit"):
        run([], Bench(face_model, Thresholds()), other)
    assert other.read_text() == '{"piq": "0.8"}\n'
