"""How fast the outbox is, beside the same work by hand with apsw and beside other queues, at the same durability.

Everything flushes at every commit (WAL, synchronous FULL). "By hand" is one connection of apsw without an event loop,
in groups as large as there are producers. Those that are compared take turns, round by round, so that a busy machine
hits all alike; a figure is the median of the rounds' ratios. Rates are for orientation only: a flush takes 0.03 to
0.1 ms on a virtual disk and 0.5 to 5 ms on others.

Usage: `make bench ARGS="outbox --quick"`, or `python bench/outbox.py [--quick] [--only enqueue] [--json] [--write]`
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "outbox-speed.md"
BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"
SAME_STATE = (
    "In each row the queue with and the queue without folding end in the same state. What such engines promise is "
    "20 to 50 %."
)

if __name__ == "__main__" and "OUTLAST_BENCH_INSIDE" not in os.environ:
    sys.path.append(str(ROOT / "bench" / "torture"))
    import others

    inside = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OUTLAST_BENCH_INSIDE": "1"}
    sys.exit(subprocess.run((others.python(), __file__, *sys.argv[1:]), env=inside, check=False).returncode)

from queues import delivering, enqueueing, processes  # noqa: E402 - only inside of the environment

PARTS = {
    "enqueue": (enqueueing.awaiting, "Queueing, each write awaited until its commit"),
    "peers": (enqueueing.peers, "Beside other queues"),
    "busy": (enqueueing.busy, "Latency beside a task that saturates the event loop"),
    "blocked": (enqueueing.blocked, "How long the event loop is kept"),
    "slow": (processes.slow_disk, "The same on a slow disk"),
    "processes": (processes.two, "Several processes on one file"),
    "deliver": (delivering.claim_and_settle, "Claiming, carrying and settling, with a receipt for each"),
    "waiting": (delivering.much_waiting, "With much waiting"),
    "open": (delivering.opening, "Opening after a crash"),
    "idle": (processes.idle, "Doing nothing"),
}


def main():
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shows that it runs, not how fast")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/reference/outbox-speed.md")
    parser.add_argument("--only", action="append", choices=[*PARTS, "coalescing"], help="only this part; repeatable")
    for hidden in ("--part", "--folder", "--scale"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write and (options.only or options.quick):
        parser.error("--write needs all parts at full length: the page shows one whole run; drop --only and --quick")
    if options.part:
        processes.play(options.part, Path(options.folder), float(options.scale))
        return
    measured = measure(options.only or [*PARTS, "coalescing"], 0.1 if options.quick else 1.0)
    text = page(measured)
    print(
        json.dumps({name: [asdict(one) for one in found] for name, found in measured.items()}) if options.json else text
    )
    if options.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def measure(parts, scale):
    """Return the figures of each part."""
    found = {}
    for name in parts:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=os.environ.get("OUTLAST_BENCH_FOLDER")) as folder:
            found[name] = list(PARTS[name][0](Path(folder), scale)) if name in PARTS else []
    return found


def page(measured):
    """Return the figures as Markdown."""
    names = ("apsw", "huey", "litequeue")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    lines = [f"{os.cpu_count()} cores, Python {platform.python_version()}; {versions}.", ""]
    for name, found in measured.items():
        if name == "coalescing":
            lines += coalescing()
            continue
        lines += [f"### {PARTS[name][1]}", "", "| what | found | bar | | made of |", "|---|---|---|---|---|"]
        lines += [one.row() for one in found] + [""]
    return "\n".join(lines).rstrip()


def coalescing():
    """Return what folding writes saves, from the benchmark of its own."""
    from bench_coalescing import measure

    lines = ["### Coalescing", "", "| generator | sender | writes | sent | shorter by |", "|---|---|---|---|---|"]
    row = "| {generator} | {sender} | {writes:,} | {sent:,} | {shorter by} |"
    lines += [row.format(**found) for found in measure(20_000)]
    return [*lines, "", SAME_STATE, ""]


if __name__ == "__main__":
    main()
