"""What a sample holds: one table of fields, from which every format's schema follows.

`arrow_schema()` is the Parquet and Arrow form, `features()` the Hugging Face form, `sample_json()` the JSON member of
a tar, `documentation()` the table in the dataset card. A field is added here and nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from datasets import Features


EMOTIONS: tuple[str, ...] = ("happiness", "sadness", "surprise", "fear", "anger", "disgust", "contempt")
NEUTRAL = "neutral"
# The composite protocol of MEGC2019: 0 negative, 1 positive, 2 surprise.
THREE_CLASSES: tuple[str, ...] = ("negative", "positive", "surprise")
THREE_CLASS_OF: dict[str, str] = {
    emotion: {"happiness": "positive", "surprise": "surprise"}.get(emotion, "negative") for emotion in EMOTIONS
}
GENDERS: tuple[str, ...] = ("Woman", "Man")
RACES: tuple[str, ...] = ("asian", "indian", "black", "white", "middle eastern", "latino hispanic")
AGE_GROUPS: dict[str, tuple[int, int]] = {
    "0-19": (0, 19),
    "20-29": (20, 29),
    "30-39": (30, 39),
    "40-49": (40, 49),
    "50-59": (50, 59),
    "60+": (60, 130),
}
SPLITS: tuple[str, ...] = ("train", "validation", "test")
# Whose word onset, apex and offset are; corpora that code no apex have one halfway.
TIMING_BY: tuple[str, ...] = ("program", "coder", "coder, apex halfway", "assumed")
EXPRESSIONS: tuple[str, ...] = ("micro", "macro")
PUBLICATION: tuple[str, ...] = ("allowed", "restricted")
VERDICTS: tuple[str, ...] = ("accepted", "rejected")
REVIEW_VERDICTS: tuple[str, ...] = (*VERDICTS, "tied")
REVIEW_MODES: tuple[str, ...] = ("open", "blind")
AUS: tuple[int, ...] = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26, 45)

KEY_PATTERN = re.compile(r"[a-z]+_[mfu]_[a-z0-9]+_[0-9]{3}")

VIDEO, CURVES = "video", "au_curves"
_LARGEST = float(np.finfo(np.float32).max)
_ACTIVATION = pa.struct([("au", pa.int16()), ("side", pa.string()), ("intensity", pa.float32())])


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a sample.

    Attributes:
        kind: Arrow type.
        nullable: whether a sample may lack it.
        words: closed vocabulary of a string field, empty where any word may stand.
        group: of the fields that most samples lack, which were measured or said of them later; empty for the others.
    """

    name: str
    kind: pa.DataType
    about: str
    nullable: bool = False
    words: tuple[str, ...] = ()
    group: str = ""

    @property
    def told(self) -> str:
        """What it is, with its group."""
        return f"{self.group}: {self.about}" if self.group else self.about


def _group(name: str, *fields: Field) -> Iterator[Field]:
    """Fields of a group, which samples may lack."""
    return (replace(field, group=name, nullable=True) for field in fields)


def _probabilities(words: tuple[str, ...]) -> pa.DataType:
    return pa.struct([(word, pa.float32()) for word in words])


