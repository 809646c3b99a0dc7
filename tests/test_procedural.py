"""Procedural portraits: deterministic, exact, framed as portraits are, and found by a face landmarker."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime_builder.sources.procedural import GENDERS, MAX_AGE, MIN_AGE, RACES, draw_face, render_face
from equime_builder.sources.procedural.geometry import LANDMARKS, landmarks_of, smooth_curve
from equime_builder.sources.procedural.parameters import Skin
from equime_builder.sources.procedural.skin import tone_color
from equime_builder.sources.procedural.tables import HAIR_STYLES, MONK_SCALE

SIZE = 256
BESIDE = Path(__file__).resolve().parents[2] / "shared" / "models" / "face_landmarker.task"
MODEL = Path(os.environ.get("EQUIME_FACE_MODEL", BESIDE))

faces = st.builds(
    lambda seed, gender, race, age: draw_face(seed=seed, gender=gender, race=race, age=age),
    st.integers(0, 2**32),
    st.sampled_from(GENDERS),
    st.sampled_from(RACES),
    st.integers(MIN_AGE, MAX_AGE),
)


def test_same_parameters_give_the_same_bytes() -> None:
    params = draw_face(seed=7, gender="Woman", race="indian", age=41)
    assert params == draw_face(seed=7, gender="Woman", race="indian", age=41)
    first, second = render_face(params, size=SIZE), render_face(params, size=SIZE)
    assert first[0].tobytes() == second[0].tobytes()
    assert first[1].tobytes() == second[1].tobytes()


def test_other_seeds_give_other_people() -> None:
    people = [draw_face(seed=seed, gender="Man", race="white", age=30) for seed in range(50)]
    assert len({p.shape for p in people}) == len({p.scene for p in people}) == 50
    pictures = {render_face(p, size=64)[0].tobytes() for p in people[:8]}
    assert len(pictures) == 8


@settings(max_examples=60)
@given(faces)
def test_landmarks_are_framed_as_portraits_are(params) -> None:  # type: ignore[no-untyped-def]
    face = landmarks_of(params.shape)
    assert face.shape == (LANDMARKS, 3)
    pose = params.pose
    assert max(abs(pose.yaw), abs(pose.pitch), abs(pose.roll)) <= 3
    assert 0.23 <= pose.iris_distance <= 0.26
    assert 0.45 <= pose.y <= 0.47
    upper, lower = face[[159, 386], 1], face[[145, 374], 1]
    assert (lower - upper > 0.06).all(), "eyes are open"
    assert 0 <= float(face[14, 1] - face[13, 1]) < 0.03, "mouth is closed"
    lips_apart = face[[37, 0, 267], 1] < face[[84, 17, 314], 1]
    assert lips_apart.all()
    assert float(np.abs(face[:, 0]).max()) < 1.6
    assert float(face[152, 1]) == pytest.approx(float(face[:, 1].max()), abs=0.05), "the chin is lowest"


@settings(max_examples=12)
@given(faces)
def test_landmarks_lie_inside_the_picture(params) -> None:  # type: ignore[no-untyped-def]
    pixels, landmarks = render_face(params, size=128)
    assert pixels.shape == (128, 128, 3) and pixels.dtype == np.uint8
    assert landmarks.shape == (LANDMARKS, 3) and landmarks.dtype == np.float32
    assert landmarks[:, :2].min() > 0 and landmarks[:, :2].max() < 128
    distance = float(np.linalg.norm(landmarks[473, :2] - landmarks[468, :2]))
    assert distance == pytest.approx(128 * params.pose.iris_distance, rel=0.02)


def test_landmarks_scale_with_the_picture() -> None:
    params = draw_face(seed=3, gender="Man", race="asian", age=52)
    small, large = (render_face(params, size=size)[1] for size in (128, 256))
    np.testing.assert_allclose(large, small * 2, atol=1e-3)


@pytest.mark.parametrize("race", RACES)
@pytest.mark.parametrize("gender", GENDERS)
def test_every_attribute_word_is_painted(gender: str, race: str) -> None:
    pixels, _ = render_face(draw_face(seed=1, gender=gender, race=race, age=35), size=96)
    assert float(pixels.std()) > 10


@pytest.mark.parametrize("style", HAIR_STYLES)
def test_every_hair_style_changes_the_picture_above_the_face(style: str) -> None:
    params = draw_face(seed=4, gender="Woman", race="latino hispanic", age=30)
    bare = render_face(replace(params, hair=replace(params.hair, style="bald")), size=96)[0]
    worn = render_face(replace(params, hair=replace(params.hair, style=style)), size=96)[0]
    assert (style == "bald") == np.array_equal(worn, bare)


def test_curves_pass_through_their_points() -> None:
    points = np.random.default_rng(0).normal(size=(7, 2))
    np.testing.assert_allclose(smooth_curve(points, samples=25)[::4], points, atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "value", "choices"),
    [
        ("gender", "woman", "'Woman', 'Man'"),
        ("race", "martian", "'latino hispanic'"),
        ("age", 9, "10..85"),
        ("age", 86, "10..85"),
        ("seed", -1, "0 or more"),
    ],
)
def test_unknown_values_are_refused(changed: str, value: object, choices: str) -> None:
    arguments: dict[str, object] = {"seed": 1, "gender": "Man", "race": "black", "age": 40, changed: value}
    with pytest.raises(ValueError, match=changed) as refusal:
        draw_face(**arguments)  # type: ignore[arg-type]
    assert repr(value) in str(refusal.value) and choices in str(refusal.value)


def test_sizes_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"size is 32; expected 64\.\.2048"):
        render_face(draw_face(seed=1, gender="Man", race="black", age=40), size=32)


def luminance(color: np.ndarray) -> float:
    return float(color @ (0.2126, 0.7152, 0.0722))


def test_skin_luminance_follows_the_monk_scale() -> None:
    def skin(tone: float) -> Skin:
        return Skin(tone, 0.0, redness=0.4, freckles=0, spots=0, wrinkles=0, bags=0, oil=0.5)

    drawn = [luminance(tone_color(skin(tone))) for tone in range(len(MONK_SCALE))]
    assert all(lighter > darker for lighter, darker in pairwise(drawn))
    published = [luminance(np.array(swatch) ** 2) for swatch in MONK_SCALE]
    np.testing.assert_allclose(drawn, published, atol=0.25)


def test_both_ends_of_the_scale_occur() -> None:
    tones = [draw_face(seed=s, gender="Man", race=race, age=30).skin.tone for s in range(120) for race in RACES]
    assert set(range(10)) == {round(tone) for tone in tones}


def test_rendered_faces_are_lighter_for_lighter_tones() -> None:
    def brightness(race: str) -> float:
        drawn = (render_face(draw_face(seed=s, gender="Woman", race=race, age=30), size=64) for s in range(4))
        return float(np.mean([pixels[30:40, 28:36].mean() for pixels, _ in drawn]))

    assert brightness("white") > brightness("indian") > brightness("black")


def test_a_face_grows_darker_along_the_tone_scale() -> None:
    params = draw_face(seed=5, gender="Man", race="latino hispanic", age=28)
    drawn = [render_face(replace(params, skin=replace(params.skin, tone=tone)), size=64)[0] for tone in range(10)]
    assert all(lighter > darker for lighter, darker in pairwise(float(p[20:44, 22:42].mean()) for p in drawn))


def test_a_face_landmarker_finds_the_faces_where_they_are_drawn() -> None:
    mediapipe = pytest.importorskip("mediapipe")
    if not MODEL.is_file():
        pytest.skip("no FaceLandmarker bundle: set EQUIME_FACE_MODEL to face_landmarker.task")
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(base_options=BaseOptions(model_asset_path=str(MODEL)))
    errors = []
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        for k in range(24):
            params = draw_face(seed=k, gender=GENDERS[k // 6 % 2], race=RACES[k % 6], age=12 + 3 * k)
            pixels, drawn = render_face(params, size=SIZE)
            seen = landmarker.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels))
            assert seen.face_landmarks, f"no face found in {params.gender}, {params.race}, {params.age}"
            found = np.array([(p.x, p.y) for p in seen.face_landmarks[0]]) * SIZE
            distance = np.linalg.norm(drawn[473, :2] - drawn[468, :2])
            errors.append(np.median(np.linalg.norm(found - drawn[:, :2], axis=1)) / distance)
    assert np.median(errors) < 0.04


def test_parameters_changed_by_hand_are_checked() -> None:
    params = draw_face(seed=1, gender="Man", race="black", age=40)
    assert replace(params, skin=replace(params.skin, tone=3.5)).skin.tone == 3.5
    with pytest.raises(ValueError, match=r"tone is 10; expected 0\.\.9"):
        replace(params.skin, tone=10)
    with pytest.raises(ValueError, match="style is 'mohawk'; expected one of 'cropped'"):
        replace(params.hair, style="mohawk")
    with pytest.raises(ValueError, match="age is 5"):
        replace(params, age=5)
