"""Hold outlast and its peers to the same demands: `make conformance`.

Without arguments every row is played against every library, the table is printed and written to
docs/reference/conformance.md, and the exit code says whether our own column is all green. With `--mutants` each fault
of mutants.py is planted in a copy of the source, and each must be caught by the row that it is for.

Usage: `python bench/conformance [--mutants] [--only LIBRARY,...] [--rows ROW,...] [--no-write]`
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import peers  # noqa: E402
from mutants import END, MUTANTS  # noqa: E402

PAGE = peers.ROOT / "docs" / "reference" / "conformance.md"
LIMIT = 10.0
SIGNS = {"yes": "yes", "no": "**no**", "hangs": "**hangs**", "does not apply": "-"}


def play(libraries, rows=(), colours=(), source=peers.ROOT / "src", at_once=6):
    """Play cells in the environment of the peers and return what came of them."""
    command = (peers.python(), HERE / "player.py", ",".join(libraries), ",".join(rows), ",".join(colours), str(LIMIT))
    environment = {**peers.environment(source), "CONFORMANCE_AT_ONCE": str(at_once), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        return None, done.stderr[-600:]
    return json.loads(done.stdout), ""


def again(results, source=peers.ROOT / "src"):
    """Play the red cells of our own column once more, alone: a busy machine is not a fault."""
    red = [cell for cell in results if cell[0] == "outlast" and cell[3] in {"no", "hangs"}]
    for cell in red:
        told, _ = play(["outlast"], [cell[1]], [cell[2]], source, at_once=1)
        cell[3:] = told["results"][0][3:] if told else cell[3:]


def version(command="import peers, json; print(json.dumps(peers.versions()))"):
    told = subprocess.run(
        (peers.python(), "-c", command), cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(told.stdout)


def main(arguments):
    parser = argparse.ArgumentParser(prog="make conformance")
    parser.add_argument("--mutants", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--rows", default="")
    parser.add_argument("--no-write", action="store_true")
    chosen = parser.parse_args(arguments)
    names, rows = chosen.only.split(",") if chosen.only else [], chosen.rows.split(",") if chosen.rows else []
    if chosen.mutants:
        return plant_all(rows)
    told, trouble = play(names, rows)
    if told is None:
        sys.exit(trouble)
    again(told["results"])
    text = table(told, {**version(), "outlast": ours()}, names)
    print(text)
    if not (names or rows or chosen.no_write):
        PAGE.write_text(text, encoding="utf-8")
        print(f"written to {PAGE.relative_to(peers.ROOT)}")
    red = [cell for cell in told["results"] if cell[0] == "outlast" and cell[3] != "yes"]
    for _, row, colour, mark, seen in red:
        print(f"outlast is not green: {row} ({colour}) {mark}: {seen}")
    return 1 if red else 0


def ours():
    text = (peers.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"].get("version", "this commit")


def table(told, versions, names):
    """Return the page."""
    import player

    columns = names or list(player.HOMES)
    distribution = {"interlock": "interlock-cb", "grit": "grit-toolkit"}
    marks = {(library, row, colour): (mark, seen) for library, row, colour, mark, seen in told["results"]}
    lines = [_introduction(told["rows"])]
    lines += ["| library | version | holds | does not hold | hangs | does not apply |", "|---|---|---|---|---|---|"]
    for name in columns:
        cells = [mark for (library, _, _), (mark, _) in marks.items() if library == name]
        counts = " | ".join(str(cells.count(mark)) for mark in ("yes", "no", "hangs", "does not apply"))
        lines.append(f"| {name} | {versions.get(distribution.get(name, name), '?')} | {counts} |")
    policy = None
    for row, sentence, colours in told["rows"]:
        if not any((name, row, colour) in marks for name in columns for colour in colours):
            continue
        if row.partition("/")[0] != policy:
            policy = row.partition("/")[0]
            head = f"| demand | {' | '.join(columns)} |"
            lines += ["", f"## {policy}", "", head, "|---" * (len(columns) + 1) + "|"]
        cells = [_cell([(colour, *marks[name, row, colour]) for colour in colours]) for name in columns]
        star = "" if row in MUTANTS else " *"
        lines.append(f"| `{row.partition('/')[2]}`{star}: {sentence.replace('|', '/')} | {' | '.join(cells)} |")
    lines += ["", "## What was seen", ""]
    for (library, row, colour), (mark, seen) in marks.items():
        if mark in {"no", "hangs"}:
            lines.append(f"- {library}, `{row}` ({colour}): {seen.replace('|', '/')}")
    return "\n".join(lines) + "\n"


def _introduction(rows):
    faults = sum(row in MUTANTS for row, _, _ in rows)
    python = ".".join(map(str, sys.version_info[:2]))
    return INTRODUCTION.format(rows=len(rows), python=python, faults=faults, others=len(rows) - faults)


def _cell(told):
    """Return one cell: both colours in one word where they agree."""
    if len({mark for _, mark, _ in told}) == 1:
        return SIGNS[told[0][1]]
    return ", ".join(f"{colour} {SIGNS[mark]}" for colour, mark, _ in told)


INTRODUCTION = """\
# Conformance

