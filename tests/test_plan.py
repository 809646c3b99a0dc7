"""Plans: nobody in two splits, nothing lost, nothing twice, and the same request gives the same plan."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime_builder.audit.thresholds import Thresholds
from equime_builder.curation.thresholds import Curation
from equime_builder.manifest import read_plan, read_shard_plan, write_plan
from equime_builder.plan import (
    FORMATS,
    UNKNOWN,
    Plan,
    PlannedClip,
    ask,
    assign_splits,
    differences,
    interleave,
    make_plan,
    plan_hash,
    stratum,
    summary,
)
from equime_builder.portrait_table import rejected_portraits, subject_from_row
from equime_builder.portraits import Attributes, Rejection, Subject, Survey
from equime_builder.profiles import Acceptance, Event, Marginals, Profile, Video, load_profile
from equime_builder.samples import program_of
from equime_builder.sources.drawn import ProceduralSource, allot
from equime_loader.schema import AGE_GROUPS, EMOTIONS, GENDERS, KEY_PATTERN, RACES, SPLITS

MICRO = load_profile("micro")
some = settings(max_examples=40)


@st.composite
def people(draw: st.DrawFn) -> tuple[Subject, ...]:
    """Subjects with any attributes or none, some of whom are the same person."""
    count = draw(st.integers(1, 40))
    persons = draw(st.lists(st.integers(0, count), min_size=count, max_size=count))
    looks = st.builds(
        Attributes,
        st.sampled_from((None, *GENDERS)),
        st.sampled_from((None, *RACES)),
        st.none() | st.integers(0, 100).map(float),
    )
    return tuple(
        Subject(f"s{number}", f"person {person}", f"{number}.png", draw(looks), "free")
        for number, person in enumerate(persons)
    )


shares = st.sampled_from(((0.7, 0.15, 0.15), (1.0, 0.0, 0.0), (0.5, 0.25, 0.25), (0.0, 0.5, 0.5))) | st.lists(
    st.integers(0, 100), min_size=3, max_size=3
).filter(any).map(lambda weights: tuple(weight / sum(weights) for weight in weights))


@st.composite
def requests(draw: st.DrawFn) -> Profile:
    return replace(
        MICRO,
        emotions=tuple(draw(st.lists(st.sampled_from(EMOTIONS), min_size=1, max_size=3, unique=True))),
        sequences=draw(st.integers(1, 3)),
        ablations=draw(st.integers(0, 2)),
        shared_program_subjects=draw(st.integers(1, 5)),
        shard_samples=draw(st.integers(1, 40)),
        split=draw(shares),
    )


def request(profile: Profile = MICRO, **changes: object) -> dict:
    options = {
        "seed": 0,
        "source": "folder",
        "options": {"limit": None},
        "fingerprint": "abc",
        "generator": "warp",
        "formats": FORMATS[:2],
    }
    return ask(profile, **options | changes)


def plan_of(profile: Profile, subjects: tuple[Subject, ...], seed: int = 0) -> Plan:
    return make_plan(request(profile, seed=seed), Survey(subjects, ()))


def rows(plan: Plan) -> list[PlannedClip]:
    return [PlannedClip(**row) for row in plan.clips.to_pylist()]


def crowd(count: int) -> tuple[Subject, ...]:
    return ProceduralSource().survey(replace(MICRO, subjects=count), 0).subjects


# --- splits


@given(people(), shares, st.integers(0, 2**32))
@some
def test_nobody_is_in_two_splits_and_everybody_is_in_one(
    subjects: tuple[Subject, ...], parts: tuple[float, ...], seed: int
) -> None:
    split_of = assign_splits(subjects, parts, seed)
    assert set(split_of) == {subject.subject for subject in subjects}
    person_splits = defaultdict(set)
    for subject in subjects:
        person_splits[subject.person].add(split_of[subject.subject])
    assert all(len(splits) == 1 for splits in person_splits.values())
    counts = Counter(splits.pop() for splits in person_splits.values())
    for split, share in zip(SPLITS, parts, strict=True):
        assert abs(counts[split] - share * len(person_splits)) <= 1 + 1e-9, split
        assert share or not counts[split], "a split without a share stays empty"


@pytest.mark.parametrize("count", [100, 480])
def test_groups_are_spread_over_the_splits(count: int) -> None:
    subjects = crowd(count)
    split_of = assign_splits(subjects, (0.7, 0.15, 0.15), 3)
    for which in range(2):
        groups: dict[str, Counter[str]] = defaultdict(Counter)
        for subject in subjects:
            groups[stratum(subject.attributes)[which]][split_of[subject.subject]] += 1
        for group, counts in groups.items():
            total = counts.total()
            assert abs(counts["train"] - 0.7 * total) <= 2.5, group
            assert abs(counts["validation"] - 0.15 * total) <= 2.5, group


def test_seeds_divide_differently() -> None:
    subjects = crowd(60)
    assert assign_splits(subjects, (0.5, 0.25, 0.25), 1) != assign_splits(subjects, (0.5, 0.25, 0.25), 2)


@given(people())
@some
def test_order_loses_nobody_and_alternates_groups_while_there_are_several(subjects: tuple[Subject, ...]) -> None:
    order = interleave(subjects, 1)
    assert sorted(subject.subject for subject in order) == sorted(subject.subject for subject in subjects)
    groups = {stratum(subject.attributes)[:2] for subject in subjects}
    first_round = [stratum(subject.attributes)[:2] for subject in order[: len(groups)]]
    assert len(set(first_round)) == len(groups)


# --- clips


@given(requests(), people(), st.integers(0, 99))
@some
def test_every_clip_is_planned_once(profile: Profile, subjects: tuple[Subject, ...], seed: int) -> None:
    plan = plan_of(profile, subjects, seed)
    clips = rows(plan)
    per_subject = len(profile.emotions) * profile.sequences * (1 + profile.ablations)
    assert len(clips) == plan.header["clips"] == per_subject * len(subjects)
    assert Counter(clip.subject for clip in clips) == {subject.subject: per_subject for subject in subjects}
    keys = [clip.key for clip in clips]
    assert len(set(keys)) == len(keys)
    assert all(KEY_PATTERN.fullmatch(key) for key in keys)
    looks = {subject.subject: subject.attributes for subject in subjects}
    for clip in clips:
        emotion, letter, subject, _ = clip.key.split("_")
        assert (emotion, subject) == (clip.emotion, clip.subject)
        assert letter == {"Woman": "f", "Man": "m", None: "u"}[looks[subject].gender]


@given(requests(), people())
@some
def test_shards_hold_whole_subjects_of_one_split(profile: Profile, subjects: tuple[Subject, ...]) -> None:
    plan = plan_of(profile, subjects)
    clips = rows(plan)
    shards = plan.shards
    assert [shard.number for shard in shards] == list(range(len(shards)))
    assert Counter(clip.shard for clip in clips) == {shard.number: shard.clips for shard in shards}
    assert [clip.shard for clip in clips] == sorted(clip.shard for clip in clips), "shards follow each other"
    by_subject = defaultdict(set)
    for clip in clips:
        by_subject[clip.subject].add(clip.shard)
        assert shards[clip.shard].split == clip.split
    assert all(len(numbers) == 1 for numbers in by_subject.values())
    per_subject = len(clips) // len(subjects)
    assert all(shard.clips <= max(profile.shard_samples, per_subject) for shard in shards)
    for split in {shard.split for shard in shards}:
        part = [shard for shard in shards if shard.split == split]
        assert [(shard.index, shard.of) for shard in part] == [(index, len(part)) for index in range(len(part))]


@given(requests(), people())
@some
def test_groups_share_a_program_inside_one_split(profile: Profile, subjects: tuple[Subject, ...]) -> None:
    groups = defaultdict(list)
    for clip in rows(plan_of(profile, subjects)):
        groups[clip.counterfactual_group].append(clip)
    alone = profile.shared_program_subjects == 1 and not profile.ablations
    assert (set(groups) == {None}) if alone else (None not in groups)
    for name, clips in groups.items():
        if name is None:
            continue
        assert len({clip.program_seed for clip in clips}) == 1
        assert len({clip.split for clip in clips}) == 1
        assert len({clip.emotion for clip in clips}) == 1
        members = Counter(clip.subject for clip in clips)
        assert len(members) <= profile.shared_program_subjects
        assert set(members.values()) == {1 + profile.ablations}
    assert len({clips[0].program_seed for name, clips in groups.items() if name}) == len(set(groups) - {None})


def test_ablations_change_one_unit_and_keep_all_else() -> None:
    profile = replace(MICRO, ablations=2)
    whole: dict[tuple[str, str], PlannedClip] = {}
    for clip in rows(plan_of(profile, crowd(6))):
        program, change = program_of(profile, clip)
        if not clip.ablation:
            assert change is None
            whole[clip.subject, clip.emotion] = clip
            continue
        base = whole[clip.subject, clip.emotion]
        assert clip.nuisance_seed == base.nuisance_seed, "sway, blink and noise stay"
        before, after = (
            {activation.au: activation for activation in each.activations}
            for each in (program_of(profile, base)[0], program)
        )
        changed = {au for au in before.keys() | after.keys() if before.get(au) != after.get(au)}
        assert len(changed) == 1
        assert change is not None and change.startswith(f"do(AU{changed.pop()}=")
        assert program.timing == program_of(profile, base)[0].timing


def test_clips_of_one_program_differ_in_nuisance_between_subjects() -> None:
    clips = rows(plan_of(MICRO, crowd(24)))
    groups = defaultdict(list)
    for clip in clips:
        groups[clip.counterfactual_group].append(clip.nuisance_seed)
    assert all(len(set(seeds)) == len(seeds) for seeds in groups.values())


# --- the plan as a function


CHANGES = {
    "name": "mine", "follows": "nobody", "size": 128, "fps": 50.0, "frames": 200, "emotions": ("fear",),
    "au_table": "facs", "subjects": 47, "sequences": 2, "intensity": (0.8, 1.9), "label_noise": 0.1, "sway_px": 0.5,
    "blink_probability": 0.2, "noise_sigma": 1.0, "shared_program_subjects": 3, "ablations": 1,
    "split": (0.6, 0.2, 0.2), "shard_samples": 63, "event": Event(mean_ms=371), "video": Video(crf=17),
    "marginals": Marginals(gender={"Woman": 2, "Man": 1}), "acceptance": Acceptance(attempts=2),
    "curation": Curation(max_turn=20), "audit": Thresholds(residual=0.3), "license": "cc-by-nc-4.0",
}  # fmt: skip


def test_same_request_same_plan() -> None:
    one, other = (plan_of(MICRO, crowd(12)) for _ in range(2))
    assert one.header == other.header
    assert one.clips.equals(other.clips)
    assert one.portraits.equals(other.portraits)
    assert differences(one.header, other.header) == []


@pytest.mark.parametrize("name", [field.name for field in fields(Profile)])
def test_any_change_of_the_profile_is_another_plan_and_is_named(name: str) -> None:
    changed = replace(MICRO, **{name: CHANGES[name]})
    subjects = crowd(4)
    assert plan_of(changed, subjects).header["plan_sha256"] != plan_of(MICRO, subjects).header["plan_sha256"]
    found = differences(request(changed), request())
    assert len(found) == 1
    assert found[0].startswith(f"profile.{name}")
    assert " asked, " in found[0] and found[0].endswith(" planned")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed: 1 asked, 0 planned"),
        ({"source": "celeba-hq"}, "source: celeba-hq asked, folder planned"),
        ({"options": {"limit": 3}}, "source_options.limit: 3 asked, None planned"),
        ({"fingerprint": "x"}, "source_fingerprint: x asked, abc planned"),
        ({"generator": "ltx"}, "generator: ltx asked, warp planned"),
        ({"generator_options": {"steps": 3}}, "generator_options.steps: 3 asked, None planned"),
        ({"audit": True}, "audit: True asked, False planned"),
        ({"formats": ("parquet",)}, "formats: ['parquet'] asked, ['webdataset', 'parquet'] planned"),
    ],
)
def test_any_change_of_the_request_is_another_plan_and_is_named(change: dict, message: str) -> None:
    survey = Survey(crowd(4), ())
    one, other = make_plan(request(**change), survey), make_plan(request(), survey)
    assert one.header["plan_sha256"] != other.header["plan_sha256"]
    assert differences(request(**change), other.header) == [message]


def test_nested_differences_are_named_by_their_path() -> None:
    changed = replace(MICRO, event=Event(mean_ms=371), fps=50.0)
    assert differences(request(changed), request()) == [
        "profile.fps: 50.0 asked, 100.0 planned",
        "profile.event.mean_ms: 371 asked, 370.0 planned",
    ]


def test_other_portraits_are_another_plan() -> None:
    subjects = crowd(4)
    hashes = {
        plan_of(MICRO, changed).header["plan_sha256"]
        for changed in (
            subjects,
            subjects[::-1],
            (replace(subjects[0], sha256="0" * 64), *subjects[1:]),
            (replace(subjects[0], crop=(0, 0, 9)), *subjects[1:]),
            (replace(subjects[0], landmarks=np.zeros((478, 2), np.float32)), *subjects[1:]),
            (replace(subjects[0], license="other"), *subjects[1:]),
        )
    }
    assert len(hashes) == 6


def test_order_and_repetition_of_formats_change_nothing() -> None:
    assert request(formats=("parquet", "webdataset", "parquet")) == request()
    with pytest.raises(ValueError, match=r"^format 'zip' must be one of webdataset, parquet, arrow$"):
        request(formats=("zip",))


def test_a_plan_needs_portraits() -> None:
    survey = Survey((), (Rejection("a.png", "no face found"), *[Rejection(f"{n}.png", "open mouth") for n in range(3)]))
    with pytest.raises(ValueError, match=r"^no portrait can be used: .*open mouth"):
        make_plan(request(), survey)
    with pytest.raises(ValueError, match=r"^no portrait can be used$"):
        make_plan(request(), Survey((), ()))


def test_a_plan_without_portraits_tells_the_first_reason_of_each_kind_in_full() -> None:
    wrong = "apparent gender 'Manx' must be one of Woman, Man"
    rows = [Rejection(f"{number}.png", f"a.csv line {number}: {wrong}") for number in (2, 3)]
    survey = Survey((), (Rejection("a.png", "3 faces found; at most one is needed"), *rows))
    with pytest.raises(ValueError) as raised:
        make_plan(request(), survey)
    assert str(raised.value) == (
        f"no portrait can be used: 2 x a.csv line 2: {wrong} (2.png); "
        "1 x 3 faces found; at most one is needed (a.png); `equime curate` tells them all"
    )


# --- portraits in the plan


def test_subjects_and_rejections_come_back_from_the_table() -> None:
    rng = np.random.default_rng(0)
    look = Attributes("Woman", "black", 31.5, {"gender": "me"}, {"Woman": 0.9, "Man": 0.1})
    subject = Subject(
        "s1", "person 1", "ä b/1.png", look, "free", "f" * 64, (1, 2, 300), rng.random((478, 2), np.float32) * 256
    )
    plan = make_plan(request(), Survey((subject,), (Rejection("b\udcff.png", "no face found"),)))
    row = next(row for row in plan.portraits.to_pylist() if row["subject"])
    back = subject_from_row(row)
    for field in fields(Subject):
        one, other = getattr(back, field.name), getattr(subject, field.name)
        assert np.array_equal(one, other) if field.name == "landmarks" else one == other, field.name
    assert rejected_portraits(plan.portraits) == [Rejection("b\\udcff.png", "no face found")]


def test_summary_counts_every_clip_once_per_label() -> None:
    unknown = Subject("s0", "s0", "0.png", Attributes(), "free")
    plan = plan_of(MICRO, (*crowd(12), unknown))
    for counts in summary(plan).values():
        assert sum(counts.values()) == plan.header["clips"]
    assert summary(plan)["apparent race"][UNKNOWN] == len(EMOTIONS)


# --- size


def test_two_thousand_subjects_are_planned_written_and_read_back(tmp_path: Path) -> None:
    plan = plan_of(replace(MICRO, shard_samples=500), crowd(2000))
    assert plan.header["clips"] == 14_000
    assert plan.header["plan_sha256"] == plan_hash(
        {name: value for name, value in plan.header.items() if name != "plan_sha256"}, plan.clips, plan.portraits
    )
    write_plan(tmp_path, plan)
    back = read_plan(tmp_path)
    assert back.header == json.loads(json.dumps(plan.header))
    shard = plan.shards[-1]
    clips, subjects = read_shard_plan(tmp_path, shard)
    assert len(clips) == shard.clips
    assert {clip.subject for clip in clips} == set(subjects)


# --- drawn subjects


weights = st.integers(0, 1000) | st.floats(0, 1e6)


def tables(words: tuple[str, ...]) -> st.SearchStrategy[dict[str, float]]:
    return st.dictionaries(st.sampled_from(words), weights, min_size=1).filter(lambda table: sum(table.values()) > 0)


@given(tables(GENDERS), tables(RACES), tables(tuple(AGE_GROUPS)), st.integers(1, 300), st.integers(0, 99))
@settings(max_examples=100)
def test_drawn_subjects_meet_their_marginals_within_one(
    gender: dict[str, float], race: dict[str, float], age: dict[str, float], count: int, seed: int
) -> None:
    drawn = allot(Marginals(gender, race, age), count, seed)
    assert len(drawn) == count
    for column, wanted in enumerate((gender, race, age)):
        counts = Counter(row[column] for row in drawn)
        assert counts.keys() <= wanted.keys()
        for word, weight in wanted.items():
            assert abs(counts[word] - count * weight / sum(wanted.values())) < 1 + 1e-6, word


@pytest.mark.parametrize("count", [1, 2, 12, 48, 300])
def test_gender_is_balanced_within_each_race(count: int) -> None:
    drawn = Counter((gender, race) for gender, race, _ in allot(MICRO.marginals, count, 0))
    for race in RACES:
        assert abs(drawn["Woman", race] - drawn["Man", race]) <= 1


def test_drawn_subjects_are_of_their_groups() -> None:
    survey = ProceduralSource().survey(replace(MICRO, subjects=60), 5)
    again = ProceduralSource().survey(replace(MICRO, subjects=60), 5)
    assert [repr(subject) for subject in survey.subjects] == [repr(subject) for subject in again.subjects]
    assert not survey.rejections
    for subject in survey.subjects:
        assert subject.attributes.age is not None and 20 <= subject.attributes.age <= 85
        assert {subject.attributes.judge(name) for name in ("gender", "race", "age")} == {
            "requested of the face generator"
        }
    assert len({subject.reference for subject in survey.subjects}) == 60