FIELDS: tuple[Field, ...] = (
    Field("key", pa.string(), "`{emotion}_{m|f|u}_{subject}_{sequence}`, unique"),
    Field(VIDEO, pa.struct([("bytes", pa.binary()), ("path", pa.string())]), "H.264 MP4, 4:2:0"),
    Field("split", pa.string(), "subject-disjoint split", words=SPLITS),
    Field("subject", pa.string(), "identity; all clips of one person share it"),
    Field("portrait", pa.string(), "source portrait: 16 hex digits, from its file's bytes or a drawn face's seed"),
    Field(
        "emotion",
        pa.string(),
        "intended emotion: whose AU table the program was drawn from; of a corpus: its label, null where it has no "
        "counterpart here",
        nullable=True,
        words=EMOTIONS,
    ),
    Field(
        "derived_emotion", pa.string(), "label derived from the AUs alone", nullable=True, words=(*EMOTIONS, NEUTRAL)
    ),
    Field("three_class", pa.string(), "MEGC class of the emotion", nullable=True, words=THREE_CLASSES),
    Field(
        "aus",
        pa.list_(_ACTIVATION),
        "AUs that act, with side (the subject's) and peak intensity, 0-5, null where a coder gave none; an empty list "
        "where none acts, null where a corpus does not tell",
        nullable=True,
    ),
    Field("au_text", pa.string(), "the same in FACS notation, e.g. `4A+L12B`; empty or `?` where a corpus has none"),
    Field("onset_frame", pa.int32(), "last neutral frame before the event"),
    Field("apex_frame", pa.int32(), "first frame at peak intensity"),
    Field("offset_frame", pa.int32(), "first neutral frame after the event"),
    Field("onset_ms", pa.float32(), "onset in milliseconds"),
    Field("apex_ms", pa.float32(), "apex in milliseconds"),
    Field("offset_ms", pa.float32(), "offset in milliseconds"),
    Field(
        CURVES,
        pa.list_(pa.list_(pa.float16(), len(AUS))),
        f"AU intensity per frame (frames x {len(AUS)}): AU {' '.join(map(str, AUS))}",
    ),
    Field("caption", pa.string(), "the clip in a sentence"),
    Field(
        "captions",
        pa.list_(pa.string()),
        "the caption and paraphrases of it: three that name AUs (the third no emotion), three in plain language (the "
        "last no emotion)",
    ),
    Field("prompt", pa.string(), "prompt for a text-guided generator"),
    Field("negative_prompt", pa.string(), "negative prompt for a text-guided generator"),
    Field("apparent_gender", pa.string(), "apparent gender", nullable=True, words=GENDERS),
    Field("gender_judged_by", pa.string(), "whose judgment that is"),
    Field("gender_probabilities", _probabilities(GENDERS), "its probabilities", nullable=True),
    Field("apparent_race", pa.string(), "apparent race", nullable=True, words=RACES),
    Field("race_judged_by", pa.string(), "whose judgment that is"),
    Field("race_probabilities", _probabilities(RACES), "its probabilities", nullable=True),
    Field("apparent_age", pa.float32(), "apparent age in years", nullable=True),
    Field("age_group", pa.string(), "group of the apparent age", nullable=True, words=tuple(AGE_GROUPS)),
    Field("age_judged_by", pa.string(), "whose judgment that is"),
    Field("probabilities_by", pa.string(), "whose probabilities of gender and race those are", nullable=True),
    Field("codec", pa.string(), "video codec"),
    Field("width", pa.int32(), "pixels"),
    Field("height", pa.int32(), "pixels"),
    Field("fps", pa.float32(), "frames per second"),
    Field("frames", pa.int32(), "frames in the clip"),
    Field("duration_s", pa.float32(), "seconds"),
    Field("size_bytes", pa.int64(), "bytes of the MP4"),
    Field("bitrate_kbps", pa.float32(), "kilobits per second"),
    Field("profile", pa.string(), "profile of the build"),
    Field("generator", pa.string(), "what drew the frames"),
    Field("model", pa.string(), "generative model, where there is one", nullable=True),
    Field("model_revision", pa.string(), "its revision", nullable=True),
    Field("seed", pa.int64(), "seed of the program"),
    Field("attempt", pa.int16(), "which attempt at the clip this is, 0 the first"),
    Field("sway_px", pa.float32(), "largest head sway from the first frame, pixels, where it is caused", nullable=True),
    Field("blink_frame", pa.int32(), "first frame of a blink outside the event", nullable=True),
    Field("noise_sigma", pa.float32(), "sensor noise, gray levels, where it is caused", nullable=True),
    Field("counterfactual_group", pa.string(), "clips that differ in one cause only", nullable=True),
    Field(
        "intervention",
        pa.string(),
        "the one AU changed in this clip of its group: its new intensity, after `L` or `R` where only the subject's "
        "left or right side acts, 0 without it; e.g. `do(AU12=0)`, `do(AU12=1.8)`, `do(AU12=L1.4)`",
        nullable=True,
    ),
    Field("source", pa.string(), "portrait source"),
    Field("timing_by", pa.string(), "whose onset, apex and offset those are", nullable=True, words=TIMING_BY),
    Field("expression", pa.string(), "micro- or macro-expression", nullable=True, words=EXPRESSIONS),
    Field("corpus", pa.string(), "dataset that the clip is of: `equime`, or the corpus it is from", nullable=True),
    *_group(
        "corpus",
        Field("corpus_subject", pa.string(), "its name of the subject, or a pseudonym"),
        Field("corpus_clip", pa.string(), "its name of the clip"),
        Field("corpus_label", pa.string(), "its word for the emotion, several joined by `+`"),
        Field("au_coding", pa.string(), "its AU string as it stands in the sheet"),
        Field("objective_class", pa.int16(), "objective class of the AUs (Davison et al. 2018)"),
        Field("publication", pa.string(), "whether its frames may be shown in publications", words=PUBLICATION),
    ),
    Field("license", pa.string(), "license of the portrait and the clip"),
    *_group(
        "motion",
        Field("motion_psnr_db", pa.float32(), "PSNR of the encoded apex frame against the generated one, dB"),
        Field("motion_inside", pa.float32(), "mean apex change inside the moved region, gray levels"),
        Field("motion_outside", pa.float32(), "the same outside of it"),
    ),
    *_group(
        "quality",
        Field("psnr_db", pa.float32(), "mean PSNR of consecutive frames, dB; 80 where identical"),
        Field("ssim", pa.float32(), "mean SSIM of consecutive frames"),
        Field("psnr_first_db", pa.float32(), "mean PSNR against the first frame, dB"),
        Field("ssim_first", pa.float32(), "mean SSIM against the first frame"),
        Field("psnr_portrait_db", pa.float32(), "mean PSNR against the source portrait, dB"),
        Field("ssim_portrait", pa.float32(), "mean SSIM against the source portrait"),
        Field("total_variation", pa.float32(), "mean total variation, per root of pixel and color"),
        Field("brisque", pa.float32(), "mean BRISQUE, lower is better"),
        Field("clip_iqa", pa.float32(), "mean CLIP-IQA, 0-1, higher is better"),
        Field("quality_notes", pa.string(), "why a value is missing, joined by `; `"),
    ),
    *_group(
        "audit",
        Field("audit_verdict", pa.string(), "accepted or rejected, by what the encoded clip shows", words=VERDICTS),
        Field("audit_reasons", pa.string(), "why the clip was rejected, joined by `; `"),
        Field("audit_onset_frame", pa.int32(), "onset found in the frames"),
        Field("audit_apex_frame", pa.int32(), "apex found in the frames"),
        Field("audit_offset_frame", pa.int32(), "offset found in the frames"),
        Field("audit_duration_ms", pa.float32(), "duration found in the frames, ms"),
        Field(
            "audit_target_response",
            pa.float32(),
            "strongest response of a labeled AU, intensity 0-5 on the side of its label",
        ),
        Field(
            "audit_off_target_response",
            pa.float32(),
            "strongest response of any other AU, beyond what may be read of one that does not act",
        ),
        Field("audit_residual", pa.float32(), "share of the peak that remains at the end"),
        Field(
            "audit_head_drift",
            pa.float32(),
            "how far the head slides, tilts or comes nearer, 95th percentile, in inter-ocular distances (IOD)",
        ),
        Field("audit_blink_frame", pa.int32(), "frame of a blink, null without one"),
        Field(
            "audit_flow_inside", pa.float32(), "mean optical flow from neutral to apex where the labeled AUs show, IOD"
        ),
        Field("audit_flow_outside", pa.float32(), "the same in the rest of the face"),
        Field("audit_identity", pa.float32(), "distance of the neutral face's shape from the portrait's, IOD"),
        Field(
            "audit_embedding",
            pa.float32(),
            "cosine similarity of the face with the portrait's, where an embedding model was given",
        ),
    ),
    *_group(
        "review",
        Field("review_count", pa.int16(), "experts who judged the clip"),
        Field("review_mode", pa.string(), "whether they saw the label", words=REVIEW_MODES),
        Field("review_verdict", pa.string(), "what most of them said", words=REVIEW_VERDICTS),
        Field("review_accepted", pa.float32(), "share of them that accepted the clip"),
        Field(
            "review_label",
            pa.string(),
            "emotion that more of them saw than any other, null where none",
            words=(*EMOTIONS, NEUTRAL),
        ),
        Field("review_label_share", pa.float32(), "share of them that saw it"),
        Field("review_aus", pa.list_(pa.int16()), "AUs that more than half of them saw"),
        Field("review_confidence", pa.float32(), "mean confidence, 1 (a guess) to 5 (certain)"),
    ),
)
FIELD: dict[str, Field] = {field.name: field for field in FIELDS}
# The index and the JSON of a sample hold the labels; pixels and curves have members of their own.
LABELS: tuple[Field, ...] = tuple(field for field in FIELDS if field.name not in (VIDEO, CURVES))

