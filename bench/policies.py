"""What a call through a policy costs over the bare call, beside the same policies of other libraries, in one run.

Rounds are short and interleaved: in each, every variant runs once, so that a busy machine hits all alike. Measured is
the time that the process has on the processor. A figure is the best of the rounds; a ratio is overhead over overhead.
Ours runs with its retry budget and one event listener, the others in their defaults. Afterwards the counts that our
policies keep are compared with the calls that were made.

Usage: `make bench ARGS=policies`, or `python bench/policies.py [--quick] [--json] [--write]`
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import peers

if __name__ == "__main__" and "OUTLAST_BENCH_INSIDE" not in os.environ:
    inside = {**peers.environment(), "OUTLAST_BENCH_INSIDE": "1"}
    sys.exit(subprocess.run((peers.python(), __file__, *sys.argv[1:]), env=inside, check=False).returncode)

from calls.comparisons import rows
from calls.measuring import LOOPS, measure
from calls.weighing import IMPORTS, import_time, memory

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "policies" / "speed.md"


def table(results):
    """Return the rows as Markdown."""
    lines = ["| what | against | ours, ns | theirs, ns | ratio (median) | at most | |", "|---|---|---|---|---|---|---|"]
    for each in results:
        bar = "" if each["bar"] is None else f"{each['bar']:.2f}"
        met = "" if each["bar"] is None else ("met" if each["ratio"] <= each["bar"] else "**not met**")
        lost = "" if not each["lost"] else f" **{each['lost']} calls were not counted**"
        lines.append(
            f"| {each['what']} | {each['against']} | {each['ours']:,.0f} | {each['theirs']:,.0f} | "
            f"{each['ratio']:.2f} ({each['median_ratio']:.2f}) | {bar} | {met}{lost} |"
        )
    return "\n".join(lines)


def uvloop_runner():
    try:
        import uvloop
    except ImportError:
        return None
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def main(arguments):
    parser = argparse.ArgumentParser(prog="policies")
    parser.add_argument("--quick", action="store_true", help="3 rounds: shows that it runs, not how fast")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/reference/policies/speed.md")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    chosen = parser.parse_args(arguments)
    if chosen.write and (chosen.only or chosen.quick):
        parser.error("--write needs all rows at full length: the page shows one whole run; drop --only and --quick")
    rounds, calls = (3, 2000) if chosen.quick else (60, 3000)
    wanted = [row for row in rows() if chosen.only in row.name]
    with asyncio.Runner() as runner:
        results = [measure(row, rounds, calls, runner) for row in wanted]
    on_uvloop = []
    if (runner := uvloop_runner()) is not None:
        with runner:
            on_uvloop = [measure(row, rounds, calls, runner) for row in wanted if row.how in LOOPS]
    told = {
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": peers.versions(),
        "rounds": rounds,
        "calls": calls,
        "asyncio": results,
        "uvloop": on_uvloop,
        "memory": memory(),
        "import_ms": {statement: import_time(statement, min(rounds, 9)) for statement in IMPORTS},
    }
    text = page(told)
    print(json.dumps(told, indent=1) if chosen.json else text)
    if chosen.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- measured -->\n")
        _, _, after = rest.partition("<!-- end of measured -->")
        marked = f"{before}<!-- measured -->\n{text}\n<!-- end of measured -->{after}"
        PAGE.write_text(marked, encoding="utf-8")
    lost = [each for each in results + on_uvloop if each["lost"]]
    return 1 if lost else 0


def page(told):
    """Return all that was measured as Markdown."""
    versions = ", ".join(
        f"{name} {told['versions'].get(name, '?')}" for name in ("nopanic", "circuitbreaker", "uvloop")
    )
    sizes = "\n".join(
        f"| {each['what']} | {each['against']} | {each['ours']:,.0f} | {each['theirs']:,.0f} |"
        for each in told["memory"]
    )
    imports = ", ".join(f"`{name}` {each:.0f} ms" for name, each in told["import_ms"].items())
    return "\n".join(
        [
            f"{told['machine']}; {versions}. Best of {told['rounds']} interleaved rounds of {told['calls']:,} calls.",
            "",
            "### On asyncio's loop, and without one",
            "",
            table(told["asyncio"]),
            "",
            "### On uvloop",
            "",
            table(told["uvloop"]) if told["uvloop"] else "uvloop is not installed.",
            "",
            "### Memory, bytes of one policy",
            "",
            "| policy | against | ours | theirs |",
            "|---|---|---|---|",
            sizes,
            "",
            f"Import in a fresh interpreter: {imports}.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
