"""Write the table down as a page of the documentation."""

import json
import subprocess
import sys
import tomllib

import adapters
import peers
import rows

PAGE = peers.ROOT / "docs" / "reference" / "conformance.md"
SIGNS = {"yes": "yes", "no": "**no**", "hangs": "**hangs**", "does not apply": "-"}
DISTRIBUTIONS = {"interlock": "interlock-cb", "grit": "grit-toolkit"}

INTRODUCTION = """\
# Conformance

This page is written by `make conformance`: {rows} demands on call policies, each played against the released version of
each library, in sync and in async code (a cell says which where they differ), on Python {python}. Every cell is what
really ran: a scenario in real time, in a process of its own, with a limit of 10 s, after which the cell is *hangs*.
What does not hold is played a second time, when the machine is less busy, and that counts.

A library is used in its documented form, with its documented settings. Where it has no such feature or setting the
cell is *-*, does not apply, and says nothing against it. Some demands are choices in which other libraries decided
otherwise on purpose; the scenarios in `bench/conformance/rows/` say exactly what is asked. In the sync colour, where a
call cannot be cancelled, *cancelled* means interrupted by an exception that is no `Exception`.

`make conformance ARGS=--mutants` plants a fault for each demand in a copy of our own source
(`bench/conformance/mutants/`). Each must be caught by its demand, and by at most two others.
"""


def versions():
    """Return the versions of the libraries that were played, ours included."""
    command = (peers.python(), "-c", "import peers, json; print(json.dumps(peers.versions()))")
    told = subprocess.run(command, cwd=peers.ROOT / "bench", stdout=subprocess.PIPE, text=True, check=True)
    ours = tomllib.loads((peers.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {**json.loads(told.stdout), "outlast": ours.get("version", "this commit")}


def table(results, columns):
    """Return the page for some cells."""
    marks = {(library, row, colour): (mark, seen) for library, row, colour, mark, seen in results}
    demands = [row for row in rows.load().values() if any((columns[0], row.name, c) in marks for c in row.colours)]
    lines = [INTRODUCTION.format(rows=len(demands), python=".".join(map(str, sys.version_info[:2])))]
    lines += totals(marks, columns)
    policy = None
    for row in demands:
        if row.policy != policy:
            policy = row.policy
            lines += ["", f"## {policy}", "", f"| demand | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
        cells = [one_cell([(colour, *marks[name, row.name, colour]) for colour in row.colours]) for name in columns]
        name, sentence = row.name.partition("/")[2], row.sentence.replace("|", "/")
        lines.append(f"| `{name}`: {sentence} | {' | '.join(cells)} |")
    lines += ["", "## What was seen", ""]
    for library in columns:
        for row in demands:
            seen = [(colour, *marks[library, row.name, colour]) for colour in row.colours]
            lines += [
                f"- {library}, `{row.name}` ({colour}): {what.replace('|', '/')}"
                for colour, mark, what in seen
                if mark in {"no", "hangs"}
            ]
    return "\n".join(lines) + "\n"


def totals(marks, columns):
    """Return the lines that count each library's cells."""
    known = versions()
    lines = ["| library | version | holds | does not hold | hangs | does not apply |", "|---|---|---|---|---|---|"]
    for name in columns:
        cells = [mark for (library, _, _), (mark, _) in marks.items() if library == name]
        counts = " | ".join(str(cells.count(mark)) for mark in SIGNS)
        lines.append(f"| {name} | {known.get(DISTRIBUTIONS.get(name, name), '?')} | {counts} |")
    return lines


def one_cell(told):
    """Return one cell: both colours in one word where they agree."""
    if len({mark for _, mark, _ in told}) == 1:
        return SIGNS[told[0][1]]
    return ", ".join(f"{colour} {SIGNS[mark]}" for colour, mark, _ in told)


def columns_of(names):
    """Return the libraries to show."""
    return names or list(adapters.HOMES)
