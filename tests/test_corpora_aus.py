"""The grammar of AU strings: every form that the corpora use, what it refuses, and properties."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equime_loader.corpora.aus import LETTERS, AUAction, AUCoding, AUGrammarError, parse_aus

# Text of a corpus, its canonical form, and the AUs that surely act.
EXAMPLES: dict[str, list[tuple[str, str, list[int]]]] = {
    "CASME II": [
        ("12", "12", [12]),
        ("4+7", "4+7", [4, 7]),
        ("L12", "L12", [12]),
        ("R4+R10", "R4+R10", [4, 10]),
        ("L1+L2", "L1+L2", [1, 2]),
        ("4+7+6", "4+6+7", [4, 6, 7]),
        ("4+L10", "4+L10", [4, 10]),
        ("?", "?", []),
    ],
    "SAMM": [
        ("7B", "7B", [7]),
        ("12A", "12A", [12]),
        ("43E", "43E", [43]),
        ("A12", "A12", [12]),
        ("A1B+A2C", "A1B+A2C", [1, 2]),
        ("A9E+ref(10)", "A9E+ref(10)", [9, 10]),
        ("T18+39", "T18+39", [18, 39]),
        ("B18+25", "B18+25", [18, 25]),
        ("A/L12", "A/L12", [12]),
        ("10A/B", "10A/B", [10]),
        ("ref(7B)+43", "ref(7B)+43", [7, 43]),
        ("ref(L10)+A12B", "ref(L10)+A12B", [10, 12]),
        ("L12 or L14", "L12 or L14", []),
        ("(R6 or R12)+R15", "R15+(R6 or R12)", [15]),
        ("R14A or 17A or 24A", "R14A or 17A or 24A", []),
        ("L12 + 61", "L12+61", [12, 61]),
        ("12+15 ", "12+15", [12, 15]),
        ("R14+17+soft focus", "R14+17+soft focus", [14, 17]),
    ],
    "CAS(ME)³": [
        ("2+1", "1+2", [1, 2]),
        ("R2+R1", "R1+R2", [1, 2]),
        ("T28+14", "14+T28", [14, 28]),
        ("r18", "R18", [18]),
        ("14,L24,", "14+L24", [14, 24]),
        ("4，11", "4+11", [4, 11]),
        ("13?", "13?", []),
    ],
    "4DME": [("AU4(k)+L7", "4(k)+L7", [7]), ("AUR2+12(k)+45", "R2+12(k)+45", [2, 45])],
    "DFME": [("R1+R2+R5", "R1+R2+R5", [1, 2, 5]), ("4+AD19", "4+AD19", [4, 19]), ("M55", "M55", [55])],
    "MMME": [("AU4, AU7", "4+7", [4, 7])],
}


@pytest.mark.parametrize(
    ("text", "canonical", "certain"),
    [pytest.param(*row, id=f"{name} {row[0]}") for name, rows in EXAMPLES.items() for row in rows],
)
def test_forms_of_the_corpora(text: str, canonical: str, certain: list[int]) -> None:
    coding = parse_aus(text)
    assert str(coding) == canonical and coding.raw == text
    assert parse_aus(canonical) == coding
    assert [action.au for action in coding.certain] == certain


def test_what_an_action_says() -> None:
    assert parse_aus("L12B").actions == (AUAction(12, "left", "B"),)
    assert parse_aus("A12").actions == (AUAction(12, unequal=True),)
    assert parse_aus("A/R12").actions == (AUAction(12, "right", unequal=True),)
    assert parse_aus("T18C").actions == (AUAction(18, part="top", intensity="C"),)
    assert parse_aus("b28").actions == (AUAction(28, part="bottom"),)
    assert parse_aus("ref(L10)").actions == (AUAction(10, "left", reflex=True),)
    assert parse_aus("AU4(k)").actions == (AUAction(4, kept=True),)
    assert parse_aus("AD19+M55").actions == (AUAction(19, kind="AD"), AUAction(55, kind="M"))
    assert parse_aus("13?").actions == (AUAction(13, uncertain=True),)


def test_intensity_on_the_scale_of_samples() -> None:
    assert [action.strength for action in parse_aus("1A+2E+4A/B+7").actions] == [1.0, 5.0, 1.5, None]


@pytest.mark.parametrize("text", ["4、7", "4&7", "4;7", "4 & AU7", "4++7", "4+,7", "4,, 7,", "4、 、7 +"])
def test_separators_of_every_coder(text: str) -> None:
    assert parse_aus(text) == parse_aus("4+7") and parse_aus(text).raw == text


def test_alternatives_are_grouped_by_option() -> None:
    coding = parse_aus("(R6+7 or R12)+15+(1 or 2 or 4)")
    assert [[[str(action) for action in option] for option in group] for group in coding.alternatives] == [
        [["1"], ["2"], ["4"]],
        [["R6", "7"], ["R12"]],
    ]
    assert [str(action) for action in coding.certain] == ["15"]
    # `or` binds less than `+`, as the coders' brackets tell.
    assert parse_aus("R14 or 17+24") == parse_aus("R14 or (17+24)") != parse_aus("(R14 or 17)+24")
    assert parse_aus("ref(7 or 10)") == parse_aus("ref(7) or ref(10)")


def test_unknown_and_notes() -> None:
    assert parse_aus("").unknown and parse_aus(" ？").unknown and parse_aus("4+?").unknown
    assert parse_aus("4+?").certain == (AUAction(4),)
    assert parse_aus("R14+17+soft focus").notes == ("soft focus",)
    assert not parse_aus("4").unknown


def test_codings_that_say_the_same_are_equal() -> None:
    assert parse_aus("7 + au4") == parse_aus("4,7") == parse_aus("（４＋７）")
    assert len({parse_aus("4+7"), parse_aus("7+4"), parse_aus("L4+7")}) == 2


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("+4", "letter 1"),
        ("4/7", "letter 2"),
        ("4 7", "letter 3"),
        ("12F", "letter 3"),
        ("12 and 14", "letter 4"),
        ("((4 or 7)", "letter 10"),
        ("4)", "letter 2"),
        ("4 or", "letter 5"),
        ("ref(4", "letter 6"),
        ("AU", "letter 3"),
        ("L", "letter 1"),
        ("0", "AU 0"),
        ("100", "letter 1"),
        ("4 or (7 or 6)", "alternatives within alternatives"),
        ("? or 4", "must name AUs"),
        ("(" * 400, "brackets deeper"),
        ("4+" * 400, "800 letters"),
    ],
)
def test_what_the_grammar_does_not_know_is_named_with_its_place(text: str, place: str) -> None:
    with pytest.raises(AUGrammarError, match=re.escape(place)) as raised:
        parse_aus(text)
    assert len(text) > 500 or text in str(raised.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: AUAction(0),
        lambda: AUAction(100),
        lambda: AUAction(4, "up"),  # type: ignore[arg-type]
        lambda: AUAction(4, intensity="F"),
        lambda: AUAction(4, alternative=1),
        lambda: AUCoding((AUAction(4, alternative=1, option=1),)),
        lambda: AUCoding(notes=("or",)),
        lambda: AUCoding(notes=("Focus",)),
    ],
)
def test_values_that_cannot_be_are_refused(make: object) -> None:
    with pytest.raises(ValueError):
        make()  # type: ignore[operator]


_SIDES = [("both", False), ("left", False), ("right", False), ("both", True), ("left", True), ("right", True)]
_LETTER = st.sampled_from(LETTERS)
_INTENSITY = st.none() | _LETTER | st.tuples(_LETTER, _LETTER).map("/".join)


def _actions(alternative: int | None = None, option: int | None = None) -> st.SearchStrategy[AUAction]:
    return st.builds(
        lambda side, **rest: AUAction(side=side[0], unequal=side[1], alternative=alternative, option=option, **rest),
        st.sampled_from(_SIDES),
        au=st.integers(1, 99),
        intensity=_INTENSITY,
        kind=st.sampled_from(["AU", "AD", "M"]),
        part=st.sampled_from([None, "top", "bottom"]),
        reflex=st.booleans(),
        kept=st.booleans(),
        uncertain=st.booleans(),
    )


@st.composite
def codings(draw: st.DrawFn) -> AUCoding:
    actions = draw(st.lists(_actions(), max_size=4))
    for group in range(draw(st.integers(0, 3))):
        for option in range(draw(st.integers(2, 3))):
            actions += draw(st.lists(_actions(group, option), min_size=1, max_size=3))
    notes = draw(st.lists(st.sampled_from(["soft focus", "head turns", "blur"]), max_size=2))
    return AUCoding(tuple(actions), draw(st.booleans()) or not (actions or notes), tuple(notes))


@given(codings())
def test_every_coding_is_read_from_its_text(coding: AUCoding) -> None:
    assert parse_aus(str(coding)) == coding
    assert str(parse_aus(str(coding))) == str(coding)


@given(codings(), st.randoms(use_true_random=False))
def test_order_and_case_do_not_matter(coding: AUCoding, random: object) -> None:
    plain = [action for action in coding.actions if action.alternative is None]
    random.shuffle(plain)  # type: ignore[attr-defined]
    others = [action for action in coding.actions if action.alternative is not None]
    assert AUCoding((*others, *plain), coding.unknown, coding.notes[::-1]) == coding
    assert parse_aus(str(coding).lower()) == parse_aus(str(coding).upper()) == coding


@given(st.text(max_size=40) | st.text("0123456789ABCDELRTMUkorf()+,;? /？，", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        coding = parse_aus(text)
    except AUGrammarError:
        return
    assert parse_aus(str(coding)) == coding
