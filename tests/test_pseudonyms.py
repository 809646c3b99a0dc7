"""Pseudonyms: stable under one key, unlike under another, and a key that stays where it should."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equime_loader.corpora.pseudonyms import VARIABLE, Pseudonyms, default_key_file

KEY = bytes(range(32))


def test_the_same_name_in_every_spelling_has_one_pseudonym() -> None:
    names = Pseudonyms(KEY)
    assert len({names.of(name) for name in ("Nadia Quill", "nadiaquill", " NADIA_QUILL ", "ｎａｄｉａ quill")}) == 1
    assert names.of("Nadia Quill") != names.of("Nadia Quil")


def test_another_key_gives_other_pseudonyms() -> None:
    assert Pseudonyms(KEY).of("nadiaquill") != Pseudonyms(KEY[::-1]).of("nadiaquill")


@given(st.text(alphabet=st.characters(categories=("L", "N")), min_size=1))
def test_a_pseudonym_is_a_word_of_its_own(name: str) -> None:
    pseudonym = Pseudonyms(KEY).of(name)
    assert len(pseudonym) == 13 and pseudonym[0] == "p" and set(pseudonym[1:]) <= set("0123456789abcdef")


def test_a_key_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "config" / "a.key"
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: Pseudonyms.open(file).of("nadiaquill"), range(32)))
    assert len(found) == 1
    assert file.stat().st_mode & 0o077 == 0
    assert [path.name for path in file.parent.iterdir()] == ["a.key"]


def test_a_key_inside_of_what_is_given_away_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "corpus" / "sub" / "a.key"
    with pytest.raises(ValueError, match="must lie outside"):
        Pseudonyms.open(file, outside=[tmp_path / "corpus"])
    assert not file.exists()


@pytest.mark.parametrize("text", ["", "abc", "0" * 63, "g" * 64, "0" * 65])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.key").write_text(text)
    with pytest.raises(ValueError, match="is no key"):
        Pseudonyms.open(tmp_path / "a.key")


def test_bounds() -> None:
    with pytest.raises(ValueError, match="31 bytes"):
        Pseudonyms(KEY[1:])
    with pytest.raises(ValueError, match="name is empty"):
        Pseudonyms(KEY).of(" _")
    assert "00" not in repr(Pseudonyms(KEY))


def test_where_the_key_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_key_file() == tmp_path / "equime" / "pseudonyms.key"
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    assert default_key_file() == tmp_path / "mine"
