"""What went wrong in one line for people: what, where, and what to do."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path

# What the system refuses, and what to do about it.
REFUSALS = {
    errno.ENOSPC: "the disk is full; make room, then run the command again",
    errno.EDQUOT: "your share of the disk is used up; make room, then run the command again",
    errno.EFBIG: "larger than files may be here; name another place",
    errno.EACCES: "permission denied; change its permissions, or name another place",
    errno.EPERM: "permission denied; change its permissions, or name another place",
    errno.EROFS: "the disk is read-only; name another place",
    errno.ENOENT: "no such file or folder",
    errno.ENOTDIR: "a file stands where a folder is needed",
    errno.EEXIST: "exists already; name another place",
    errno.EISDIR: "a folder stands where a file is needed",
    errno.ENAMETOOLONG: "the name is too long; name another place",
}


def error_line(error: BaseException) -> str:
    """The message of an error in one line; what the system says of a file is put in words, with the file's path."""
    if isinstance(error, OSError) and error.errno in REFUSALS:
        text = _refusal(error)
    elif isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        text = f"{error.object}: a name that is not UTF-8; rename it"
    else:
        text = str(error)
    shown = text.encode("utf-8", "backslashreplace").decode()  # file names may hold bytes that are no Unicode
    return " ".join(shown.split()) or type(error).__name__


def kind_and_line(error: BaseException) -> str:
    """An error of anybody's, in one line: its kind and its message, for where it could be any."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def as_typed(line: str, arguments: Sequence[str]) -> str:
    """An error's line that begins with a parameter, such as `frames=40 must …`, as it was typed: `--frames 40 must …`.

    The option is the one of the parameter's name, without what it is part of or its unit, else the only one that was
    given the value, which is then no number: two parameters may well have the same one. An argument is the value alone.
    """
    begin = re.match(r"([\w.]+)=('[^']*'|[^\s:,]*)", line)
    if begin is None:
        return line
    name, value = begin[1], begin[2].strip("'")
    given = {option: text for option, text in map(_given, arguments, [*arguments[1:], ""]) if option.startswith("--")}
    names = (name, name.rpartition(".")[2], name.removesuffix("_ms"))
    options = [option for option in given if option[2:].replace("-", "_") in names]
    if not re.fullmatch(r"[-+.\d]*", value):
        options = options or [option for option, text in given.items() if text == value]
        if not options and value in arguments:
            return line[begin.start(2) :]
    return f"{options[0]} {line[begin.start(2) :]}" if len(options) == 1 else line


def _given(argument: str, following: str) -> tuple[str, str]:
    option, equals, value = argument.partition("=")
    return option, value if equals else following


def _refusal(error: OSError) -> str:
    assert error.errno is not None
    said = re.search(r"file '(.+?)'", error.strerror or "")  # where pyarrow names the file
    if error.filename is None and said is None:
        return REFUSALS[error.errno]
    path = Path(said[1] if said else os.fsdecode(error.filename))
    if error.errno == errno.ENOENT and not path.parent.exists():
        return f"{path}: there is no folder {path.parent}; make it first, or name another"
    return f"{path}: {REFUSALS[error.errno]}"
