"""Ask for a change note: a fragment in changes/ that towncrier accepts, unless this version is already written up.

A fragment is named `ISSUE.TYPE.md` (or `+words.TYPE.md` where there is no issue), with a type of `[tool.towncrier]`.
"""

import re
import subprocess
import sys
import tomllib

from house import ROOT


def misnamed(notes: list[str], types: set[str]) -> list[str]:
    """Return the names that are no fragment's."""
    pattern = re.compile(rf".+\.({'|'.join(sorted(types))})(\.\d+)?\.md")
    return [name for name in notes if not pattern.fullmatch(name)]


def main() -> int:
    """Print the state of the change notes, return the exit code."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    types = {entry["directory"] for entry in settings["tool"]["towncrier"]["type"]}
    notes = sorted(path.name for path in (ROOT / "changes").glob("*.md") if path.name != "README.md")
    if wrong := misnamed(notes, types):
        print(f"not a fragment's name: {', '.join(wrong)}; the types are {', '.join(sorted(types))}")
        return 1
    if not notes and not _released(settings["project"]["version"]):
        print("no fragment in changes/: say in one sentence what changed for a user")
        return 1
    done = subprocess.run(
        (sys.executable, "-m", "towncrier", "build", "--draft"), cwd=ROOT, capture_output=True, text=True, check=False
    )
    print(f"{len(notes)} fragments" if done.returncode == 0 else done.stdout + done.stderr)
    return done.returncode


def _released(version: str) -> bool:
    log = ROOT / "CHANGELOG.md"
    return log.exists() and f"## {version} (" in log.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
