"""The warp generator: exact where nothing acts, one-sided where one side acts, linear, and still where a face is."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from equime_builder.generators.warp import (
    ACTIONS,
    AUS,
    BLINK,
    SIDES,
    WarpRig,
    build_rig,
    displacement,
    moved_mask,
    render_clip,
)
from equime_builder.generators.warp.anatomy import GROUPS, MIRROR, partner
from equime_builder.generators.warp.planes import frame_planes
from equime_builder.sources.procedural import draw_face, render_face

IMAGE, LANDMARKS = render_face(draw_face(seed=4, gender="Woman", race="asian", age=31), size=256)
RIG = build_rig(IMAGE, LANDMARKS)
POINTS = RIG.ground.points
FRAME = RIG.ground.frame
EXPRESSIVE = tuple(au for au in AUS if au != BLINK)


def clip(
    rig: WarpRig,
    left: Mapping[int, float],
    right: Mapping[int, float] | None = None,
    *,
    frames: int = 1,
    sway: tuple[float, float, float] = (0, 0, 0),
    sigma: float = 0,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """Frames with constant intensities; the right side does what the left does unless told otherwise."""
    curves = []
    for side in (left, left if right is None else right):
        row = np.zeros(len(AUS), np.float32)
        for au, intensity in side.items():
            row[AUS.index(au)] = intensity
        curves.append(np.tile(row, (frames, 1)))
    moved = np.tile(np.asarray(sway, np.float32), (frames, 1))
    return render_clip(rig, left=curves[0], right=curves[1], sway=moved, noise_seed=seed, noise_sigma=sigma)


def luma(frame: NDArray[np.uint8]) -> NDArray[np.int16]:
    return frame_planes(frame, RIG.size)[0].astype(np.int16)


def changed(frame: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels (H, W) whose luma or chroma differs from the neutral frame."""
    now, then = frame_planes(frame, RIG.size), frame_planes(RIG.neutral, RIG.size)
    chroma = (now[1] != then[1]) | (now[2] != then[2])
    return (now[0] != then[0]) | np.repeat(np.repeat(chroma, 2, 0), 2, 1)


def test_nothing_acts_and_every_frame_is_the_neutral_one() -> None:
    frames = clip(RIG, {}, frames=3)
    assert frames.shape == (3, 384, 256)
    assert frames.dtype == np.uint8
    assert (frames == RIG.neutral).all()


def test_neutral_frame_is_the_portrait_in_limited_range_bt601() -> None:
    y, u, v = frame_planes(RIG.neutral, RIG.size)
    red, green, blue = (IMAGE[..., k].astype(np.float64) / 255 for k in range(3))
    assert np.abs(y - (16 + 65.481 * red + 128.553 * green + 24.966 * blue)).max() <= 0.51
    mean = [plane.reshape(128, 2, 128, 2).mean((1, 3)) for plane in (red, green, blue)]
    assert np.abs(u - (128 - 37.797 * mean[0] - 74.203 * mean[1] + 112 * mean[2])).max() <= 1.01
    assert np.abs(v - (128 + 112 * mean[0] - 93.786 * mean[1] - 18.214 * mean[2])).max() <= 1.01


def test_same_arguments_give_the_same_bytes() -> None:
    again = build_rig(IMAGE, LANDMARKS)
    one = clip(RIG, {4: 1.3, 12: 0.7}, frames=2, sway=(0.3, -0.2, 0.001), sigma=1.5, seed=7)
    two = clip(again, {4: 1.3, 12: 0.7}, frames=2, sway=(0.3, -0.2, 0.001), sigma=1.5, seed=7)
    assert one.tobytes() == two.tobytes()
    assert (one[0] != one[1]).any()
    assert (one != clip(RIG, {4: 1.3, 12: 0.7}, frames=2, sway=(0.3, -0.2, 0.001), sigma=1.5, seed=8)).any()


def test_noise_has_its_standard_deviation_and_no_bias() -> None:
    noise = luma(clip(RIG, {}, sigma=3.0)[0]) - luma(RIG.neutral)
    assert abs(float(noise.mean())) < 0.1
    assert abs(float(noise.std()) - 3.0) < 0.15


@pytest.mark.parametrize("au", AUS)
def test_an_au_changes_something_and_only_inside_its_mask(au: int) -> None:
    moved = changed(clip(RIG, {au: 1.8})[0])
    assert moved.any()
    assert not (moved & ~moved_mask(RIG, [au])).any()


@pytest.mark.parametrize("au", AUS)
def test_the_least_motion_changes_next_to_nothing(au: int) -> None:
    assert np.abs(clip(RIG, {au: 0.004})[0].astype(int) - RIG.neutral).max() <= 3


