"""Hold outlast and its peers to the same demands: `make conformance`.

Without arguments every row is played against every library, the table is printed and written to
docs/reference/conformance.md, and the exit code says whether our own column is all green. With `--mutants` each fault
of mutants/ is planted in a copy of the source, and each must be caught by the row that it is for.

Usage: `python bench/conformance [--mutants] [--only LIBRARY,...] [--rows ROW,...] [--no-write]`
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import page
import peers
from planting import plant_all
from playing import PlayerError, cells_of, end_all, play, play_again


def main(arguments):
    listed = {"type": lambda text: text.split(","), "default": []}
    parser = argparse.ArgumentParser(prog="make conformance")
    parser.add_argument("--mutants", action="store_true")
    parser.add_argument("--only", **listed)
    parser.add_argument("--rows", **listed)
    parser.add_argument("--no-write", action="store_true")
    chosen = parser.parse_args(arguments)
    if chosen.mutants:
        return plant_all(chosen.rows)
    try:
        return compare(
            page.columns_of(chosen.only), chosen.rows, write=not (chosen.only or chosen.rows or chosen.no_write)
        )
    except KeyboardInterrupt:
        end_all()
        return 130
    except PlayerError as trouble:
        sys.exit(str(trouble))


def compare(columns, names, *, write):
    """Play, print, write, and return the exit code."""
    results = play(cells_of(columns, names))
    play_again(results, at_once=2)
    text = page.table(results, columns)
    print(text)
    if write:
        page.PAGE.write_text(text, encoding="utf-8")
        print(f"written to {page.PAGE.relative_to(peers.ROOT)}")
    red = [cell for cell in results if cell[0] == "outlast" and cell[3] != "yes"]
    for _, row, colour, mark, seen in red:
        print(f"outlast is not green: {row} ({colour}) {mark}: {seen}")
    return 1 if red else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
