"""The schema: every format follows from one table, and labels that break it are named."""

from __future__ import annotations

import json
import string
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime_loader import schema
from equime_loader.schema import (
    AGE_GROUPS,
    AUS,
    CURVES,
    EMOTIONS,
    FIELD,
    FIELDS,
    GENDERS,
    KEY_PATTERN,
    LABELS,
    LOCATION,
    MEMBERS,
    RACES,
    SPLITS,
    THREE_CLASS_OF,
    THREE_CLASSES,
    VIDEO,
    age_group,
    arrow_schema,
    check_labels,
    documentation,
    features,
    features_dict,
    index_schema,
    sample_json,
)

NAMES = [field.name for field in FIELDS]


def labels(**changes: Any) -> dict[str, Any]:
    """Labels of a sample that is right, in which everything that may be null is, but for its AUs."""
    values: dict[str, Any] = {}
    for field in LABELS:
        if field.nullable:
            values[field.name] = None
        elif field.words:
            values[field.name] = field.words[0]
        elif pa.types.is_floating(field.kind):
            values[field.name] = 0.5
        elif pa.types.is_integer(field.kind):
            values[field.name] = 7
        elif pa.types.is_list(field.kind):
            values[field.name] = ["word", "another"]
        else:
            values[field.name] = "word"
    aus = [{"au": 12, "side": "left", "intensity": 1.25}]
    return values | {"key": "happiness_f_p00000_000", "aus": aus} | changes


# --- one table, many forms


def test_fields_have_names_of_their_own_and_say_what_they_are() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert all(field.about and FIELD[field.name] is field for field in FIELDS)
    assert [field.name for field in LABELS] == [name for name in NAMES if name not in (VIDEO, CURVES)]


def test_arrow_has_every_field_in_order() -> None:
    schema = arrow_schema()
    assert schema.names == NAMES
    assert [schema.field(name).type for name in NAMES] == [field.kind for field in FIELDS]


def test_index_has_every_label_and_the_place_of_every_member() -> None:
    names = index_schema().names
    assert names == [field.name for field in (*LABELS, *LOCATION)]
    for member in MEMBERS:
        stem = member.replace(".", "_")
        assert {f"{stem}_offset", f"{stem}_length"} <= set(names)


def test_hugging_face_reads_the_arrow_types() -> None:
    read = features()
    assert list(read) == NAMES
    storage = read.arrow_schema
    for field in FIELDS:
        assert storage.field(field.name).type == field.kind, field.name


def test_hugging_face_writes_what_we_write_without_it() -> None:
    assert features().to_dict() == features_dict()
    assert datasets.Features.from_dict(json.loads(json.dumps(features_dict()))) == features()


def test_parquet_carries_its_features() -> None:
    metadata = arrow_schema().metadata
    assert json.loads(metadata[b"huggingface"]) == {"info": {"features": features_dict()}}
    assert datasets.Features.from_arrow_schema(arrow_schema()) == features()


def test_video_is_a_video_and_curves_have_a_column_per_unit() -> None:
    assert isinstance(features()[VIDEO], datasets.Video)
    assert FIELD[CURVES].kind.value_type.list_size == len(AUS)


def test_documentation_has_a_row_per_field_with_its_words() -> None:
    head, rule, *rows = documentation().splitlines()
    assert head == "| field | type | what it is |"
    assert rule == "| --- | --- | --- |"
    assert [row.split("`")[1] for row in rows] == NAMES
    for field, row in zip(FIELDS, rows, strict=True):
        assert row.count("|") - row.count("\\|") - field.about.count("|") == 4, "a cell too many breaks the table"
        assert (", nullable |" in row) == field.nullable
        assert ", ".join(field.words) in row


def test_words_of_the_labels() -> None:
    assert FIELD["emotion"].words == EMOTIONS
    assert FIELD["derived_emotion"].words == (*EMOTIONS, "neutral")
    assert FIELD["split"].words == SPLITS
    assert set(THREE_CLASS_OF) == set(EMOTIONS)
    assert set(THREE_CLASS_OF.values()) == set(THREE_CLASSES)
    assert {emotion for emotion, word in THREE_CLASS_OF.items() if word == "negative"} == {
        "sadness", "fear", "anger", "disgust", "contempt",
    }  # fmt: skip
    assert features()["gender_probabilities"].keys() == set(GENDERS)
    assert features()["race_probabilities"].keys() == set(RACES)


# --- labels that are wrong


def test_right_labels_pass() -> None:
    check_labels(labels())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"emotion": "joy"}, r"^sample happiness_f_p00000_000: emotion='joy' must be one of happiness, sadness"),
        ({"split": None}, r"^sample happiness_f_p00000_000: split must not be null$"),
        ({"split": "dev"}, r"split='dev' must be one of train, validation, test$"),
        ({"derived_emotion": "bored"}, r"derived_emotion='bored' must be one of .*, neutral$"),
        ({"apparent_gender": "woman"}, r"apparent_gender='woman' must be one of Woman, Man$"),
        ({"age_group": "20-30"}, r"age_group='20-30' must be one of 0-19, "),
        ({"color": 1}, r"^sample happiness_f_p00000_000: unknown field 'color'$"),
        ({"key": None}, r"^sample None: key must not be null$"),
        ({"key": "Happiness_f_p0_000"}, r"^key='Happiness_f_p0_000' must read emotion_m\|f\|u_subject_sequence"),
        ({"key": 5}, r"^key=5 must read"),
    ],
)
def test_wrong_labels_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_labels(labels(**changes))


@pytest.mark.parametrize("name", [field.name for field in LABELS])
def test_no_label_may_be_missing(name: str) -> None:
    values = labels()
    del values[name]
    with pytest.raises(ValueError, match=rf"^sample .*: missing field '{name}'$"):
        check_labels(values)


