"""Portrait sources: whatever lies in a folder, a bad picture or row costs itself and is told why."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import FACES, MODEL
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from equime_builder import pictures
from equime_builder.curation.scores import Scores, fault, score
from equime_builder.curation.thresholds import NEUTRAL_SELECTION, Curation
from equime_builder.landmarks import (
    CHEEKS,
    EYE_RINGS,
    INNER_LIPS,
    Landmarker,
    cut,
    frame_square,
    inter_ocular,
    open_landmarker,
)
from equime_builder.models import ModelMissing
from equime_builder.pictures import MAX_BYTES, decode_picture, read_bytes, sha256
from equime_builder.portraits import Attributes, PortraitError, Rejection
from equime_builder.profiles import load_profile
from equime_builder.requests import make_source, parse_selection, source_of
from equime_builder.sources.celeba_hq import (
    ANNOTATIONS,
    IDENTITIES,
    IMAGES,
    MAPPING,
    CelebAHQSource,
    read_annotation,
    read_people,
)
from equime_builder.sources.drawn import ProceduralSource
from equime_builder.sources.folder import FolderSource, read_attributes
from equime_builder.sources.photographs import locate, pictures_in

MICRO = load_profile("micro")
NEUTRAL, OPEN = (3, 4, 10), (0, 1, 2, 5, 6, 7, 8, 11)

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def landmarker(face_model: Path) -> Iterator[Landmarker]:
    cv2.setNumThreads(1)
    with open_landmarker(face_model) as opened:
        yield opened


def photograph(number: int) -> Picture:
    return decode_picture((FACES / f"synthetic_{number:02d}.png").read_bytes())


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def gray(level: int = 90, size: tuple[int, int] = (160, 140), mode: str = "RGB") -> Image.Image:
    return Image.new("L", size, level).convert(mode)


# --- pictures


GRADIENT = np.dstack([np.tile(np.arange(160, dtype=np.uint8), (140, 1)) + shade for shade in (0, 30, 60)])


def test_picture_is_read_as_it_is() -> None:
    assert np.array_equal(decode_picture(encoded(Image.fromarray(GRADIENT))), GRADIENT)
    assert decode_picture(encoded(Image.fromarray(GRADIENT), "JPEG")).shape == (140, 160, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_every_kind_of_file_is_read(kind: str) -> None:
    picture = decode_picture(encoded(gray(), kind))
    assert picture.shape == (140, 160, 3)
    assert picture.dtype == np.uint8
    assert np.abs(picture.astype(int) - 90).max() <= 1


def test_cmyk_becomes_rgb() -> None:
    red = Image.new("CMYK", (160, 140), (0, 255, 255, 0))
    for kind in ("JPEG", "TIFF"):
        picture = decode_picture(encoded(red, kind)).reshape(-1, 3).astype(int)
        assert np.abs(picture - (255, 0, 0)).max() <= 8


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_of_gray_are_scaled_and_not_cut_off(kind: str) -> None:
    ramp = np.tile(np.linspace(0, 65535, 160).astype(np.uint16), (140, 1))
    picture = decode_picture(encoded(Image.fromarray(ramp), kind))
    expected = np.round(ramp / 257)
    assert np.abs(picture - expected[..., None]).max() <= 1
    assert picture.min() == 0 and picture.max() == 255


def test_transparency_lies_on_mid_gray() -> None:
    clear = Image.new("RGBA", (160, 140), (255, 0, 0, 0))
    assert (decode_picture(encoded(clear)) == 128).all()
    half = Image.new("RGBA", (160, 140), (255, 255, 255, 128))
    assert np.abs(decode_picture(encoded(half)).astype(int) - 192).max() <= 1
    palette = Image.new("P", (160, 140), 3)
    palette.putpalette([0, 0, 0] * 3 + [9, 200, 7])
    assert (decode_picture(encoded(palette)) == (9, 200, 7)).all()
    assert (decode_picture(encoded(palette, transparency=3)) == 128).all()
    assert (decode_picture(encoded(palette, transparency=bytes([255, 255, 255, 0]))) == 128).all()
    assert (decode_picture(encoded(gray(77, mode="LA"))) == 77).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright_as_their_exif_tag_says(orientation: int) -> None:
    upright = np.zeros((140, 160, 3), np.uint8)
    upright[:20, :30] = 250
    undo = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, 1), 7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    assert np.array_equal(decode_picture(encoded(stored, exif=exif)), upright)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", r"^not a picture$"),
        (b"I am a letter.", r"^not a picture$"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 200 200\n%%EOF\n", r"^not a picture$"),
        (encoded(gray(), "JPEG")[:700], r"^picture is broken or truncated: image file is truncated"),
        (encoded(Image.fromarray(GRADIENT))[:200], r"^picture is broken or truncated: "),
        (encoded(gray(size=(127, 500))), r"^127x500 pixels is smaller than 128 pixels$"),
        (encoded(Image.new("1", (1, 1))), r"^1x1 pixels is smaller than 128 pixels$"),
        (encoded(Image.new("1", (9000, 6000))), r"^9000x6000 pixels \(54 megapixels\) is over 50 megapixels; make it"),
        (encoded(Image.new("1", (20000, 20000))), r"^over 50 megapixels by far; make it smaller$"),
    ],
    ids=["empty", "text", "postscript", "cut jpeg", "cut png", "narrow", "dot", "54 MP", "400 MP"],
)
def test_what_is_no_usable_picture_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(PortraitError, match=reason):
        decode_picture(data)


EXIF = Image.Exif()
EXIF[0x0112], EXIF[0x010E] = 6, "a face"
SOUND = [encoded(Image.fromarray(GRADIENT), kind, exif=EXIF) for kind in ("PNG", "JPEG", "WEBP", "TIFF")]
SOUND.append(encoded(Image.fromarray(GRADIENT).quantize(4), transparency=1))


@given(st.sampled_from(SOUND), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6), st.floats(0, 1))
@settings(max_examples=150)
def test_broken_bytes_are_rejected_or_read_and_nothing_else(
    sound: bytes, strikes: list[tuple[float, int]], keep: float
) -> None:
    data = bytearray(sound)
    for place, value in strikes:
        data[int(place**3 * (len(data) - 1))] = value
    try:
        picture = decode_picture(bytes(data[: int(len(data) * (1 - keep**4)) + 1]))
    except PortraitError:
        return
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PortraitError, match=r"^cannot be read: No such file or directory$"):
        read_bytes(tmp_path / "none.png")
    with pytest.raises(PortraitError, match=r"^cannot be read: Is a directory$"):
        read_bytes(tmp_path)
    huge = tmp_path / "huge.png"
    with open(huge, "wb") as file:
        file.truncate(MAX_BYTES + 1)  # a hole: takes no room on the disk
    with pytest.raises(PortraitError, match=r"^file of 100 MiB is over 100 MiB$"):
        read_bytes(huge)
    monkeypatch.setattr(pictures, "MAX_BYTES", 3)
    (tmp_path / "small.png").write_bytes(b"123")
    assert read_bytes(tmp_path / "small.png") == b"123"


# --- faces


def reason_of(landmarker: Landmarker, picture: Picture, size: int = 256) -> str | None:
    return fault(score(landmarker, np.ascontiguousarray(picture), size), Curation())


def taken(landmarker: Landmarker, picture: Picture, size: int = 256) -> Scores:
    scores = score(landmarker, picture, size)
    assert fault(scores, Curation()) is None
    assert scores.landmarks is not None
    return scores


@pytest.fixture(scope="module")
def framed(landmarker: Landmarker) -> Callable[[int], tuple[Picture, NDArray[np.float32], float]]:
    """Neutral faces cut out at 256 pixels: picture, landmarks, distance between the eyes."""
    known = {}
    for number in NEUTRAL:
        scores = taken(landmarker, photograph(number))
        picture = cut(photograph(number), scores.crop, 256)
        known[number] = picture, scores.landmarks, inter_ocular(scores.landmarks)
    return known.__getitem__


@pytest.mark.parametrize("number", NEUTRAL)
def test_neutral_frontal_faces_are_taken(framed, number: int) -> None:
    picture, points, iod = framed(number)
    assert picture.shape == (256, 256, 3)
    assert points.shape == (478, 2) and points.dtype == np.float32
    assert 60 < iod < 68, "a quarter of the picture lies between the eyes, as in CelebA-HQ"


@pytest.mark.parametrize("number", OPEN)
def test_open_mouths_are_rejected(landmarker: Landmarker, number: int) -> None:
    reason = reason_of(landmarker, photograph(number))
    assert reason is not None and reason.startswith("open mouth: lips 0."), reason
    assert reason.endswith("at most 0.04")


def test_tilted_head_is_rejected(landmarker: Landmarker) -> None:
    reason = reason_of(landmarker, photograph(9))
    assert reason is not None and reason.startswith("head is tilted: pitch ") and "at most 25" in reason


def test_turned_picture_is_rejected(landmarker: Landmarker) -> None:
    picture = cv2.resize(photograph(4), (256, 256))
    turned = cv2.warpAffine(picture, cv2.getRotationMatrix2D((128, 128), 40, 1), (256, 256))
    reason = reason_of(landmarker, turned)
    assert reason is not None and reason.startswith("head is tilted: roll ")


def test_noise_has_no_face(landmarker: Landmarker) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    assert reason_of(landmarker, noise) == "no face found"


def test_two_faces_are_one_too_many(landmarker: Landmarker) -> None:
    pair = np.hstack([cv2.resize(photograph(number), (256, 256)) for number in (3, 4)])
    assert reason_of(landmarker, pair) == "2 faces found; a portrait shows one"


@pytest.mark.parametrize("number", NEUTRAL)
def test_sunglasses_are_seen(landmarker: Landmarker, framed, number: int) -> None:
    picture, points, iod = framed(number)
    dark = picture.copy()
    for ring in EYE_RINGS:
        center = points[list(ring)].mean(axis=0).astype(int)
        axes = (int(0.38 * iod), int(0.28 * iod))
        cv2.ellipse(dark, center.tolist(), axes, 0, 0, 360, (25, 22, 22), -1, cv2.LINE_AA)
    assert reason_of(landmarker, dark) == "sunglasses: the eyes are darker than the cheeks"


def with_hand(
    picture: Picture, points: NDArray[np.float32], iod: float, at: NDArray[np.float32], turn: float
) -> Picture:
    """Four skin-colored fingers and the back of a hand, over a point of the face."""
    covered = picture.copy()
    x, y = points[CHEEKS[0]].astype(int)
    skin = np.median(picture[y - 5 : y + 5, x - 5 : x + 5].reshape(-1, 3), axis=0)
    along = np.array([np.cos(turn), np.sin(turn)])
    across = np.array([-along[1], along[0]])
    for finger in range(4):
        root = at + across * (finger - 1.5) * 0.2 * iod - along * 0.5 * iod
        tip = root + along * iod * 0.95
        for shade, width in ((0.7, 0.2), (0.97, 0.15)):
            ends = [tuple(int(value) for value in end) for end in (root, tip)]
            cv2.line(covered, *ends, (skin * shade).tolist(), int(width * iod), cv2.LINE_AA)
    palm = tuple(int(value) for value in at - along * iod * 0.9)
    cv2.ellipse(covered, palm, (int(0.5 * iod), int(0.45 * iod)), 0, 0, 360, (skin * 0.95).tolist(), -1, cv2.LINE_AA)
    return covered


@pytest.mark.parametrize("number", NEUTRAL)
@pytest.mark.parametrize("cheek", CHEEKS)
def test_hand_on_a_cheek_is_seen(landmarker: Landmarker, framed, number: int, cheek: int) -> None:
    picture, points, iod = framed(number)
    turn = 0.1 if cheek == CHEEKS[0] else 0.1 + np.pi
    reason = reason_of(landmarker, with_hand(picture, points, iod, points[cheek], turn))
    assert reason is not None and reason.startswith("something covers part of the face (a hand?): ")


@pytest.mark.parametrize("number", [3, 4])
def test_hand_over_the_mouth_is_seen(landmarker: Landmarker, framed, number: int) -> None:
    picture, points, iod = framed(number)
    reason = reason_of(landmarker, with_hand(picture, points, iod, points[INNER_LIPS[0]], 0.2))
    assert reason is not None


@pytest.mark.parametrize("side", [8, 24, 64, 110])
def test_a_face_of_a_few_pixels_is_too_small_however_large_its_picture(landmarker, framed, side: int) -> None:
    """Scaling a small face up adds pixels and nothing to see."""
    tiny = cv2.resize(framed(4)[0], (side, side), interpolation=cv2.INTER_AREA)
    scene = np.full((400, 400, 3), 127, np.uint8)
    scene[150 : 150 + side, 150 : 150 + side] = tiny
    reason = reason_of(landmarker, scene)
    assert reason is not None
    assert reason == "no face found" or (
        reason.startswith("face too small: ") and reason.endswith(f"{Curation().min_iod:.0f} needed")
    )


@pytest.mark.parametrize("number", NEUTRAL)
@pytest.mark.parametrize("size", [128, 512])
def test_what_is_taken_does_not_hang_on_the_size_of_the_clips(landmarker: Landmarker, number: int, size: int) -> None:
    scores = taken(landmarker, photograph(number), size)
    usual = taken(landmarker, photograph(number), 256)
    assert scores.crop == usual.crop
    assert np.abs(scores.landmarks_at(size) * 256 / size - usual.landmarks_at(256)).max() < 3


def test_face_at_the_edge_is_framed_inside_the_picture(landmarker: Landmarker, framed) -> None:
    picture = framed(4)[0]
    height, width = picture.shape[:2]
    detection = landmarker.detect(picture)
    assert detection is not None
    left, top, side = frame_square(detection, width, height)
    assert left >= 0 and top >= 0 and left + side <= width and top + side <= height
    reason = reason_of(landmarker, picture[:, 100:])
    assert reason is not None


def test_detections_are_the_same_twice(landmarker: Landmarker) -> None:
    one, other = (taken(landmarker, photograph(4)) for _ in range(2))
    assert one.crop == other.crop
    assert np.array_equal(one.landmarks, other.landmarks)


def test_without_mediapipe_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    text = (
        r"^landmarks \(photographs, curation, audit\) need mediapipe; install it with: pip install 'equime\[faces\]'$"
    )
    with pytest.raises(PortraitError, match=text), open_landmarker(MODEL):
        raise AssertionError("not reached")


# --- a folder of photographs


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EQUIME_FACE_MODEL", raising=False)
    monkeypatch.setenv("EQUIME_CACHE", str(tmp_path / "cache"))


def folder_of(tmp_path: Path, files: dict[str, int | bytes]) -> Path:
    """A folder with test portraits by number, or with given bytes."""
    root = tmp_path / "photographs"
    root.mkdir(exist_ok=True)
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            (root / name).write_bytes(content)
        else:
            shutil.copy(FACES / f"synthetic_{content:02d}.png", root / name)
    return root


def reasons(rejections: Sequence[Rejection]) -> dict[str, str]:
    return {rejection.name: rejection.reason for rejection in rejections}


def test_pictures_of_other_kinds_are_named(tmp_path: Path) -> None:
    kinds = {"a.HEIC": "HEIC", "b.heif": "HEIC", "c.gif": "GIF", "d.avif": "AVIF"}
    root = folder_of(tmp_path, {"e.png": b"", **dict.fromkeys(kinds, b"")})
    why = reasons(FolderSource(root, lambda: MODEL).pool(MICRO, 0).rejections)
    assert why == {file: f"{kind} pictures are not read; convert it to PNG or JPEG" for file, kind in kinds.items()}


def test_folder_of_everything(landmarker: Landmarker, tmp_path: Path) -> None:
    """One survey of all that people put into folders."""
    root = folder_of(
        tmp_path,
        {
            "a face with spaces.v2.final.png": 3,
            "лицо/顔.PNG": 4,
            "copy of 顔.png": 4,
            "smile.png": 0,
            "empty.jpg": b"",
            "letter.png": b"Dear all,",
            "cut.jpg": encoded(gray(), "JPEG")[:600],
            "notes.txt": b"ignored",
            "table.xlsx": b"?",
            ".hidden.png": 10,
            ".thumbnails/small.png": 10,
        },
    )
    outside = tmp_path / "secret.png"
    shutil.copy(FACES / "synthetic_10.png", outside)
    (root / "link.png").symlink_to(outside)
    (root / "broken.png").symlink_to(root / "deleted.png")
    (root / "circle.png").symlink_to("circle.png")
    table = root / "attributes.csv"
    table.write_text(
        "file,apparent_gender,apparent_race,apparent_age\n"
        "a face with spaces.v2.final.png,Woman,white,30\n"
        "../secret.png,Man,white,30\n"
        "лицо/顔.PNG,,,\n"
        "gone.png,Man,black,40\n"
        "smile.png,man,white,30\n",
        encoding="utf-8",
    )
    survey = FolderSource(root, lambda: MODEL).survey(MICRO, 0)

    taken = {subject.reference: subject for subject in survey.subjects}
    first = "copy of 顔.png"
    assert set(taken) == {"a face with spaces.v2.final.png", first}
    spaced = taken["a face with spaces.v2.final.png"]
    judged = dict.fromkeys(("age", "gender", "race"), "attributes.csv")
    assert spaced.attributes == Attributes("Woman", "white", 30.0, judged)
    assert spaced.subject == f"s{sha256((FACES / 'synthetic_03.png').read_bytes())[:10]}"
    assert spaced.landmarks is not None and spaced.landmarks.shape == (478, 2)
    assert taken[first].attributes == Attributes()

    why = reasons(survey.rejections)
    assert why.pop("лицо/顔.PNG") == f"same picture as {first}"
    broken = "a broken link: the file that it names does not exist"
    assert why.pop("broken.png") == why.pop("circle.png") == broken
    assert why.pop("link.png") == "leads out of the portrait folder"
    assert why.pop("../secret.png") == "named in attributes.csv, but not in the folder"
    assert why.pop("gone.png") == "named in attributes.csv, but not in the folder"
    assert why.pop("smile.png") == "attributes.csv line 6: apparent gender 'man' must be one of Woman, Man"
    assert why.pop("empty.jpg") == why.pop("letter.png") == "not a picture"
    assert why.pop("cut.jpg").startswith("picture is broken or truncated")
    assert why.pop("table.xlsx") == "not a picture file"
    assert not why

    portrait = FolderSource(root, lambda: MODEL).portrait(spaced, 256)
    assert portrait.image.shape == (256, 256, 3)
    assert np.array_equal(portrait.landmarks, spaced.landmarks)


def test_portraits_that_changed_after_the_plan(landmarker: Landmarker, tmp_path: Path) -> None:
    root = folder_of(tmp_path, {"a.png": 3})
    source = FolderSource(root, lambda: MODEL)
    subject = source.survey(MICRO, 0).subjects[0]
    shutil.copy(FACES / "synthetic_04.png", root / "a.png")
    with pytest.raises(PortraitError, match=r"^a\.png is not the picture that the plan was made with$"):
        source.portrait(subject, 256)
    (root / "a.png").unlink()
    with pytest.raises(PortraitError, match=r"^cannot be read: No such file or directory$"):
        source.portrait(subject, 256)


def test_limit_takes_the_first_that_can_be_used(landmarker: Landmarker, tmp_path: Path) -> None:
    root = folder_of(tmp_path, {"a.png": 0, "b.png": 3, "c.png": 4})
    survey = FolderSource(root, lambda: MODEL, limit=1).survey(MICRO, 0)
    assert [subject.reference for subject in survey.subjects] == ["b.png"]
    assert set(reasons(survey.rejections)) == {"a.png"}


def test_pictures_too_small_for_any_photograph_are_refused_at_once(tmp_path: Path) -> None:
    source = FolderSource(folder_of(tmp_path, {"a.png": b""}), lambda: MODEL)
    with pytest.raises(PortraitError, match=r"^size=64 must be at least 128 for photographs: a smaller face shows no"):
        source.survey(replace(MICRO, size=64), 0)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse file names that are not Unicode")
def test_names_that_are_no_unicode_are_rejected(landmarker: Landmarker, tmp_path: Path) -> None:
    root = folder_of(tmp_path, {"a.png": 3})
    shutil.copy(FACES / "synthetic_04.png", os.fsencode(root) + b"/\xff.png")
    survey = FolderSource(root, lambda: MODEL).survey(MICRO, 0)
    assert reasons(survey.rejections) == {"\udcff.png": "the file's name is not UTF-8; rename it"}
    assert len(survey.subjects) == 1


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(PortraitError, match=r"photographs: no pictures \(\.jpg, \.jpeg, \.png, .*\) in this folder$"):
        FolderSource(folder_of(tmp_path, {"readme.md": b""}), lambda: MODEL).survey(MICRO, 0)


def test_without_a_model_one_line_says_where_to_get_it(tmp_path: Path, no_model: None) -> None:
    source = make_source("folder", portraits=folder_of(tmp_path, {"a.png": encoded(gray())}))
    with pytest.raises(
        ModelMissing, match=r"^landmarks \(photographs, curation, audit\) need .* get it with `equime models --fetch"
    ) as caught:
        source.survey(MICRO, 0)
    assert "\n" not in str(caught.value)


def test_fingerprint_changes_with_pictures_names_and_attributes(tmp_path: Path) -> None:
    root = folder_of(tmp_path, {"a.png": b"1", "b.png": b"2"})
    source = FolderSource(root, lambda: MODEL)
    seen = [source.fingerprint()]

    def changed() -> bool:
        seen.append(source.fingerprint())
        return seen[-1] not in seen[:-1]

    assert source.fingerprint() == seen[0]
    (root / "a.png").write_bytes(b"3")
    assert changed()
    (root / "a.png").rename(root / "c.png")
    assert changed()
    (root / "attributes.csv").write_text("file,apparent_age\nc.png,30\n", encoding="utf-8")
    assert changed()
    (root / "notes.txt").write_text("no portrait", encoding="utf-8")
    (root / ".DS_Store").write_text("no portrait", encoding="utf-8")
    assert not changed()
    assert FolderSource(root, lambda: MODEL, limit=1).fingerprint() == source.fingerprint(), "an option, no picture"


@pytest.mark.parametrize("reference", ["../a.png", "b/../../a.png", "/etc/hostname", "out/a.png"])
def test_references_that_lead_out(tmp_path: Path, reference: str) -> None:
    root = folder_of(tmp_path, {})
    (root / "out").symlink_to(tmp_path)
    with pytest.raises(PortraitError, match=r"^leads out of the portrait folder$"):
        locate(root, reference)


def test_broken_links_are_found_and_rejected(tmp_path: Path) -> None:
    root = folder_of(tmp_path, {"b.png": b""})
    (root / "a.png").symlink_to(tmp_path / "deleted.png")
    assert list(pictures_in(root, pictures.SUFFIXES)) == ["a.png", "b.png"]
    with pytest.raises(PortraitError, match=r"^a broken link: the file that it names does not exist$"):
        locate(root, "a.png")
    assert FolderSource(root, lambda: MODEL).fingerprint()


def test_pictures_are_found_in_order_below_the_folder(tmp_path: Path) -> None:
    names = ("b.PNG", "a/z.jpeg", "a.b.tif", "x.webp", "q.gif", ".h.png", ".git/a.png", "a/.cache/b.png")
    root = folder_of(tmp_path, dict.fromkeys(names, b""))
    assert set(pictures_in(root, pictures.SUFFIXES)) == {"b.PNG", "a/z.jpeg", "a.b.tif", "x.webp"}
    assert list(pictures_in(root, pictures.SUFFIXES)) == list(pictures_in(root, pictures.SUFFIXES))


# --- the table of attributes


def table_of(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "attributes.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


HEADER = "file,apparent_gender,apparent_race,apparent_age\n"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a.png,Lady,white,30", "apparent gender 'Lady' must be one of Woman, Man"),
        ("a.png,Woman,green,30", "apparent race 'green' must be one of asian, indian, black, white, middle eastern, "
         "latino hispanic"),
        ("a.png,Woman,white,old", "apparent age 'old' is not a number"),
        ("a.png,Woman,white,200", "age=200.0 must lie within 0..130 years"),
        ("a.png,Woman,white,nan", "age=nan must lie within 0..130 years"),
        ("a.png,Woman,white,30,extra", "more values than columns"),
    ],
)  # fmt: skip
def test_a_wrong_row_costs_itself(tmp_path: Path, row: str, reason: str) -> None:
    rows, faults = read_attributes(table_of(tmp_path, f"{HEADER}ok.png,Man,black,41\n{row}\n"))
    assert rows == {
        "ok.png": Attributes("Man", "black", 41.0, dict.fromkeys(("age", "gender", "race"), "attributes.csv"))
    }
    assert faults == {"a.png": f"attributes.csv line 3: {reason}"}


def test_duplicate_rows_cost_both(tmp_path: Path) -> None:
    rows, faults = read_attributes(table_of(tmp_path, f"{HEADER}a.png,Man,,\nb.png,Man,,\na.png,Woman,,\n"))
    assert set(rows) == {"b.png"}
    assert faults == {"a.png": "attributes.csv line 4: named a second time"}


def test_rows_without_a_file_are_named_by_their_line(tmp_path: Path) -> None:
    text = "apparent_gender,file\nMan\nMan,\nMan,a.png\n"
    rows, faults = read_attributes(table_of(tmp_path, text))
    assert set(rows) == {"a.png"}
    assert faults == {f"attributes.csv line {line}": "names no file" for line in (2, 3)}


def test_tables_as_spreadsheets_write_them(tmp_path: Path) -> None:
    text = '﻿file,apparent_age,note\r\n"a, b.png", 30 ,"two\r\nlines"\r\n\r\nc.png,,\r\nd.png,x,\r\n'
    rows, faults = read_attributes(table_of(tmp_path, text))
    assert rows["a, b.png"] == Attributes(None, None, 30.0, {"age": "attributes.csv"})
    assert rows["c.png"] == Attributes()
    assert faults == {"d.png": "attributes.csv line 6: apparent age 'x' is not a number"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,apparent_age\na.png,3\n", r"attributes\.csv: no column 'file'; it has: name, apparent_age$"),
        ("", r"attributes\.csv: no column 'file'; it has: nothing$"),
        ("file,gender,age\na.png,Man,3\n", r"attributes\.csv: none of the columns apparent_gender, .*; it has: file"),
        ("file,apparent_age\né.png,3\n".encode("latin-1"), r"attributes\.csv: cannot be read as UTF-8 text: 'utf-8'"),
        (f"file,apparent_age\n{'a' * 200_000},3\n", r"attributes\.csv: cannot be read as CSV: field larger than"),
    ],
    ids=["no file", "empty", "other columns", "latin-1", "long"],
)  # fmt: skip
def test_tables_that_are_none(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(PortraitError, match=message):
        read_attributes(table_of(tmp_path, content))


def test_missing_table(tmp_path: Path) -> None:
    with pytest.raises(PortraitError, match=r"none\.csv: cannot be read as UTF-8 text: .*No such file"):
        read_attributes(tmp_path / "none.csv")


# --- CelebA-HQ


NAMES = ("Eyeglasses", "Male", "Mouth_Slightly_Open", "Smiling")
CALM, MAN, SMILING = (-1, -1, -1, -1), (-1, 1, -1, -1), (-1, -1, -1, 1)


def annotation(
    root: Path, rows: dict[str, tuple[object, ...]], form: str = "txt", names: Sequence[str] = NAMES
) -> Path:
    root.mkdir(exist_ok=True)
    (root / IMAGES).mkdir(exist_ok=True)
    path = root / next(name for name in ANNOTATIONS if name.endswith(form))
    if form == "txt":
        lines = [str(len(rows)), " ".join(names), *(f"{file}  {' '.join(map(str, row))}" for file, row in rows.items())]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("image_id", *names), *((name, *row) for name, row in rows.items())])
    return path


@pytest.mark.parametrize("form", ["txt", "csv"])
def test_both_forms_of_the_annotation_say_the_same(tmp_path: Path, form: str) -> None:
    path = annotation(tmp_path / "celeba", {"0.jpg": CALM, "1.jpg": MAN, "29999.jpg": SMILING}, form)
    table, faults = read_annotation(path)
    assert not faults
    assert table == {
        file: dict(zip(NAMES, row, strict=True))
        for file, row in {"0.jpg": CALM, "1.jpg": MAN, "29999.jpg": SMILING}.items()
    }


@pytest.mark.parametrize("form", ["txt", "csv"])
def test_wrong_rows_cost_themselves(tmp_path: Path, form: str) -> None:
    rows = {"0.jpg": CALM, "1.jpg": (1, 1), "../2.jpg": CALM, "3.jpg": (0, 1, "x", -1), "4.jpg": (*CALM, 1)}
    path = annotation(tmp_path / "celeba", rows, form)
    table, faults = read_annotation(path)
    where = f"{path.name} line "
    start = 3 if form == "txt" else 2
    assert set(table) == {"0.jpg"}
    assert faults == {
        "1.jpg": f"{where}{start + 1}: 2 values for 4 attributes",
        "../2.jpg": f"{where}{start + 2}: '../2.jpg' is not the name of a CelebA-HQ picture",
        "3.jpg": f"{where}{start + 3}: must be 1 or -1: Eyeglasses = '0', Mouth_Slightly_Open = 'x'",
        "4.jpg": f"{where}{start + 4}: 5 values for 4 attributes",
    }


def test_rows_given_twice(tmp_path: Path) -> None:
    path = annotation(tmp_path / "celeba", {"0.jpg": CALM})
    path.write_text(path.read_text(encoding="utf-8") + "0.jpg -1 -1 -1 1\n", encoding="utf-8")
    assert read_annotation(path)[1] == {"0.jpg": f"{path.name} line 4: named a second time"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            ANNOTATIONS[0],
            b"Smiling Male\n0.jpg 1 1\n",
            r"anno\.txt: line 1 must hold the number of pictures, line 2 the",
        ),
        (ANNOTATIONS[0], b"", r"anno\.txt: line 1 must hold the number of pictures"),
        (ANNOTATIONS[0], b"1\n\n", r"anno\.txt: no attribute names found$"),
        (ANNOTATIONS[1], b"", r"anno\.csv: no attribute names found$"),
        (ANNOTATIONS[1], b"file,\xff\n", r"anno\.csv: cannot be read as UTF-8 text"),
        (ANNOTATIONS[1], b"a,b\n" + b"x" * 200_000, r"anno\.csv: cannot be read as CSV: field larger than field limit"),
    ],
)
def test_annotations_that_are_none(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PortraitError, match=message):
        read_annotation(tmp_path / name)


@pytest.mark.parametrize("missing", ["pictures", "annotation"])
def test_folders_that_are_no_celeba(tmp_path: Path, missing: str) -> None:
    root = tmp_path / "celeba"
    annotation(root, {"0.jpg": CALM})
    if missing == "pictures":
        (root / IMAGES).rmdir()
    else:
        (root / ANNOTATIONS[0]).unlink()
    text = r"celeba: needs CelebA-HQ-img/ and one of CelebAMask-HQ-attribute-anno\.txt, .*\.csv$"
    for ask in (
        CelebAHQSource(root, lambda: MODEL).fingerprint,
        lambda: CelebAHQSource(root, lambda: MODEL).survey(MICRO, 0),
    ):
        with pytest.raises(PortraitError, match=text):
            ask()


def test_unknown_attributes_are_named_with_those_that_exist(tmp_path: Path) -> None:
    annotation(tmp_path / "celeba", {"0.jpg": CALM})
    source = CelebAHQSource(tmp_path / "celeba", lambda: MODEL, {"Smilling": -1})
    with pytest.raises(PortraitError, match=r"anno\.txt has no attribute 'Smilling'; it has: Eyeglasses, Male, Mouth"):
        source.survey(MICRO, 0)


def test_celeba_survey(landmarker: Landmarker, tmp_path: Path) -> None:
    root = tmp_path / "celeba"
    rows = {"0.jpg": CALM, "1.jpg": MAN, "2.jpg": SMILING, "3.jpg": CALM, "4.jpg": CALM, "5.jpg": (1, 1)}
    annotation(root, rows)
    for number, portrait in ((0, 3), (1, 4), (2, 10), (4, 0), (7, 3)):
        Image.fromarray(photograph(portrait)).save(root / IMAGES / f"{number}.jpg", quality=97)
    (root / MAPPING).write_text("idx orig_idx orig_file\n0 11 000012.jpg\n1 22 000023.jpg\n", encoding="utf-8")
    (root / IDENTITIES).write_text("000012.jpg 77\n000023.jpg 77\n", encoding="utf-8")
    source = CelebAHQSource(root, lambda: MODEL)
    survey = source.survey(MICRO, 0)
    subjects = {subject.subject: subject for subject in survey.subjects}
    assert set(subjects) == {"c00000", "c00001"}
    assert {subject.person for subject in subjects.values()} == {"celeba77"}
    assert subjects["c00000"].attributes == Attributes("Woman", judged_by={"gender": "CelebA attribute Male"})
    assert subjects["c00001"].attributes.gender == "Man"
    why = reasons(survey.rejections)
    assert why.pop(f"{IMAGES}/2.jpg") == "not selected: Smiling = 1"
    assert why.pop(f"{IMAGES}/3.jpg") == "cannot be read: No such file or directory"
    assert why.pop(f"{IMAGES}/4.jpg").startswith("open mouth")
    assert why.pop(f"{IMAGES}/7.jpg") == f"no row in {ANNOTATIONS[0]}"
    assert why.pop(f"{IMAGES}/5.jpg") == f"{ANNOTATIONS[0]} line 8: 2 values for 4 attributes"
    assert not why
    smiling = CelebAHQSource(root, lambda: MODEL, {"Smiling": 1}, limit=1).survey(MICRO, 0)
    assert [subject.reference for subject in smiling.subjects] == [f"{IMAGES}/2.jpg"]


def test_people_come_from_mapping_and_identities(tmp_path: Path) -> None:
    assert read_people(tmp_path) == {}
    (tmp_path / MAPPING).write_text(
        "idx     orig_idx    orig_file\n0  119613  119614.jpg\n1  99094  099095.jpg\n2 5 000006.jpg\n", encoding="utf-8"
    )
    assert read_people(tmp_path) == {}, "without the identities nobody can say who is who"
    (tmp_path / IDENTITIES).write_text("119614.jpg 2880\n099095.jpg 2880\n\n", encoding="utf-8")
    assert read_people(tmp_path) == {0: "celeba2880", 1: "celeba2880"}


@pytest.mark.parametrize("number", ["1", "00001"])
def test_a_picture_has_its_person_however_its_number_is_written(tmp_path: Path, number: str) -> None:
    root = tmp_path / "celeba"
    annotation(root, {f"{number}.jpg": CALM, "2.jpg": CALM})
    (root / MAPPING).write_text("idx orig_idx orig_file\n01 0 000007.jpg\n", encoding="utf-8")
    (root / IDENTITIES).write_text("000007.jpg 77\n", encoding="utf-8")
    candidates = CelebAHQSource(root, lambda: MODEL).pool(MICRO, 0).candidates
    assert {each.subject: each.person for each in candidates} == {"c00001": "celeba77", "c00002": None}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (MAPPING, b"idx orig_idx orig_file\n0 1\n", r"mapping\.txt line 2: 2 values, 3 expected$"),
        (IDENTITIES, b"000001.jpg 1\n000002.jpg\n", r"identity_CelebA\.txt line 2: 1 values, 2 expected$"),
        (IDENTITIES, b"\xff", r"identity_CelebA\.txt: cannot be read as UTF-8 text"),
        (MAPPING, b"idx orig_idx orig_file\nx 0 000001.jpg\n", r"mapping\.txt: 'x' is not the number of a picture$"),
        (IDENTITIES, b"000009.jpg 1\n", r"mapping\.txt and identity_CelebA\.txt have no picture in common$"),
    ],
)
def test_who_is_who_is_not_guessed(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / MAPPING).write_text("idx orig_idx orig_file\n0 0 000001.jpg\n", encoding="utf-8")
    (tmp_path / IDENTITIES).write_text("000001.jpg 1\n", encoding="utf-8")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PortraitError, match=message):
        read_people(tmp_path)


def test_fingerprint_changes_with_annotation_pictures_and_people(tmp_path: Path) -> None:
    root = tmp_path / "celeba"
    annotation(root, {"0.jpg": CALM})
    source = CelebAHQSource(root, lambda: MODEL)
    seen = [source.fingerprint()]
    assert CelebAHQSource(root, lambda: MODEL, {"Male": 1}).fingerprint() == seen[0], "an option, no picture"
    (root / IMAGES / "0.jpg").write_bytes(b"1")
    seen.append(source.fingerprint())
    annotation(root, {"0.jpg": MAN})
    seen.append(source.fingerprint())
    (root / MAPPING).write_text("idx orig_idx orig_file\n0 0 000001.jpg\n", encoding="utf-8")
    (root / IDENTITIES).write_text("000001.jpg 1\n", encoding="utf-8")
    seen.append(source.fingerprint())
    assert len(set(seen)) == len(seen)
    assert source.fingerprint() == seen[-1]


# --- sources by name


def test_sources_are_made_by_name(tmp_path: Path) -> None:
    assert make_source("procedural").name == "procedural"
    assert make_source("folder", portraits=tmp_path).name == "folder"
    celeba = make_source("celeba-hq", portraits=tmp_path, select=["Male=1"], limit=3)
    assert isinstance(celeba, CelebAHQSource)
    assert (celeba.select, celeba.limit) == ({"Male": 1}, 3)
    default = make_source("celeba-hq", portraits=tmp_path)
    assert isinstance(default, CelebAHQSource) and default.select is None, "the profile's"
    assert load_profile("micro").curation.select == NEUTRAL_SELECTION


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("webcam", {}, r"^source 'webcam' must be one of procedural, folder, celeba-hq$"),
        ("folder", {}, r"^source folder needs --portraits FOLDER$"),
        ("celeba-hq", {"portraits": Path("/none/such")}, r"^--portraits /none/such: no such folder$"),
        (
            "procedural",
            {"portraits": Path("x")},
            r"^source procedural takes no portraits; did you mean --source folder",
        ),
        ("folder", {"portraits": Path(), "attributes": Path("/no.csv")}, r"^--attributes /no\.csv: no such file$"),
        ("folder", {"portraits": Path(), "select": ["Male=1"]}, r"^--select goes with source celeba-hq, not folder$"),
        (
            "celeba-hq",
            {"portraits": Path(), "attributes": Path("a")},
            r"^--attributes goes with source folder, not celeba",
        ),
        ("procedural", {"attributes": Path("a")}, r"^--attributes goes with source folder, not procedural$"),
        ("procedural", {"curation": Path("a")}, r"^--curation goes with sources of photographs, not procedural$"),
        (
            "folder",
            {"portraits": Path(), "curation": Path("/no.parquet")},
            r"^--curation /no\.parquet: no such file; give",
        ),
        ("celeba-hq", {"portraits": Path(), "select": ["Male"]}, r"^--select 'Male' must read NAME=1 or NAME=-1$"),
    ],
)
def test_options_that_do_not_go_together(name: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_source(name, **options)


def test_a_source_comes_back_from_what_its_plan_says_of_it(tmp_path: Path) -> None:
    root, tables = tmp_path / "portraits", tmp_path / "tables"
    for folder in (root, tables):
        folder.mkdir()
        (folder / "mine.csv").write_text("file,apparent_age\n")
    for source in (
        ProceduralSource(),
        CelebAHQSource(root, lambda: MODEL, {"Male": 1, "Smiling": -1}, limit=3),
        CelebAHQSource(root, lambda: MODEL, {}),
        FolderSource(root, lambda: MODEL, limit=2, license="CC0"),
        FolderSource(root, lambda: MODEL, root / "mine.csv"),
        FolderSource(root, lambda: MODEL, tables / "mine.csv"),
    ):
        text = json.dumps(source.options())
        assert str(tmp_path) not in text
        given = {} if source.name == "procedural" else {"portraits": root}
        table = getattr(source, "attributes", None)
        back = source_of(source.name, json.loads(text), attributes=table, **given)
        assert type(back) is type(source)
        assert back.options() == source.options()
        for name in ("root", "select", "limit", "license", "attributes"):
            assert getattr(back, name, None) == getattr(source, name, None)
    beside = source_of("folder", {"limit": None, "license": "CC0", "attributes": "mine.csv"}, portraits=root)
    assert isinstance(beside, FolderSource) and beside.attributes == root / "mine.csv"


@pytest.mark.parametrize(
    ("name", "options", "table", "message"),
    [
        ("folder", {}, None, r"^source_options=\{\} are not those of source folder \(KeyError"),
        ("folder", {"limit": "3"}, None, "are not those of source folder"),
        ("folder", {"limit": 0}, None, r"^limit=0 must be at least 1$"),
        (
            "folder",
            {"attributes": "gone.csv"},
            None,
            r"gone\.csv: no such file; the plan was made with a table 'gone\.",
        ),
        (
            "folder",
            {"attributes": "gone.csv"},
            "mine.csv",
            r"mine\.csv: the plan was made with a table named 'gone\.csv'",
        ),
        ("folder", {"attributes": "../mine.csv"}, None, r"photographs/mine\.csv: the plan was made with a table named"),
        ("folder", {}, "mine.csv", r"mine\.csv: the plan was made without it$"),
        ("celeba-hq", {"select": {"Male": 2}, "limit": None}, None, r"^select: Male = 2 must be 1 or -1$"),
        ("celeba-hq", {"select": [1], "limit": None}, None, "are not those of source celeba-hq"),
    ],
)
def test_options_that_no_source_has(tmp_path: Path, name: str, options: dict, table: str | None, message: str) -> None:
    root = folder_of(tmp_path, {"mine.csv": b"file,apparent_age\n"})
    usual = {"limit": None, "license": "CC0", "attributes": None} if (options and name == "folder") or table else {}
    with pytest.raises(ValueError, match=message):
        source_of(name, usual | options, portraits=root, attributes=root / table if table else None)


def test_selection_is_read() -> None:
    assert parse_selection(["Smiling=-1", " Male = 1 "]) == {"Smiling": -1, "Male": 1}
    with pytest.raises(ValueError, match=r"^--select 'Male=2' must read NAME=1 or NAME=-1$"):
        parse_selection(["Male=2"])


def test_nothing_here_warned_the_user() -> None:
    """Odd metadata is the file's matter: a survey of ten thousand photographs does not print ten thousand warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exif = Image.Exif()
        exif[0x0112] = 6
        data = encoded(gray(), "JPEG", exif=exif)
        decode_picture(data.replace(b"\x01\x12\x00\x03\x00\x00\x00\x01", b"\x01\x12\x00\x03\x00\xff\xff\x01"))
    assert not caught
