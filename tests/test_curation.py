"""Curation on scores alone: thresholds, marginals, the table, and what is kept of a broken run."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import small_profile
from hypothesis import given, settings
from hypothesis import strategies as st

from equime_builder import manifest
from equime_builder.attributes.estimates import EXPRESSIONS, Estimate
from equime_builder.curation.choosing import Fit, choose, word
from equime_builder.curation.rates import GroupRate, passing_rates
from equime_builder.curation.scores import Scores, fault
from equime_builder.curation.scoring import Scored
from equime_builder.curation.sheet import lines_of, sections
from equime_builder.curation.store import open_store
from equime_builder.curation.survey import Candidate, Pool, Wanted, take_survey
from equime_builder.curation.table import (
    COLUMNS,
    LANDMARKS,
    SCORES,
    make_table,
    read_known,
    schema_of,
    scores_of,
    scores_row,
    write_csv,
    write_table,
)
from equime_builder.curation.thresholds import NEUTRAL_SELECTION, Curation, Shares
from equime_builder.manifest import FolderError
from equime_builder.plan import ask, make_plan
from equime_builder.portraits import Attributes, Rejection, Survey
from equime_builder.profiles import load_profile
from equime_loader.schema import GENDERS, RACES

SOUND = Scores(
    width=512, height=512, faces=1, iod=120.0, crop=(0, 3, 480), yaw=1.0, pitch=-2.0, roll=0.5, outside=-0.1,
    lid_gap=0.12, lip_gap=0.01, smile=0.1, eye_light=(1.1, 1.2), eye_contrast=(0.8, 0.9), lip_color=20.0,
    cheek_edges=(0.02, 0.03, 0.02, 0.02), mirror_shift=0.03, sharpness=0.3,
    landmarks=np.linspace(0, 255, 956, dtype=np.float32).reshape(478, 2), landmarks_size=256,
)  # fmt: skip


def digest(number: int) -> str:
    return f"{number:064x}"


def scored(number: int, **changes: object) -> Scored:
    return Scored(f"{number}.png", digest(number), replace(SOUND, **changes))


def pool(count: int, *attributes: Attributes, people: int | None = None) -> Pool:
    candidates = tuple(
        Candidate(
            f"{number}.png",
            attributes[number] if attributes else Attributes(),
            f"c{number:05d}",
            f"person{number % people}" if people else None,
        )
        for number in range(count)
    )
    return Pool(candidates, (), "CC0")


# --- thresholds


def test_thresholds_are_a_section_of_the_profile(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\nfollows = "nobody"\n[curation]\nmax_turn = 12\nmin_sharpness = 0.2\n'
        "[curation.select]\nMale = 1\n[curation.marginals.race]\nasian = 1\nblack = 3\n"
    )
    profile = load_profile(str(path))
    assert profile.curation == Curation(
        max_turn=12.0, min_sharpness=0.2, select={"Male": 1}, marginals=Shares(race={"asian": 1.0, "black": 3.0})
    )
    assert load_profile("micro").curation == Curation()
    assert Curation().marginals.asked() == {}


def test_the_papers_own_selection_is_a_profile() -> None:
    paper = load_profile("paper-selection").curation
    assert paper.select == {"Smiling": -1}
    assert load_profile("paper").curation.select == NEUTRAL_SELECTION
    odd = replace(SOUND, yaw=80.0, lip_gap=0.4, lid_gap=0.0, mirror_shift=4.0, lip_color=0.0, eye_light=(0.1, 0.1))
    assert fault(odd, Curation()) is not None
    assert fault(odd, paper) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_turn": 91}, r"^curation\.max_turn=91 must lie within 0\.\.90$"),
        ({"min_iod": 3}, r"^curation\.min_iod=3 must lie within 16\.\.1000$"),
        ({"max_smile": float("nan")}, r"^curation\.max_smile=nan must lie within 0\.\.1$"),
        ({"select": {"Smiling": 0}}, r"^curation\.select: Smiling = 0 must be 1 or -1$"),
        ({"marginals": {"race": {"green": 1}}}, r"^curation\.marginals\.race: 'green' must be one of asian"),
        ({"marginals": {"age": {"20-29": -1}}}, r"^curation\.marginals\.age: 20-29 = -1 must lie within"),
        ({"marginals": {"gender": {"Man": 0}}}, r"^curation\.marginals\.gender: at least one weight must be positive$"),
    ],
)
def test_thresholds_that_mean_nothing_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Curation(**{name: Shares(**value) if name == "marginals" else value for name, value in changes.items()})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"problem": "not a picture"}, "not a picture"),
        ({"faces": 0}, "no face found"),
        ({"faces": 2}, "2 faces found; a portrait shows one"),
        ({"iod": 31.4}, "face too small: 31 pixels between the eyes, 32 needed"),
        ({"crop": None}, "the face is cut off by the edge of the picture"),
        ({"outside": 0.02}, "the face is cut off by the edge of the picture"),
        ({"yaw": -25.6}, "profile view: yaw -26 degrees, at most 25"),
        ({"roll": 30.0}, "head is tilted: roll 30 degrees, at most 25"),
        ({"eye_light": (0.4, 0.5)}, "sunglasses: the eyes are darker than the cheeks"),
        ({"eye_light": (0.4, 1.0)}, None),
        ({"eye_light": (0.4, None), "eye_contrast": (0.5, None)}, "sunglasses: the eyes are darker than the cheeks"),
        ({"eye_light": (None, None), "eye_contrast": (None, None)}, None),
        ({"lid_gap": 0.049}, "eyes are closed: lids 0.049 IOD apart, 0.05 needed"),
        ({"lip_gap": 0.0411}, "open mouth: lips 0.041 IOD apart, at most 0.04"),
        ({"lip_color": 5.0}, "something covers part of the face (a hand?): the mouth has the color of skin (distance "
         "5.0, 6.0 needed)"),
        ({"cheek_edges": (0.05, 0.02, 0.0, 0.0)}, "something covers part of the face (a hand?): one cheek has edges "
         "that the other has not"),
        ({"cheek_edges": (0.05, 0.04, None, None)}, None),
        ({"mirror_shift": 0.07}, "something covers part of the face (a hand?): landmarks move by 0.070 IOD when it is "
         "mirrored, at most 0.062"),
    ],
)  # fmt: skip
def test_each_score_has_its_threshold_and_its_words(changes: dict, reason: str | None) -> None:
    assert fault(replace(SOUND, **changes), Curation()) == reason


def test_thresholds_that_a_profile_adds() -> None:
    assert fault(SOUND, Curation(max_smile=0.05)) == "smile: 0.10, at most 0.05"
    assert fault(SOUND, Curation(min_sharpness=0.4)) == "blurred: sharpness 0.300, 0.4 needed"


# --- choosing


def crowd(*groups: tuple[str | None, str | None, int]) -> list[Fit]:
    rows = [(gender, race) for gender, race, count in groups for _ in range(count)]
    order = np.random.default_rng(0).permutation(len(rows))
    return [Fit(f"c{place}", f"c{place}", Attributes(*rows[row], 20.0 + place % 50)) for place, row in enumerate(order)]


def test_without_shares_the_first_ones_are_taken() -> None:
    fits = crowd(("Man", "white", 10))
    choice = choose(fits, Shares(), count=4, reserve=3)
    assert (choice.chosen, choice.reserve, choice.shortfall) == ((0, 1, 2, 3), (4, 5, 6), None)
    assert choice.left == dict.fromkeys((7, 8, 9), "not needed: 4 were taken before it")
    assert choose(fits, Shares(), count=None, reserve=3).chosen == tuple(range(10))
    assert choose(fits, Shares(), count=12).shortfall == "12 subjects asked for, 10 can be taken"


EVEN = Shares(gender=dict.fromkeys(GENDERS, 1.0), race=dict.fromkeys(RACES, 1.0))


def test_marginals_are_met_within_one_subject() -> None:
    fits = crowd(*((gender, race, 3 + 9 * (race == "white")) for gender in GENDERS for race in RACES))
    choice = choose(fits, EVEN, count=20, reserve=6)
    assert len(choice.chosen) == 20 and choice.shortfall is None
    for name, words in (("gender", GENDERS), ("race", RACES)):
        counts = Counter(word(fits[place].attributes, name) for place in choice.chosen)
        assert all(abs(counts[each] - 20 / len(words)) < 1 for each in words)
    assert len(set(choice.reserve)) == 6 and not set(choice.reserve) & set(choice.chosen)
    together = Counter(fits[place].attributes.race for place in (*choice.chosen, *choice.reserve))
    assert max(together.values()) - min(together.values()) <= 2
    assert set(choice.left) == set(range(len(fits))) - set(choice.chosen) - set(choice.reserve)


def test_a_shortfall_is_told_with_numbers() -> None:
    fits = crowd(("Woman", "white", 30), ("Man", "white", 5))
    choice = choose(fits, Shares(gender={"Woman": 1, "Man": 1}), count=20)
    assert len(choice.chosen) == 11
    assert choice.shortfall == (
        "20 subjects asked for, 11 can be taken with these shares, of 35 passing portraits; used up: Man (5)"
    )
    none = choose(crowd(("Woman", "white", 30)), Shares(race={"white": 4, "black": 1}), count=20)
    assert len(none.chosen) == 4
    assert none.shortfall is not None and "black (none, 20.0% asked for)" in none.shortfall


def test_who_cannot_be_counted_is_left_out_and_told_why() -> None:
    fits = crowd(("Woman", None, 1), ("Woman", "asian", 2), ("Man", "white", 2))
    choice = choose(fits, Shares(race={"asian": 1}), count=None)
    assert Counter(choice.left.values()) == {
        "unknown apparent race: shares of it are asked for": 1,
        "not needed: no share of white is asked for": 2,
    }
    nobody = choose(crowd(("Woman", None, 3)), Shares(race={"asian": 1}), count=2)
    assert nobody.chosen == () and nobody.shortfall == "no portrait that passes has words in race"


def test_every_person_comes_once_before_any_comes_twice() -> None:
    fits = [Fit(f"c{place}", f"person{place // 3}", Attributes("Man")) for place in range(9)]
    choice = choose(fits, Shares(gender={"Man": 1}), count=3, reserve=3)
    assert choice.chosen == (0, 3, 6)
    assert choice.reserve == (1, 4, 7)


CROWDS = st.lists(st.tuples(st.sampled_from(GENDERS), st.sampled_from(RACES[:3]), st.integers(0, 6)), max_size=8)


@given(CROWDS, st.integers(1, 12), st.lists(st.integers(0, 3), min_size=5, max_size=5))
@settings(max_examples=60)
def test_any_crowd_is_chosen_from_within_one_subject(
    groups: list[tuple[str, str, int]], count: int, weights: list[int]
) -> None:
    gender, race = dict(zip(GENDERS, weights[:2], strict=True)), dict(zip(RACES[:3], weights[2:], strict=True))
    if not (sum(gender.values()) and sum(race.values())):
        return
    fits, shares = crowd(*groups), Shares(gender=gender, race=race)
    choice = choose(fits, shares, count=count, reserve=2)
    total = len(choice.chosen)
    assert total <= count
    assert (total == count) == (choice.shortfall is None)
    for name, wanted in shares.asked().items():
        counts = Counter(word(fits[place].attributes, name) for place in choice.chosen)
        for each, weight in wanted.items():
            assert abs(counts[each] - total * weight / sum(wanted.values())) < 1
    assert sorted([*choice.chosen, *choice.reserve, *choice.left]) == list(range(len(fits)))
    assert choose(fits, shares, count=count, reserve=2) == choice


# --- surveys


def test_no_more_is_scored_than_is_needed() -> None:
    taken_out: list[int] = []

    def coming() -> Iterator[Scored]:
        for number in range(10):
            taken_out.append(number)
            yield scored(number, **({"lip_gap": 0.3} if number == 1 else {}))

    survey = take_survey(pool(10), coming(), Wanted(Curation(), 256, count=2, reserve=1))
    assert taken_out == [0, 1, 2, 3]
    assert [subject.subject for subject in survey.subjects] == ["c00000", "c00002"]
    assert [subject.subject for subject in survey.reserve] == ["c00003"]
    assert survey.rejections == (Rejection("1.png", "open mouth: lips 0.300 IOD apart, at most 0.04"),)
    assert survey.scores is not None
    assert survey.scores["taken"].to_pylist() == [True, False, True] + [False] * 7
    assert survey.scores["reason"].to_pylist()[3:5] == [
        "not needed: held in reserve",
        "not needed: 2 were taken before it",
    ]
    everything = take_survey(pool(10), coming(), Wanted(Curation(), 256, count=2, reserve=1), all_of_them=True)
    assert [each.subject for each in everything.subjects] == [each.subject for each in survey.subjects]
    assert everything.scores is not None and None not in everything.scores["iod"].to_pylist()


def test_the_same_picture_is_taken_once() -> None:
    candidates = tuple(Candidate(f"{number}.png", Attributes()) for number in range(3))
    same = [Scored("0.png", digest(7), SOUND), Scored("1.png", digest(7), SOUND), Scored("2.png", None, Scores("gone"))]
    survey = take_survey(Pool(candidates, (), "CC0"), same, Wanted(Curation(), 256))
    assert [subject.reference for subject in survey.subjects] == ["0.png"]
    assert [each.reason for each in survey.rejections] == ["same picture as 0.png", "gone"]


def test_estimates_complete_declarations_and_hint_at_neutrality() -> None:
    shown = dict.fromkeys(EXPRESSIONS, 0.0) | {"happiness": 0.75, "neutral": 0.25}
    estimates = {digest(number): Estimate("E", "Man", "asian", 30.5, None, None, shown) for number in range(2)}
    people = pool(2, Attributes("Woman", judged_by={"gender": "S"}), Attributes())
    both = [scored(0), scored(1)]
    survey = take_survey(people, both, Wanted(Curation(), 256), estimates)
    assert [subject.attributes.gender for subject in survey.subjects] == ["Woman", "Man"]
    assert survey.subjects[0].attributes.judged_by == {"gender": "S", "race": "E", "age": "E"}
    calm = take_survey(people, both, Wanted(Curation(min_neutral=0.5), 256), estimates)
    assert {each.reason for each in calm.rejections} == {
        "not neutral: E sees happiness (0.75), neutral 0.25, 0.5 needed"
    }
    assert take_survey(people, both, Wanted(Curation(min_neutral=0.5), 256), {}).rejections == ()


def test_landmarks_follow_the_size_of_the_clips() -> None:
    survey = take_survey(pool(1), [scored(0)], Wanted(Curation(), 128))
    assert survey.subjects[0].landmarks is not None
    assert np.array_equal(survey.subjects[0].landmarks, SOUND.landmarks * np.float32(0.5))


# --- the table


def table_of(count: int = 4) -> pa.Table:
    estimates = {digest(0): Estimate("E", "Man", None, 30.1, {"Woman": 0.1, "Man": 0.9}, None, None)}
    found = [scored(number, problem="broken" if number == 1 else None) for number in range(count)]
    survey = take_survey(pool(count), found, Wanted(Curation(), 256), estimates, all_of_them=True)
    assert survey.scores is not None
    return survey.scores


def same(one: Scores, other: Scores) -> bool:
    left, right = ({f.name: getattr(each, f.name) for f in fields(Scores)} for each in (one, other))
    marks = [each.pop("landmarks") for each in (left, right)]
    return left == right and np.array_equal(*marks)


def test_what_is_kept_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = [scored(0), scored(1, crop=None, eye_light=(None, 0.4), cheek_edges=(None, None, 0.1, 0.2), landmarks=None,
                              landmarks_size=None), Scored("2.png", digest(2), Scores("not a picture")),
            Scored("3.png", digest(3), Scores(width=9, height=9, faces=0))]  # fmt: skip
    shown = dict.fromkeys(EXPRESSIONS, 1 / 7)
    estimate = Estimate("E", "Man", "asian", 1 / 3, {"Woman": 0.1, "Man": 0.9}, dict.fromkeys(RACES, 1 / 6), shown)
    with open_store(tmp_path / "out") as store:
        store.keep_scores(kept)
        store.keep_estimates({digest(0): estimate})
        store.keep_scores([])
        known = store.known()
    assert list(known.scores) == [each.sha256 for each in kept]
    assert all(same(known.scores[each.sha256], each.scores) for each in kept)
    assert known.estimates == {digest(0): estimate}


def test_a_finished_store_knows_what_its_parts_knew(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.keep_scores([scored(number) for number in range(4)])
        store.finish(table_of(), {digest(number): SOUND for number in range(4)}, ())
        assert not (tmp_path / "parts").exists()
        known = store.known()
    assert set(known.scores) == {digest(number) for number in range(4)}
    assert same(known.scores[digest(3)], SOUND)
    assert known.estimates[digest(0)].age == 30.1


def test_the_csv_has_a_column_for_every_score_and_no_landmarks(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", table_of())
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert {field.name for field in COLUMNS if not pa.types.is_struct(field.kind)} <= set(rows[0])
    assert rows[0]["gender_probabilities.Man"] == "0.9" and "landmarks" not in rows[0]
    assert rows[1]["reason"] == "broken" and rows[1]["taken"] == "false"


def test_tables_that_are_none_are_refused(tmp_path: Path) -> None:
    odd = {"landmarks": b"1234"}, {"crop_side": 513}, {"crop_left": -1}, {"landmarks": None}, {"crop_top": "x"}
    for number, change in enumerate(odd):
        row = {**scores_row(digest(0), SOUND), **change}
        with pytest.raises((ValueError, TypeError)):
            scores_of(row)
        if change != {"crop_top": "x"}:
            write_table(tmp_path / f"{number}.parquet", make_table([row], (*SCORES, *LANDMARKS)))
            with pytest.raises(ValueError, match=rf"{number}\.parquet: not a table of `equime curate` \("):
                read_known(tmp_path / f"{number}.parquet")
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1 no")
    with pytest.raises(ValueError, match=r"t\.parquet: not a table of `equime curate`"):
        read_known(path)
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(ValueError, match=r"t\.parquet: not a table of this version of `equime curate`"):
        read_known(path)
    write_table(path, pa.table({"sha256": ["x"], "faces": [1]}).replace_schema_metadata(schema_of([]).metadata))
    with pytest.raises(ValueError, match=r"t\.parquet: not a table of `equime curate`"):
        read_known(path)


def test_a_store_is_held_by_one(tmp_path: Path) -> None:
    text = "another `equime curate` is writing it"
    with open_store(tmp_path / "out"), pytest.raises(ValueError, match=text), open_store(tmp_path / "out"):
        raise AssertionError("not reached")


def test_a_store_goes_on_where_a_file_was_being_written(tmp_path: Path) -> None:
    for name in (".curation.parquet.tmp", "parts/.000001.parquet.tmp", "parts/000000.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with open_store(tmp_path):
        pass


@pytest.mark.parametrize("name", ["thesis.tex", "curation.csv", "sheet.png", "parts/notes.parquet", "parts/000000.txt"])
def test_a_store_takes_no_strange_folder(tmp_path: Path, name: str) -> None:
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text("precious")
    text = rf"holds '{name}', which `equime curate` did not write; name a new folder$"
    with pytest.raises(ValueError, match=text), open_store(tmp_path / "out"):
        raise AssertionError("not reached")
    assert path.read_text() == "precious"


def test_the_sheet_shows_some_of_every_fate() -> None:
    rows = [{"taken": number % 3 == 0, "reason": None if number % 3 == 0 else f"kind {number % 2}: {number}"}
            for number in range(200)]  # fmt: skip
    shown = sections(rows)
    assert [section.heading for section in shown] == [
        "taken: 67, 24 shown", "kind 1: 67, 8 shown", "kind 0: 66, 8 shown"
    ]  # fmt: skip
    assert [len(line) for line in lines_of(shown)] == [1, 1, 1]
    assert [len(section.rows) for section in shown] == [24, 8, 8]
    assert shown[0].rows[0] is rows[0] and shown[0].rows[-1] is rows[198]


def test_small_fates_stand_side_by_side() -> None:
    reasons = ("same picture as a.png", "same picture as b.png", "3 faces found; a portrait shows one",
               "a.csv line 3: named a second time", "not needed: 2 were taken before it")  # fmt: skip
    shown = sections([{"taken": False, "reason": reason} for reason in reasons])
    assert [section.heading for section in shown] == [
        "not needed: 1", "same picture as another: 2", "several faces found: 1", "wrong row of the table: 1"
    ]  # fmt: skip
    assert [len(line) for line in lines_of(shown)] == [4]


def test_rates_tell_whom_the_thresholds_pass() -> None:
    people = pool(4, Attributes("Woman"), Attributes("Man", age=20.0), Attributes("Man", age=29.9), Attributes())
    found = [scored(0), scored(1, lip_gap=0.2), scored(2), scored(3, yaw=90.0)]
    survey = take_survey(people, found, Wanted(Curation(), 256, count=1), all_of_them=True)
    assert survey.scores is not None
    assert passing_rates(survey.scores) == [
        GroupRate("gender", "Woman", 1, 1, None),
        GroupRate("gender", "Man", 2, 1, "open mouth"),
        GroupRate("age", "20-29", 2, 1, "open mouth"),
    ]
    assert passing_rates(survey.scores)[1].row()["rate"] == 0.5


def test_rates_count_what_the_thresholds_say_and_nothing_else() -> None:
    """Neither that an attribute is unknown nor that a picture lies there twice speaks against a portrait."""
    candidates = tuple(Candidate(f"{number}.png", Attributes(race="asian")) for number in range(5))
    pictures = "aabcc"  # two lie there twice; the mouth of c is open
    found = [
        Scored(f"{number}.png", picture * 64, replace(SOUND, lip_gap=0.2) if picture == "c" else SOUND)
        for number, picture in enumerate(pictures)
    ]
    wanted = Wanted(Curation(marginals=Shares(gender={"Woman": 1})), 256)
    survey = take_survey(Pool(candidates, (), "CC0"), found, wanted)
    assert survey.scores is not None and not survey.subjects
    assert passing_rates(survey.scores) == [GroupRate("race", "asian", 3, 2, "open mouth")]


# --- in the dataset


def plan_with(survey: Survey):
    asked = ask(small_profile(), seed=0, source="folder", options={}, fingerprint="f", generator="warp",
                formats=("parquet",))  # fmt: skip
    return make_plan(asked, survey)


def test_the_table_is_part_of_the_plan(tmp_path: Path) -> None:
    survey = take_survey(pool(4), [scored(number) for number in range(4)], Wanted(Curation(), 128, count=3))
    plan = plan_with(survey)
    assert plan.header["curation"] == {"portraits": 4, "shortfall": None}
    manifest.write_plan(tmp_path, plan)
    back = manifest.read_plan(tmp_path)
    assert back.curation is not None and survey.scores is not None and back.curation.equals(survey.scores)
    other = survey.scores.set_column(3, "taken", pa.array([False] * 4))
    assert plan_with(replace(survey, scores=other)).header["plan_sha256"] != plan.header["plan_sha256"]
    pq.write_table(other, tmp_path / manifest.CURATION)
    with pytest.raises(FolderError, match=r"does not match its own hash|other columns than a plan"):
        manifest.read_plan(tmp_path)
    (tmp_path / manifest.CURATION).unlink()
    with pytest.raises(FolderError, match="tables cannot be read"):
        manifest.read_plan(tmp_path)


def test_a_plan_without_subjects_tells_the_shortfall() -> None:
    survey = take_survey(
        pool(2), [scored(0), scored(1)], Wanted(Curation(marginals=Shares(race={"asian": 1})), 128, count=2)
    )
    with pytest.raises(ValueError, match=r"^no portrait can be used.*; no portrait that passes has words in race$"):
        plan_with(survey)


def test_file_names_that_are_no_unicode_stay_readable() -> None:
    survey = take_survey(Pool((), (Rejection("\udcff.png", "gone"),), "CC0"), [], Wanted(Curation(), 128))
    assert survey.scores is not None and survey.scores["reference"].to_pylist() == ["\\udcff.png"]


def test_profiles_with_a_section_are_plain_values() -> None:
    assert asdict(Curation())["select"] == dict(NEUTRAL_SELECTION)
    assert load_profile("paper-selection").to_dict()["curation"]["select"] == {"Smiling": -1}
