"""Attributes: DeepFace for real on tiny networks, a source's word before an estimator's, and where the two differ."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_deepface import OUTPUTS, network, write_networks

from equime_builder.attributes.agreement import agreements, cohen_kappa
from equime_builder.attributes.deepface import DeepFaceEstimator, open_deepface, outlined
from equime_builder.attributes.estimates import EXPRESSIONS, FACE_SIZE, Estimate, Face, joined
from equime_builder.models import MODELS, ModelMissing
from equime_builder.portraits import Attributes
from equime_builder.sources.procedural import draw_face, render_face
from equime_loader.schema import GENDERS, RACES


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DeepFace home with tiny networks, of which DeepFace has none in memory."""
    write_networks(tmp_path)
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    monkeypatch.setenv("DEEPFACE_BACKEND_ENGINE", "onnx")
    forget()
    return tmp_path


def forget() -> None:
    """Make DeepFace load its networks again."""
    from deepface.modules import modeling

    vars(modeling).pop("cached_models", None)


def face(number: int, gender: str = "Woman", race: str = "asian") -> Face:
    image, landmarks = render_face(draw_face(seed=number, gender=gender, race=race, age=30), size=FACE_SIZE)
    return Face(f"{number}.png", f"{number:064d}", image, landmarks[:, :2])


@pytest.fixture(scope="module")
def faces() -> list[Face]:
    looks = (("Woman", "asian"), ("Man", "black"), ("Man", "white"))
    return [face(number, *look) for number, look in enumerate(looks)]


# --- DeepFace


def test_stacked_faces_get_what_deepface_says_of_each(home: Path, faces: list[Face]) -> None:
    from deepface import DeepFace

    estimator = open_deepface(detector="skip")
    found = estimator.estimate(faces)
    for each, estimate in zip(faces, found, strict=True):
        bgr = np.ascontiguousarray(each.image[:, :, ::-1])
        (theirs,) = DeepFace.analyze(bgr, detector_backend="skip", silent=True)
        assert estimate.gender == theirs["dominant_gender"]
        assert estimate.race == theirs["dominant_race"]
        assert estimate.age is not None and int(estimate.age) == theirs["age"]
        for ours, words in (("gender", theirs["gender"]), ("race", theirs["race"])):
            mine = getattr(estimate, f"{ours}_probabilities")
            assert {word: pytest.approx(value / 100, abs=1e-5) for word, value in words.items()} == mine
        named = {"angry": "anger", "happy": "happiness", "sad": "sadness"}
        assert estimate.expression_probabilities == {
            named.get(word, word): pytest.approx(value / 100, abs=1e-5) for word, value in theirs["emotion"].items()
        }
    assert len({estimate.age for estimate in found}) == len(faces)


def test_one_face_or_many_and_in_any_company(home: Path, faces: list[Face]) -> None:
    estimator = open_deepface()
    together = estimator.estimate(faces)
    alone = [estimator.estimate([each])[0] for each in faces]
    for one, other in zip(together, alone, strict=True):
        assert (one.gender, one.race) == (other.gender, other.race)
        assert one.age == pytest.approx(other.age, abs=1e-3)
        assert one.race_probabilities == pytest.approx(other.race_probabilities, abs=1e-5)
    assert estimator.estimate([]) == []


def test_networks_are_asked_once_for_a_batch(home: Path, faces: list[Face]) -> None:
    estimator = open_deepface(batch=8)
    asked: list[tuple[str, int]] = []

    class Counted:
        def __init__(self, name: str) -> None:
            self.name = name

        @property
        def model(self) -> object:
            return estimator.networks[self.name].model

        def predict(self, stack: NDArray[np.float32]) -> NDArray[np.float32]:
            asked.append((self.name, len(stack)))
            return estimator.networks[self.name].predict(stack)

    counted = DeepFaceEstimator("counted", 8, {name: Counted(name) for name in estimator.networks}, estimator.find)
    counted.estimate(faces)
    assert sorted(asked) == [(name, 3) for name in ("age", "expression", "gender", "race")]


def test_a_network_for_a_single_face_is_asked_for_each(home: Path, faces: list[Face]) -> None:
    many = open_deepface().estimate(faces)
    path = home / ".deepface" / "weights" / "race_model_single_batch.onnx"
    onnx.save(network(*OUTPUTS[path.stem], np.random.default_rng(2), 1), path)
    forget()
    for one, other in zip(open_deepface().estimate(faces), many, strict=True):
        assert one.race_probabilities == pytest.approx(other.race_probabilities, abs=1e-5)


