"""A hostile folder: one line that names the file, in bounded time and memory, and nothing read outside the folder."""

from __future__ import annotations

import io
import os
import re
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clips import box, changed, clip, faststart, numbers, our_clip, painted, place, rewritten

import equime_loader
from equime_loader import Selection, View, Window, open_dataset, read_video, to_webdataset
from equime_loader.index import Index, IndexFault
from equime_loader.reading import ClipReader, SampleFault
from equime_loader.schema import index_schema
from equime_loader.storage import PathError, StorageError
from equime_loader.video import mp4, read_frames
from equime_loader.video.backends import BACKENDS, installed
from equime_loader.video.faults import VideoFault
from equime_loader.windows import Event

COUNT = 24
EVENT = Event(4, 11, 18, COUNT, 100)
VIEW = View(Window.around("apex", 8), size=32)
TABLES = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


@contextmanager
def bounded(seconds: float = 2.0, megabytes: float = 500.0) -> Iterator[None]:
    """What happens inside takes no longer and no more memory than this."""
    resource = pytest.importorskip("resource", reason="this system does not tell the memory of a process")
    scale = 1 if sys.platform == "darwin" else 1024
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    yield
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * scale / 2**20
    assert time.process_time() - began < seconds
    assert grown < megabytes


_opened: list[str] = []
_listening: list[bool] = []


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if _listening and event == "open" and isinstance(arguments[0], str | bytes):
        _opened.append(os.path.realpath(os.fsdecode(arguments[0])))


sys.addaudithook(_listen)


@contextmanager
def opened() -> Iterator[list[str]]:
    """Real paths of the files that are opened inside."""
    _opened.clear()
    _listening.append(True)
    try:
        yield _opened
    finally:
        _listening.pop()


def told(error: BaseException, *names: str) -> None:
    """It is one line that says these."""
    message = str(error)
    assert "\n" not in message and message.isprintable() and len(message) < 600
    assert all(name in message for name in names), message


# --- video


@cache
def ours() -> bytes:
    return our_clip(painted(COUNT, 64, 64), keyframes=(6,))


@cache
def forms() -> dict[str, bytes]:
    """Small videos for every way of reading there is."""
    frames = painted(COUNT, 64, 64)
    return {
        "ours": ours(),
        "B-frames": clip(frames, x264="bframes=3"),
        "fragments": clip(frames, x264="keyint=8", muxer={"movflags": "frag_keyframe+empty_moov"}),
        "4:4:4": clip(frames, pixels="yuv444p"),
        "MKV": clip(frames, container="matroska", x264="bframes=3"),
        "AVI": clip(frames, codec="mpeg4", container="avi", options={"q": "4"}),
    }


def refused(data: bytes, message: str) -> None:
    """No window of it can be read, nor all of it."""
    with bounded():
        with pytest.raises(VideoFault, match=message) as caught:
            read_frames(data, EVENT, VIEW)
        told(caught.value)
        with pytest.raises(ValueError, match=message) as whole:
            read_video(data)
        told(whole.value)


def tried(data: bytes, view: View = VIEW) -> str:
    """Decoded, or refused in one line; nothing else."""
    began = time.process_time()
    try:
        frames = read_frames(data, EVENT, view).frames
        assert frames.shape == (8, 32, 32, 3)
        outcome = "decoded"
    except VideoFault as fault:
        told(fault)
        outcome = "refused"
    assert time.process_time() - began < 2
    return outcome


