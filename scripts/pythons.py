"""Run the unit and property tests on another Python, in an environment of its own (`.venv-3.12`).

Usage: `.venv/bin/python scripts/pythons.py 3.12`. Where that Python is not present, this says so and succeeds: the
development Python has run everything already.
"""

import os
import subprocess
import sys
from pathlib import Path

from house import ROOT
from interpreters import find

RINGS = ("tests/unit", "tests/properties")


def prepare(version: str, python: Path) -> Path:
    """Return the interpreter of an up-to-date environment for `version`, made with `python` where necessary."""
    folder = ROOT / f".venv-{version}"
    inside, ready = folder / "bin" / "python", folder / ".ready"
    inputs = (ROOT / "pyproject.toml", ROOT / "constraints.txt")
    if not ready.exists() or any(path.stat().st_mtime > ready.stat().st_mtime for path in inputs):
        subprocess.run((python, "-m", "venv", folder), check=True)
        subprocess.run((inside, ROOT / "scripts" / "install.py", "unit"), check=True)
        ready.touch()
    return inside


def main(version: str) -> int:
    """Run the rings on `version` if it is present, return the exit code."""
    if (python := find(version)) is None:
        print(f"skipped: Python {version} is not present on this machine")
        return 0
    rings = [ring for ring in RINGS if (ROOT / ring).is_dir()]
    # Planted faults test the tests, which the development Python has done.
    options = ("-q", "-p", "no:cacheprovider", "--ignore", "tests/properties/mutants")
    pytest = (str(prepare(version, python)), "-m", "pytest", *options, *rings)
    environment = {**os.environ, "OUTLAST_HYPOTHESIS": "brief"}
    return subprocess.run(pytest, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
