"""The contact sheet and the composition page: what they show, what they refuse, and that they are reproducible."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.text import Text

from equime_builder import preview
from equime_builder.build import Request, build
from equime_builder.counts import coded, read_index
from equime_builder.figures import composition_page, draw_composition
from equime_builder.manifest import FolderError
from equime_builder.page import METADATA, Page
from equime_builder.preview import MOMENTS, contact_sheet, draw_sheet, show
from equime_builder.profiles import load_profile
from equime_builder.readers import _from_tables, read_samples
from equime_builder.sources.drawn import ProceduralSource
from equime_builder.spread import spread
from equime_loader.schema import AUS, LOCATION, index_schema

FORMATS = ("webdataset", "parquet", "arrow")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("preview") / "dataset"
    profile = load_profile("demo", subjects=2, emotions=("happiness", "surprise"), size=128)
    assert build(folder, Request(profile, ProceduralSource(), formats=FORMATS))
    return folder


@pytest.fixture(scope="module")
def index(root: Path) -> pa.Table:
    return read_index(root, index_schema().names)


def change(index: pa.Table, **columns: list[object]) -> pa.Table:
    for name, values in columns.items():
        place = index.schema.get_field_index(name)
        field = index.schema.field(place)
        index = index.set_column(place, field, pa.array(values, field.type))
    return index


def texts(page: Page) -> list[Text]:
    """Every text that is drawn, legends and ticks within the axes' limits too."""
    page.figure.canvas.draw()
    found = list(page.figure.texts)
    for axes in page.figure.axes:
        found += axes.texts
        if legend := axes.get_legend():
            found += legend.get_texts()
        if axes.axison:
            for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
                ticks = axis.get_major_ticks() if axis.get_visible() else []
                shown = [tick for tick in ticks if min(limits) <= tick.get_loc() <= max(limits)]
                found += [label for tick in shown for label in (tick.label1, tick.label2) if label.get_visible()]
            found += [axes.xaxis.label, axes.yaxis.label]
    return [text for text in found if text.get_text().strip()]


def check_layout(page: Page) -> None:
    """No text overlaps another or leaves the page."""
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts(page)]
    for number, (words, box) in enumerate(boxes):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.width and box.y1 <= page.height, words
        for other, other_box in boxes[:number]:
            assert not box.overlaps(other_box), f"{words!r} overlaps {other!r}"


def sheet(root: Path, index: pa.Table) -> Page:
    rows = index.to_pylist()
    samples = read_samples(root, rows)
    return draw_sheet([show(row, *samples[row["key"]]) for row in rows])


def test_the_sheet_shows_what_it_returns(root: Path, index: pa.Table, tmp_path: Path) -> None:
    keys = contact_sheet(root, tmp_path / "sheet.png", rows=3)
    assert len(set(keys)) == 3 and set(keys) <= set(index["key"].to_pylist())
    picture = cv2.imread(str(tmp_path / "sheet.png"))
    assert picture.shape == (preview.HEAD + 3 * preview.ROW + preview.FOOT, preview.WIDTH, 3)


def test_named_keys_are_shown_in_their_order(root: Path, index: pa.Table, tmp_path: Path) -> None:
    keys = index["key"].to_pylist()[::-2]
    assert contact_sheet(root, tmp_path / "sheet.png", keys=keys) == keys