# Members of a sample in a tar, in their order, and the index columns that say where each lies.
MEMBERS: tuple[str, ...] = ("mp4", "json", "txt", "au.npy")
LOCATION: tuple[Field, ...] = (
    Field("shard", pa.string(), "tar file, relative to the dataset folder"),
    Field("mp4_sha256", pa.string(), "SHA-256 of the mp4 member, hexadecimal"),
    *(
        Field(f"{member.replace('.', '_')}_{what}", pa.int64(), f"{what} of the {member} member in the tar, bytes")
        for member in MEMBERS
        for what in ("offset", "length")
    ),
)


def age_group(age: float) -> str:
    """Group of an age in years.

    Raises:
        ValueError: age outside 0..130.
    """
    if not 0 <= age <= 130:
        raise ValueError(f"{age=} must lie within 0..130 years")
    return next(name for name, (low, high) in AGE_GROUPS.items() if low <= age < high + 1)


def _to_arrow(field: Field) -> pa.Field:
    return pa.field(field.name, field.kind, nullable=True)


def arrow_schema() -> pa.Schema:
    """Schema of the Parquet and Arrow files, with the Hugging Face features in its metadata."""
    schema = pa.schema([_to_arrow(field) for field in FIELDS])
    return schema.with_metadata({"huggingface": json.dumps({"info": {"features": features_dict()}})})