@pytest.mark.parametrize("form", ["ours", "B-frames", "fragments", "4:4:4", "MKV", "AVI"])
def test_damaged_bytes_are_decoded_or_refused(form: str) -> None:
    data = forms()[form]
    rng = np.random.default_rng(sum(map(ord, form)))
    outcomes = []
    # Headers are where most of the harm can be done.
    header = data.index(b"moov") if form in ("ours", "B-frames", "4:4:4") else 0
    with bounded(60, 400):
        for _ in range(350):
            first = header if rng.random() < 0.6 else 0
            mutated = bytearray(data)
            at, how = int(rng.integers(first, len(data) - 8)), rng.integers(5)
            if how == 0:
                mutated[at] ^= 1 << rng.integers(8)
            elif how == 1:
                for place in rng.integers(first, len(data), 6):
                    mutated[place] = rng.integers(256)
            elif how == 2:
                extremes = (0, 1, 2**31 - 1, 2**31, 2**32 - 1)
                mutated[at : at + 4] = struct.pack(">I", extremes[rng.integers(len(extremes))])
            elif how == 3:
                del mutated[at : at + int(rng.integers(1, 64))]
            else:
                mutated[at:at] = data[at // 2 : at // 2 + int(rng.integers(1, 200))]
            outcomes.append(tried(bytes(mutated)))
    assert {"decoded", "refused"} == set(outcomes)


@pytest.mark.parametrize("name", [name for name in BACKENDS if name != "pyav"])
def test_damaged_bytes_cost_no_more_with_other_backends(name: str) -> None:
    if name not in installed():
        pytest.skip(f"{name} is not installed")
    view = View(VIEW.window, VIEW.size, backend=name)
    tried(ours(), view)
    rng = np.random.default_rng(4)
    header = ours().index(b"moov")
    for _ in range(150):
        mutated = bytearray(ours())
        for at in rng.integers(header if rng.random() < 0.6 else 0, len(mutated), 3):
            mutated[at] = rng.integers(256)
        tried(bytes(mutated), view)


def test_key_frames_that_are_none() -> None:
    """Every packet is marked as one, as where the table is missing."""
    data = rewritten(ours(), (*TABLES, b"stss"), b"")
    assert len(mp4.parse(data).keys) == COUNT
    np.testing.assert_array_equal(read_frames(data, EVENT, VIEW).frames, read_frames(ours(), EVENT, VIEW).frames)


def test_cut_off_anywhere(tmp_path: Path) -> None:
    front = faststart(ours(), tmp_path)
    for data in (ours(), front):
        for end in range(0, len(data) - 1, 64):
            assert tried(data[:end]) == "refused"
    for form in ("fragments", "MKV", "AVI"):
        data = forms()[form]
        assert {tried(data[:end]) for end in range(0, len(data), 64)} <= {"decoded", "refused"}


def test_cut_off_files_show_no_other_frames() -> None:
    for form in ("MKV", "AVI"):
        data = forms()[form]
        expected = read_frames(data, EVENT, VIEW).frames
        for end in range(len(data) // 3, len(data), 173):
            try:
                frames = read_frames(data[:end], EVENT, VIEW).frames
            except VideoFault:
                continue
            np.testing.assert_array_equal(frames, expected)


def boxes_of(data: bytes) -> list[int]:
    """Where every box of the header begins."""
    found: list[int] = []
    places = [(place(data, b"moov") - 8, len(data))]
    while places:
        begin, end = places.pop()
        while begin + 8 <= end:
            size, kind = struct.unpack_from(">I4s", data, begin)
            found.append(begin)
            if kind in (*TABLES, b"edts"):
                places.append((begin + 8, begin + size))
            begin += max(size, 8)
    return found


@pytest.mark.parametrize("size", [0, 1, 4, 7, 8, 9, 2**31 - 1, 2**31, 2**32 - 1])
def test_boxes_of_any_size(size: int) -> None:
    """Zero means the rest of the file; one, that 64 bits follow."""
    for begin in [0, 32, 40, *boxes_of(ours())]:
        tried(changed(ours(), begin, struct.pack(">I", size)))


def test_boxes_in_boxes_and_boxes_without_end() -> None:
    sizes = range(8 * 100_000, 0, -8)
    nested = b"".join(struct.pack(">I4s", size, b"moov") for size in sizes)
    head = ours()[:32]
    refused(head + nested, "the MP4 is damaged|does not decode|no video")
    with bounded(5), pytest.raises(VideoFault, match="the MP4 is damaged: more than 1000000 boxes"):
        read_frames(head + box(b"free", b"") * 1_010_000, EVENT, VIEW)
    refused(head + struct.pack(">I4sQ", 1, b"moov", 2**64 - 1), "the MP4 is damaged: box b'moov' declares")
    refused(head + struct.pack(">I4sQ", 1, b"moov", 0) + bytes(64), "the MP4 is damaged: box b'moov' declares 0 bytes")


LIES: dict[str, Callable[[bytes], bytes]] = {
    "4,294,967,295 frames": lambda d: changed(d, place(d, *TABLES, b"stsz") + 8, b"\xff" * 4),
    "4,294,967,295 frames of one byte": lambda d: changed(d, place(d, *TABLES, b"stsz") + 4, b"\0\0\0\1" + b"\xff" * 4),
    "80,000,000 frames of no bytes": lambda d: changed(
        d, place(d, *TABLES, b"stsz") + 4, struct.pack(">II", 0, 80_000_000)
    ),
    "half the frames": lambda d: changed(d, place(d, *TABLES, b"stsz") + 8, struct.pack(">I", COUNT // 2)),
    "frames of a gigabyte": lambda d: changed(d, place(d, *TABLES, b"stsz") + 12, struct.pack(">I", 2**30)),
    "times of 4,294,967,295 frames": lambda d: changed(d, place(d, *TABLES, b"stts") + 8, b"\xff" * 4),
    "4,294,967,295 rows of times": lambda d: changed(d, place(d, *TABLES, b"stts") + 4, b"\xff" * 4),
    "shifts of 2,147,483,647 frames": lambda d: changed(d, place(d, *TABLES, b"ctts") + 8, b"\x7f\xff\xff\xff"),
    "chunks of 4,294,967,295 frames": lambda d: changed(d, place(d, *TABLES, b"stsc") + 12, b"\xff" * 4),
    "a chunk behind the end": lambda d: changed(d, place(d, *TABLES, b"stco") + 8, b"\xff" * 4),
    "a chunk of 2^63 - 1": lambda d: rewritten(
        d, (*TABLES, b"stco"), box(b"co64", struct.pack(">IIQ", 0, 1, 2**63 - 1))
    ),
    "a chunk of 2^64 - 1": lambda d: rewritten(
        d, (*TABLES, b"stco"), box(b"co64", struct.pack(">IIQ", 0, 1, 2**64 - 1))
    ),
    "no frames": lambda d: changed(d, place(d, *TABLES, b"stsz") + 8, bytes(4)),
    "no table of sizes": lambda d: rewritten(d, (*TABLES, b"stsz"), b""),
    "no handler": lambda d: rewritten(d, (*TABLES[:3], b"hdlr"), b""),
    "no description": lambda d: rewritten(d, (*TABLES, b"stsd"), b""),
    "no media": lambda d: rewritten(d, TABLES[:3], b""),
    "no track": lambda d: rewritten(d, TABLES[:2], b""),
    "no clock": lambda d: changed(d, place(d, *TABLES[:3], b"mdhd") + 12, bytes(4)),
    "tables inside the description": lambda d: rewritten(
        d, (*TABLES, b"stsd"), box(b"stsd", struct.pack(">II", 0, 1) + d[place(d, *TABLES, b"stsd") + 8 :][:146]
            + box(b"stsz", struct.pack(">III", 0, 1, 80_000_000)))
    ),
    "a compressed header": lambda d: d[:32] + box(b"moov", box(b"cmov", box(b"dcom", b"zlib") + box(
        b"cmvd", struct.pack(">I", 2**30) + zlib.compress(bytes(2**20))))),
    "4,294,967,295 edits": lambda d: changed(d, place(d, b"moov", b"trak", b"edts", b"elst") + 4, b"\xff" * 4),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_headers_that_lie(lie: str) -> None:
    data = LIES[lie](our_clip(painted(COUNT, 64, 64), keyframes=(6,)))
    assert data != ours()
    with bounded(2, 300):
        tried(data)
        with pytest.raises(mp4.NotPlain):
            mp4.parse(data)


def test_packets_that_share_bytes() -> None:
    """A million packets, each of nearly all of a file of some kilobytes, would be gigabytes to decode."""
    data = ours()
    size, count = len(data) - 100, 500_000
    data = rewritten(data, (*TABLES, b"stsz"), box(b"stsz", struct.pack(">III", 0, size, count)))
    data = rewritten(data, (*TABLES, b"stco"), box(b"stco", struct.pack(f">II{count}I", 0, count, *[40] * count)))
    data = rewritten(data, (*TABLES, b"stsc"), box(b"stsc", struct.pack(">IIIII", 0, 1, 1, 1, 1)))
    data = rewritten(data, (*TABLES, b"stts"), box(b"stts", struct.pack(">IIII", 0, 1, count, 128)))
    data = rewritten(data, (*TABLES, b"ctts"), b"")
    with bounded(3), pytest.raises(VideoFault, match=r"does not decode|share bytes|was asked for"):
        read_frames(data, Event(0, 200_000, 499_999, count, 100), VIEW)


def test_fragments_that_lie() -> None:
    data = forms()["fragments"]
    at = place(data, b"moof", b"traf", b"trun") + 4
    for count in (2**32 - 1, 2**26, 2_000_000):
        refused(
            changed(data, at, struct.pack(">I", count)), r"the MP4 is damaged: declares \d+ frames, at most 1000000"
        )


def test_a_picture_of_16384_by_16384_is_refused() -> None:
    """A sequence parameter set of H.264, 7.3.2.1.1, that says so."""

    def code(value: int) -> str:
        return "0" * ((value + 1).bit_length() - 1) + f"{value + 1:b}"

    bits = "".join(code(value) for value in (0, 0, 2, 1)) + "0" + code(1023) + code(1023) + "11001"
    bits += "0" * (-len(bits) % 8)
    payload = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    sps = b"\x67\x42\x00\x28" + payload
    extradata = mp4.parse(ours()).extradata
    rest = extradata[8 + int.from_bytes(extradata[6:8], "big") :]
    rest = rest[: 3 + int.from_bytes(rest[1:3], "big")]
    configuration = b"\x01\x42\x00\x28\xff\xe1" + len(sps).to_bytes(2, "big") + sps + rest
    data = ours()
    entry = data[place(data, *TABLES, b"stsd") + 8 :][:86]
    description = struct.pack(">II", 0, 1) + box(b"avc1", entry[8:86] + box(b"avcC", configuration))
    refused(rewritten(data, (*TABLES, b"stsd"), box(b"stsd", description)), "does not decode")


def _png(side: int) -> bytes:
    def chunk(kind: bytes, contents: bytes) -> bytes:
        return struct.pack(">I", len(contents)) + kind + contents + struct.pack(">I", zlib.crc32(kind + contents))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compressobj(9)
    packed = b"".join(rows.compress(bytes(side * 3 + 1)) for _ in range(side)) + rows.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", ["HLS", "concat", "DASH", "SDP", "list in a box", "PNG", "GIF", "nothing", "zeros"])
def test_what_is_no_container_of_video_is_not_opened(name: str, tmp_path: Path) -> None:
    """Lists that lead to other files among them."""
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(ours())
    data: Any = {
        "HLS": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{secret}\n#EXT-X-ENDLIST\n".encode(),
        "concat": f"ffconcat version 1.0\nfile '{secret}'\n".encode(),
        "DASH": f'<?xml version="1.0"?><MPD><Period><BaseURL>file://{secret}</BaseURL></Period></MPD>'.encode(),
        "SDP": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        "list in a box": box(b"free", b"") + f"#EXTM3U\n#EXTINF:10,\nfile://{secret}\n#EXT-X-ENDLIST\n".encode(),
        "PNG": partial(_png, 6000),
        "GIF": b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(20),
        "nothing": b"",
        "zeros": bytes(100_000),
    }[name]
    with opened() as paths:
        refused(data() if callable(data) else data, "is neither MP4, MOV, Matroska, WebM nor AVI|the MP4 is damaged")
    assert str(secret) not in paths


def test_frames_in_other_files_are_not_read(tmp_path: Path) -> None:
    """A data reference may name another file (ISO/IEC 14496-12, 8.7.2)."""
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(ours())
    where = (*TABLES[:4], b"dinf", b"dref")
    entry = box(b"url ", struct.pack(">I", 0) + f"file://{secret}".encode() + b"\0")
    data = rewritten(ours(), where, box(b"dref", struct.pack(">II", 0, 1) + entry))
    media = place(data, b"mdat")
    alone = changed(data, media, bytes(place(data, b"moov") - 8 - media))
    for video in (alone, rewritten(alone, (*TABLES, b"stss"), box(b"stss", bytes(8)))):
        with opened() as paths:
            tried(video)
        assert str(secret) not in paths


# --- the index


@pytest.fixture
def folder(built: Path, copy_of: Callable[[Path], Path]) -> Path:
    return copy_of(built)


def with_columns(folder: Path, **columns: Callable[[list[Any]], list[Any]]) -> Path:
    """Change columns of an index: each function is given the values."""
    path = folder / "index.parquet"
    table = pq.read_table(path)
    for name, change in columns.items():
        position = table.schema.get_field_index(name)
        field = table.schema.field(position)
        table = table.set_column(position, field, pa.array(change(table.column(name).to_pylist()), field.type))
    pq.write_table(table, path)
    return folder


def with_first(folder: Path, **values: Any) -> Path:
    """Change values of the first row."""
    return with_columns(folder, **{name: lambda old, v=value: [v, *old[1:]] for name, value in values.items()})


def reader(folder: Path, **options: Any) -> ClipReader:
    return ClipReader(open_dataset(folder), VIEW, **options)


OUTSIDE = (
    "../secret.tar",
    "wds/../../secret.tar",
    "/secret.tar",
    "..",
    "wds/./x.tar",
    "C:\\secret.tar",
    "",
    "a\nb",
    "x:y",
)


@pytest.mark.parametrize("path", OUTSIDE)
def test_an_index_cannot_lead_out_of_its_folder(folder: Path, path: str) -> None:
    secret = folder.parent / "secret.tar"
    secret.write_bytes(b"secret" * 100_000)
    path = path if path != "/secret.tar" else str(secret)
    with_first(folder, shard=path)
    with opened() as paths:
        with pytest.raises(IndexFault) as caught:
            reader(folder)
        # Without the check at the door the store refuses it as well.
        for row in (0,):
            with pytest.raises(PathError) as direct:
                open_dataset(folder).index.store.read(path, row, 10)
        with pytest.raises(StorageError):
            list(to_webdataset(open_dataset(folder)))
    told(caught.value, str(folder / "index.parquet"), "path=")
    told(direct.value, "path=")
    assert str(secret) not in paths


@pytest.mark.parametrize("name", ["a shard", "a folder", "the index"])
def test_links_cannot_lead_out_of_the_folder(folder: Path, name: str) -> None:
    outside = folder.parent / "outside"
    shard = sorted((folder / "wds").glob("*.tar"))[0]
    if name == "a folder":
        (folder / "wds").rename(outside)
        (folder / "wds").symlink_to(outside)
    else:
        victim = folder / "index.parquet" if name == "the index" else shard
        outside.mkdir()
        victim.rename(outside / victim.name)
        victim.symlink_to(outside / victim.name)
    with opened() as paths:
        if name == "the index":
            with pytest.raises(PathError) as refused_index:
                Index.open(folder)
            told(refused_index.value, "index.parquet", "leads out of the dataset's folder")
        else:
            clips = reader(folder)
            row = clips.places.shards.index(f"wds/{shard.name}")
            position = int(np.flatnonzero(clips.places.shard == row)[0])
            with pytest.raises(SampleFault) as caught:
                clips.read(position)
            told(caught.value, shard.name, clips.key(position), "leads out of the dataset's folder")
    assert not any(path.startswith(str(outside)) for path in paths)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fps": float("nan")}, r"fps=nan of \w+ is no number"),
        ({"fps": float("inf")}, r"fps=inf of \w+ is no number"),
        ({"fps": 0.0}, r"fps=0\.0 of \w+ must lie within"),
        ({"fps": None}, r"fps=nan of \w+ must lie within"),
        ({"frames": -5}, r"frames=-5 of \w+ must lie within 1\.\.1000000"),
        ({"frames": 2**31 - 1}, r"frames=2147483647 of \w+ must lie within"),
        ({"apex_frame": -1}, r"apex_frame=-1 of \w+ must lie within"),
        ({"apex_frame": None}, r"'apex_frame' is null in 1 row"),
        ({"mp4_offset": -1}, r"mp4_offset=-1 of \w+ must lie within"),
        ({"mp4_offset": 2**62}, r"mp4_offset=4611686018427387904 of \w+ must lie within"),
        ({"mp4_length": 2**62}, r"mp4_length=4611686018427387904 of \w+ must lie within"),
        ({"mp4_length": 0}, r"mp4_length=0 of \w+ must lie within"),
        ({"shard": None}, "without a tar"),
        ({"key": None}, "key=None must be letters, digits, _ and -"),
        ({"key": "fear_f_a\x1b[2J_000"}, r"key='fear_f_a\\x1b\[2J_000' must be letters"),
        ({"key": "../../fear_f_a_000"}, "must be letters, digits, _ and -"),
        ({"key": "k" * 100_000}, "key='kkk.*must be letters"),
    ],
)
def test_an_index_that_speaks_of_what_cannot_be(folder: Path, values: dict[str, Any], message: str) -> None:
    with_first(folder, **values)
    with bounded(), pytest.raises(IndexFault, match=message) as caught:
        reader(folder)
    told(caught.value, str(folder / "index.parquet"))


def test_an_event_that_cannot_be_costs_one_sample(folder: Path) -> None:
    with_first(folder, onset_frame=50, apex_frame=20)
    clips = reader(folder)
    with pytest.raises(SampleFault) as caught:
        clips.read(0)
    told(
        caught.value, clips.key(0), clips.places.shards[clips.places.shard[0]], "0 <= onset <= apex <= offset < frames"
    )
    assert clips.read(1).frames.shape == (8, 32, 32, 3)


def test_keys_that_stand_twice(folder: Path) -> None:
    with_columns(folder, key=lambda keys: [keys[1], *keys[1:]])
    with pytest.raises(IndexFault, match=r"key '.*' stands in more than one row") as caught:
        reader(folder)
    told(caught.value, str(folder / "index.parquet"))


@pytest.mark.parametrize(
    ("labels", "values", "message"),
    [
        ("emotion", {"emotion": "bliss"}, "emotion='bliss' must be one of happiness"),
        ("split", {"split": "secret\n"}, r"split='secret\\n' must be one of train"),
        ("apparent_gender", {"apparent_gender": ""}, "apparent_gender='' must be one of Woman, Man"),
        ("apparent_age", {"apparent_age": float("nan")}, r"apparent_age=nan of \w+ is no number"),
        ("sway_px", {"sway_px": float("-inf")}, r"sway_px=-inf of \w+ is no number"),
        ("aus", {"aus": [{"au": 12, "side": "both", "intensity": float("nan")}]}, "intensities of AUs must lie"),
        ("aus", {"aus": [{"au": 12, "side": "both", "intensity": 1e30}]}, "intensities of AUs must lie"),
        ("aus", {"aus": [{"au": None, "side": "both", "intensity": 1.0}]}, "intensities of AUs must lie"),
    ],
)
def test_labels_that_mean_nothing(folder: Path, labels: str, values: dict[str, Any], message: str) -> None:
    with_first(folder, **values)
    with pytest.raises(IndexFault, match=message) as caught:
        reader(folder, labels=[labels])
    told(caught.value, str(folder / "index.parquet"))


@pytest.mark.parametrize("kind", [pa.int64(), pa.large_string(), pa.binary(), pa.list_(pa.string())])
def test_columns_of_another_type(folder: Path, kind: pa.DataType) -> None:
    table = pq.read_table(folder / "index.parquet")
    position = table.schema.get_field_index("shard")
    table = table.set_column(position, pa.field("shard", kind), pa.nulls(len(table), kind))
    pq.write_table(table, folder / "index.parquet")
    with pytest.raises(IndexFault, match=r"'shard' is .*, expected string") as caught:
        open_dataset(folder)
    told(caught.value, str(folder / "index.parquet"))


@pytest.mark.parametrize(
    "contents", [b"", b"PAR1", b"PAR1PAR1", b"PK\3\4" + bytes(500), b"PAR1" + b"\xff" * 64 + b"\xff\xff\xff\x7fPAR1"]
)
def test_an_index_that_is_no_parquet_file(folder: Path, contents: bytes) -> None:
    (folder / "index.parquet").write_bytes(contents)
    with bounded(), pytest.raises(IndexFault, match="is no Parquet file that can be read") as caught:
        open_dataset(folder)
    told(caught.value, str(folder / "index.parquet"))


def test_an_index_of_many_empty_row_groups(folder: Path) -> None:
    schema = pa.schema([("key", pa.string())])
    with pq.ParquetWriter(folder / "index.parquet", schema) as writer:
        for _ in range(10_001):
            writer.write_table(schema.empty_table())
    with bounded(), pytest.raises(IndexFault, match="declares 10001 row groups, at most 10000 are read") as caught:
        open_dataset(folder)
    told(caught.value, str(folder / "index.parquet"))


def bomb(rows: int, **columns: pa.Array) -> pa.Table:
    """An index of few bytes and many rows."""
    arrays = [
        columns.get(field.name, pa.nulls(1, field.type).take(pa.nulls(rows, pa.int8()))) for field in index_schema()
    ]
    return pa.table(arrays, names=index_schema().names)


def test_an_index_of_many_rows_in_few_bytes(folder: Path) -> None:
    pq.write_table(bomb(100_000), folder / "index.parquet", compression="zstd")
    with pytest.raises(IndexFault, match=r"declares 100000 rows in \d+ bytes") as caught:
        open_dataset(folder)
    told(caught.value, str(folder / "index.parquet"))


def test_an_index_of_much_in_few_bytes(folder: Path) -> None:
    caption = pa.array(["x" * 2**16] * 1000)
    table = bomb(1000, caption=caption)
    pq.write_table(table, folder / "index.parquet", compression="zstd", use_dictionary=False)
    with pytest.raises(IndexFault, match=r"declares \d+ bytes of columns in \d+ bytes") as caught:
        open_dataset(folder)
    told(caught.value, str(folder / "index.parquet"))


def test_one_long_word_in_every_row(folder: Path) -> None:
    """A megabyte in the file, 4 GB when each row has it."""
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 4000, pa.int32()), pa.array(["x" * 2**20]))
    names = index_schema().names
    table = bomb(4000, caption=words, key=pa.array([f"k{row}" for row in range(4000)]), shard=words)
    path = folder / "index.parquet"
    pq.write_table(table, path, store_schema=False, compression="none", dictionary_pagesize_limit=2**22)
    assert names == pq.read_schema(path).names and path.stat().st_size < 2**24
    index = Index.open(folder)
    with bounded(2, 200):
        with pytest.raises(IndexFault, match=r"column 'caption' cannot be read .more than 2147483647 bytes of text"):
            index.column("caption")
        with pytest.raises(IndexFault, match=r"path='x+' must be 1 to 1024 letters") as caught:
            ClipReader(Selection.all(index), VIEW)
    told(caught.value, str(path))


def test_an_index_with_damaged_bytes(folder: Path) -> None:
    """Footers with and without the Arrow schema, which is most of them and checked as a whole."""
    path = folder / "index.parquet"
    table = pq.read_table(path)
    rng = np.random.default_rng(9)
    outcomes = set()
    for store_schema in (True, False):
        pq.write_table(table, path, store_schema=store_schema)
        data = path.read_bytes()
        footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
        for _ in range(150):
            damaged = bytearray(data)
            for _ in range(rng.integers(1, 4)):
                damaged[rng.integers(footer if rng.random() < 0.5 else 0, len(data))] = rng.integers(256)
            path.write_bytes(damaged)
            try:
                index = Index.open(folder)
                for name in ("key", "caption", "emotion", "aus", "gender_probabilities", "mp4_sha256"):
                    index.column(name)
                index.check(np.arange(len(index)))
                index.codes("emotion"), index.numbers("psnr_db"), index.au_intensity(12), index.rows([0], ["aus"])
                outcomes.add("read")
            except IndexFault as fault:
                told(fault, str(path))
                outcomes.add("refused")
    assert outcomes == {"read", "refused"}


# --- the bytes of a sample


def test_places_that_hold_something_else(folder: Path) -> None:
    """The middle of a video, another member of the tar, the end of the tar, more than the tar, a gigabyte and more."""
    row = pq.read_table(folder / "index.parquet").slice(0, 1).to_pylist()[0]
    size = (folder / row["shard"]).stat().st_size
    places = [
        (row["mp4_offset"] + 1000, row["mp4_length"]),
        (row["json_offset"], row["json_length"]),
        (row["au_npy_offset"], row["au_npy_length"]),
        (size - 512, 512),
        (size - 10, 20),
        (row["mp4_offset"], size),
        (0, 2**31),
        (2**40, 10),
    ]
    for offset, length in places:
        with_first(folder, mp4_offset=offset, mp4_length=length)
        clips = reader(folder)
        with bounded(), pytest.raises(SampleFault) as caught:
            clips.read(0)
        told(caught.value, row["shard"], row["key"])


def test_another_clip_in_its_place_is_found_by_its_hash(folder: Path) -> None:
    with_columns(
        folder, mp4_offset=lambda old: [old[1], *old[1:]], mp4_length=lambda old: [old[1], *old[1:]],
        shard=lambda old: [old[1], *old[1:]],
    )  # fmt: skip
    clips = reader(folder, check=True)
    with pytest.raises(SampleFault, match="sha256") as caught:
        clips.read(0)
    told(caught.value, clips.key(0))
    assert clips.read(1).mask.any()
    with_columns(folder, mp4_sha256=lambda old: [None, *old[1:]])
    with pytest.raises(IndexFault, match="1 clip without mp4_sha256 to check; pass check=False"):
        reader(folder, check=True)


_sprung: list[str] = []


def _spring(word: str) -> None:
    _sprung.append(word)


class _Trap:
    """A pickle that acts when it is loaded."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return _spring, ("loaded",)


def test_pickles_are_bytes(folder: Path) -> None:
    """An array of objects in the place of curves."""
    row = pq.read_table(folder / "index.parquet").slice(0, 1).to_pylist()[0]
    trap = io.BytesIO()
    np.save(trap, np.array([_Trap()], object), allow_pickle=True)
    with open(folder / row["shard"], "r+b") as shard:
        shard.seek(row["au_npy_offset"])
        shard.write(trap.getvalue())
    with_first(folder, au_npy_length=len(trap.getvalue()))
    np.load(io.BytesIO(trap.getvalue()), allow_pickle=True)
    assert _sprung == ["loaded"], "the trap works"
    for sample in to_webdataset(open_dataset(folder)):
        assert all(isinstance(value, bytes) for name, value in sample.items() if not name.startswith("__"))
    reader(folder, labels=["aus", "emotion"]).read(0)
    assert _sprung == ["loaded"]


def test_the_loader_unpickles_nothing_and_evaluates_nothing() -> None:
    """Of files, that is: workers of torch are sent pickles by their parent."""
    root = Path(equime_loader.__file__).parent
    for path in root.rglob("*.py"):
        found = re.findall(r"\b(?:pickle|marshal|shelve|yaml)\b|\b(?:eval|exec)\(|allow_pickle=True", path.read_text())
        assert not found, f"{path.name}: {found}"
        assert all("allow_pickle=False" in call for call in re.findall(r"np\.load\([^)]*\)", path.read_text()))


def test_numbers_painted_on_small_frames_are_found() -> None:
    """What the tests above rely on."""
    assert numbers(read_video(ours())) == list(range(COUNT))
