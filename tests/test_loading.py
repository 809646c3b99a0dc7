"""A built folder loads by name, without our package, and as plain WebDataset, and all three give the same samples."""

from __future__ import annotations

import io
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import webdataset
from datasets import Video, load_dataset
from running import run_without

import equime_loader
from equime_loader import read_video, registration
from equime_loader.schema import LABELS, LOCATION, SPLITS

# webdataset leaves the closing of its tar files to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def test_importing_the_loader_imports_neither_datasets_nor_torch() -> None:
    run_without("import equime_loader", "torch", "datasets", "av", "cv2")


@pytest.mark.parametrize("first", ["import equime_loader, datasets", "import datasets, equime_loader"])
def test_the_name_works_whichever_is_imported_first(first: str, built: Path) -> None:
    code = (
        f"{first}\n"
        "from datasets import load_dataset\n"
        f"print(next(iter(load_dataset('equime', split='train', streaming=True, data_dir={str(built)!r})))['key'])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == _index(built, "train")["key"][0].as_py()


def _index(root: Path, split: str):  # type: ignore[no-untyped-def]
    return pq.read_table(root / "index.parquet", filters=[("split", "==", split)])


@pytest.mark.parametrize("streaming", [True, False])
def test_by_name_every_split_has_the_rows_of_the_index(built: Path, tmp_path: Path, streaming: bool) -> None:
    loaded = load_dataset("equime", data_dir=str(built), streaming=streaming, cache_dir=str(tmp_path))
    assert set(loaded) == set(SPLITS)
    for split in SPLITS:
        samples = loaded[split].cast_column("video", Video(decode=False))
        keys = [sample["key"] for sample in samples]
        assert keys == _index(built, split)["key"].to_pylist()


def test_the_folder_is_found_through_the_environment(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIME_DATA", str(built))
    sample = next(iter(load_dataset("equime", split="test", streaming=True)))
    assert sample["split"] == "test"


def test_the_metadata_configuration_holds_labels_and_places(built: Path, tmp_path: Path) -> None:
    table = load_dataset("equime", "metadata", data_dir=str(built), cache_dir=str(tmp_path))
    assert set(table) == set(SPLITS)
    assert table["train"].column_names == [field.name for field in (*LABELS, *LOCATION)]
    row = table["validation"][0]
    with open(built / row["shard"], "rb") as shard:
        shard.seek(row["mp4_offset"])
        assert read_video(shard.read(row["mp4_length"])).shape == (80, 128, 128, 3)


def test_the_folder_loads_without_our_package(built: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from datasets import load_dataset, Video\n"
        f"whole = load_dataset({str(built)!r}, cache_dir={str(tmp_path)!r})\n"
        f"table = load_dataset({str(built)!r}, 'metadata', cache_dir={str(tmp_path)!r})\n"
        "assert 'equime_loader' not in sys.modules\n"
        "print({name: len(part) for name, part in whole.items()}, {name: len(part) for name, part in table.items()})\n"
        "print(whole['train'].features['video'], whole['train'].features['au_curves'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    counts = {split: len(_index(built, split)) for split in SPLITS}
    assert str(counts) in done.stdout
    assert str({"clips": sum(counts.values())}) in done.stdout
    assert "Video(decode=True" in done.stdout
    assert "float16" in done.stdout


def _tar_samples(root: Path, split: str) -> Iterator[dict[str, object]]:
    for path in sorted((root / "wds").glob(f"{split}-*.tar")):
        yield from webdataset.WebDataset(str(path), shardshuffle=False).decode()


def test_all_three_ways_give_the_same_samples(built: Path) -> None:
    streamed = load_dataset("equime", split="train", streaming=True, data_dir=str(built))
    rows = list(streamed.cast_column("video", Video(decode=False)))
    samples = list(_tar_samples(built, "train"))
    assert len(rows) == len(samples) > 0
    for row, sample in zip(rows, samples, strict=True):
        labels = sample["json"]
        assert isinstance(labels, dict)
        assert row["key"] == sample["__key__"] == labels["key"]
        assert row["video"]["bytes"] == sample["mp4"]
        assert row["caption"] == sample["txt"]
        assert row["emotion"] == labels["emotion"]
        assert [a["au"] for a in row["aus"]] == [a["au"] for a in labels["aus"]]
        np.testing.assert_array_equal(np.asarray(row["au_curves"], np.float16), sample["au.npy"])


def test_every_form_of_a_video_gives_the_same_frames(built: Path, tmp_path: Path) -> None:
    sample = next(_tar_samples(built, "train"))
    data = sample["mp4"]
    assert isinstance(data, bytes)
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    forms = [data, path, str(path), {"bytes": data, "path": None}, {"bytes": None, "path": str(path)}]
    frames = [read_video(form) for form in forms]
    assert all(np.array_equal(frames[0], other) for other in frames)
    decoders = pytest.importorskip("torchcodec.decoders", reason="torchcodec or its FFmpeg libraries are absent")
    decoded = read_video(decoders.VideoDecoder(data)).astype(int)
    # Two converters from YUV to RGB may round differently.
    assert np.abs(decoded - frames[0]).max() <= 3


def test_what_is_no_video_is_refused() -> None:
    with pytest.raises(TypeError, match="video must be bytes, a path, a bytes/path mapping or a decoder, not int"):
        read_video(3)
    with pytest.raises(ValueError, match="7 bytes do not decode as video"):
        read_video(b"no film")


def test_a_folder_that_is_no_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"is no complete EquiME dataset: .*index\.parquet is missing"):
        load_dataset("equime", data_dir=str(tmp_path))
    with pytest.raises(ValueError, match="takes data_dir=, not data_files="):
        load_dataset("equime", data_files="x.parquet")


def test_other_names_go_through_untouched(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    table = load_dataset("csv", data_files=str(tmp_path / "rows.csv"), split="train", cache_dir=str(tmp_path / "cache"))
    assert table[0] == {"a": 1, "b": 2}


def test_an_unknown_version_of_datasets_fails_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets, "__version__", "9.1.0")
    with pytest.raises(RuntimeError, match=r'cannot teach datasets 9\.1\.0 the name "equime".*load_dataset\("PATH'):
        registration.register(types.ModuleType("datasets.load"))


def test_the_public_names() -> None:
    assert equime_loader.__all__ == sorted(equime_loader.__all__)
    for name in equime_loader.__all__:
        assert getattr(equime_loader, name).__doc__, name
    assert equime_loader.fairness.plots.plot_fairness.__doc__
    with pytest.raises(AttributeError, match="module 'equime_loader' has no attribute 'load'"):
        _ = equime_loader.load  # type: ignore[attr-defined]


def test_no_member_of_a_tar_is_a_pickle(built: Path) -> None:
    for sample in _tar_samples(built, "test"):
        assert {name for name in sample if not name.startswith("__")} == {"mp4", "json", "txt", "au.npy"}
    path = sorted((built / "wds").glob("*.tar"))[0]
    row = pq.read_table(built / "index.parquet").slice(0, 1).to_pylist()[0]
    with open(path if row["shard"].endswith(path.name) else built / row["shard"], "rb") as shard:
        shard.seek(row["au_npy_offset"])
        array = np.load(io.BytesIO(shard.read(row["au_npy_length"])), allow_pickle=False)
    assert array.dtype == np.float16
