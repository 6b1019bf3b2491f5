"""Play the demo and write what was counted into the README; `make verdict` is this program."""

import json
import re
import subprocess
import sys
from typing import Any

from house import ROOT

_PLACE = re.compile(r"(<!-- verdict -->\n).*?(<!-- end of verdict -->)", re.DOTALL)


def main(arguments: list[str]) -> int:
    """Play, show the play on standard error, and write the table; return the demo's exit code."""
    command = (sys.executable, "-m", "outlast.cli", "demo", "--headless", "--json", *arguments)
    played = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False)
    if played.returncode == 0:
        report = json.loads(played.stdout.splitlines()[-1])
        page = ROOT / "README.md"
        text = page.read_text(encoding="utf-8")
        page.write_text(_PLACE.sub(lambda place: f"{place[1]}{_table(report)}{place[2]}", text), encoding="utf-8")
    return played.returncode


def _table(report: dict[str, Any]) -> str:
    sides = [report["outlast"], report["plain"]]
    rows = [
        ("", "with outlast", "plain client"),
        ("---", "---", "---"),
        ("reads answered, keys seen before", *(_share(side["reads"]) for side in sides)),
        ("of these stale, and said so", *(_stale(side["reads"]) for side in sides)),
        ("reads answered, first touch", *(_share(side["first_reads"]) for side in sides)),
        ("answers that were not true", *(side["reads"]["wrong"] + side["first_reads"]["wrong"] for side in sides)),
        ("writes acknowledged / delivered", *(_writes(side["writes"], "acknowledged", "delivered") for side in sides)),
        ("acknowledged writes lost", *(side["writes"]["lost"] for side in sides)),
        ("writes that took effect twice", *(side["writes"]["doubled"] for side in sides)),
        ("writes refused, or cut off by the kill", *(_writes(side["writes"], "refused", "unknown") for side in sides)),
        ("last of them applied after the end of the faults", *(f"{side['recovered_after']:.1f} s" for side in sides)),
    ]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)


def _share(reads: dict[str, Any]) -> str:
    return f"{reads['answered']} of {reads['total']} ({reads['answered'] / reads['total']:.1%})"


def _stale(reads: dict[str, Any]) -> str:
    oldest = f", at most {reads['max_age']:.0f} s old" if reads["stale"] else ""
    return f"{reads['stale']} ({reads['stale'] / reads['answered']:.0%}){oldest}"


def _writes(writes: dict[str, Any], *names: str) -> str:
    return " / ".join(str(writes[name]) for name in names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
