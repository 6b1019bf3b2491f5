"""Find the Python interpreters of this machine that really start.

A version manager may put a `python3.12` on the PATH that only prints an error, so every candidate is run once and asked
for its version. Folders where version managers keep interpreters are searched after the PATH.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

SUPPORTED = ("3.11", "3.12", "3.13")
"""Every Python that the package supports; the first is the one that development uses."""

_MANAGERS = (  # below the home directory
    ".pyenv/versions/{version}*/bin",
    ".local/share/uv/python/cpython-{version}*/bin",
    ".local/share/mise/installs/python/{version}*/bin",
    ".asdf/installs/python/{version}*/bin",
)


def find(version: str) -> Path | None:
    """Return an interpreter of `version` (such as "3.12") that starts, or None."""
    return next((path for path in _candidates(version) if _starts(path, version)), None)


def _candidates(version: str) -> list[Path]:
    name = f"python{version}"
    found = [Path(path) for folder in os.get_exec_path() if (path := shutil.which(name, path=folder))]
    for pattern in _MANAGERS:
        found += sorted(Path.home().glob(f"{pattern.format(version=version)}/{name}"), reverse=True)
    return found


def _starts(path: Path, version: str) -> bool:
    probe = "import ensurepip, ssl, sqlite3, sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([path, "-c", probe], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == version


if __name__ == "__main__":
    for wanted in sys.argv[1:] or SUPPORTED:
        print(f"{wanted}\t{find(wanted) or 'not present'}")