def test_weights_that_are_none(home: Path) -> None:
    (home / ".deepface" / "weights" / "age_model_weights.onnx").write_bytes(b"Not Found")
    with pytest.raises(ModelMissing, match=r"^DeepFace cannot load its weights: .*age_model_weights\.onnx"):
        open_deepface()


def test_labels_say_who_judged(home: Path, faces: list[Face]) -> None:
    import deepface

    estimator = open_deepface()
    assert estimator.name == f"DeepFace {deepface.__version__} (onnx)"
    assert open_deepface(detector="skip").name == f"DeepFace {deepface.__version__} (onnx, skip)"
    assert {estimate.by for estimate in estimator.estimate(faces)} == {estimator.name}


def test_a_face_is_cut_along_its_outline_with_level_eyes(faces: list[Face]) -> None:
    import cv2

    upright = faces[0]
    center = (FACE_SIZE / 2, FACE_SIZE / 2)
    turn = cv2.getRotationMatrix2D(center, 17, 1.0)
    image = cv2.warpAffine(upright.image, turn, (FACE_SIZE, FACE_SIZE), borderMode=cv2.BORDER_REPLICATE)
    points = (upright.landmarks @ turn[:, :2].T + turn[:, 2]).astype(np.float32)
    straight, level = outlined(upright), outlined(Face("", "", image, points))
    assert np.abs(np.subtract(straight.shape, level.shape)).max() <= 3
    height, width = min(straight.shape[0], level.shape[0]), min(straight.shape[1], level.shape[1])
    difference = straight[:height, :width].astype(int) - level[:height, :width]
    assert np.abs(difference).mean() < 6
    assert height > width > 0.3 * FACE_SIZE


def test_neither_tensorflow_nor_torch_is_imported(home: Path) -> None:
    code = (
        "import sys\nfrom equime_builder.attributes.deepface import open_deepface\nopen_deepface()\n"
        "print([name for name in ('tensorflow', 'keras', 'torch', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", OUTPUTS)
def test_missing_weights_are_one_line_and_nothing_is_downloaded(home: Path, name: str) -> None:
    (home / ".deepface" / "weights" / f"{name}.onnx").unlink()
    with pytest.raises(ModelMissing) as caught:
        open_deepface()
    text = str(caught.value)
    model = next(model for model in MODELS.values() if model.file == f"{name}.onnx")
    assert "\n" not in text
    for fact in (model.feature, model.license, model.url, str(home), f"`equime models --fetch {model.name}`"):
        assert fact in text, fact


def test_weights_of_the_other_engine_are_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deepface.commons import backend_utils

    monkeypatch.setattr(backend_utils, "get_backend_engine", lambda: "pytorch")
    with pytest.raises(
        ModelMissing, match=r"age_model_weights\.pth .* which is not at .*weights/age_model_weights\.pth"
    ):
        open_deepface()
    monkeypatch.setattr(backend_utils, "get_backend_engine", lambda: "tensorflow")
    with pytest.raises(ValueError, match=r"^\$DEEPFACE_BACKEND_ENGINE=tensorflow must be one of onnx, pytorch$"):
        open_deepface()


def test_detectors_are_checked_before_anything_is_read(home: Path) -> None:
    with pytest.raises(ValueError, match=r"^detector 'eyes' must be one of landmarks, skip, opencv, mtcnn"):
        open_deepface(detector="eyes")
    with pytest.raises(ValueError, match=r"^batch=0 must lie within 1\.\.1024$"):
        open_deepface(batch=0)


