"""Install this project and its dependency groups into the environment of the running Python, as pinned.

Usage: `.venv/bin/python scripts/install.py dev`. The package itself is installed editable, with every extra. pip is
brought to its pinned version first: the one that comes with Python 3.11 knows no dependency groups.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def install(groups: list[str]) -> None:
    """Bring pip to its pinned version, then install the package, its extras and `groups`."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq")
    pins = ROOT / "constraints.txt"
    _run(*pip, "install", "-c", pins, "pip")
    chosen = [f"--group={group}" for group in groups]
    _run(*pip, "install", "-c", pins, "--build-constraint", pins, "-e", ".[all]", *chosen)
    # Where Python may not write what it compiles, each of the many processes that tests start would compile it anew.
    _run(sys.executable, "-m", "compileall", "-q", ROOT / "src")


def _run(*command: str | os.PathLike[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode != 0:
        sys.exit(f"install: {command[2]} failed with exit code {done.returncode}; its message is above")


if __name__ == "__main__":
    install(sys.argv[1:])
