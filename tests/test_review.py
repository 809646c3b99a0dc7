"""Expert review without a server: the sample, the judgments, the store, and what is made of them."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reviewing import judgment

from equime_builder.manifest import FolderError
from equime_builder.review.clips import FACTS, Clips, opaque_names, show
from equime_builder.review.judgments import MAX_NOTES, Judgment, parse_judgment, plain_text, reviewer_name
from equime_builder.review.opening import open_or_begin
from equime_builder.review.sample import Settings, order_for, sampled
from equime_builder.review.store import FILE, Store
from equime_loader.index import Index
from equime_loader.schema import AUS
from equime_loader.selection import Selection

KEYS = {"0" * 32: "fear_m_p00001_000"}
SENT = {
    **{"request": "a" * 32, "reviewer": "Ann", "clip": "0" * 32, "verdict": "accepted", "label": "fear"},
    **{"aus": [1, 4], "confidence": 3, "notes": "brow"},
}


@pytest.fixture
def index(built: Path) -> Index:
    return Index.open(built)


@pytest.fixture
def store(index: Index, tmp_path: Path) -> Any:
    opened = open_or_begin(index, tmp_path / "review", {"size": 6})
    yield opened
    opened.close()


# ------------------------------------------------------------------------------------------------- judgments


def test_a_judgment_is_taken_as_it_was_sent() -> None:
    taken = parse_judgment(SENT, KEYS)
    assert taken == Judgment("a" * 32, "ann", "fear_m_p00001_000", "accepted", "fear", (1, 4), 3, "brow")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"request": "A" * 32}, "request"),
        ({"request": 7}, "request"),
        ({"reviewer": ""}, "reviewer must be a name"),
        ({"reviewer": "x" * 65}, "1 to 64"),
        ({"reviewer": "a\u202eb"}, "cannot be seen"),
        ({"reviewer": ["Ann"]}, "reviewer"),
        ({"clip": "../../etc/passwd"}, "not under review"),
        ({"clip": {}}, "not under review"),
        ({"verdict": "tied"}, "accepted, rejected"),
        ({"verdict": ["accepted"]}, "verdict|type"),
        ({"label": "joy"}, "label='joy'"),
        ({"label": {}}, "label|type"),
        ({"aus": [3]}, "aus"),
        ({"aus": [4, 1]}, "ascending"),
        ({"aus": [1, 1]}, "each once"),
        ({"aus": [True]}, "aus"),
        ({"aus": [1.0]}, "aus"),
        ({"aus": [[]]}, "aus|type"),
        ({"aus": "1"}, "aus must be a list"),
        ({"aus": [1] * 1000}, "aus"),
        ({"confidence": 0}, "1..5"),
        ({"confidence": True}, "1..5"),
        ({"confidence": 3.5}, "1..5"),
        ({"notes": None}, "notes"),
        ({"notes": "x" * (MAX_NOTES + 1)}, "4,000"),
        ({"more": 1}, "no field"),
    ],
)
def test_what_is_out_of_bounds_is_refused_and_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_judgment({**SENT, **change}, KEYS)
    for missing in change.keys() & SENT.keys():
        with pytest.raises(ValueError, match=f"{missing} is missing"):
            parse_judgment({name: value for name, value in SENT.items() if name != missing}, KEYS)


@settings(max_examples=60)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_any_value_in_any_field_is_taken_or_refused(value: Any) -> None:
    for name in SENT:
        why = ""
        try:
            parse_judgment({**SENT, name: value}, KEYS)
        except ValueError as error:
            why = str(error)
        assert why.isprintable() and len(why) < 300


@settings(max_examples=60)
@given(st.text())
def test_names_and_notes_have_one_form(text: str) -> None:
    assert plain_text(plain_text(text)) == plain_text(text)
    plain_text(text).encode()
    try:
        name = reviewer_name(text)
    except ValueError:
        return
    assert reviewer_name(name) == name == reviewer_name(f"  {text}\t")


def test_notes_keep_their_lines_and_lose_what_terminals_obey() -> None:
    assert plain_text("a\r\nb\rc\td\x1b[2J\x00\ud800é\u202e<b>") == "a\nb\nc\td[2Jé\u202e<b>"


# ------------------------------------------------------------------------------------------------- sample


def test_strata_are_used_evenly(index: Index) -> None:
    keys = sampled(Selection.all(index), Settings(False, ("emotion",), 5, 3))
    assert len(set(keys)) == 5 and keys == sorted(keys)
    assert sorted(Counter(key.split("_")[0] for key in keys).values()) == [2, 3]
    assert keys == sampled(Selection.all(index), Settings(False, ("emotion",), 5, 3))
    assert any(keys != sampled(Selection.all(index), Settings(False, ("emotion",), 5, seed)) for seed in range(4, 9))


def test_a_sample_has_as_many_clips_as_there_are(index: Index) -> None:
    assert sampled(Selection.all(index), Settings(True)) == sorted(
        row["key"] for row in Selection.all(index).labels(("key",))
    )
    few = sampled(Selection.all(index), Settings(True, ("subject",), 6))
    assert len({key.split("_")[2] for key in few}) == 6


def test_the_order_depends_on_seed_name_and_clips_alone() -> None:
    keys = [f"k{number:02d}" for number in range(30)]
    order = order_for(keys, reviewer="ann", seed=1)
    assert sorted(order) == keys != order
    assert order == order_for(keys[::-1], reviewer="ann", seed=1)
    assert order != order_for(keys, reviewer="bob", seed=1) and order != order_for(keys, reviewer="ann", seed=2)


@pytest.mark.parametrize(("values", "message"), [({"size": 0}, "size=0"), ({"by": ("frames",)}, "by='frames'")])
def test_settings_out_of_bounds_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings(**{"blind": True, **values})


# ------------------------------------------------------------------------------------------------- store


def test_what_is_kept_comes_back(store: Store) -> None:
    first, second = list(store.clips)[:2]
    said = [
        judgment(1, "ann", first, notes="\u202e<script>'\"; DROP TABLE judgments; --", label=None, aus=()),
        judgment(2, "bob", first),
        judgment(3, "ann", second),
        judgment(4, "ann", first, verdict="rejected"),
    ]
    assert [store.add(one) for one in said] == [1, 2, 3, 4]
    again = Store(store.path.parent)
    kept = again.kept()
    assert [one.judgment for one in kept] == said
    assert [one.counts for one in kept] == [False, True, True, True]
    assert [one.reviewer for one in kept] == [1, 2, 1, 1]
    assert [one.number for one in again.kept(reviewer="ann")] == [1, 3, 4]
    assert (again.settings, again.clips, again.token) == (store.settings, store.clips, store.token)
    again.close()


def test_a_repeated_request_is_kept_once(store: Store) -> None:
    key = next(iter(store.clips))
    assert store.add(judgment(1, "ann", key)) == store.add(judgment(1, "ann", key)) == 1
    with pytest.raises(ValueError, match="another content"):
        store.add(judgment(1, "ann", key, verdict="rejected"))
    with pytest.raises(ValueError, match="another content"):
        store.add(judgment(1, "bob", key))
    assert len(store.kept()) == 1


def test_rows_are_only_added(store: Store) -> None:
    store.add(judgment(1, "ann", next(iter(store.clips))))
    with sqlite3.connect(store.path) as other:
        for statement in ("UPDATE judgments SET verdict = 'rejected'", "DELETE FROM judgments"):
            with pytest.raises(sqlite3.IntegrityError, match="only added"):
                other.execute(statement)
    other.close()


def test_the_file_is_for_its_owner_and_waits_for_the_disk(store: Store) -> None:
    assert store.path.stat().st_mode & 0o077 == 0 and store.path.parent.stat().st_mode & 0o077 == 0
    pragma = {
        name: store._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
    }
    assert pragma == {"journal_mode": "wal", "synchronous": 2}


def test_several_processes_may_write_at_once(store: Store) -> None:
    keys = list(store.clips)

    def write(who: int) -> None:
        mine = Store(store.path.parent)
        for number, key in enumerate(keys):
            mine.add(judgment(1 + 100 * who + number, f"reviewer {who}", key))
        mine.close()

    threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = store.kept()
    assert len(kept) == 4 * len(keys) and all(one.counts for one in kept)
    assert {one.reviewer for one in kept} == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"no database" * 1000), "no review that can be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "damaged|no review"),
        (lambda path: path.unlink(), "holds no review"),
    ],
)
def test_a_damaged_store_is_one_line(store: Store, damage: Callable[[Path], Any], message: str) -> None:
    store.close()
    for path in store.path.parent.glob(f"{FILE}-*"):
        path.unlink()
    damage(store.path)
    with pytest.raises(FolderError, match=message) as caught:
        Store(store.path.parent)
    assert "\n" not in str(caught.value)


def test_a_review_goes_on_as_it_was_begun(index: Index, store: Store) -> None:
    folder = store.path.parent
    again = open_or_begin(index, folder, {"size": None, "blind": None, "by": None, "seed": None})
    assert again.clips == store.clips
    again.close()
    for change in ({"blind": True}, {"seed": 1}, {"size": 7}, {"by": ("emotion",)}):
        with pytest.raises(FolderError, match=f"begun with {next(iter(change))}="):
            open_or_begin(index, folder, change)
    begun = open_or_begin(index, folder / "blind", {"blind": True})
    begun.close()
    with pytest.raises(FolderError, match="begun with blind=yes"):
        open_or_begin(index, folder / "blind", {"blind": False})
    with pytest.raises(FolderError, match="can only be continued"):
        Store.begin(folder, store.settings, {})


def test_clips_that_changed_end_the_review(built: Path, index: Index, tmp_path: Path) -> None:
    for clips, message in (({"fear_m_nobody_000": None}, "lacks fear_m_nobody_000"), ({}, "has changed")):
        key = index.column("key")[0].as_py()
        begun = Store.begin(tmp_path / message.split()[0], Settings(True), clips or {key: "0" * 64})
        with pytest.raises(FolderError, match=message):
            Clips(built, index, begun)
        begun.close()


# ------------------------------------------------------------------------------------------------- clips


def test_a_blind_view_says_no_word_of_the_label(built: Path, index: Index, store: Store) -> None:
    """The same frames under other labels give the same answer, byte for byte."""
    clips = Clips(built, index, store)
    key = next(key for key, row in clips._labels.items() if row["aus"])
    labels = clips._labels[key]
    from equime_builder.readers import read_samples

    video, curves = read_samples(built, [labels])[key]
    acting = labels["aus"][0]
    other_au = next(au for au in AUS if au not in {one["au"] for one in labels["aus"]} | {45})
    moved = np.zeros_like(curves)
    moved[:, AUS.index(other_au)] = 2 * curves[:, [AUS.index(one["au"]) for one in labels["aus"]]].sum(axis=1)
    lies = {name: f"lie {name}" for name in FACTS} | {"aus": [{**acting, "au": other_au, "side": "left"}]}
    true, false = (
        show(row, video, curve, blind=True).packed() for row, curve in ((labels, curves), ({**labels, **lies}, moved))
    )
    assert true == false
    head = json.loads(true[4 : 4 + int.from_bytes(true[:4], "big")])
    assert head.keys() == {"fps", "onset", "apex", "offset", "motion", "curves", "facts", "bytes"}
    assert head["facts"] is None and [curve["name"] for curve in head["curves"]] == [None]
    seen = show(labels, video, curves, blind=False)
    assert seen.head["facts"]["key"] == key and str(acting["au"]) in seen.head["curves"][0]["name"]
    assert all(picture[:3] == b"\xff\xd8\xff" and b"Exif" not in picture for picture in seen.pictures)


def test_measured_motion_peaks_with_the_event(built: Path, index: Index, store: Store) -> None:
    clips = Clips(built, index, store)
    for key, labels in clips._labels.items():
        motion = np.array(clips.view(key).head["motion"])
        peak = int(motion.argmax())
        assert labels["onset_frame"] < peak < labels["offset_frame"] and motion[labels["onset_frame"]] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": 2_000}, "at most 1000"),
        ({"frames": 3}, "labeled 3"),
        ({"offset_frame": 99_999}, "in this order"),
        ({}, "cannot be decoded"),
    ],
)
def test_a_clip_that_cannot_be_shown_is_named(
    change: dict[str, Any], message: str, built: Path, index: Index, store: Store
) -> None:
    from equime_builder.readers import read_samples

    labels = next(iter(Clips(built, index, store)._labels.values()))
    video, curves = read_samples(built, [labels])[labels["key"]]
    with pytest.raises(ValueError, match=message):
        show({**labels, **change}, video if change else b"no video", curves, blind=True)


def test_tables_show_the_same_as_tars(built: Path, index: Index, store: Store) -> None:
    clips = Clips(built, index, store)
    key, labels = next(iter(clips._labels.items()))
    by_tar = clips.view(key).packed()
    labels["shard"] = None
    assert clips.view(key).packed() == by_tar


def test_opaque_names_need_the_secret() -> None:
    keys = ["fear_m_p00001_000", "anger_f_p00002_000"]
    one, other = opaque_names(keys, b"1" * 32), opaque_names(keys, b"2" * 32)
    assert one.keys().isdisjoint(other) and list(one.values()) == keys
    assert all(len(name) == 32 and set(name) <= set("0123456789abcdef") for name in one)