def test_a_detector_of_deepface_finds_faces_or_says_nothing(
    home: Path, faces: list[Face], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DeepFace's own detectors need weights; one of the test's, in their place, goes all of their way."""
    from deepface.models.Detector import Detector, FacialAreaRegion
    from deepface.modules import modeling

    class Middle(Detector):
        def detect_faces(self, img: NDArray[np.uint8]) -> list[FacialAreaRegion]:
            if img.max() == 0:
                return []
            height, width = img.shape[:2]
            boxes = [(0, 0, 9, 9), (width // 4, height // 4, width // 2, height // 2)]
            eyes = {"left_eye": (width // 2 + 40, height // 2), "right_eye": (width // 2 - 40, height // 2)}
            return [FacialAreaRegion(x, y, w, h, confidence=0.9, **eyes) for x, y, w, h in boxes]

    build = modeling.build_model
    monkeypatch.setattr(
        modeling, "build_model", lambda task, model_name: Middle() if model_name == "yunet" else build(task, model_name)
    )
    dark = Face("dark.png", "0" * 64, np.zeros_like(faces[0].image), faces[0].landmarks)
    estimator = open_deepface(detector="yunet")
    found = estimator.estimate([faces[0], dark, faces[1]])
    assert found[1] == Estimate(estimator.name)
    assert found[0].age is not None and found[2].age is not None
    assert found[0].age == pytest.approx(estimator.estimate([faces[0]])[0].age, abs=1e-3)


def test_without_deepface_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deepface", None)
    with pytest.raises(ValueError, match=r"install it with: pip install 'equime\[attributes\]'$"):
        open_deepface()


# --- estimates and declarations


def estimate(**changes: object) -> Estimate:
    even = {name: 1 / len(words) for name, words in (("Woman", GENDERS), ("Man", GENDERS))}
    values = {
        "by": "DeepFace",
        "gender": "Man",
        "race": "black",
        "age": 31.5,
        "gender_probabilities": even,
        "race_probabilities": dict.fromkeys(RACES, 1 / 6),
        "expression_probabilities": dict.fromkeys(EXPRESSIONS, 1 / 7),
    }
    return Estimate(**{**values, **changes})


def test_the_sources_word_wins_and_the_probabilities_stay() -> None:
    declared = Attributes("Woman", judged_by={"gender": "CelebA attribute Male"})
    both = joined(declared, estimate())
    assert (both.gender, both.race, both.age) == ("Woman", "black", 31.5)
    assert both.judged_by == {
        "gender": "CelebA attribute Male",
        "race": "DeepFace",
        "age": "DeepFace",
        "probabilities": "DeepFace",
    }
    assert both.gender_probabilities == {"Woman": 0.5, "Man": 0.5}
    assert both.race_probabilities == dict.fromkeys(RACES, 1 / 6)
    assert joined(declared, None) == declared
    assert joined(declared, Estimate("DeepFace")) == declared
    assert json.dumps(both.judged_by)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gender": "Lady"}, "apparent gender 'Lady' must be one of Woman, Man"),
        ({"age": 300.0}, "age=300.0 must lie within 0..130"),
        ({"race_probabilities": {"asian": 1.0}}, "race probabilities .* must be one for each of"),
        ({"gender_probabilities": {"Woman": 0.7, "Man": 0.7}}, "gender probabilities"),
        ({"gender_probabilities": {"Woman": float("nan"), "Man": 0.7}}, "gender probabilities"),
    ],
)
def test_estimates_that_are_none(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimate(**changes)


# --- agreement


def judged(*pairs: tuple[str | None, str | None]) -> pa.Table:
    rows = [
        {
            "reference": f"{number}.png",
            "declared_gender": declared,
            "declared_race": None,
            "declared_age": None,
            "declared_by": "attributes.csv",
            "estimated_gender": estimated,
            "estimated_race": None,
            "estimated_age": None,
            "estimated_by": "DeepFace",
            "gender_probabilities": {"Woman": 0.4, "Man": 0.6},
        }
        for number, (declared, estimated) in enumerate(pairs)
    ]
    return pa.Table.from_pylist(rows)


def test_agreement_counts_and_names_every_case() -> None:
    (found,) = agreements(judged(("Man", "Man"), ("Woman", "Man"), ("Woman", "Woman"), (None, "Man"), ("Man", None)))
    assert (found.attribute, found.compared, found.agree, found.disagree) == ("gender", 3, 2, 1)
    (case,) = found.cases
    assert (case.reference, case.declared, case.estimated, case.probability) == ("1.png", "Woman", "Man", 0.6)
    assert (case.declared_by, case.estimated_by) == ("attributes.csv", "DeepFace")
    assert found.kappa == pytest.approx(0.4)
    assert agreements(judged((None, "Man"))) == []


def test_ages_agree_by_group_and_differ_in_years() -> None:
    table = judged((None, None), (None, None))
    for name, values in (("declared_age", [29.0, 41.0]), ("estimated_age", [33.0, 44.5])):
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    (found,) = agreements(table)
    assert (found.attribute, found.agree, found.disagree, found.years) == ("age", 1, 1, 3.75)
    assert found.cases[0].declared == "29 (20-29)" and found.cases[0].estimated == "33.0 (30-39)"


WORDS = st.sampled_from(("a", "b", "c"))


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=30))
def test_kappa_is_the_librarys(pairs: list[tuple[str, str]]) -> None:
    from sklearn.metrics import cohen_kappa_score

    kappa = cohen_kappa(pairs)
    if kappa is None:
        assert len({word for pair in pairs for word in pair}) == 1
    else:
        left, right = zip(*pairs, strict=True)
        assert kappa == pytest.approx(cohen_kappa_score(left, right))
