"""Action Units and emotion tables: complete, consistent, and the pooled statistics that hand calculation gives."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime_builder.facs import (
    ACTION_UNITS,
    AU_COLUMN,
    AUS,
    EMOTION_TABLES,
    EXCLUSIVE,
    EXPRESSIVE_AUS,
    LETTERS,
    SIDES,
    describe,
    letter,
)
from equime_builder.generators.warp.actions import ACTIONS, BLINK
from equime_loader import schema

TABLES = tuple(EMOTION_TABLES.values())


def test_builder_and_loader_agree_on_the_units_and_their_columns() -> None:
    assert AUS == schema.AUS
    assert [AU_COLUMN[au] for au in AUS] == list(range(len(AUS)))
    assert all(number == unit.au for number, unit in ACTION_UNITS.items())


def test_a_blink_expresses_nothing() -> None:
    assert set(AUS) - set(EXPRESSIVE_AUS) == {45}


@pytest.mark.parametrize("unit", ACTION_UNITS.values(), ids=lambda unit: f"AU{unit.au}")
def test_units_say_what_they_are(unit) -> None:
    assert unit.name and unit.muscle and unit.direction
    assert unit.region in ("upper face", "lower face")
    assert 0 < unit.full_scale < 0.5, "an AU moves less than half the distance between the eyes"


@pytest.mark.parametrize(
    "unit", [unit for unit in ACTION_UNITS.values() if unit.au != BLINK], ids=lambda unit: f"AU{unit.au}"
)
def test_full_scale_is_the_largest_displacement_that_the_generator_makes(unit) -> None:
    """AU45 aside: it closes an opening, whatever its height."""
    action = ACTIONS[unit.au]
    pulls = [math.hypot(pull.out, pull.up) for pull in action.pulls]
    parts = [max(abs(part.upper), abs(part.lower)) for part in action.parts]
    assert max(pulls + parts) == pytest.approx(unit.full_scale, abs=0.006)


def test_units_of_the_midline_have_no_side() -> None:
    assert {unit.au for unit in ACTION_UNITS.values() if not unit.lateral} == {17, 23, 24, 25, 26}


def test_lips_do_not_press_and_part() -> None:
    assert {tuple(sorted(pair)) for pair in EXCLUSIVE} == {(23, 25), (23, 26), (24, 25), (24, 26)}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_emotion_has_a_table(table) -> None:
    assert EMOTION_TABLES[table.name] is table
    assert set(table.probabilities) == set(table.unilateral) == set(schema.EMOTIONS)
    assert {"disgust", "contempt"} <= set(table.probabilities)
    assert table.source


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_probabilities_are_probabilities_of_expressive_units(table) -> None:
    for emotion, units in table.probabilities.items():
        assert units, emotion
        assert set(units) <= set(EXPRESSIVE_AUS), emotion
        assert all(0 < p <= 1 for p in units.values()), emotion
    assert all(0 <= p <= 1 for p in table.unilateral.values())


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_no_emotion_is_certain_of_units_that_exclude_each_other(table) -> None:
    for emotion, units in table.probabilities.items():
        certain = {au for au, p in units.items() if p == 1}
        assert not any(pair <= certain for pair in EXCLUSIVE), emotion


# Means over the corpora that code the emotion, worked out from the sheets' numbers.
POOLED = {
    ("happiness", 12): (0.84 + 1.00 + 0.79) / 3,
    ("happiness", 6): (0.25 + 0.12 + 0.49) / 3,
    ("happiness", 14): 0.16 / 3,
    ("disgust", 4): (0.94 + 0.74) / 3,
    ("disgust", 10): (0.27 + 0.56 + 0.12) / 3,
    ("disgust", 9): (0.21 + 0.44) / 3,
    ("surprise", 5): (0.60 + 0.67) / 3,
    ("fear", 20): 0.88 / 2,
    ("anger", 7): (0.74 + 0.24) / 2,
    ("contempt", 14): 1.0 / 2,
    ("contempt", 12): 0.65 / 2,
    ("sadness", 1): (1.0 + 0.33) / 3,
}


@pytest.mark.parametrize(("cell", "mean"), POOLED.items(), ids=lambda value: str(value)[:14])
def test_each_corpus_that_codes_an_emotion_has_one_vote(cell: tuple[str, int], mean: float) -> None:
    emotion, au = cell
    assert EMOTION_TABLES["corpora"].probabilities[emotion][au] == pytest.approx(mean, abs=1e-12)


def test_prototypes_of_the_literature() -> None:
    def units(table: str, emotion: str) -> set[int]:
        probabilities = EMOTION_TABLES[table].probabilities[emotion]
        assert set(probabilities.values()) == {1.0}
        return set(probabilities)

    assert units("facs", "happiness") == {6, 12}
    assert units("facs", "surprise") == {1, 2, 5, 26}
    assert units("paper", "disgust") == {2, 4, 9, 15, 17}
    assert units("facs", "contempt") == units("paper", "contempt") == {12, 14}


def test_one_side_acts_in_a_tenth_to_a_quarter_of_clips_and_in_most_of_contempt() -> None:
    sided = EMOTION_TABLES["corpora"].unilateral
    assert all(0.10 <= p <= 0.26 for emotion, p in sided.items() if emotion != "contempt")
    assert sided["contempt"] > 0.5


@pytest.mark.parametrize(
    ("intensity", "expected"),
    [(0.01, "A"), (0.8, "A"), (1, "A"), (1.49, "A"), (1.51, "B"), (2, "B"), (3, "C"), (4, "D"), (4.51, "E"), (5, "E")],
)
def test_letters_are_whole_steps_of_the_scale(intensity: float, expected: str) -> None:
    assert letter(intensity) == expected


@given(st.lists(st.floats(0, 5, exclude_min=True), min_size=2, max_size=2).map(sorted))
@settings(max_examples=50)
def test_letters_rise_with_intensity(pair: list[float]) -> None:
    weaker, stronger = (LETTERS.index(letter(intensity)) for intensity in pair)
    assert weaker <= stronger


@pytest.mark.parametrize("intensity", [0, -1, 5.01, float("nan"), float("inf")])
def test_no_letter_outside_the_scale(intensity: float) -> None:
    with pytest.raises(ValueError, match=rf"^intensity={intensity} must be above 0 and at most 5\.0$"):
        letter(intensity)


def test_notation_names_side_unit_and_letter() -> None:
    assert describe(12, "left", 1.0) == "L12A lip corner puller"
    assert describe(14, "right", 2.0) == "R14B dimpler"
    assert describe(4, "both", 3.2) == "4C brow lowerer"
    assert SIDES == ("both", "left", "right")
