"""The causal model: what a program may be, what an intervention changes, and that draws follow their statistics."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from equime_builder.facs import ACTION_UNITS, AU_COLUMN, AUS, EMOTION_TABLES, EXCLUSIVE, EXPRESSIVE_AUS, SIDES
from equime_builder.profiles import LEAST_RANGE, NEUTRAL_SHARE, Event, Profile, load_profile
from equime_builder.scm import (
    LEAD,
    TAIL,
    Activation,
    Nuisance,
    Program,
    Timing,
    blink_envelope,
    derive_label,
    do,
    envelope,
    evidence,
    intervention,
    interventions,
    sample_aus,
    sample_nuisance,
    sample_program,
    sample_timing,
    sided_curves,
)
from equime_loader.schema import EMOTIONS, NEUTRAL

SHIPPED = tuple(load_profile(name) for name in ("micro", "paper", "readme", "demo"))
MICRO = SHIPPED[0]
DRAWS = 3000
few = settings(max_examples=60)


@st.composite
def drawn_profiles(draw: st.DrawFn) -> Profile:
    """Any valid profile, from 12 fps to 500 fps and from a barely sufficient length to a long one."""
    shortest = draw(st.floats(90, 250))
    longest = draw(st.floats(max(shortest + 100, 240), 500))
    mean = draw(st.floats(shortest, longest))
    beta = (draw(st.floats(1, 6)), draw(st.floats(1, 6)))
    event = Event(mean, draw(st.floats(10, 200)), shortest, longest, draw(st.floats(0, 200)), beta)
    fps = draw(st.integers(12, 500))
    few_frames, most = event.frame_bounds(fps)
    assume(few_frames <= most)
    least = math.ceil(most / (1 - NEUTRAL_SHARE)) + 2
    low = draw(st.floats(0.1, 4.9))
    return Profile(
        "drawn",
        "a test",
        size=draw(st.sampled_from((64, 256, 1024))),
        fps=fps,
        frames=draw(st.integers(least, min(2 * least, 1500))),
        au_table=draw(st.sampled_from(sorted(EMOTION_TABLES))),
        intensity=(low, draw(st.floats(low, 5))),
        sway_px=draw(st.floats(0, 2)),
        blink_probability=draw(st.sampled_from((0.0, 0.5, 1.0))),
        event=event,
    )


profiles = st.sampled_from(SHIPPED) | drawn_profiles()
emotions = st.sampled_from(EMOTIONS)
seeds = st.integers(0, 2**63 - 1)
cases = st.tuples(profiles, emotions, seeds)


def program_of(case: tuple[Profile, str, int]) -> Program:
    return sample_program(*case)


def acting(program: Program) -> set[int]:
    return {activation.au for activation in program.activations}


@given(cases)
@few
def test_intensities_lie_in_the_profiles_range(case: tuple[Profile, str, int]) -> None:
    low, high = case[0].intensity
    for activation in program_of(case).activations:
        assert 0 < activation.intensity <= 5
        assert low - 5e-4 <= activation.intensity <= high + 5e-4, "intensities are given to three decimals"


@given(cases)
@few
def test_every_program_acts_with_units_of_its_emotion_that_go_together(case: tuple[Profile, str, int]) -> None:
    profile, emotion, _ = case
    aus = acting(program_of(case))
    assert aus
    assert aus <= set(EMOTION_TABLES[profile.au_table].probabilities[emotion])
    assert not any(pair <= aus for pair in EXCLUSIVE)


@given(cases)
@few
def test_one_side_acts_with_all_its_lateral_units_or_none(case: tuple[Profile, str, int]) -> None:
    sides = {"both": set(), "lateral": set()}
    for activation in program_of(case).activations:
        sides["lateral" if ACTION_UNITS[activation.au].lateral else "both"].add(activation.side)
    assert sides["both"] <= {"both"}
    assert len(sides["lateral"]) <= 1


@given(cases)
@few
def test_event_lies_inside_the_clip_between_neutral_frames(case: tuple[Profile, str, int]) -> None:
    profile, timing = case[0], program_of(case).timing
    assert (timing.frames, timing.fps) == (profile.frames, profile.fps)
    assert 0 < timing.onset < timing.apex <= timing.hold < timing.offset < timing.frames
    assert timing.onset >= LEAD * timing.frames
    assert timing.frames - timing.offset >= TAIL * timing.frames


@given(cases)
@few
def test_event_lasts_as_long_as_a_micro_expression_does(case: tuple[Profile, str, int]) -> None:
    event, timing = case[0].event, program_of(case).timing
    lasts = timing.milliseconds(timing.offset) - timing.milliseconds(timing.onset)
    assert lasts <= event.longest_ms + 1e-6 <= 500.001
    assert lasts >= event.shortest_ms - 1e-6


@given(cases)
@few
def test_envelope_is_exact_at_onset_apex_hold_and_offset_and_monotone_between(case: tuple[Profile, str, int]) -> None:
    timing = program_of(case).timing
    curve = envelope(timing)
    assert curve.shape == (timing.frames,)
    assert curve.dtype == np.float32
    assert not curve[: timing.onset + 1].any()
    assert not curve[timing.offset :].any()
    assert (curve[timing.apex : timing.hold + 1] == 1).all()
    assert ((curve >= 0) & (curve <= 1)).all()
    assert (np.diff(curve[timing.onset : timing.apex + 1]) > 0).all()
    assert (np.diff(curve[timing.hold : timing.offset + 1]) < 0).all()


@given(cases)
@few
def test_curves_are_the_envelope_on_the_sides_that_act(case: tuple[Profile, str, int]) -> None:
    program = program_of(case)
    halves = dict(zip(("left", "right"), sided_curves(program), strict=True))
    event = envelope(program.timing)
    for activation in program.activations:
        for name, half in halves.items():
            silent = activation.side not in (name, "both")
            expected = np.zeros_like(event) if silent else np.float32(activation.intensity) * event
            assert np.array_equal(half[:, AU_COLUMN[activation.au]], expected)
    silent_columns = [AU_COLUMN[au] for au in AUS if au not in acting(program)]
    for half in halves.values():
        assert half.shape == (program.timing.frames, len(AUS))
        assert half.dtype == np.float32
        assert not half[:, silent_columns].any()


@given(drawn_profiles(), emotions, seeds)
@few
def test_blinks_keep_clear_of_the_event_and_of_the_ends(profile: Profile, emotion: str, seed: int) -> None:
    program = sample_program(profile, emotion, seed)
    timing = program.timing
    nuisance = sample_nuisance(profile, timing, seed)
    if profile.blink_probability == 0:
        assert nuisance.blink is None
    if nuisance.blink is None:
        return
    lids = np.flatnonzero(blink_envelope(nuisance.blink, timing.frames, timing.fps))
    assert lids.size
    assert lids.min() > nuisance.blink >= 1
    assert lids.max() < timing.frames - 1
    assert lids.max() < timing.onset or lids.min() > timing.offset
    left, right = sided_curves(program, nuisance)
    bare_left, bare_right = sided_curves(program)
    assert np.array_equal(left[:, AU_COLUMN[45]], right[:, AU_COLUMN[45]])
    assert left[:, AU_COLUMN[45]].max() <= 5
    for half, bare in ((left, bare_left), (right, bare_right)):
        assert np.array_equal(np.delete(half, AU_COLUMN[45], 1), np.delete(bare, AU_COLUMN[45], 1))


def test_blink_closes_faster_than_it_opens_and_closes_fully() -> None:
    curve = blink_envelope(10, 64, 100.0)
    assert curve[10] == 0
    assert curve[17] == pytest.approx(1)
    assert curve.argmax() == 17
    assert not curve[30:].any()


@given(cases)
@few
def test_sway_starts_at_rest_and_stays_slow_and_small(case: tuple[Profile, str, int]) -> None:
    profile, _, seed = case
    timing = program_of(case).timing
    nuisance = sample_nuisance(profile, timing, seed)
    assert nuisance.sway.shape == (timing.frames, 3)
    assert nuisance.sway.dtype == np.float32
    assert not nuisance.sway[0].any()
    largest = 2 * profile.sway_px * profile.size / 256
    assert np.abs(nuisance.sway[:, :2]).max() <= largest + 1e-5
    assert np.abs(nuisance.sway[:, 2]).max() <= largest / (profile.size / 3) + 1e-6
    fastest = profile.sway_px * profile.size / 256 * 2 * np.pi * 0.9 / timing.fps
    assert np.abs(np.diff(nuisance.sway[:, :2], axis=0)).max() <= fastest + 1e-4
    assert nuisance.noise_sigma == profile.noise_sigma


# --- interventions


def allowed(program: Program, au: int) -> bool:
    return not any(pair <= (acting(program) - {au}) | {au} for pair in EXCLUSIVE)


@given(cases, st.sampled_from(EXPRESSIVE_AUS), st.just(0.0) | st.floats(0.1, 5), st.sampled_from((None, *SIDES)))
@few
def test_do_changes_the_named_unit_and_nothing_else(
    case: tuple[Profile, str, int], au: int, intensity: float, side: str | None
) -> None:
    program = program_of(case)
    assume(intensity == 0 or allowed(program, au))
    assume(side in (None, "both") or ACTION_UNITS[au].lateral)
    changed = do(program, au, intensity, side=side)
    assert changed.timing == program.timing
    assert [a for a in changed.activations if a.au != au] == [a for a in program.activations if a.au != au]
    nuisance = sample_nuisance(case[0], program.timing, case[2])
    column = AU_COLUMN[au]
    for before, after in zip(sided_curves(program, nuisance), sided_curves(changed, nuisance), strict=True):
        assert np.array_equal(np.delete(before, column, 1), np.delete(after, column, 1))
    assert do(changed, au, intensity, side=side) == changed, "an intervention made twice is made once"


@given(cases, st.sampled_from(EXPRESSIVE_AUS))
@few
def test_do_zero_removes_and_do_something_sets(case: tuple[Profile, str, int], au: int) -> None:
    program = program_of(case)
    assert acting(do(program, au, 0)) == acting(program) - {au}
    if allowed(program, au):
        sets = do(program, au, 2.5)
        assert next(a.intensity for a in sets.activations if a.au == au) == 2.5
        assert do(do(program, au, 0), au, 0) == do(program, au, 0)


def test_do_keeps_the_side_unless_told_otherwise() -> None:
    timing = sample_timing(MICRO, 1)
    program = Program((Activation(12, 1.0, "left"),), timing)
    assert do(program, 12, 2).activations == (Activation(12, 2, "left"),)
    assert do(program, 12, 2, side="both").activations == (Activation(12, 2, "both"),)
    assert do(program, 6, 1).activations == (Activation(6, 1, "both"), Activation(12, 1.0, "left"))


def test_do_refuses_what_cannot_be() -> None:
    program = Program((Activation(24, 1.0),), sample_timing(MICRO, 1))
    with pytest.raises(ValueError, match=r"^au=45 is not an expressive AU; known: 1, 2, 4"):
        do(program, 45, 1)
    with pytest.raises(ValueError, match=r"^AU12: intensity=5\.5 must be above 0 and at most 5\.0$"):
        do(program, 12, 5.5)
    with pytest.raises(ValueError, match=r"^AU12: intensity=-1 must be above 0"):
        do(program, 12, -1)
    with pytest.raises(ValueError, match=r"^AUs \[24, 25\] exclude each other$"):
        do(program, 25, 1)
    with pytest.raises(ValueError, match=r"^AU12: side='up' must be one of both, left, right$"):
        do(program, 12, 1, side="up")  # type: ignore[arg-type]


@given(cases, seeds)
@few
def test_ablations_differ_and_change_one_unit_each(case: tuple[Profile, str, int], seed: int) -> None:
    profile, program = case[0], program_of(case)
    low, high = profile.intensity
    assume(high - low >= LEAST_RANGE)
    possible = interventions(program, profile)
    changes = [intervention(program, profile, number, seed) for number in range(1, len(possible) + 1)]
    assert set(changes) == set(possible), "an order of all"
    assert len({str(change) for change in changes}) == len(changes)
    ablated = [change.apply(program) for change in changes]
    assert len(set(ablated)) == len(changes)
    nuisance = sample_nuisance(profile, program.timing, case[2])
    before = {activation.au: activation for activation in program.activations}
    for change, other in zip(changes, ablated, strict=True):
        after = {activation.au: activation for activation in other.activations}
        assert {au for au in before if before[au] != after.get(au)} == {change.au}
        assert after.keys() <= before.keys() and after, "what remains is never an empty face"
        assert other.timing == program.timing
        again = sample_nuisance(profile, other.timing, case[2])
        assert np.array_equal(again.sway, nuisance.sway)
        assert (again.blink, again.noise_seed) == (nuisance.blink, nuisance.noise_seed)
        if change.intensity == 0:
            continue
        one, two = before[change.au], after[change.au]
        assert (one.side == two.side) != (one.intensity == two.intensity), "a side or an intensity, not both"
        assert low - 5e-4 <= two.intensity <= high + 5e-4
        assert one.side != two.side or abs(one.intensity - two.intensity) >= 0.15 * (high - low)
    with pytest.raises(
        ValueError, match=rf"^number={len(changes) + 1} must lie within 1\.\.{len(changes)}, the changes"
    ):
        intervention(program, profile, len(changes) + 1, seed)


@given(drawn_profiles(), emotions, seeds)
@few
def test_every_program_has_the_ablations_that_its_profile_may_ask_for(
    profile: Profile, emotion: str, seed: int
) -> None:
    assume(profile.intensity[1] - profile.intensity[0] >= LEAST_RANGE)
    profile = replace(profile, emotions=(emotion,))
    most = max(count for count in range(40) if accepts(profile, count))
    assert most >= 2
    assert len(interventions(sample_program(profile, emotion, seed), profile)) >= most


def accepts(profile: Profile, ablations: int) -> bool:
    try:
        replace(profile, ablations=ablations)
    except ValueError:
        return False
    return True


def test_the_poorest_program_has_just_the_ablations_that_a_profile_may_ask_for() -> None:
    program = Program((Activation(24, 1.5),), sample_timing(MICRO, 0))
    assert {str(change) for change in interventions(program, MICRO)} == {"do(AU24=1.2)", "do(AU24=1.8)"}
    with pytest.raises(ValueError, match=r"^ablations=3 must lie within 0\.\.2: a program of anger may be just AU24, "):
        replace(MICRO, ablations=3, emotions=("anger", "happiness"))


def test_ablations_read_as_what_is_done() -> None:
    program = Program((Activation(12, 1.2, "left"), Activation(17, 1.4)), sample_timing(MICRO, 0))
    assert {str(change) for change in interventions(program, MICRO)} == {
        "do(AU12=0)", "do(AU12=L1.5)", "do(AU12=L1.8)", "do(AU12=1.2)", "do(AU12=R1.2)",
        "do(AU17=0)", "do(AU17=1.2)", "do(AU17=1.5)", "do(AU17=1.8)",
    }  # fmt: skip


@pytest.mark.parametrize("au", [au for au in EXPRESSIVE_AUS if not ACTION_UNITS[au].lateral])
def test_units_of_the_midline_take_no_side(au: int) -> None:
    text = rf"^AU{au} acts on both sides; side='left' must be 'both'$"
    program = Program((Activation(4, 1.0),), sample_timing(MICRO, 1))
    with pytest.raises(ValueError, match=text):
        Activation(au, 1.0, "left")
    for intensity in (0, 1):
        with pytest.raises(ValueError, match=text):
            do(program, au, intensity, side="left")


def test_programs_timings_and_activations_that_cannot_be() -> None:
    timing = Timing(10, 20, 25, 40, 64, 100.0)
    with pytest.raises(ValueError, match=r"must satisfy 0 <= onset < apex <= hold < offset < frames"):
        replace(timing, apex=10)
    with pytest.raises(ValueError, match=r"must satisfy 0 <= onset < apex <= hold < offset < frames"):
        replace(timing, offset=64)
    with pytest.raises(ValueError, match=r"^activations=\[12, 6\] must be sorted by AU, each AU once$"):
        Program((Activation(12, 1), Activation(6, 1)), timing)
    with pytest.raises(ValueError, match=r"^activations=\[6, 6\] must be sorted by AU, each AU once$"):
        Program((Activation(6, 1), Activation(6, 1)), timing)
    with pytest.raises(ValueError, match=r"^AUs \[23, 26\] exclude each other$"):
        Program((Activation(23, 1), Activation(26, 1)), timing)
    with pytest.raises(ValueError, match=r"^au=45 is not an expressive AU"):
        Activation(45, 1)
    with pytest.raises(ValueError, match=r"^AU4: intensity=nan must be above 0"):
        Activation(4, float("nan"))
    with pytest.raises(ValueError, match=r"^emotion='joy' is not in AU table 'corpora'; known: happiness"):
        sample_program(MICRO, "joy", 0)


# --- labels


@given(cases)
@few
def test_label_without_noise_is_a_function_of_the_units_alone(case: tuple[Profile, str, int]) -> None:
    profile, _, seed = case
    profile = replace(profile, label_noise=0.0)
    program = program_of(case)
    label = derive_label(program, profile, seed)
    assert label == EMOTIONS[int(np.argmax(evidence(program, profile.au_table)))]
    weaker = tuple(replace(a, intensity=0.5) for a in program.activations)
    elsewhen = replace(sample_timing(MICRO, seed), fps=program.timing.fps)
    assert derive_label(Program(weaker, elsewhen), profile, seed + 1) == label


def test_nothing_acts_and_the_label_is_neutral_however_noisy() -> None:
    program = Program((), sample_timing(MICRO, 0))
    assert derive_label(program, MICRO, 0) == NEUTRAL
    assert derive_label(program, replace(MICRO, label_noise=10.0), 0) == NEUTRAL


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_full_prototypes_speak_for_their_emotion(emotion: str) -> None:
    profile = replace(MICRO, au_table="facs")
    for seed in range(5):
        assert derive_label(sample_program(profile, emotion, seed), profile, seed) == emotion


@pytest.mark.parametrize(
    ("aus", "emotion"), [((12,), "happiness"), ((1, 2), "surprise"), ((9, 10), "disgust"), ((20,), "fear")]
)
def test_units_of_the_corpora_speak_for_the_emotion_that_shows_them(aus: tuple[int, ...], emotion: str) -> None:
    program = Program(tuple(Activation(au, 1) for au in aus), sample_timing(MICRO, 0))
    assert derive_label(program, MICRO, 0) == emotion


def test_noise_of_scale_one_draws_labels_from_the_posterior() -> None:
    noisy = replace(MICRO, label_noise=1.0)
    program = Program((Activation(4, 1),), sample_timing(MICRO, 0))
    scores = evidence(program, MICRO.au_table)
    posterior = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    counts = Counter(derive_label(program, noisy, seed) for seed in range(DRAWS))
    for emotion, p in zip(EMOTIONS, posterior, strict=True):
        assert abs(counts[emotion] / DRAWS - p) < 4.5 * math.sqrt(p * (1 - p) / DRAWS) + 1e-3


# --- statistics


def set_probabilities(table: str, emotion: str) -> dict[tuple[int, ...], float]:
    """P(AU set | emotion, some AU acts and no two exclude each other), written down independently."""
    marginals = EMOTION_TABLES[table].probabilities[emotion]
    weights = {}
    for size in range(1, len(marginals) + 1):
        for aus in itertools.combinations(sorted(marginals), size):
            if not any(set(pair) <= set(aus) for pair in EXCLUSIVE):
                terms = [p if au in aus else 1 - p for au, p in marginals.items()]
                weights[aus] = math.prod(terms)
    return {aus: weight / sum(weights.values()) for aus, weight in weights.items()}


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Program]]:
    return {emotion: [sample_program(MICRO, emotion, seed) for seed in range(DRAWS)] for emotion in EMOTIONS}


def within(count: int, p: float) -> bool:
    """Whether a count of `DRAWS` is within 4.5 standard deviations of its expectation."""
    return abs(count - DRAWS * p) <= 4.5 * math.sqrt(DRAWS * p * (1 - p)) + 1


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_units_are_drawn_as_often_as_the_corpora_show_them(drawn: dict[str, list[Program]], emotion: str) -> None:
    expected = set_probabilities("corpora", emotion)
    sets = Counter(tuple(sorted(acting(program))) for program in drawn[emotion])
    assert set(sets) <= set(expected)
    assert all(within(sets[aus], p) for aus, p in expected.items())
    for au in EMOTION_TABLES["corpora"].probabilities[emotion]:
        p = sum(weight for aus, weight in expected.items() if au in aus)
        assert within(sum(au in acting(program) for program in drawn[emotion]), p), au


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_one_side_acts_as_often_as_the_table_says(drawn: dict[str, list[Program]], emotion: str) -> None:
    lateral = [[a.side for a in p.activations if ACTION_UNITS[a.au].lateral] for p in drawn[emotion]]
    sides = Counter(sides[0] for sides in lateral if sides)
    total, p = sum(sides.values()), EMOTION_TABLES["corpora"].unilateral[emotion]
    assert abs(1 - sides["both"] / total - p) < 4.5 * math.sqrt(p * (1 - p) / total)
    one_sided = sides["left"] + sides["right"]
    assert abs(sides["left"] / one_sided - 0.5) < 4.5 * math.sqrt(0.25 / one_sided)


def test_as_many_units_act_as_in_the_corpora(drawn: dict[str, list[Program]]) -> None:
    for emotion, programs in drawn.items():
        assert 1 <= np.mean([len(program.activations) for program in programs]) < 2.2, emotion
    assert 1.2 < np.mean([len(p.activations) for programs in drawn.values() for p in programs]) < 1.75


def test_timing_follows_the_measured_statistics() -> None:
    timings = [sample_timing(MICRO, seed) for seed in range(DRAWS)]
    lasts = np.array([(t.offset - t.onset) * 10.0 for t in timings])
    position = np.array([(t.apex - t.onset) / (t.offset - t.onset) for t in timings])
    assert abs(lasts.mean() - 360) < 15, "a normal around 370 ms, cut off at 500 ms"
    assert 75 < lasts.std() < 95
    assert abs(np.median(position) - 0.48) < 0.02
    assert 0.30 < np.quantile(position, 0.25) < 0.40
    assert 0.55 < np.quantile(position, 0.75) < 0.65
    holds = np.array([(t.hold - t.apex) * 10.0 for t in timings])
    assert holds.max() <= 60
    assert 20 < holds.mean() < 35


def test_intensities_lean_to_the_weak_end_as_in_samm(drawn: dict[str, list[Program]]) -> None:
    low, high = MICRO.intensity
    levels = [a.intensity for programs in drawn.values() for program in programs for a in program.activations]
    shares = (np.array(levels) - low) / (high - low)
    assert abs(np.mean(shares <= 0.3) - 27 / 78) < 0.02
    assert abs(np.mean(shares <= 0.55) - 53 / 78) < 0.02
    assert abs(np.mean(shares <= 0.8) - 69 / 78) < 0.02


def test_blinks_come_as_often_as_asked() -> None:
    profile = replace(MICRO, blink_probability=0.5, frames=256)
    timing = sample_timing(profile, 0)
    count = sum(sample_nuisance(profile, timing, seed).blink is not None for seed in range(400))
    assert abs(count - 200) < 4.5 * 10


# --- determinism


@given(cases)
@few
def test_same_seed_same_program_and_same_nuisance(case: tuple[Profile, str, int]) -> None:
    profile, _, seed = case
    program = program_of(case)
    assert program_of(case) == program
    one, other = (sample_nuisance(profile, program.timing, seed) for _ in range(2))
    assert one.sway.tobytes() == other.sway.tobytes()
    fields = [field for field in Nuisance.__slots__ if field != "sway"]
    assert [getattr(one, field) for field in fields] == [getattr(other, field) for field in fields]


def test_draws_do_not_hang_together() -> None:
    """Emotions share timing and side under one seed, so that only what is asked for differs."""
    happy, angry = (sample_program(MICRO, emotion, 11) for emotion in ("happiness", "anger"))
    assert happy.timing == angry.timing
    assert sample_aus("corpora", "happiness", 0.0) in set_probabilities("corpora", "happiness")
    assert sample_aus("corpora", "happiness", math.nextafter(1, 0)) in set_probabilities("corpora", "happiness")
    assert len({sample_timing(MICRO, seed) for seed in range(50)}) > 40


def test_durations_are_drawn_from_any_range_without_end() -> None:
    for event in (Event(sd_ms=10_000), Event(mean_ms=499.999, shortest_ms=499.99), Event(mean_ms=120, sd_ms=1e-9)):
        lasts = [
            1000 * (t.offset - t.onset) / t.fps
            for t in (sample_timing(replace(MICRO, event=event), s) for s in range(20))
        ]
        assert all(event.shortest_ms - 1e-6 <= value <= 500 for value in lasts)
