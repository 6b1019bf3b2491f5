"""Plant each fault in a copy of the source and see which rows catch it.

Only cells that call a function that the fault changes can notice it, so only those are played: one run without a
fault learns who calls what. A fault outside of all functions is shown to every cell.
"""

import ast
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import peers
from mutants import END, MUTANTS
from playing import RED, SOURCE, PlayerError, cells_of, end_all, play, play_again

MOST = 3
"""Rows that may catch a fault, its own among them."""


def plant_all(names):
    """Plant the faults of some rows, or of all, and return the exit code."""
    chosen = {row: fault for row, fault in MUTANTS.items() if not names or row in names}
    began, good = time.monotonic(), 0
    peers.python()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        nursery = Nursery(Path(folder))
        jobs = {pool.submit(nursery.plant, row, fault): row for row, fault in chosen.items()}
        try:
            for done, job in enumerate(as_completed(jobs), 1):
                fine, line = verdict(jobs[job], *job.result())
                good += fine
                print(f"{done:3}/{len(jobs)} {'ok ' if fine else 'BAD'} {line}", flush=True)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            end_all()
            print("\ninterrupted; the faults were in copies, which are gone", flush=True)
            return 130
    took = time.monotonic() - began
    print(f"{good} of {len(chosen)} faults are caught by their row and by at most two others ({took:.0f} s)")
    return 0 if good == len(chosen) else 1


def verdict(row, caught, trouble):
    """Return whether a fault was caught as it must be, and the line that says so."""
    others = ", ".join(name for name in caught if name != row)
    word = trouble or ("caught" if row in caught else "NOT CAUGHT") + (f"; also by {others}" if others else "")
    return row in caught and len(caught) <= MOST, f"{row}: {word}"


class Nursery:
    """Grow copies of the source, each with one fault, and play our column against them.

    Args:
        folder: Where the copies stand.
    """

    def __init__(self, folder):
        self.folder = folder
        self.whole = folder / "whole"
        shutil.copytree(SOURCE, self.whole, ignore=shutil.ignore_patterns("__pycache__", "lab", "cli"))
        print("learning which demands call which functions", flush=True)
        self.calls = {
            tuple(cell): {(Path(file).relative_to(self.whole).as_posix(), line) for file, line in called}
            if called
            else None  # it died or hung, so nobody knows
            for *cell, _, _, called in (
                [*told, None][:6] for told in play(cells_of(["outlast"]), self.whole, at_once=8, traced=True)
            )
        }

    def plant(self, row, faults):
        """Return the rows that catch a fault, and what went wrong with the planting."""
        source = self.folder / row.replace("/", "-")
        shutil.copytree(self.whole, source)
        try:
            places = [self._replace(source, *fault) for fault in faults]
            cells = [cell for cell, called in self.calls.items() if sees(called, places)]
            results = play(cells, source, at_once=8)
            play_again(results, source)
        except (PlayerError, ValueError) as trouble:
            return [], str(trouble)
        finally:
            shutil.rmtree(source)
        return sorted({cell[1] for cell in results if cell[3] in RED}), ""

    def _replace(self, source, module, old, new):
        """Replace a text and return the functions that it changes, None when it changes what all see."""
        path = source / "outlast" / module
        text = path.read_text(encoding="utf-8") + END
        if text.count(old) != 1:
            raise ValueError(f"the text to replace stands {text.count(old)} times in {module}")
        path.write_text(text.replace(old, new).removesuffix(END), encoding="utf-8")
        lines = changed(text, old, new)
        functions = functions_at(text.removesuffix(END), lines)
        return None if functions is None else {(f"outlast/{module}", line) for line in functions}


def sees(called, places):
    """Tell whether a cell can notice changes at these places."""
    return called is None or None in places or any(called & place for place in places)


def changed(text, old, new):
    """Return the numbers of the lines that differ, and of those on both sides of an insertion."""
    before = same(old, new)
    after = same(old[before:][::-1], new[before:][::-1])
    first = text.index(old) + before
    last = first + max(0, len(old) - before - after)
    return range(text.count("\n", 0, max(0, first - 1)) + 1, text.count("\n", 0, last) + 2)


def same(one, other):
    """Return how many characters two texts have in common at their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((number for number, (a, b) in pairs if a != b), min(len(one), len(other)))


def functions_at(text, numbers):
    """Return the first lines of the innermost functions around some lines; None if one is outside of all."""
    found, lines = set(), text.splitlines()
    functions = [
        node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    for number in numbers:
        around = [node for node in functions if node.body[0].lineno <= number <= node.end_lineno]
        if around:
            inner = max(around, key=lambda node: node.lineno)
            found.add(min([inner.lineno, *(each.lineno for each in inner.decorator_list)]))
        elif number <= len(lines) and lines[number - 1].strip():
            return None
    return found or None
