"""Kill, stop, cut and fill until it hurts, and let an observer say what became of the writes: `make torture`.

Every part is bounded; together they take less than six minutes on a quiet machine with two cores. The exit code says
the verdict: 0 when nothing was lost, doubled or out of order and every planted fault was caught, else 1.

Usage: `python bench/torture [--kills N] [--seconds S] [--store sqlite|postgres|both] [--seed N] [--only PART,...]
[--images N] [--json] [--no-write] [--keep FOLDER]`
"""

import argparse
import json
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import page
import parts

USUAL = {"sqlite": 300, "postgres": 200}
KILLS = "kills on each store (default 300 on SQLite, 200 on PostgreSQL); 0 for as many as the time allows"
WITHOUT_END = 10**9


class Progress:
    """One line that moves on a terminal, and a line now and then elsewhere."""

    def __init__(self, *, quiet):
        self.live = sys.stderr.isatty()
        self.quiet = quiet
        self.due = 0.0

    def __call__(self, text, *, final=False):
        if self.quiet:
            return
        if self.live:
            print(f"\r\x1b[K{text}", end="\n" if final else "", file=sys.stderr, flush=True)
        elif final or time.monotonic() >= self.due:
            print(text, file=sys.stderr, flush=True)
            self.due = time.monotonic() + 10


def parse():
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, help=KILLS)
    parser.add_argument("--seconds", type=float, default=240.0, help="limit of each part that kills (default 240)")
    parser.add_argument("--store", choices=["sqlite", "postgres", "both"], default="both")
    parser.add_argument("--seed", type=int, default=1, help="of the server's script and of the points")
    parser.add_argument("--only", default=",".join(parts.PARTS), help=f"some of {','.join(parts.PARTS)}")
    parser.add_argument("--images", type=int, default=900, help="power-cut images (default 900)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--no-write", dest="write", action="store_false", help="leave the page as it is")
    parser.add_argument("--keep", type=Path, help="keep ledgers and outboxes of the kills in a folder")
    options = parser.parse_args()
    if unknown := set(options.only.split(",")) - set(parts.PARTS):
        parser.error(f"there is no part {min(unknown)}; there are {', '.join(parts.PARTS)}")
    options.parts = [part for part in parts.PARTS if part in options.only.split(",")]
    stores = ("sqlite", "postgres") if options.store == "both" else (options.store,)
    wanted = USUAL if options.kills is None else dict.fromkeys(USUAL, options.kills or WITHOUT_END)
    options.stores = {kind: wanted[kind] for kind in stores}
    return options


def keep(options, figures):
    """Write the parts of a usual run, or a long one of kills alone, into the page."""
    if options.kills is None:
        known = {**page.figures().get("torture", {}), **{part: figures[part] for part in options.parts}}
        if set(options.parts) == set(parts.PARTS):
            known["seconds"] = figures["seconds"]  # of a part alone it would say nothing
        known["good"] = all(known[part]["good"] for part in parts.PARTS if part in known)
        page.write(torture=known)
    elif options.parts == ["kills"] and figures["kills"]["kills"] >= page.LONG:
        page.write(long=figures)


def main():
    options = parse()
    say = Progress(quiet=options.json)
    begun = time.monotonic()
    figures = {}
    for part in options.parts:
        figures[part] = parts.PARTS[part](options, say)
        say(parts.line_of(part, figures[part]), final=True)
    figures["seconds"] = round(time.monotonic() - begun)
    figures["good"] = all(figures[part]["good"] for part in options.parts)
    if options.json:
        print(json.dumps(figures))
    else:
        print("nothing is lost, doubled or out of order" if figures["good"] else "the verdict is red")
    if options.write and options.store == "both":
        keep(options, figures)
    return not figures["good"]


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # in the background a shell has the first one ignored
        signal.signal(number, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("ended; nothing is left behind")
