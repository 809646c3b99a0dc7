"""What a second user does, in a process and a home of its own. usage: second_user.py TOKEN|- WAY REVISION|- ...

Prints a JSON line for each three arguments: what was loaded, or the error. WAY is `streaming`, `whole`, or `plain`: the
repository by its own name, as somebody loads it who has not our package.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from typing import Any

from datasets import Video, load_dataset

import equime_loader  # noqa: F401 - registers the name


def load(token: str, way: str, revision: str) -> dict[str, Any]:
    try:
        loaded = load_dataset(
            os.environ["EQUIME_REPO"] if way == "plain" else "equime",
            streaming=way != "whole",
            token=False if token == "-" else token,
            revision=None if revision == "-" else revision,
        )
        rows = {}
        for split in loaded.values():
            for row in split.cast_column("video", Video(decode=False)):
                rows[row["key"]] = [hashlib.sha256(row["video"]["bytes"]).hexdigest(), row["caption"], row["split"]]
        return {"rows": rows}
    except Exception as error:
        return {"error": type(error).__name__, "text": str(error)}


if __name__ == "__main__":
    asked = sys.argv[1:]
    for place in range(0, len(asked), 3):
        print(json.dumps(load(*asked[place : place + 3])), flush=True)