def index_schema() -> pa.Schema:
    """Schema of `index.parquet`: every label, and where the sample lies."""
    return pa.schema([_to_arrow(field) for field in (*LABELS, *LOCATION)])


def features_dict(fields: tuple[Field, ...] = FIELDS) -> dict[str, Any]:
    """Hugging Face features in their serialized form; needs no import of `datasets`."""
    return {field.name: {"_type": "Video"} if field.name == VIDEO else _feature(field.kind) for field in fields}


def _feature(kind: pa.DataType) -> Any:
    if pa.types.is_struct(kind):
        return {child.name: _feature(child.type) for child in kind}
    if pa.types.is_fixed_size_list(kind):
        return {"feature": _feature(kind.value_type), "length": kind.list_size, "_type": "List"}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    names = {"halffloat": "float16", "float": "float32", "double": "float64"}
    return {"dtype": names.get(str(kind), str(kind)), "_type": "Value"}


def features(fields: tuple[Field, ...] = FIELDS) -> Features:
    """The `datasets.Features` of a sample."""
    from datasets import Features

    return Features.from_dict(features_dict(fields))


def features_yaml(fields: tuple[Field, ...] = FIELDS) -> list[dict[str, Any]]:
    """Hugging Face features as the YAML head of a card has them; needs no import of `datasets`."""
    return [
        {"name": field.name, "dtype": "video"} if field.name == VIDEO else {"name": field.name, **_yaml(field.kind)}
        for field in fields
    ]


def _yaml(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_struct(kind):
        return {"struct": [{"name": child.name, **_yaml(child.type)} for child in kind]}
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = _yaml(kind.value_type)
        length = {"length": kind.list_size} if pa.types.is_fixed_size_list(kind) else {}
        # A list of plain values names their type, a list of structs their fields, a list of lists the inner list.
        return {"list": inner.get("dtype") or inner.get("struct") or inner, **length}
    return {"dtype": _feature(kind)["dtype"]}


def check_labels(labels: Mapping[str, Any]) -> None:
    """Check the labels of one sample against the schema.

    Raises:
        ValueError: a missing, unknown or null field, a word outside its vocabulary, or a key of the wrong form.
    """
    names = {field.name for field in LABELS}
    if missing := sorted(names - labels.keys()):
        raise ValueError(f"sample {labels.get('key')}: missing field {missing[0]!r}")
    if unknown := sorted(labels.keys() - names):
        raise ValueError(f"sample {labels['key']}: unknown field {unknown[0]!r}")
    for field in LABELS:
        value = labels[field.name]
        if value is None and not field.nullable:
            raise ValueError(f"sample {labels['key']}: {field.name} must not be null")
        if value is not None and field.words and value not in field.words:
            raise ValueError(f"sample {labels['key']}: {field.name}={value!r} must be one of {', '.join(field.words)}")
    if not isinstance(labels["key"], str) or not KEY_PATTERN.fullmatch(labels["key"]):
        raise ValueError(f"key={labels['key']!r} must read emotion_m|f|u_subject_sequence, without dots")


def sample_json(labels: Mapping[str, Any]) -> bytes:
    """JSON member of a sample: the labels in schema order, UTF-8, one line, byte for byte reproducible.

    Numbers are the shortest decimals of their float32 values, so that JSON, Parquet and Arrow say the same.

    Raises:
        ValueError: a number that no float32 can hold, NaN and infinity among them.
    """
    values = {field.name: _plain(labels[field.name], field.kind, field.name) for field in LABELS}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _plain(value: Any, kind: pa.DataType, name: str) -> Any:
    """A value as Arrow would give it back: fields of a struct in their order, whole numbers as floats."""
    if value is None:
        return None
    if pa.types.is_struct(kind):
        return {child.name: _plain(value[child.name], child.type, name) for child in kind}
    if pa.types.is_list(kind):
        return [_plain(part, kind.value_type, name) for part in value]
    if pa.types.is_floating(kind):
        if not abs(value) <= _LARGEST:
            raise ValueError(f"{name}={value} is no float32 number")
        return float(str(np.float32(value)))
    return value


def documentation() -> str:
    """Markdown table of the fields."""
    rows = ["| field | type | what it is |", "| --- | --- | --- |"]
    for field in FIELDS:
        kind = "video" if field.name == VIDEO else str(field.kind).replace("|", "\\|")
        if pa.types.is_struct(field.kind) and field.name != VIDEO:
            kind = "struct of float32"
        kind = kind.replace("halffloat", "float16").replace("fixed_size_list", "list")
        words = f" ({', '.join(field.words)})" if field.words else ""
        rows.append(f"| `{field.name}` | {kind}{', nullable' if field.nullable else ''} | {field.told}{words} |")
    return "\n".join(rows)