@pytest.mark.parametrize("au", AUS)
def test_outline_hair_and_background_stay(au: int) -> None:
    moved = changed(clip(RIG, {au: 1.8})[0])
    if ACTIONS[au].outline:
        upper = int(POINTS[4, 1])
        assert not moved[:upper].any()
    else:
        assert not moved[RIG.ground.inside == 0].any()


@pytest.mark.parametrize("au", AUS)
@pytest.mark.parametrize("side", SIDES)
def test_one_side_leaves_the_other_still(au: int, side: str) -> None:
    acting, resting = {au: 1.8}, dict[int, float]()
    frames = clip(RIG, acting, resting) if side == "left" else clip(RIG, resting, acting)
    away = RIG.ground.lateral * (-1 if side == "left" else 1)
    other = away > ACTIONS[au].midline + 3 / FRAME.eye_distance
    moved = changed(frames[0])
    assert moved.any()
    assert not (moved & other).any()


@pytest.mark.parametrize("au", AUS)
def test_two_sides_together_are_their_sum(au: int) -> None:
    both = displacement(RIG, au, "left") + displacement(RIG, au, "right")
    right = RIG.ground.lateral < -ACTIONS[au].midline - 0.02
    assert np.allclose(both[right], displacement(RIG, au, "right")[right], atol=0.05)


@pytest.mark.parametrize("au", [au for au in AUS if ACTIONS[au].pulls and not ACTIONS[au].parts])
def test_landmarks_go_where_the_table_says(au: int) -> None:
    both = displacement(RIG, au, "left") + displacement(RIG, au, "right")
    largest = max(ACTIONS[au].pulls, key=lambda pull: abs(pull.out) + abs(pull.up))
    point = GROUPS[largest.group][0]
    for where, sign in ((point, -1), (partner(point), 1)):
        if abs(RIG.ground.lateral[tuple(np.rint(POINTS[where][::-1]).astype(int))]) < ACTIONS[au].midline:
            continue
        found = cv2.remap(both, POINTS[None, [where]], None, cv2.INTER_LINEAR)[0, 0]
        wanted = FRAME.vector(sign * largest.out, largest.up)
        assert np.linalg.norm(found - wanted) < 0.2 * np.linalg.norm(wanted)


@pytest.mark.parametrize("au", [1, 2, 4])
def test_brow_aus_hold_eye_corners_and_nose(au: int) -> None:
    both = displacement(RIG, au, "left") + displacement(RIG, au, "right")
    for point in (33, 133, 362, 263, 6, 197, 195, 5, 4):
        x, y = np.rint(POINTS[point]).astype(int)
        assert np.linalg.norm(both[y, x]) < 0.02 * FRAME.eye_distance


@settings(max_examples=20)
@given(
    au=st.sampled_from(AUS),
    side=st.sampled_from(SIDES),
    share=st.floats(0, 1),
    intensity=st.floats(0.1, 5),
)
def test_displacement_is_linear_in_intensity(au: int, side: str, share: float, intensity: float) -> None:
    whole = displacement(RIG, au, side, intensity=intensity)
    parts = displacement(RIG, au, side, intensity=share * intensity)
    parts = parts + displacement(RIG, au, side, intensity=(1 - share) * intensity)
    assert np.allclose(whole, parts, atol=1e-3)


@settings(max_examples=10)
@given(upper=st.sampled_from((1, 2, 4, 5, 7)), lower=st.sampled_from((15, 17, 24, 25)), level=st.floats(0.5, 2))
def test_actions_far_apart_do_not_disturb_each_other(upper: int, lower: int, level: float) -> None:
    alone = [clip(RIG, {au: level})[0] for au in (upper, lower)]
    together = clip(RIG, {upper: level, lower: level})[0]
    masks = [moved_mask(RIG, [au]) for au in (upper, lower)]
    for picture, mask, other in zip(alone, masks, reversed(masks), strict=True):
        mine = mask & ~cv2.dilate(other.astype(np.uint8), np.ones((25, 25), np.uint8)).astype(bool)
        # Sampling positions are rounded within a box, and together the boxes may be one.
        assert (np.abs(luma(together) - luma(picture))[mine] <= 3).all()


@settings(max_examples=10)
@given(au=st.sampled_from(EXPRESSIVE), level=st.floats(0.3, 1.0))
def test_stronger_is_further_from_neutral(au: int, level: float) -> None:
    weak, strong = (np.abs(luma(clip(RIG, {au: x})[0]) - luma(RIG.neutral)).sum() for x in (level, 2 * level))
    assert strong > weak > 0


@pytest.mark.parametrize(("au", "level"), [(5, 3.0), (7, 1.0), (BLINK, 0.5)])
def test_lids_move_and_the_iris_does_not(au: int, level: float) -> None:
    frame = clip(RIG, {au: level})[0]
    for center in (468, 473):
        x, y = np.rint(POINTS[center]).astype(int)
        iris = np.s_[y - 1 : y + 3, x - 2 : x + 3]
        assert (luma(frame)[iris] == luma(RIG.neutral)[iris]).all()