This page is written by `make conformance`: {rows} demands on call policies, each played against the released version of
each library, in sync and in async code (a cell says which where they differ), on Python {python}. Every cell is what
really ran: a scenario in real time, in a process of its own, with a limit of 10 s, after which the cell is *hangs*.

A library is used in its documented form, with its documented settings. Where it has no such feature or setting the
cell is *-*, does not apply, and says nothing against it. Some demands are choices in which other libraries decided
otherwise on purpose; the scenarios in `bench/conformance/` say exactly what is asked. In the sync colour, where a call
cannot be cancelled, *cancelled* means interrupted by an exception that is no `Exception`.

`make conformance ARGS=--mutants` plants {faults} faults in copies of our own source, one for each of as many demands.
Each must be caught by its demand, and by at most two others. The other {others} demands, marked with *, have no fault
of their own: what breaks them breaks many others as well.
"""


def plant_all(rows):
    """Plant each fault in a copy, play our column, and say which rows caught it."""
    chosen = {row: fault for row, fault in MUTANTS.items() if not rows or row in rows}
    bad = []
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        whole = shutil.ignore_patterns("__pycache__", "lab", "cli")
        shutil.copytree(peers.ROOT / "src", Path(folder) / "whole", ignore=whole)
        for row, outcome in zip(
            chosen, pool.map(lambda item: _plant(Path(folder), *item), chosen.items()), strict=True
        ):
            caught, trouble = outcome
            fine = row in caught and len(caught) <= 3
            if not fine:
                bad.append(row)
            others = ", ".join(name for name in caught if name != row)
            word = trouble or ("caught" if row in caught else "NOT CAUGHT") + (f"; also by {others}" if others else "")
            print(f"{'ok ' if fine else 'BAD'} {row}: {word}", flush=True)
    good = len(chosen) - len(bad)
    print(f"{good} of {len(chosen)} faults are caught by the row that they are for and by at most two others")
    return 1 if bad else 0


def _plant(folder, row, faults):
    """Return the rows that are red with a fault planted, and what went wrong with the planting."""
    source = folder / row.replace("/", "-")
    shutil.copytree(folder / "whole", source)
    for module, old, new in faults:
        path = source / "outlast" / module
        text = path.read_text(encoding="utf-8") + END
        if text.count(old) != 1:
            return [], f"the text to replace stands {text.count(old)} times in {module}"
        path.write_text(text.replace(old, new).removesuffix(END), encoding="utf-8")
    told, trouble = play(["outlast"], source=source, at_once=8)
    if told is None:
        return [], trouble.strip().rpartition("\n")[2]
    again(told["results"], source)
    shutil.rmtree(source)
    return sorted({cell[1] for cell in told["results"] if cell[3] in {"no", "hangs"}}), ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
