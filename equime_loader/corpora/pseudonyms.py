"""Stable pseudonyms for participants whose names stand in a corpus: a name goes in, a keyed hash comes out.

The key is a file of the user's, outside of corpus and dataset: with it the same name gives the same pseudonym in every
import, without it nobody can try names. Nothing here writes, logs or raises a name.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

VARIABLE = "EQUIME_PSEUDONYM_KEY"
KEY_BYTES = 32
DIGITS = 12  # 48 bits: among a thousand people two share a pseudonym once in 500 million keys
_HEXADECIMAL = re.compile(r"[0-9a-f]{64}\s*")


def default_key_file() -> Path:
    """Where the key lies: $EQUIME_PSEUDONYM_KEY, else `equime/pseudonyms.key` in the user's configuration folder."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    folder = os.environ.get("XDG_CONFIG_HOME")
    return (Path(folder) if folder else Path.home() / ".config") / "equime" / "pseudonyms.key"


def plain_name(name: str) -> str:
    """A name without what spellings of it differ in: case, width, spaces and signs."""
    return "".join(letter for letter in unicodedata.normalize("NFKC", name).casefold() if letter.isalnum())


def check_key_outside(folder: Path, file: Path | None = None) -> None:
    """Check that the key does not lie in a folder that may be given to others.

    Args:
        file: None for `default_key_file()`.

    Raises:
        ValueError: it lies there, or would be made there.
    """
    file = default_key_file() if file is None else file
    if file.absolute().resolve().is_relative_to(folder.absolute().resolve()):
        raise ValueError(
            f"the key of the pseudonyms, {file}, must lie outside of {folder}: who has both knows the names. "
            f"Set ${VARIABLE} to another file"
        )


class Pseudonyms:
    """Pseudonyms of one key.

    Args:
        key: 32 bytes that nobody else knows.

    Raises:
        ValueError: a key of another length.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"key has {len(key)} bytes, must have {KEY_BYTES}")
        self._key = key

    @classmethod
    def open(cls, file: Path | None = None, *, outside: Iterable[Path] = ()) -> Pseudonyms:
        """Read the key, or make it on first use, readable by the user alone.

        Args:
            file: None for `default_key_file()`. outside: folders that may be given to others, so that the key must
                not lie in them.

        Raises:
            ValueError: the file holds no key, or lies in one of those folders.
        """
        file = default_key_file() if file is None else file
        for folder in outside:
            check_key_outside(folder, file)
        if not file.exists():
            _make(file)
        text = file.read_text(encoding="ascii", errors="replace")
        if not _HEXADECIMAL.fullmatch(text):
            raise ValueError(f"{file}: is no key of pseudonyms, which is {2 * KEY_BYTES} hexadecimal digits")
        return cls(bytes.fromhex(text.strip()))

    def of(self, name: str) -> str:
        """The pseudonym of a name: `p` and 12 hexadecimal digits, the same for every spelling of it.

        Raises:
            ValueError: a name without letters and digits.
        """
        plain = plain_name(name)
        if not plain:
            raise ValueError("a participant's name is empty")
        return "p" + hmac.new(self._key, plain.encode(), hashlib.sha256).hexdigest()[:DIGITS]

    def __repr__(self) -> str:
        return "Pseudonyms()"


def _make(file: Path) -> None:
    """Write a fresh key, whole or not at all; of several at once the first stands."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(8)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as opened:
            opened.write(secrets.token_hex(KEY_BYTES) + "\n")
            opened.flush()
            os.fsync(opened.fileno())
        with suppress(FileExistsError):
            os.link(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
