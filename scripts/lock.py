"""Write constraints.txt: one pinned version of every package, for every supported Python.

`make lock` runs this. The oldest Python is resolved first; each newer one is then resolved under the pins found so far
and may only add packages. So one file serves all of them, and a package that needs different versions on different
Pythons is an error here instead of a surprise later. Only wheels are accepted: a fresh machine has no compiler.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from interpreters import SUPPORTED, find

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "constraints.txt"
HEADER = """\
# Every package that development and the tests may install, pinned; the same file for Python {pythons}.
# Written by `make lock`. Change pyproject.toml and run that again; do not edit this by hand.
"""


def resolve(python: Path, pins: dict[str, str]) -> dict[str, str]:
    """Ask pip on `python` which versions it would install, given `pins`."""
    with tempfile.TemporaryDirectory() as folder:
        environment, constraints, report = (Path(folder) / name for name in ("venv", "pins.txt", "report.json"))
        _run(python, "-m", "venv", environment)
        pip = (environment / "bin" / "python", "-m", "pip", "-qq", "--disable-pip-version-check")
        _run(*pip, "install", "--upgrade", f"pip=={pins['pip']}" if pins else "pip")
        constraints.write_text(_lines(pins))
        what = ("pip", "-e", f"{ROOT}[all]", "--group", f"{ROOT / 'pyproject.toml'}:dev")
        how = ("--dry-run", "--ignore-installed", "--only-binary", ":all:", "-c", constraints, "--report", report)
        _run(*pip, "install", *how, *what)
        planned = json.loads(report.read_text())["install"]
    return {entry["metadata"]["name"].lower().replace("_", "-"): entry["metadata"]["version"] for entry in planned}


def main() -> int:
    """Resolve for each Python, and write the file only when all of them agree."""
    pins: dict[str, str] = {}
    for version in SUPPORTED:
        if (python := find(version)) is None:
            print(f"lock: Python {version} is not present here; the lock must be made where all of {SUPPORTED} are.")
            return 1
        found = resolve(python, pins)
        found.pop("outlast")
        print(f"lock: Python {version} needs {len(found)} packages, {len(found.keys() - pins.keys())} of them new")
        pins |= found
    TARGET.write_text(HEADER.format(pythons=", ".join(SUPPORTED)) + _lines(pins))
    return 0


def _lines(pins: dict[str, str]) -> str:
    return "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))


def _run(*command: str | os.PathLike[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    subprocess.run(command, check=True, cwd=ROOT, env=environment)


if __name__ == "__main__":
    sys.exit(main())
