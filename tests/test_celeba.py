"""CelebA-HQ from its folder to a dataset: eight drawn portraits in the folder's shape are scored, chosen and built."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import small_profile
from PIL import Image
from tiny_deepface import write_networks

from equime_builder import manifest
from equime_builder.attributes.deepface import DeepFaceEstimator, open_deepface
from equime_builder.build import Request, build
from equime_builder.cli import app
from equime_builder.curation import scoring
from equime_builder.curation.running import curate
from equime_builder.curation.scores import landmarks_size
from equime_builder.curation.scoring import Job, score_files
from equime_builder.curation.sheet import draw_sheet
from equime_builder.curation.store import open_store
from equime_builder.curation.table import read_known
from equime_builder.curation.thresholds import Curation, Shares
from equime_builder.portraits import PortraitError
from equime_builder.sources.celeba_hq import ANNOTATIONS, IDENTITIES, IMAGES, MAPPING, CelebAHQSource
from equime_builder.sources.photographs import CurationTable
from equime_builder.sources.procedural import draw_face, render_face
from equime_builder.verify import verify
from equime_loader.schema import RACES

NAMES = ("Eyeglasses", "Male", "Mouth_Slightly_Open", "Smiling")
# Seeds of drawn faces that are neutral, frontal and free; the last one's mouth is open.
SEEDS = (0, 1, 2, 5, 6, 7, 9, 12)
MEN = (1, 3, 5, 6)
SMILING = 6
OPEN = 7
PEOPLE = {0: 11, 2: 11, 1: 12, 3: 13, 4: 14, 5: 15, 6: 16, 7: 17}  # pictures 0 and 2 show one person


def labels(number: int) -> list[object]:
    return [-1, 1 if number in MEN else -1, -1, 1 if number == SMILING else -1]


def annotate(root: Path, rows: dict[str, Sequence[object]], form: str) -> Path:
    path = root / next(name for name in ANNOTATIONS if name.endswith(form))
    if form == "txt":
        lines = [f"{len(rows)}", " ".join(NAMES), *(f"{file} {' '.join(map(str, row))}" for file, row in rows.items())]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("image_id", *NAMES), *((name, *row) for name, row in rows.items())])
    return path


@pytest.fixture(scope="module")
def pictures() -> dict[str, Image.Image]:
    drawn = {}
    for number, seed in enumerate(SEEDS):
        gender = "Man" if number in MEN else "Woman"
        pixels, _ = render_face(draw_face(seed=seed, gender=gender, race=RACES[seed % 6], age=20 + seed), size=512)
        drawn[f"{number}.jpg"] = Image.fromarray(pixels)
    return drawn


def make_folder(root: Path, pictures: dict[str, Image.Image], form: str = "txt") -> Path:
    (root / IMAGES).mkdir(parents=True)
    for file, picture in pictures.items():
        picture.save(root / IMAGES / file, quality=95)
    annotate(root, {file: labels(number) for number, file in enumerate(pictures)}, form)
    (root / MAPPING).write_text(
        "idx orig_idx orig_file\n" + "".join(f"{number} {number} {number:06d}.jpg\n" for number in PEOPLE)
    )
    (root / IDENTITIES).write_text("".join(f"{number:06d}.jpg {person}\n" for number, person in PEOPLE.items()))
    return root


@pytest.fixture(params=["txt", "csv"])
def celeba(request: pytest.FixtureRequest, tmp_path: Path, pictures: dict[str, Image.Image]) -> Path:
    return make_folder(tmp_path / "celeba", pictures, request.param)


def source_at(root: Path, model: Path, **changes: object) -> CelebAHQSource:
    return CelebAHQSource(root, lambda: model, **changes)


PROFILE = small_profile(emotions=("happiness",), shared_program_subjects=1)


def decisions(table) -> dict[str, str | None]:
    return {Path(row["reference"]).name: row["reason"] for row in table.to_pylist()}


# --- who is taken


def test_eight_portraits_in_both_forms_of_the_annotation(celeba: Path, face_model: Path) -> None:
    survey = source_at(celeba, face_model).survey(PROFILE, 0)
    assert survey.scores is not None
    found = decisions(survey.scores)
    assert found.pop("6.jpg") == "not selected: Smiling = 1"
    reason = found.pop("7.jpg")
    assert reason is not None and reason.startswith("open mouth: lips 0.")
    assert found == {f"{number}.jpg": None for number in range(6)}
    people = {subject.subject: subject.person for subject in survey.subjects}
    assert people["c00000"] == people["c00002"] == "celeba11"
    assert len(set(people.values())) == 5
    assert {subject.attributes.gender for subject in survey.subjects} == {"Man", "Woman"}


def test_wrong_rows_missing_pictures_and_unknown_labels_are_each_named(celeba: Path, face_model: Path) -> None:
    form = "csv" if (celeba / ANNOTATIONS[1]).exists() else "txt"
    rows = {f"{number}.jpg": labels(number) for number in range(8)}
    rows["1.jpg"] = [-1, 0, -1, "yes"]
    rows["2.jpg"] = [-1, -1]
    del rows["3.jpg"]
    (celeba / IMAGES / "4.jpg").unlink()
    (celeba / IMAGES / "5.jpg").write_bytes(b"GIF89a no")
    path = annotate(celeba, rows, form)
    first = 2 if form == "csv" else 3
    survey = source_at(celeba, face_model).survey(PROFILE, 0)
    assert survey.scores is not None
    found = decisions(survey.scores)
    assert found["1.jpg"] == f"{path.name} line {first + 1}: must be 1 or -1: Male = '0', Smiling = 'yes'"
    assert found["2.jpg"] == f"{path.name} line {first + 2}: 2 values for 4 attributes"
    assert found["3.jpg"] == f"no row in {path.name}"
    assert found["4.jpg"] == "cannot be read: No such file or directory"
    assert found["5.jpg"] == "not a picture"
    assert [subject.subject for subject in survey.subjects] == ["c00000"]
    with pytest.raises(PortraitError, match=r"has no attribute 'Smilling'; it has: Eyeglasses, Male, Mouth_Slightly"):
        source_at(celeba, face_model, select={"Smilling": -1}).survey(PROFILE, 0)


def test_the_papers_selection_takes_all_that_do_not_smile(tmp_path: Path, pictures, face_model: Path) -> None:
    root = make_folder(tmp_path / "celeba", pictures)
    survey = source_at(root, face_model).survey(small_profile(curation=_paper()), 0)
    assert {subject.subject for subject in survey.subjects} == {f"c{number:05d}" for number in range(8)} - {"c00006"}


def _paper() -> dict[str, object]:
    from equime_builder.profiles import load_profile

    return dict(load_profile("paper-selection").to_dict()["curation"])


def test_requested_marginals_are_met_or_the_shortfall_is_told(tmp_path: Path, pictures, face_model: Path) -> None:
    root = make_folder(tmp_path / "celeba", pictures)
    even = {"marginals": {"gender": {"Woman": 1, "Man": 1}}}
    survey = source_at(root, face_model, limit=4).survey(small_profile(curation=even), 0)
    assert Counter(subject.attributes.gender for subject in survey.subjects) == {"Woman": 2, "Man": 2}
    assert survey.shortfall is None
    most = {"marginals": {"gender": {"Woman": 9, "Man": 1}}}
    survey = source_at(root, face_model, limit=6).survey(small_profile(curation=most), 0)
    counts = Counter(subject.attributes.gender for subject in survey.subjects)
    total = sum(counts.values())
    assert abs(counts["Woman"] - 0.9 * total) < 1 and total < 6
    assert survey.shortfall is not None and survey.shortfall.startswith(f"6 subjects asked for, {total} can be taken")


# --- scored once


def test_processes_do_not_change_the_scores(tmp_path: Path, pictures, face_model: Path, monkeypatch) -> None:
    root = make_folder(tmp_path / "celeba", pictures)
    references = [f"{IMAGES}/{number}.jpg" for number in (*range(8), 99)]
    job = Job(root, face_model, 128)
    alone = list(score_files(job, references))
    monkeypatch.setattr(scoring, "CHUNK", 3)
    together = list(score_files(job, iter(references), workers=2))
    assert [each.reference for each in together] == references
    for one, other in zip(alone, together, strict=True):
        assert (one.sha256, repr(one.scores)) == (other.sha256, repr(other.scores))
    assert together[-1].scores.problem == "cannot be read: No such file or directory"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """References that were measured, as they are."""
    seen: list[str] = []
    measure = scoring._score_file

    def noted(job: Job, reference: str, landmarker: object):
        seen.append(Path(reference).name)
        return measure(job, reference, landmarker)

    monkeypatch.setattr(scoring, "_score_file", noted)
    return seen


def test_a_broken_run_goes_on_where_it_was(tmp_path: Path, pictures, face_model: Path, measured, monkeypatch) -> None:
    source = source_at(make_folder(tmp_path / "celeba", pictures), face_model)
    out = tmp_path / "out"

    def interrupt(what: str, done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_store(out) as store:
        curate(source, PROFILE, 0, store, progress=interrupt)
    assert len(measured) == 4
    with open_store(out) as store:
        first = curate(source, PROFILE, 0, store)
    assert len(measured) == len(set(measured)) == 7, "every selected picture once"
    with open_store(out) as store:
        again = curate(source, PROFILE, 0, store)
    assert len(measured) == 7
    assert again.survey.scores is not None and again.survey.scores.equals(first.survey.scores)
    with open_store(out) as store:
        curate(source, small_profile(curation={"max_turn": 1.0}), 0, store)
    assert len(measured) == 7, "other thresholds, same scores"
    known = read_known(out / "curation.parquet")
    assert {each.landmarks_size for each in known.scores.values()} == {landmarks_size(128)}
    with open_store(out) as store:
        curate(source, small_profile(size=512), 0, store)
    assert len(measured) == 14, "finer landmarks for larger clips"


def test_a_build_takes_the_table_of_curate(tmp_path: Path, pictures, face_model: Path, measured) -> None:
    root = make_folder(tmp_path / "celeba", pictures)
    with open_store(tmp_path / "out") as store:
        curated = curate(source_at(root, face_model), PROFILE, 0, store)
    count = len(measured)
    table = CurationTable.at(tmp_path / "out" / "curation.parquet")
    planned = source_at(root, face_model, curation=table).survey(PROFILE, 0)
    assert len(measured) == count
    alone = source_at(root, face_model).survey(PROFILE, 0)
    for one, other, third in zip(planned.subjects, curated.survey.subjects, alone.subjects, strict=True):
        assert one.subject == other.subject == third.subject
        assert np.array_equal(one.landmarks, other.landmarks) and np.array_equal(one.landmarks, third.landmarks)
    assert source_at(root, face_model, curation=table).options()["curation"] == table.sha256
    with pytest.raises(ValueError, match=r"give it by --curation$"):
        source_at(root, face_model, curation=CurationTable(table.sha256)).survey(PROFILE, 0)
    with pytest.raises(ValueError, match=r"is not the table that the plan was made with"):
        source_at(root, face_model, curation=CurationTable("0" * 64, table.path)).survey(PROFILE, 0)
    with pytest.raises(ValueError, match=r"^--curation .*none: no such file; give the curation\.parquet that `equime"):
        CurationTable.at(tmp_path / "none")


# --- estimates


@pytest.fixture
def deepface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DeepFaceEstimator:
    from deepface.modules import modeling

    write_networks(tmp_path / "home")
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DEEPFACE_BACKEND_ENGINE", "onnx")
    vars(modeling).pop("cached_models", None)
    return open_deepface(batch=4)


class Counting:
    """An estimator that counts how many faces it is shown at a time."""

    def __init__(self, inner) -> None:
        self.inner, self.name, self.batch, self.shown = inner, inner.name, inner.batch, []

    def estimate(self, faces):
        self.shown.append(len(faces))
        return self.inner.estimate(faces)


def test_each_portrait_is_estimated_once_and_the_source_is_compared_with(
    tmp_path: Path, pictures, face_model: Path, deepface
) -> None:
    root = make_folder(tmp_path / "celeba", pictures)
    source, estimator = source_at(root, face_model), Counting(deepface)
    for _ in range(2):
        with open_store(tmp_path / "out") as store:
            found = curate(source, PROFILE, 0, store, estimator=estimator)
    assert estimator.shown == [4, 2], "six that pass, four at a time, once"
    for subject in found.survey.subjects:
        attributes = subject.attributes
        assert attributes.judge("gender") == "CelebA attribute Male"
        assert attributes.judge("race") == attributes.judge("age") == deepface.name
        assert attributes.race is not None and attributes.gender_probabilities is not None
    (gender,) = found.agreements
    assert (gender.attribute, gender.compared, gender.agree + gender.disagree) == ("gender", 6, 6)
    with open(tmp_path / "out" / "disagreements.csv", newline="", encoding="utf-8") as file:
        cases = list(csv.DictReader(file))
    assert len(cases) == gender.disagree
    assert all(case["declared"] != case["estimated"] and case["declared_by"] for case in cases)
    shares = [row["expression_probabilities"] for row in found.survey.scores.to_pylist() if row["taken"]]
    assert all(abs(sum(each.values()) - 1) < 1e-6 for each in shares)
    picture = tmp_path / "sheet.png"
    draw_sheet(root, found.survey, found.agreements, "Curation").save(picture)
    with Image.open(picture) as sheet:
        assert sheet.width > 1000 and len(sheet.convert("RGB").getcolors(1 << 24)) > 1000


def test_estimates_come_from_a_table_as_well(tmp_path: Path, pictures, face_model: Path) -> None:
    root = make_folder(tmp_path / "celeba", pictures)
    table = tmp_path / "fairface.csv"
    table.write_text(
        "file,apparent_gender,apparent_race,apparent_age\n"
        f"{IMAGES}/0.jpg,Man,black,33\n{IMAGES}/1.jpg,Man,lilac,33\nelsewhere.jpg,Man,white,33\n"
    )
    with open_store(tmp_path / "out") as store:
        found = curate(source_at(root, face_model), PROFILE, 0, store, estimator=table)
    assert found.faults[f"{IMAGES}/1.jpg"].startswith("fairface.csv line 3: apparent race 'lilac' must be one of")
    assert found.faults["elsewhere.jpg"] == "fairface.csv: no such portrait"
    subject = next(each for each in found.survey.subjects if each.subject == "c00000")
    assert (subject.attributes.gender, subject.attributes.race) == ("Woman", "black")
    assert subject.attributes.judge("race") == "fairface.csv"
    (gender,) = found.agreements
    assert (gender.compared, gender.disagree, gender.cases[0].reference) == (1, 1, f"{IMAGES}/0.jpg")
    table.write_text(f"file,apparent_gender,apparent_race,apparent_age\n{IMAGES}/0.jpg,Man,black,abc\n")
    with open_store(tmp_path / "out") as store:
        found = curate(source_at(root, face_model), PROFILE, 0, store, estimator=table)
    assert list(found.faults) == [f"{IMAGES}/0.jpg"]
    assert found.agreements == (), "what the table says no longer does not count"


# --- the dataset


def test_a_dataset_keeps_the_table_and_splits_follow_the_person(
    tmp_path: Path, pictures, face_model: Path, deepface
) -> None:
    root = make_folder(tmp_path / "celeba", pictures)
    source = source_at(root, face_model)
    with open_store(tmp_path / "out") as store:
        curate(source, PROFILE, 0, store, estimator=deepface)
    source = source_at(root, face_model, curation=CurationTable.at(tmp_path / "out" / "curation.parquet"))
    assert build(tmp_path / "equime", Request(PROFILE, source))
    assert verify(tmp_path / "equime") == []
    table = pq.read_table(tmp_path / "equime" / manifest.CURATION)
    assert Counter(table["taken"].to_pylist()) == {True: 6, False: 2}
    index = pq.read_table(tmp_path / "equime" / "index.parquet").to_pylist()
    splits = defaultdict(set)
    for row in index:
        splits[row["subject"]].add(row["split"])
        assert row["gender_judged_by"] == "CelebA attribute Male"
        assert row["race_judged_by"] == row["probabilities_by"] == deepface.name
        assert abs(sum(row["race_probabilities"].values()) - 1) < 1e-5
    assert len(index) == 6 and len(splits) == 5 and len(splits["celeba11"]) == 1
    recorded = json.loads((tmp_path / "equime" / manifest.DATASET).read_text())["files"]
    assert manifest.CURATION in recorded
    (tmp_path / "equime" / manifest.CURATION).write_bytes(b"edited")
    assert [fault.path for fault in verify(tmp_path / "equime")][:1] == [manifest.FOLDER]


def test_the_command_writes_tables_and_a_sheet(tmp_path: Path, pictures, face_model: Path) -> None:
    root, out = make_folder(tmp_path / "celeba", pictures), tmp_path / "out"
    (root / IDENTITIES).write_text("".join(f"{number:06d}.jpg {PEOPLE[number]}\n" for number in range(7)))
    command = [sys.executable, "-W", "error", "-m", "equime_builder", "curate"]
    where = [str(root), str(out), "--source", "celeba-hq", "--face-model", str(face_model), "--workers", "1"]
    done = subprocess.run([*command, *where, "--subjects", "3", "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["candidates"], facts["taken"], facts["shortfall"]) == (8, 3, None)
    assert facts["without_person"] == 1
    assert facts["reasons"] == {"not needed": 3, "open mouth": 1, "not selected": 1}
    assert {path.name for path in out.iterdir()} - {".lock"} == {
        "curation.parquet", "curation.csv", "sheet.png", "rates.csv"
    }  # fmt: skip
    assert [(rate["word"], rate["scored"]) for rate in facts["rates"]] == [("Woman", 4), ("Man", 3)]
    done = subprocess.run([*command, *where], capture_output=True, text=True, check=False)
    assert f"each other portrait with its reason: {out / 'curation.csv'}" in done.stdout
    for arguments, message in (
        (["--source", "procedural"], "source procedural draws its faces; curate takes folder or celeba-hq"),
        (["--estimate", "my.csv"], "--estimate 'my.csv' is neither deepface nor a .csv file"),
        (["--select", "Smilling=-1"], "has no attribute 'Smilling'"),
        (["--profile", "micr"], "profile 'micr' is neither shipped"),
        (["--size", "64"], "size=64 must be at least 128 for photographs"),
        (["--subjects", "0"], "subjects=0 must be within 1..1000000"),
        (["--detector", "yunet"], "--detector goes with --estimate deepface"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            app(["curate", *where, *arguments], standalone_mode=False)
    done = subprocess.run([*command, *where, "--profile", "micr"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    with pytest.raises(ValueError, match=r"lies in .*: its sheet would be taken for a portrait; name another folder"):
        app(["curate", str(root), str(root / "out"), *where[2:]], standalone_mode=False)


def test_a_threshold_that_asks_nothing_is_told(tmp_path: Path, pictures, face_model: Path, capsys) -> None:
    root, profile = make_folder(tmp_path / "celeba", pictures), tmp_path / "calm.toml"
    profile.write_text('name = "calm"\nfollows = "a test"\n[curation]\nmin_neutral = 0.9\n')
    where = [str(root), str(tmp_path / "out"), "--source", "celeba-hq", "--face-model", str(face_model)]
    app(["curate", *where, "--profile", str(profile), "--workers", "1"], standalone_mode=False)
    assert "min_neutral asks nothing of 6 passing portraits: their expression was not estimated" in " ".join(
        capsys.readouterr().out.split()
    )


def test_marginals_of_a_profile_are_shares_of_a_section() -> None:
    profile = small_profile(curation={"marginals": {"age": {"20-29": 1}}})
    assert profile.curation == Curation(marginals=Shares(age={"20-29": 1.0}))