def test_a_full_blink_covers_the_iris() -> None:
    frame = luma(clip(RIG, {BLINK: 5.0})[0])
    for center in (468, 473):
        x, y = np.rint(POINTS[center]).astype(int)
        assert (np.abs(frame - luma(RIG.neutral))[y - 2 : y + 3, x - 2 : x + 3] > 10).mean() > 0.5


@pytest.mark.parametrize("au", [25, 26])
def test_parted_lips_show_a_dark_interior(au: int) -> None:
    x, y = np.rint((POINTS[13] + POINTS[14]) / 2).astype(int)
    before = luma(RIG.neutral)[y - 1 : y + 8, x - 4 : x + 5].min()
    after = luma(clip(RIG, {au: 3.0})[0])[y - 1 : y + 8, x - 4 : x + 5].min()
    assert after < before - 5


def test_sharpness_does_not_depend_on_sway() -> None:
    def sharpness(dx: float) -> float:
        return float(np.abs(np.diff(luma(clip(RIG, {}, sway=(dx, 0, 0))[0])[20:-20, 20:-20], axis=1)).mean())

    values = [sharpness(dx) for dx in np.arange(0, 1, 1 / 8)]
    assert max(values) / min(values) < 1.06


def test_sway_moves_the_picture_by_what_it_says() -> None:
    moved = luma(clip(RIG, {}, sway=(2, -1, 0))[0])
    assert (moved[20:200, 20:200] == luma(RIG.neutral)[21:201, 18:198]).mean() > 0.99


def test_columns_are_those_of_the_action_units() -> None:
    assert AUS == (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26, 45)
    assert set(ACTIONS) == set(AUS)


def test_every_named_point_has_a_partner_on_the_other_side() -> None:
    template = LANDMARKS[:, :2] - LANDMARKS[[33, 133, 362, 263], :2].mean(0)
    for right, left in MIRROR.items():
        assert template[right, 0] < template[left, 0], (right, left)
    assert len(set(MIRROR.values())) == len(MIRROR)


def test_full_blink_of_odd_shaped_pictures() -> None:
    wide = np.ascontiguousarray(IMAGE[10:240, 6:250])
    rig = build_rig(wide, LANDMARKS[:, :2] - np.float32([6, 10]))
    assert clip(rig, {BLINK: 5.0, 12: 2.0}, frames=2, sigma=1).shape == (2, 345, 244)


def _curves(**changes: NDArray[np.float32] | float) -> dict[str, object]:
    still = np.zeros((4, len(AUS)), np.float32)
    fine = {"left": still, "right": still, "sway": np.zeros((4, 3), np.float32), "noise_seed": 0, "noise_sigma": 0.0}
    return {**fine, **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"left": np.zeros((4, 17), np.float32)}, r"left must be \(T, 18\), got \(4, 17\)"),
        ({"sway": np.zeros((4, 2), np.float32)}, r"sway must be \(T, 3\), got \(4, 2\)"),
        ({"right": np.zeros((5, 18), np.float32)}, r"right must have as many frames as left.*got 5 and 4"),
        ({"left": np.full((4, 18), 5.5, np.float32)}, r"left must lie in 0..5, got 5.5"),
        ({"right": np.full((4, 18), -0.5, np.float32)}, r"right must lie in 0..5, got -0.5"),
        ({"left": np.full((4, 18), np.nan, np.float32)}, r"left must be finite"),
        ({"sway": np.full((4, 3), np.inf, np.float32)}, r"sway must be finite"),
        ({"noise_sigma": -1.0}, r"noise_sigma must lie in 0..50, got -1"),
    ],
)
def test_wrong_curves_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        render_clip(RIG, **_curves(**changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("image", "landmarks", "message"),
    [
        (IMAGE[:255], LANDMARKS, r"image must have even height and width, got 255x256"),
        (IMAGE[..., 0], LANDMARKS, r"image must be \(H, W, 3\) uint8 RGB, got \(256, 256\)"),
        (IMAGE.astype(np.float32), LANDMARKS, r"image must be .*float32"),
        (IMAGE, LANDMARKS[:468], r"landmarks must be \(478, 2 or more\), got \(468, 3\)"),
        (IMAGE, LANDMARKS * np.float32(np.nan), r"landmarks must be finite"),
        (IMAGE, LANDMARKS * np.float32(0.1), r"landmarks must have eye centers at least 16 px apart, got"),
    ],
)
def test_wrong_portraits_are_named(image: NDArray[np.uint8], landmarks: NDArray[np.float32], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_rig(image, landmarks)


def test_unknown_aus_and_sides_are_named() -> None:
    with pytest.raises(ValueError, match=r"au must be one of .* got 3"):
        displacement(RIG, 3, "left")
    with pytest.raises(ValueError, match=r"side must be one of .* got 'both'"):
        displacement(RIG, 4, "both")