@pytest.mark.parametrize("draw", [contact_sheet, composition_page])
def test_the_same_dataset_gives_the_same_bytes(draw, root: Path, tmp_path: Path) -> None:
    options = {"rows": 1} if draw is contact_sheet else {}
    for name in ("a.png", "b.png"):
        draw(root, tmp_path / name, **options)
    first, second = ((tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second and b"Software" not in first


@pytest.mark.parametrize("suffix", METADATA)
def test_every_offered_format_can_be_written(suffix: str, tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        page = Page(60, 40)
        page.text(4, 4, "$AU")
        page.save(tmp_path / f"{name}{suffix}")
        contents.append((tmp_path / f"{name}{suffix}").read_bytes())
    assert contents[0] == contents[1] != b""


@pytest.mark.parametrize("draw", [contact_sheet, composition_page])
def test_other_formats_are_refused_before_anything_is_read(draw, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"suffix '\.bmp' must be one of \.png"):
        draw(tmp_path / "nothing", tmp_path / "sheet.bmp")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keys": ["fear_m_nobody_000"]}, "key='fear_m_nobody_000' is not in the index"),
        ({"keys": []}, "at least one clip"),
        ({"rows": 0}, "rows=0 must be at least 1"),
    ],
)
def test_wrong_choices_are_named(options, message: str, root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        contact_sheet(root, tmp_path / "sheet.png", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("draw", [contact_sheet, composition_page])
def test_a_folder_without_clips_is_refused(draw, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="no EquiME dataset"):
        draw(tmp_path, tmp_path / "page.png")
    (tmp_path / "__manifest__").mkdir()
    (tmp_path / "__manifest__/plan.json").touch()
    pq.write_table(index_schema().empty_table(), tmp_path / "index.parquet")
    with pytest.raises(FolderError, match="no clip"):
        draw(tmp_path, tmp_path / "page.png")


def test_apex_and_onset_differ_and_the_clip_returns(root: Path, index: pa.Table) -> None:
    for row in index.to_pylist():
        shown = show(row, *read_samples(root, [row])[row["key"]])
        onset, apex, last = (
            shown.pictures[MOMENTS.index(name)].astype(int) for name in ("onset", "apex", "last frame")
        )
        assert np.abs(apex - onset).max() > 2 * np.abs(last - onset).max()
        assert np.ptp(shown.change) > 40
        assert list(shown.frames) == sorted(shown.frames) and len(set(shown.frames)) == len(MOMENTS)


def test_halfway_is_half_of_the_peak() -> None:
    curves = np.zeros((60, len(AUS)), np.float32)
    curves[10:21, AUS.index(12)] = np.linspace(0, 2, 11) ** 2 / 2
    curves[20:41, AUS.index(12)] = np.linspace(2, 0, 21)
    labels = {"aus": [{"au": 12}], "onset_frame": 10, "apex_frame": 20, "offset_frame": 40}
    assert preview.moments(labels, curves, 60) == (10, 17, 20, 30, 40, 59)
    assert preview.moments({**labels, "apex_frame": 11, "offset_frame": 12}, curves, 60) == (10, 11, 11, 12, 12, 59)


def test_tars_and_tables_hold_the_same(root: Path, index: pa.Table) -> None:
    rows = index.to_pylist()
    by_tar, by_table = read_samples(root, rows), _from_tables(root, [row["key"] for row in rows])
    for key, (video, curves) in by_tar.items():
        assert by_table[key][0] == video
        np.testing.assert_array_equal(by_table[key][1], curves)


def test_a_missing_file_of_samples_is_named(index: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"wds.*missing"):
        read_samples(tmp_path, index.to_pylist())
    nowhere = change(index, **{field.name: [None] * len(index) for field in LOCATION})
    with pytest.raises(FolderError, match="no samples"):
        read_samples(tmp_path, nowhere.to_pylist())


def test_a_clip_that_ends_early_is_named(root: Path, index: pa.Table) -> None:
    row = index.to_pylist()[0]
    with pytest.raises(ValueError, match=rf"clip {row['key']}: its video ends before the offset, frame 900"):
        show({**row, "offset_frame": 900}, *read_samples(root, [row])[row["key"]])


def test_the_choice_is_spread_over_the_labels(index: pa.Table) -> None:
    many = pa.concat_tables([index] * 50)
    columns = {
        "subject": [f"s{row // 10}" for row in range(200)],
        "apparent_gender": [("Woman", "Man", None)[row // 10 % 3] for row in range(200)],
        "emotion": [("happiness", "fear", "anger", "sadness")[row % 4] for row in range(200)],
    }
    many = change(many, **columns)
    chosen = spread(many, 12)
    assert chosen == spread(many, 12) and len(set(chosen)) == 12
    for name in ("emotion", "apparent_gender"):
        words, codes = coded(many.take(chosen), name)
        assert set(words) == {word or "unknown" for word in columns[name]}
        assert np.ptp(np.bincount(codes)) <= 1
    assert len(spread(index, 99)) == len(index)


def test_no_text_overlaps(root: Path, index: pa.Table) -> None:
    check_layout(sheet(root, index))
    check_layout(draw_composition(index))


def test_long_and_missing_labels_keep_their_place(root: Path, index: pa.Table) -> None:
    count = len(index)
    many = [{"au": au, "side": "left", "intensity": 1.5} for au in (1, 2, 4, 5, 15, 20, 26)]
    odd = change(
        index,
        aus=[[], *[many] * (count - 1)],
        au_text=["0", *["L1A+L2A+L4A+L5A+L15A+L20A+L26A"] * (count - 1)],
        derived_emotion=["neutral"] * count,
        intervention=["do(AU12=0)"] * count,
        apparent_gender=[None] * count,
        apparent_race=[None, *["latino hispanic"] * (count - 1)],
        apparent_age=[None] * count,
    )
    page = sheet(root, odd)
    check_layout(page)
    words = {text.get_text() for text in texts(page)}
    assert {"attributes unknown", "derived: neutral", "do(AU12=0)", "latino hispanic"} <= words


@pytest.mark.parametrize("count", [1, 4])
def test_nulls_are_unknown_on_the_page(count: int, index: pa.Table) -> None:
    unknown = ("apparent_gender", "apparent_race", "age_group", "motion_inside", "motion_outside")
    blank = change(index.slice(0, count), **{name: [None] * count for name in unknown}, aus=[[]] * count)
    page = draw_composition(blank)
    check_layout(page)
    words = [text.get_text() for text in texts(page)]
    assert words.count("unknown") == 6  # three bars, one row and one column of a table, one row of the other
    assert {"unknown: no clip is measured", "no side is told", "no intensity is told"} <= set(words)
    assert "no clip has an event" not in words and any(word.strip().startswith("median") for word in words)


def test_events_are_shown_where_no_aus_are_told(index: pa.Table) -> None:
    aus = [
        None if emotion == "surprise" else [{"au": 43, "side": None, "intensity": None}]
        for emotion in index["emotion"].to_pylist()
    ]
    page = draw_composition(change(index, aus=aus))
    check_layout(page)
    words = [text.get_text() for text in texts(page)]
    assert words.count("not told") == 1 and "43" in words and "100" in words
    assert sum(word.strip().startswith("median") for word in words) == 2
    still = draw_composition(change(index, offset_ms=index["onset_ms"].to_pylist()))
    assert [text.get_text() for text in texts(still)].count("no clip has an event") == 2


def test_the_page_counts_large_datasets(index: pa.Table) -> None:
    large = pa.concat_tables([index] * 25_000)
    words = [text.get_text() for text in texts(draw_composition(large))]
    assert any(word.startswith(f"clips: {len(large):,} (") and "subjects: 2 " in word for word in words)
    assert words.count(f"{len(large) // 2:,}") >= 2