@pytest.mark.parametrize("name", [field.name for field in LABELS if field.nullable])
def test_null_is_a_word_of_nullable_fields(name: str) -> None:
    check_labels(labels(**{name: None}))


# --- keys


@pytest.mark.parametrize("key", ["happiness_f_p00000_000", "anger_m_s0a1b2c3d4e_999", "fear_u_c00012_007"])
def test_keys_that_are_keys(key: str) -> None:
    assert KEY_PATTERN.fullmatch(key)


@pytest.mark.parametrize(
    "key",
    [
        "happiness_f_p0.0_000", "happiness_f_p/0_000", "happiness_f_../_000", "Happiness_f_p0_000",
        "happiness_F_p0_000", "happiness_f_P0_000", "happiness_x_p0_000", "happiness_f_p0_1000", "happiness_f_p0_00",
        "happiness_f_p0_٠٠٠",
        "happiness_f__000", "happiness_f_p0_000\n", "happiness_f_p_0_000", "", "happiness f p0 000",
        "happiness_f_é_000",
    ],
)  # fmt: skip
def test_keys_that_are_none(key: str) -> None:
    assert not KEY_PATTERN.fullmatch(key)


@given(st.text(string.printable, min_size=1, max_size=30))
@settings(max_examples=100)
def test_nothing_in_a_key_leads_out_of_a_folder_or_splits_a_name(part: str) -> None:
    if KEY_PATTERN.fullmatch(f"happiness_f_{part}_000"):
        assert set(part) <= set(string.ascii_lowercase + string.digits)


# --- ages


@pytest.mark.parametrize(
    ("age", "group"),
    [
        (0, "0-19"), (19, "0-19"), (19.99, "0-19"), (20, "20-29"), (29.5, "20-29"), (30, "30-39"),
        (40, "40-49"), (50, "50-59"), (59.9, "50-59"), (60, "60+"), (130, "60+"),
    ],
)  # fmt: skip
def test_age_groups_touch_without_overlap(age: float, group: str) -> None:
    assert age_group(age) == group


@given(st.floats(0, 130))
@settings(max_examples=100)
def test_every_age_has_a_group(age: float) -> None:
    low, high = AGE_GROUPS[age_group(age)]
    assert low <= age < high + 1


@pytest.mark.parametrize("age", [-0.1, 130.5, float("nan"), float("inf")])
def test_ages_out_of_bounds(age: float) -> None:
    with pytest.raises(ValueError, match=rf"^age={age} must lie within 0\.\.130 years$"):
        age_group(age)


# --- JSON


GOLDEN = (
    b'{"key":"happiness_f_p00000_000","split":"train","subject":"word","portrait":"word","emotion":null,'
    b'"derived_emotion":null,"three_class":null,'
    b'"aus":[{"au":12,"side":"left","intensity":1.25}],"au_text":"word","onset_frame":7,"apex_frame":7,'
    b'"offset_frame":7,"onset_ms":0.1,"apex_ms":0.5,"offset_ms":24.0,"caption":"na\xc3\xafve \\"face\\"",'
    b'"captions":["word","another"],'
)


def test_json_bytes() -> None:
    data = sample_json(labels(onset_ms=0.1, offset_ms=24, caption='naïve "face"'))
    assert data.startswith(GOLDEN)
    assert b"\n" not in data
    assert list(json.loads(data)) == [field.name for field in LABELS]


def test_json_does_not_depend_on_the_order_of_labels() -> None:
    values = labels()
    assert sample_json(dict(reversed(values.items()))) == sample_json(values)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@settings(max_examples=200)
def test_floats_are_the_shortest_text_of_their_float32(value: float) -> None:
    text = sample_json(labels(fps=value)).split(b'"fps":')[1].split(b",")[0].decode()
    assert np.float32(text) == np.float32(value)
    digits = text.split("e")[0].replace("-", "").replace(".", "").strip("0")
    assert len(digits) <= 9, "nine digits tell any two float32 apart"
    wider = np.float64(np.float32(value)).item()
    assert sample_json(labels(fps=wider)) == sample_json(labels(fps=value)), "float32 and its double are one number"


def test_a_tenth_is_written_as_a_tenth() -> None:
    assert b'"onset_ms":0.1,' in sample_json(labels(onset_ms=float(np.float32(0.1))))
    assert b'"intensity":1.234}' in sample_json(labels(aus=[{"au": 4, "side": "both", "intensity": 1.2340000001}]))


@pytest.mark.parametrize("name", [field.name for field in LABELS if pa.types.is_floating(field.kind)])
def test_whole_numbers_in_float_fields_read_as_parquet_gives_them_back(name: str) -> None:
    """Parquet gives 24.0 for a 24 that was put in; the tar of the same sample must say so too."""
    assert sample_json(labels(**{name: 24})) == sample_json(labels(**{name: 24.0}))


def test_parquet_and_json_say_the_same() -> None:
    values = labels(
        gender_probabilities={"Woman": 1, "Man": None}, aus=[{"au": 1, "side": "both", "intensity": 2}], fps=100
    )
    schema = pa.schema([arrow_schema().field(field.name) for field in LABELS])
    back = pa.Table.from_pylist([values], schema=schema).to_pylist()[0]
    assert sample_json(back) == sample_json(values)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_json_has_no_numbers_that_json_has_not(value: float) -> None:
    with pytest.raises(ValueError, match=r"fps=(nan|inf|1e\+300) is no float32 number"):
        sample_json(labels(fps=value))


def test_yaml_features_are_those_of_datasets() -> None:
    for fields in (schema.FIELDS, (*schema.LABELS, *schema.LOCATION)):
        assert schema.features_yaml(fields) == schema.features(fields)._to_yaml_list()
