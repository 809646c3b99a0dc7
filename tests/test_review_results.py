"""What comes of a review: one opinion per clip, columns of the index, the exported table, the command."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from reviewing import judgment

from equime_builder.cli import main
from equime_builder.commands import review as command
from equime_builder.review.clips import Clips
from equime_builder.review.consensus import annotation_table, export_table, opinion, write_export
from equime_builder.review.opening import open_or_begin
from equime_builder.review.store import Kept, Store, default_folder
from equime_builder.verify import verify
from equime_loader.index import Index
from equime_loader.selection import Selection


@pytest.fixture
def store(built: Path, tmp_path: Path) -> Any:
    opened = open_or_begin(Index.open(built), tmp_path / "review", {"size": 6})
    yield opened
    opened.close()


def kept(number: int, reviewer: int, clip: str, **changes: Any) -> Kept:
    return Kept(number, reviewer, 1.0, True, judgment(number, f"r{reviewer}", clip, **changes))


@pytest.mark.parametrize(
    ("verdicts", "verdict", "share"),
    [("a", "accepted", 1), ("ar", "tied", 1 / 2), ("arr", "rejected", 1 / 3), ("aaar", "accepted", 3 / 4)],
)
def test_most_reviewers_decide(verdicts: str, verdict: str, share: float) -> None:
    words = {"a": "accepted", "r": "rejected"}
    together = opinion([kept(n, n, "k", verdict=words[letter]) for n, letter in enumerate(verdicts, 1)])
    assert (together.verdict, together.accepted, together.count) == (verdict, share, len(verdicts))


def test_labels_and_aus_of_most_reviewers() -> None:
    said = [("fear", (1, 4)), ("fear", (1,)), (None, (4, 5)), ("anger", (1,))]
    three = opinion([kept(n, n, "k", label=label, aus=aus) for n, (label, aus) in enumerate(said, 1)])
    assert (three.label, three.label_share, three.aus) == ("fear", 0.5, (1,))
    for unclear in ([("fear", ()), ("anger", ())], [(None, ()), (None, ()), ("anger", ())]):
        none = opinion([kept(n, n, "k", label=label, aus=aus) for n, (label, aus) in enumerate(unclear, 1)])
        assert (none.label, none.label_share) == (None, None)


def test_the_columns_reach_the_index(built: Path, copy_of: Callable[[Path], Path], tmp_path: Path) -> None:
    from equime_builder.annotate import write_annotation

    root = copy_of(built)
    begun = open_or_begin(Index.open(root), tmp_path / "review", {"blind": True, "size": 4})
    keys = list(begun.clips)
    for number, (who, key) in enumerate([("ann", keys[0]), ("bob", keys[0]), ("ann", keys[1])], 1):
        begun.add(judgment(number, who, key, verdict="accepted" if who == "ann" else "rejected"))
    write_annotation(root, "review", annotation_table(begun.kept(), begun.settings))
    assert verify(root) == []
    clips = Selection.all(Index.open(root))
    (tied,) = clips.where(review_verdict="tied").labels()
    assert (tied["key"], tied["review_count"], tied["review_mode"], tied["review_accepted"]) == (
        keys[0],
        2,
        "blind",
        0.5,
    )
    assert (tied["review_label"], tied["review_aus"], tied["review_confidence"]) == ("happiness", [6, 12], 4.0)
    assert len(clips.where(review_count=None)) == len(clips) - 2
    Clips(root, Index.open(root), begun)  # the review goes on after its columns were written
    begun.close()


def test_what_is_exported_holds_no_name(store: Store, tmp_path: Path) -> None:
    first = next(iter(store.clips))
    notes = '=HYPERLINK("http://x"),\n"quoted" é'
    store.add(judgment(1, "ann lee", first, notes=notes, aus=()))
    store.add(judgment(2, "bob", first))
    store.add(judgment(3, "ann lee", first, verdict="rejected"))
    table = export_table(store.kept(), store.settings)
    for name in ("all.parquet", "all.csv"):
        write_export(table, tmp_path / name)
        assert b"ann" not in (tmp_path / name).read_bytes() and b"bob" not in (tmp_path / name).read_bytes()
    rows = pq.read_table(tmp_path / "all.parquet").to_pylist()
    assert [(row["reviewer"], row["counts"], row["aus"]) for row in rows] == [
        ("R01", False, []),
        ("R02", True, [6, 12]),
        ("R01", True, [6, 12]),
    ]
    assert rows[0]["notes"] == notes and rows[0]["judged_at"].tzinfo is not None
    lines = pyarrow.csv.ParseOptions(newlines_in_values=True)
    flat = pyarrow.csv.read_csv(tmp_path / "all.csv", parse_options=lines).to_pylist()
    assert flat[0]["notes"] == f"'{notes}" and [row["aus"] for row in flat] == ["", "6+12", "6+12"]
    with pytest.raises(ValueError, match=r"must be \.parquet or \.csv"):
        write_export(table, tmp_path / "all.xlsx")


# ------------------------------------------------------------------------------------------------- command


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run `equime review` in this process: exit code, standard output and standard error."""

    def call(*options: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["equime", "review", *options])
        with pytest.raises(SystemExit) as left:
            main()
        out, error = capsys.readouterr()
        return int(left.value.code or 0), out, error

    return call


def test_the_command_reports_exports_and_annotates(
    built: Path, copy_of: Callable[[Path], Path], tmp_path: Path, run: Any
) -> None:
    root = copy_of(built)
    begun = open_or_begin(Index.open(root), default_folder(root), {})
    for number, key in enumerate(begun.clips, 1):
        begun.add(judgment(number, "ann", key, label=key.split("_")[0]))
        begun.add(judgment(100 + number, "bob", key, verdict="rejected" if number % 2 else "accepted"))
    begun.close()
    code, out, error = run(str(root), "--report", "--annotate", "--export", str(tmp_path / "all.csv"), "--json")
    assert code == 0 and not error, error
    answer = json.loads(out)
    clips = len(Index.open(root))
    assert answer["annotated"] == clips and answer["export"]["judgments"] == 2 * clips
    assert answer["report"]["against"]["R01"]["scores"]["accuracy"]["value"] == 1
    assert answer["report"]["verdicts"]["emotion"]["happiness"]["tied"] == clips / 4
    _, told, _ = run(str(root), "--report")
    assert "Krippendorff's alpha" in told and "they saw it: this tests nothing" in told
    assert "ann" not in told.split() and "bob" not in told


def test_mistakes_are_one_line(built: Path, tmp_path: Path, run: Any) -> None:
    for options, message in (
        ([str(built), "--report", "--store", str(tmp_path / "none")], "holds no review"),
        ([str(tmp_path)], "no EquiME dataset"),
        ([str(built), "--store", str(tmp_path / "a"), "--by", "color"], "--by 'color' must be"),
        ([str(built), "--store", str(tmp_path / "b"), "--port", "70000"], "--port 70000 must"),
        ([str(built), "--store", str(tmp_path / "c"), "--host", "192.0.2.1"], "choose another --port"),
    ):
        code, _, told = run(*options)
        assert code == 1 and told.startswith("error: ") and told.count("\n") == 1, told
        assert message in told


def test_a_missing_extra_is_one_line(built: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    assert run(str(built)) == (1, "", "error: a review needs aiohttp; install it with: pip install 'equime[review]'\n")


def test_an_opinion_of_one_is_that_of_the_one() -> None:
    one = kept(1, 1, "k", label=None, aus=(), confidence=1)
    assert replace(opinion([one]), confidence=0) == replace(opinion([one, one]), count=1, confidence=0)
