"""Hold branch coverage: all of the engines and the errors, nine tenths of every other room.

Reads what `make test` measured, every process that the tests started included. A room's figure counts its lines and its
branches together, as coverage.py does.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from house import ROOT, SOURCE, room

FULL = frozenset({"engines", "errors"})
OTHERS = 90.0


@dataclass(slots=True)
class Tally:
    """What was measured in one room."""

    possible: int = 0
    reached: int = 0

    @property
    def percent(self) -> float:
        """Share reached, 0 to 100; a room without statements is whole."""
        return 100.0 * self.reached / self.possible if self.possible else 100.0


def rooms(report: Path) -> tuple[dict[str, Tally], list[str]]:
    """Return the tally of each room and the gaps of those that must be whole, from coverage's JSON report."""
    tallies: dict[str, Tally] = {}
    gaps: list[str] = []
    for name, entry in json.loads(report.read_text())["files"].items():
        home, total = room(ROOT / name, SOURCE), entry["summary"]
        tally = tallies.setdefault(home, Tally())
        tally.possible += total["num_statements"] + total["num_branches"]
        tally.reached += total["covered_lines"] + total["covered_branches"]
        if home in FULL and (entry["missing_lines"] or entry["missing_branches"]):
            gaps.append(f"  {name}: lines {entry['missing_lines']}, branches {entry['missing_branches']}")
    return tallies, gaps


def low(tallies: dict[str, Tally]) -> list[str]:
    """Return the rooms that are below their threshold."""
    return [name for name, tally in sorted(tallies.items()) if tally.percent < _wanted(name)]


def _wanted(name: str) -> float:
    return 100.0 if name in FULL else OTHERS


def main() -> int:
    """Print each room's figure beside its threshold; fail if one is below."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        command = (sys.executable, "-m", "coverage", "json", "--quiet", "-o", report)
        if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
            print("no coverage data: run `make test` first")
            return 1
        tallies, gaps = rooms(report)
    missed = low(tallies)
    for name, tally in sorted(tallies.items()):
        verdict = "LOW" if name in missed else "ok "
        print(f"{verdict} {name:<12} {tally.percent:6.2f} % of {tally.possible}, at least {_wanted(name):g} %")
    print("\n".join(gaps) or "engines and errors have no gap")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
