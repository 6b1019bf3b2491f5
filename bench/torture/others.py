"""The environment in which other queues are killed as ours is: `.venv-torture`, made when it is missing."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parents[1] / ".venv-torture"
PINS = HERE / "requirements.txt"


def python():
    """Return the interpreter of the environment, which is brought up to date first."""
    inside, ready = FOLDER / "bin" / "python", FOLDER / ".ready"
    if not ready.exists() or ready.stat().st_mtime < PINS.stat().st_mtime:
        print("setting up .venv-torture", file=sys.stderr)
        subprocess.run((sys.executable, "-m", "venv", FOLDER), check=True)
        install = (inside, "-m", "pip", "--disable-pip-version-check", "-qq", "install", "--no-deps", "-r", PINS)
        subprocess.run(install, check=True)
        ready.touch()
    return inside
