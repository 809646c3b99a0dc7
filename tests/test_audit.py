"""The audit's pure parts: claims, thresholds, timing of curves, intensities from features, verdicts, reports."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from equime_builder.audit.claim import Claim, parse_aus
from equime_builder.audit.features import GROUPS, NAMES
from equime_builder.audit.footage import Unreadable, read_footage
from equime_builder.audit.identity import aligned, open_embedder, shape_distance, similarity
from equime_builder.audit.motion import changes, halved, response
from equime_builder.audit.pose import head_drift
from equime_builder.audit.regions import face, lids, shown
from equime_builder.audit.report import Judged, annotation, kind, shares, table, write_table
from equime_builder.audit.responses import fit_signatures, read_signatures, shipped_signatures, write_signatures
from equime_builder.audit.thresholds import Thresholds
from equime_builder.audit.timing import Curve, fit_event
from equime_builder.audit.verdict import ACCEPTED, Measured, decide, rejected
from equime_builder.encode import encode
from equime_builder.facs import ACTION_UNITS, EXPRESSIVE_AUS
from equime_builder.landmarks import inter_ocular
from equime_builder.portraits import Portrait
from equime_builder.profiles import Video, load_profile, profile_from_dict
from equime_builder.scm import Activation, Timing, envelope
from equime_builder.sources.drawn import ProceduralSource
from equime_loader.schema import FIELD


@pytest.fixture(scope="module")
def portraits() -> list[Portrait]:
    source, profile = ProceduralSource(), load_profile("micro", subjects=2)
    return [source.portrait(subject, 256) for subject in source.survey(profile, 1).subjects]


# --- claims and thresholds


def test_facs_notation_is_read() -> None:
    assert parse_aus("4B+L12") == (Activation(4, 2.0), Activation(12, 2.0, "left"))
    assert parse_aus("AU1, AU2 R12a") == (Activation(1, 2.0), Activation(2, 2.0), Activation(12, 1.0, "right"))
    assert parse_aus("0") == parse_aus("") == ()
    assert parse_aus("L17E") == (Activation(17, 5.0),)  # the chin has no sides


@pytest.mark.parametrize("text", ["x12", "12F", "99", "4+", "ref(10)"])
def test_what_is_not_facs_notation_is_told(text: str) -> None:
    if text == "4+":
        assert parse_aus(text) == (Activation(4, 2.0),)
        return
    with pytest.raises(ValueError, match="aus="):
        parse_aus(text)


def test_a_claim_keeps_its_order() -> None:
    with pytest.raises(ValueError, match="must not decrease"):
        Claim((), onset=5, apex=4)
    with pytest.raises(ValueError, match="fps"):
        Claim((), fps=0.0)


def test_thresholds_are_a_section_of_a_profile() -> None:
    profile = load_profile("micro")
    changed = profile_from_dict({**profile.to_dict(), "audit": {"residual": 0.2}}, where="test")
    assert changed.audit == Thresholds(residual=0.2)
    with pytest.raises(ValueError, match=r"audit\.residual=-1"):
        profile_from_dict({**profile.to_dict(), "audit": {"residual": -1.0}}, where="test")


# --- timing


def curve_of(timing: Timing, noise: float, seed: int) -> Curve:
    rng = np.random.default_rng(seed)
    return envelope(timing).astype(float) + noise * rng.standard_normal(timing.frames)


def random_timing(seed: int) -> Timing:
    rng = np.random.default_rng(seed)
    onset, rise, hold, fall = (int(rng.integers(*bounds)) for bounds in ((18, 50), (6, 25), (0, 6), (7, 25)))
    return Timing(onset, onset + rise, onset + rise + hold, onset + rise + hold + fall, 128, 100.0)


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.05])
def test_times_of_an_event_are_found(noise: float) -> None:
    errors = []
    for seed in range(40):
        timing = random_timing(seed)
        course = fit_event(curve_of(timing, noise, seed), (timing.apex + timing.hold) // 2)
        errors.append([course.onset - timing.onset, course.apex - timing.apex, course.offset - timing.offset])
    assert np.median(np.abs(errors), axis=0).max() <= (0.5 if noise < 0.05 else 1.5)


def test_times_of_another_shape_are_found_less_well() -> None:
    t = np.arange(128.0)
    linear = np.clip(np.minimum((t - 40) / 15, (75 - t) / 20), 0, 1)
    course = fit_event(linear, 55)
    assert abs(course.onset - 40) <= 5
    assert abs(course.apex - 55) <= 5
    assert abs(course.offset - 75) <= 5


def test_what_remains_is_the_level_after_the_event() -> None:
    timing = random_timing(3)
    curve = envelope(timing).astype(float)
    curve[timing.hold :] = np.maximum(curve[timing.hold :], 0.6)
    assert fit_event(curve, timing.apex).residual == pytest.approx(0.6, abs=0.05)


def test_frames_of_a_blink_say_nothing_of_the_event() -> None:
    timing = random_timing(4)
    curve = curve_of(timing, 0.01, 4)
    curve[2:16] += 2.0
    course = fit_event(curve, timing.apex, without=range(2, 16))
    assert abs(course.onset - timing.onset) <= 1.5
    with pytest.raises(ValueError, match="at least 8"):
        fit_event(curve[:5], 2)


def test_the_pattern_of_the_peak_is_followed_not_noise() -> None:
    timing, rng = random_timing(5), np.random.default_rng(5)
    pattern = rng.standard_normal(400) * 8
    luma = envelope(timing)[:, None] * pattern + 3 * rng.standard_normal((128, 400))
    curve, peak = response(luma.astype(np.float32))
    assert timing.apex - 3 <= peak <= timing.hold + 3
    assert np.corrcoef(curve, envelope(timing))[0, 1] > 0.99


# --- which AUs


def test_shipped_signatures_are_whole_and_read_back() -> None:
    shipped = shipped_signatures()
    again = read_signatures(write_signatures(shipped))
    assert np.allclose(again.matrix, shipped.matrix)
    assert np.allclose(again.unrest, shipped.unrest)
    assert np.allclose(again.mistaken, shipped.mistaken)
    with pytest.raises(ValueError, match="known features"):
        read_signatures("feature,AU1\nx,1\n")


def test_signatures_have_the_signs_of_facs() -> None:
    """What rises with an AU and what falls: brows, lids and mouth corners go the way that FACS says."""
    matrix = shipped_signatures().matrix

    def value(name: str, au: int) -> float:
        return float(matrix[NAMES.index(name), EXPRESSIVE_AUS.index(au)])

    for observer in ("landmarks", "flow"):
        assert value(f"{observer} brow_inner up", 1) > 0 > value(f"{observer} brow_inner up", 4)
        assert value(f"{observer} brow_inner out", 4) < 0
        assert value(f"{observer} brow_outer up", 2) > 0
        assert value(f"{observer} corner up", 12) > 0 > value(f"{observer} corner up", 15)
        assert value(f"{observer} corner out", 20) > 0
        assert value(f"{observer} lower_lip up", 26) < 0 < value(f"{observer} lower_lip up", 17)
    assert value("blendshape browDown", 4) > 0 > value("blendshape browDown", 1)
    assert value("blendshape mouthSmile", 12) > 0
    assert value("blendshape eyeSquint", 7) > 0
    assert value("shade frown", 4) < 0


@pytest.mark.parametrize("one_sided", [False, True])
def test_intensities_are_told_apart(one_sided: bool) -> None:
    signatures = shipped_signatures()
    true = np.zeros((2, len(EXPRESSIVE_AUS)))
    for au, intensity in ((4, 1.3), (12, 1.7), (17, 1.2)):
        true[:, EXPRESSIVE_AUS.index(au)] = intensity
        if one_sided and ACTION_UNITS[au].lateral:
            true[0, EXPRESSIVE_AUS.index(au)] = 0
    rng = np.random.default_rng(0)
    clean = true @ signatures.matrix.T
    middle = [k for k, name in enumerate(NAMES) if "middle" in name or name.split()[1] in ("glabella", "jawOpen")]
    clean[:, middle] = clean[:, middle].mean(axis=0)
    found = signatures.read(clean + 0.3 * signatures.unrest * rng.standard_normal(clean.shape))
    assert np.abs(found - true).max() < 0.4
    # A spectacle frame where a fold should be: one feature far out of reach.
    clean[:, NAMES.index("shade frown")] += 0.4
    assert np.abs(signatures.read(clean) - true).max() < 0.5


def test_signatures_need_every_au_alone() -> None:
    count, width = len(EXPRESSIVE_AUS), len(NAMES)
    rng = np.random.default_rng(1)
    matrix, known = rng.standard_normal((width, count)), np.eye(count)
    twice = np.concatenate([known, 2 * known])
    features = np.stack([twice @ matrix.T] * 2, axis=1)
    fitted = fit_signatures(features, twice)
    assert np.allclose(fitted.matrix, matrix)
    assert fitted.mistaken.max() < 0.01
    with pytest.raises(ValueError, match="no row of AU26"):
        fit_signatures(features[: count - 1], known[:-1])
    with pytest.raises(ValueError, match="one AU must act"):
        fit_signatures(features[:count], known + known[0])


# --- where, and whose face


def test_regions_lie_in_the_face_and_leave_the_lids_to_their_aus(portraits: list[Portrait]) -> None:
    points, size = portraits[0].landmarks, (256, 256)
    inside, shut = face(points, size), lids(points, size)
    for au in EXPRESSIVE_AUS:
        where = shown(points, [au], size)
        assert where.any()
        assert (where & inside).sum() > 0.8 * where.sum()
        assert (where & shut).any() == (au in (5, 6, 7))


def test_shape_does_not_change_with_pose_but_with_the_person(portraits: list[Portrait]) -> None:
    one, other = (portrait.landmarks for portrait in portraits)
    turn = np.array([[0.98, -0.2], [0.2, 0.98]], np.float32)
    moved = (one @ turn * np.float32(1.3) + np.float32(17)).astype(np.float32)
    assert shape_distance(one, moved) < 0.001
    assert shape_distance(one, other) > 0.02


@pytest.mark.parametrize(
    ("turn", "growth", "slide"), [(5, 1.0, 0), (-5, 1.0, 0), (0, 1.1, 0), (0, 0.9, 0), (0, 1.0, 0.06), (3, 1.05, 0.03)]
)
def test_a_head_that_turns_grows_or_slides_moves(
    portraits: list[Portrait], turn: float, growth: float, slide: float
) -> None:
    rest = portraits[0].landmarks
    matrix = cv2.getRotationMatrix2D(tuple(map(float, rest[168])), turn, growth)
    moved = rest @ matrix[:, :2].T + matrix[:, 2] + slide * inter_ocular(rest)
    assert head_drift([rest + (moved - rest) * share for share in np.linspace(0, 1, 14)], rest) > 0.05


def test_a_face_that_moves_in_a_still_head_does_not_count(portraits: list[Portrait]) -> None:
    rest = portraits[0].landmarks
    acting = rest.copy()
    mouth = [each for name in ("corner", "lower_lip", "chin") for half in GROUPS[name] for each in half]
    acting[mouth] += np.float32(0.3 * inter_ocular(rest))
    assert head_drift([acting] * 14, rest) < 0.001


def test_an_embedder_is_a_network_that_opencv_reads(tmp_path: object, portraits: list[Portrait]) -> None:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    pooled = helper.make_node("AveragePool", ["data"], ["pooled"], kernel_shape=[16, 16], strides=[16, 16])
    flat = helper.make_node("Flatten", ["pooled"], ["fc1"])
    graph = helper.make_graph(
        [pooled, flat],
        "tiny",
        [helper.make_tensor_value_info("data", 1, [1, 3, 112, 112])],
        [helper.make_tensor_value_info("fc1", 1, [1, 147])],
    )
    path = str(tmp_path) + "/tiny.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8), path)
    from pathlib import Path

    embed = open_embedder(Path(path))
    faces = [aligned(portrait.image, portrait.landmarks) for portrait in portraits]
    first, second = (embed(one) for one in faces)
    assert faces[0].shape == (112, 112, 3)
    assert first.shape == (147,)
    assert similarity(first, embed(faces[0])) == pytest.approx(1.0)
    assert similarity(first - first.mean(), second - second.mean()) < 0.999
    Path(path).write_bytes(b"no network")
    with pytest.raises(ValueError, match="no network"):
        open_embedder(Path(path))


# --- frames


def test_what_cannot_be_looked_at_is_told() -> None:
    with pytest.raises(Unreadable, match="does not decode"):
        read_footage(b"not a video at all" * 40)
    few = np.full((5, 192, 128), 90, np.uint8)
    with pytest.raises(Unreadable, match="5 frames"):
        read_footage(encode(few, fps=25, keyframes=(), video=Video()).data)
    small = np.full((12, 72, 48), 90, np.uint8)
    with pytest.raises(Unreadable, match="48 x 48"):
        read_footage(encode(small, fps=25, keyframes=(), video=Video()).data)


def test_large_clips_are_scaled_down() -> None:
    frames = np.full((8, 1152, 1024), 90, np.uint8)
    footage = read_footage(encode(frames, fps=25, keyframes=(), video=Video(preset="ultrafast")).data)
    assert footage.luma.shape == (8, 288, 384)
    assert footage.rgb(0).shape == (288, 384, 3)
    assert footage.fps == 25


def test_changes_are_from_the_neutral_frames() -> None:
    luma = np.full((20, 64, 64), 100, np.uint8)
    luma[10:, 20:40, 20:40] = 130
    where = np.zeros((64, 64), bool)
    where[16:48, 16:48] = True
    change = changes(halved(luma), where, range(5))
    assert change[:10].max() == 0
    assert change[10].max() == 30
    assert cv2.countNonZero((change[10] > 0).astype(np.uint8)) == 100


# --- verdicts


GOOD = Measured(
    fps=100.0,
    frames=128,
    faces=1.0,
    onset=40.4,
    apex=55.0,
    offset=75.2,
    duration_ms=348.0,
    responses={"4": 1.4},
    target=1.4,
    off_target=0.4,
    off_au="R7",
    residual=0.03,
    head_drift=0.01,
    identity=0.004,
)
CLAIM = Claim((Activation(4, 1.5),), 40, 56, 75, 100.0, 128)
BAD: dict[str, tuple[dict[str, object], str]] = {
    "frozen": ({"target": 0.1, "responses": {"4": 0.1}}, "claimed AUs do not show"),
    "another AU": ({"off_target": 1.3}, r"R7 \(lid tightener\) acts"),
    "early": ({"onset": 20.0, "apex": 30.0}, "onset at frame 20, 40 claimed: -200 ms"),
    "no return": ({"residual": 0.5}, "no return to neutral: 50%"),
    "long": ({"duration_ms": 700.0}, "too long: 700 ms"),
    "drift": ({"head_drift": 0.07}, "head moves by 0.070 IOD"),
    "blink": ({"blink": 60}, "blink inside the event"),
    "face": ({"identity": 0.04}, "another face"),
    "embedding": ({"embedding": 0.1}, "similarity 0.10"),
    "frames": ({"frames": 100}, "frames: 100 in the file, 128 claimed"),
    "fps": ({"fps": 50.0}, "fps: 50 in the file"),
    "faces": ({"faces": 0.5}, "no face in 50%"),
    "no apex": ({"target": None, "off_target": None}, "no face at the apex"),
}


def test_a_good_clip_is_accepted() -> None:
    audit = decide(CLAIM, GOOD, Thresholds())
    assert audit.accepted
    assert audit.reasons == ()
    assert decide(CLAIM, replace(GOOD, blink=10), Thresholds()).accepted
    assert decide(CLAIM, replace(GOOD, embedding=0.8, identity=0.04), Thresholds()).accepted  # the network knows better


@pytest.mark.parametrize("name", BAD)
def test_every_fault_has_its_reason(name: str) -> None:
    import re

    values, reason = BAD[name]
    audit = decide(CLAIM, replace(GOOD, **values), Thresholds())  # type: ignore[arg-type]
    assert not audit.accepted
    assert any(re.search(reason, told) for told in audit.reasons), audit.reasons


def test_nothing_is_said_of_aus_that_are_read_off_a_moving_head() -> None:
    moving = replace(GOOD, head_drift=0.09, off_target=12.5, off_au="L5", apex=20.0, residual=3.0)
    for claim in (CLAIM, replace(CLAIM, aus=())):
        assert decide(claim, moving, Thresholds()).reasons == ("the head moves by 0.090 IOD, at most 0.05",)


def test_each_claimed_au_must_show_but_for_those_that_look_alike() -> None:
    two = replace(CLAIM, aus=(Activation(1, 1.4), Activation(4, 1.5)))
    assert (
        "1 (inner brow raiser) does not show"
        in decide(two, replace(GOOD, responses={"1": 0.05, "4": 1.4}), Thresholds()).reasons[0]
    )
    masked = replace(CLAIM, aus=(Activation(15, 1.4), Activation(17, 1.5)))
    assert decide(masked, replace(GOOD, responses={"15": 0.1, "17": 1.4}), Thresholds()).accepted
    alike = replace(CLAIM, aus=(Activation(4, 1.5), Activation(23, 1.4)))
    assert decide(alike, replace(GOOD, responses={"4": 1.4, "23": 0.05}), Thresholds()).accepted


def test_each_side_of_an_au_is_judged_by_itself() -> None:
    right, left = Activation(1, 2.0, "right"), Activation(1, 2.0, "left")
    shown = replace(GOOD, responses={"R1": 1.4, "L1": 0.02})
    for sides in ((right, left), (left, right)):
        audit = decide(replace(CLAIM, aus=sides), shown, Thresholds())
        assert audit.reasons == ("L1 (inner brow raiser) does not show: 0.02 of 2.0",)
        assert [share.clips for share in shares([Judged("a", replace(CLAIM, aus=sides), "", audit)])] == [1, 1]


def test_a_neutral_claim_is_refuted_by_any_au() -> None:
    neutral = Claim((), fps=100.0, frames=128)
    still = replace(GOOD, responses={}, target=None, off_target=0.2)
    assert decide(neutral, still, Thresholds()).accepted
    assert "not neutral" in decide(neutral, replace(still, off_target=1.0), Thresholds()).reasons[0]


def test_labels_are_fields_of_the_schema() -> None:
    audited = {name for name in FIELD if name.startswith("audit_")}
    labels = decide(CLAIM, GOOD, Thresholds()).labels()
    assert set(labels) == audited
    assert labels["audit_onset_frame"] == 40
    assert labels["audit_verdict"] == ACCEPTED
    assert set(rejected("no video").labels()) == audited
    assert rejected("no video").labels()["audit_apex_frame"] is None


# --- reports


def test_reports_count_by_emotion_and_au(tmp_path: object) -> None:
    from pathlib import Path

    fine = Judged("a", CLAIM, "anger", decide(CLAIM, GOOD, Thresholds()))
    long = Judged("b", CLAIM, "fear", decide(CLAIM, replace(GOOD, duration_ms=900.0), Thresholds()))
    broken = Judged("c", CLAIM, "", rejected("does not decode: Invalid data"))
    rows = {share.group: share for share in shares([fine, long, broken])}
    assert list(rows) == ["all", "anger", "fear", "AU4"]
    assert (rows["all"].clips, rows["all"].accepted) == (3, 1)
    assert rows["fear"].most == "too long (1)"
    written = table([fine, long, broken])
    assert written["verdict"].to_pylist() == ["accepted", "rejected", "rejected"]
    assert written["responses"].to_pylist()[0] == "4:1.40"
    assert b"4B" in write_table(written, Path("x.csv"))
    assert write_table(written, Path("x.parquet"))[:4] == b"PAR1"
    with pytest.raises(ValueError, match=r"\.csv or \.parquet"):
        write_table(written, Path("x.xlsx"))
    assert annotation([fine]).column_names[0] == "key"


def test_reasons_have_kinds() -> None:
    for reason, expected in (
        ("1 (inner brow raiser) does not show: 0.05 of 1.4", "a claimed AU does not show"),
        ("R7 (lid tightener) acts, which is not claimed: 1.30, at most 0.70", "an AU acts that is not claimed"),
        ("apex at frame 3, 4 claimed: +10 ms, at most 80", "event beside its label"),
        ("no return to neutral: 50% of the peak remains, at most 35%", "no return to neutral"),
        ("the head moves by 0.070 IOD, at most 0.05", "the head moves"),
    ):
        assert kind(reason) == expected
