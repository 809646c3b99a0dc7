"""Captions state the causes of a clip and nothing else, each in words of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime_builder.captions import FORMS, au_text, caption, captions, with_article
from equime_builder.facs import ACTION_UNITS, EXCLUSIVE, EXPRESSIVE_AUS, SIDES, letter
from equime_builder.portraits import Attributes
from equime_builder.prompts import prompt
from equime_builder.scm import Activation, Program, Timing
from equime_loader import open_dataset
from equime_loader.interop import to_hugging_face, to_webdataset
from equime_loader.schema import EMOTIONS, GENDERS, features_yaml

WOMAN = Attributes("Woman", None, 34.2)
TIMING = Timing(20, 28, 30, 41, 100, 100.0)
STRENGTHS = ("trace", "slight", "marked", "severe", "maximum")
ADVERBS = ("barely", "slightly", "clearly", "strongly", "fully")
AMOUNTS = ("by a trace", "a little", "noticeably", "severely", "to the utmost")
EMOTIONAL = {"happy", "smile", "smiles", "sad", "surprised", "afraid", "angry", "disgusted", "contemptuous", *EMOTIONS}
AU_LEVEL = [number for number, form in enumerate(FORMS.values()) if form.aus]
PLAIN = [number for number, form in enumerate(FORMS.values()) if not form.aus]


@st.composite
def programs(draw: st.DrawFn) -> Program:
    aus = sorted(draw(st.sets(st.sampled_from(EXPRESSIVE_AUS), max_size=6)))
    for pair in EXCLUSIVE:
        if pair <= set(aus):
            aus.remove(max(pair))
    activations = [
        Activation(
            au, draw(st.floats(0.01, 5.0)), draw(st.sampled_from(SIDES if ACTION_UNITS[au].lateral else ("both",)))
        )
        for au in aus
    ]
    onset, rise, hold, fall = draw(st.tuples(*[st.integers(1, 40)] * 4))
    fps = draw(st.sampled_from((24.0, 30.0, 100.0, 200.0)))
    return Program(
        tuple(activations), Timing(onset, onset + rise, onset + rise + hold, onset + rise + hold + fall, 200, fps)
    )


@st.composite
def people(draw: st.DrawFn) -> Attributes:
    age = draw(st.one_of(st.none(), st.floats(0, 130)))
    return Attributes(draw(st.sampled_from((*GENDERS, None))), None, age)


CASES = given(programs(), st.sampled_from(EMOTIONS), people())


@CASES
@settings(max_examples=150)
def test_they_are_sentences_of_their_own(program: Program, emotion: str, who: Attributes) -> None:
    texts = captions(program, emotion, who)
    assert texts == captions(program, emotion, who)
    assert texts[0] == caption(program, emotion, who)
    assert len(set(texts)) == len(FORMS) == len(texts)
    for text in texts:
        assert re.fullmatch(r"[A-Z][A-Za-z0-9,;:.() -]*\.", text)
        assert "  " not in text and " ." not in text and " ," not in text


@CASES
@settings(max_examples=150)
def test_au_level_captions_name_every_unit_once_with_side_and_strength(
    program: Program, emotion: str, who: Attributes
) -> None:
    texts = captions(program, emotion, who)
    expected = [(a.au, a.side, STRENGTHS["ABCDE".index(letter(a.intensity))]) for a in program.activations]
    for number in AU_LEVEL:
        assert [int(au) for au in re.findall(r"AU(\d+)", texts[number])] == [au for au, _, _ in expected]
    assert re.findall(r"(?:on the (\w+) )?\(AU(\d+), (\w+)\)", texts[0]) == [
        ("" if side == "both" else side, str(au), strength) for au, side, strength in expected
    ]
    assert re.findall(r"AU(\d+) [a-z ]+ at ([A-E]) \((\w+)(?:, (\w+) side only)?\)", texts[1]) == [
        (str(au), letter(a.intensity), strength, "" if side == "both" else side)
        for (au, side, strength), a in zip(expected, program.activations, strict=True)
    ]
    assert re.findall(r"an? (\w+) (?:(\w+)-sided )?AU(\d+) \([a-z ]+\)", texts[2]) == [
        (strength, "" if side == "both" else side, str(au)) for au, side, strength in expected
    ]


@CASES
@settings(max_examples=150)
def test_plain_captions_name_no_unit_and_no_other_side_or_strength(
    program: Program, emotion: str, who: Attributes
) -> None:
    texts = captions(program, emotion, who)
    letters = [letter(a.intensity) for a in program.activations]
    sides = sorted(a.side for a in program.activations if a.side != "both")
    for number in PLAIN:
        text = texts[number]
        assert not re.search(r"\bAU|Action Unit|FACS", text)
        assert sorted(re.findall(r"own (left|right) side", text)) == sides == sorted(re.findall("left|right", text))
        words = ADVERBS if number == PLAIN[0] else AMOUNTS
        found = re.findall("|".join(words), text)
        assert found == [words["ABCDE".index(letter)] for letter in letters]


@CASES
@settings(max_examples=150)
def test_emotions_are_named_where_they_are_meant_to_be(program: Program, emotion: str, who: Attributes) -> None:
    for form, text in zip(FORMS.values(), captions(program, emotion, who), strict=True):
        named = EMOTIONAL & set(re.findall(r"[a-z]+", text.lower()))
        assert named == ({emotion} if form.emotion and program.activations else set())


@CASES
@settings(max_examples=150)
def test_articles_fit_the_sound_that_follows(program: Program, emotion: str, who: Attributes) -> None:
    for text in captions(program, emotion, who):
        for article, word in re.findall(r"\b(an?) ([A-Za-z0-9]+)", text, flags=re.IGNORECASE):
            number = word.startswith("8") or word in ("11", "18")
            assert (article.lower() == "an") == (number if word.isdigit() else word[0] in "aeiou"), text


@CASES
@settings(max_examples=100)
def test_persons_are_not_contradicted(program: Program, emotion: str, who: Attributes) -> None:
    noun = {"Woman": "woman", "Man": "man", None: "person"}[who.gender]
    for text in captions(program, emotion, who):
        assert set(re.findall(r"\b(woman|man|person)\b", text)) == {noun}
        assert {"Woman": {"her"}, "Man": {"his"}, None: {"their"}}[who.gender] >= set(
            re.findall(r"\b(her|his|their)\b", text)
        )


@pytest.mark.parametrize("years", [19, 29, 69, 99, 129])
def test_the_last_year_of_a_decade_is_not_over_before_the_birthday(years: int) -> None:
    """As in the label `age_group`."""
    program = Program((Activation(4, 2.0),), TIMING)
    nearly, exactly = Attributes("Man", None, years + 0.9), Attributes("Man", None, years)
    assert captions(program, "anger", nearly) == captions(program, "anger", exactly)
    assert prompt(program, "anger", nearly) == prompt(program, "anger", exactly)


def test_a_program_in_words() -> None:
    program = Program((Activation(4, 2.0), Activation(12, 1.0, "left")), TIMING)
    assert au_text(program) == "4B+L12A"
    assert captions(program, "anger", WOMAN) == (
        "A woman of about 34 lowers the brows and draws them together (AU4, slight) and pulls the lip corners up on "
        "the left (AU12, trace) for 210 ms, with the apex 80 ms after the onset at 200 ms, and returns to neutral: a "
        "micro-expression of anger.",
        "FACS coding of a 34-year-old woman: AU4 brow lowerer at B (slight); AU12 lip corner puller at A (trace, left "
        "side only). Onset 200 ms, apex 280 ms, offset 410 ms. Coded as anger.",
        "The face of a woman of about 34 shows a slight AU4 (brow lowerer) and a trace left-sided AU12 (lip corner "
        "puller), rising for 80 ms and gone 210 ms after it began.",
        "For about two tenths of a second, a woman in her thirties slightly lowers the brows and draws them together "
        "and barely pulls the corner of the mouth up on her own left side; then the face is neutral again. It is an "
        "anger micro-expression.",
        "A flash of anger crosses the face of a 34-year-old woman: the brows lower and draw together a little and the "
        "corner of the mouth goes up by a trace on her own left side, for about two tenths of a second.",
        "A woman of about 34 looks into the camera with a still face, in which the brows lower and draw together a "
        "little and the corner of the mouth goes up by a trace on her own left side and everything returns to rest "
        "within about two tenths of a second.",
    )


def test_a_neutral_clip_names_no_unit_and_no_emotion() -> None:
    texts = captions(Program((), TIMING), "anger", Attributes())
    assert texts[0] == "A person keeps a neutral face."
    assert not any(re.search(r"AU\d|anger", text) for text in texts)


@pytest.mark.parametrize(
    ("words", "expected"),
    [("8-year-old", "an"), ("80-year-old", "an"), ("18-year-old", "an"), ("11-year-old", "an"), ("110-year-old", "a"),
     ("1-year-old", "a"), ("anger", "an"), ("sadness", "a")],
)  # fmt: skip
def test_articles(words: str, expected: str) -> None:
    assert with_article(words) == f"{expected} {words}"


def test_every_way_of_reading_gives_them(built: Path) -> None:
    """Index, tar, Parquet through datasets, and the streams for others agree on the list."""
    clips = open_dataset(built)
    expected = clips.index.column("captions").to_pylist()
    assert [texts[0] for texts in expected] == clips.index.column("caption").to_pylist()
    assert all(len(texts) == len(FORMS) for texts in expected)
    train = [
        texts
        for texts, split in zip(expected, clips.index.column("split").to_pylist(), strict=True)
        if split == "train"
    ]
    stored = datasets.load_dataset(
        "parquet", data_files=str(built / "data/train-*.parquet"), split="train", streaming=True
    )
    assert [row["captions"] for row in stored.select_columns(["captions"])] == train
    chosen = clips.where(split="train")
    assert [row["captions"] for row in to_hugging_face(chosen, decode=False)] == train
    assert [json.loads(sample["json"])["captions"] for sample in to_webdataset(chosen)] == train
    assert {"name": "captions", "list": "string"} in features_yaml()
