"""What went wrong in one line for people: what, where, and what to do."""

from __future__ import annotations

import errno
import os
import re
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


def _refusal(error: OSError) -> str:
    assert error.errno is not None
    said = re.search(r"file '(.+?)'", error.strerror or "")  # where pyarrow names the file
    if error.filename is None and said is None:
        return REFUSALS[error.errno]
    path = Path(said[1] if said else os.fsdecode(error.filename))
    if error.errno == errno.ENOENT and not path.parent.exists():
        return f"{path}: there is no folder {path.parent}; make it first, or name another"
    return f"{path}: {REFUSALS[error.errno]}"
