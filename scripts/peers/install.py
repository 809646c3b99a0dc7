#!/usr/bin/env python3
"""Make the environments of the peers. One that fails is noted, with the reason, and the comparison lists it."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path

from table import ENVIRONMENTS, Environment

NOTE = "not-installed.txt"


def interpreter(least: str) -> str:
    """The nearest Python from `least` on; the minor versions after it are tried in turn."""
    major, minor = map(int, least.split("."))
    for number in range(minor, minor + 4):
        found = shutil.which(f"python{major}.{number}")
        if found and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0:
            return found
    raise FileNotFoundError(f"no Python {least} or newer on the path")


def install(environment: Environment, folder: Path) -> None:
    subprocess.run([interpreter(environment.python), "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *environment.requirements], check=True, stderr=subprocess.PIPE, text=True)
    if environment.without:
        subprocess.run([*pip, "uninstall", "--yes", *environment.without], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="*", metavar="ENVIRONMENT", help=f"{', '.join(ENVIRONMENTS)}; all without a name"
    )
    parser.add_argument("--root", type=Path, default=Path("build/peers"))
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(ENVIRONMENTS):
        parser.error(f"no such environment: {', '.join(sorted(unknown))}")
    for name in arguments.names or ENVIRONMENTS:
        folder = arguments.root / name
        try:
            install(ENVIRONMENTS[name], folder)
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / NOTE).write_text(said.strip().splitlines()[-1] + "\n")
        print(f"{name}: {'failed: ' + (folder / NOTE).read_text().strip() if (folder / NOTE).exists() else folder}")


if __name__ == "__main__":
    main()
