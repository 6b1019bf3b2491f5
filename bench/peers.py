"""The environment in which other libraries stand beside ours: `.venv-peers`, made when it is missing."""

import os
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv-peers"
PINS = ROOT / "bench" / "conformance" / "requirements.txt"


def python():
    """Return the interpreter of the environment, which is brought up to date first."""
    inside, ready = FOLDER / "bin" / "python", FOLDER / ".ready"
    if not ready.exists() or ready.stat().st_mtime < PINS.stat().st_mtime:
        print("setting up .venv-peers", file=sys.stderr)
        subprocess.run((sys.executable, "-m", "venv", FOLDER), check=True)
        subprocess.run((inside, "-m", "pip", "--disable-pip-version-check", "-qq", "install", "-r", PINS), check=True)
        ready.touch()
    return inside


def environment(source=ROOT / "src"):
    """Return the environment variables under which `source` is our package, beside the others."""
    return {**os.environ, "PYTHONPATH": f"{source}:{ROOT / 'bench' / 'conformance'}", "PYTHONHASHSEED": "0"}


def versions():
    """Return the versions of the libraries; to be asked in the environment."""
    wanted = {line.partition("==")[0] for line in PINS.read_text().splitlines() if "==" in line}
    return {found.name: found.version for found in distributions() if found.name in wanted}
