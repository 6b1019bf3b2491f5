"""Play rows against libraries, each cell in a process of its own with a limit of time; run by the suite, not by hand.

Usage: `python player.py LIBRARY,LIBRARY ROW,ROW COLOUR,COLOUR SECONDS`; empty means all. Prints JSON.
"""

import asyncio
import contextlib
import importlib
import json
import os
import select
import signal
import sys
import time
import traceback
import warnings

HOMES = {
    "outlast": "ours",
    "nopanic": "peer_nopanic",
    "interlock": "peer_interlock",
    "grit": "peer_grit",
    "circuitbreaker": "peers_breakers",
    "aiobreaker": "peers_breakers",
    "purgatory": "peers_breakers",
    "pybreaker": "peers_breakers",
    "hyx": "peers_breakers",
    "tenacity": "peers_retry",
    "stamina": "peers_retry",
}


def adapters(names):
    """Load the adapters called `names`."""
    found = {}
    for name in names or HOMES:
        module = importlib.import_module(HOMES[name])
        for adapter in getattr(module, "ADAPTERS", None) or (module.ADAPTER,):
            found[adapter.name] = adapter
    return [found[name] for name in names or HOMES]


def play(row, kit, colour):
    """Play one cell in this process and return `[mark, what was seen]`."""
    from stage import Broken, NotApplicable, Stage

    try:
        if row.overlap and kit.one_at_a_time:
            raise NotApplicable("runs one call at a time")
        asyncio.run(row.scenario(Stage(colour), kit))
    except NotApplicable as why:
        return ["does not apply", str(why)]
    except Broken as seen:
        return ["no", str(seen)]
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return ["no", f"{type(error).__name__}: {str(error)[:120]} ({os.path.basename(place.filename)})"]  # noqa: PTH119
    return ["yes", ""]


def cell(row, kit, colour):
    """Start one cell in a fork; return its process and the end of the pipe that its answer comes through."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    try:
        os.close(reading)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        warnings.simplefilter("ignore")
        os.write(writing, json.dumps(play(row, kit, colour)).encode())
    finally:
        os._exit(0)


def main(names, rows, colours, limit):
    from stage import ROWS

    for module in ("rows_breaker", "rows_retry", "rows_limits"):
        importlib.import_module(module)
    todo = [
        (kit, row, colour)
        for kit in adapters(names)
        for row in ROWS.values()
        if not rows or row.name in rows
        for colour in row.colours
        if not colours or colour in colours
    ]
    results, running = [], {}
    most = int(os.environ.get("CONFORMANCE_AT_ONCE", "6"))
    todo.reverse()
    while todo or running:
        while todo and len(running) < most:
            kit, row, colour = todo.pop()
            child, reading = cell(row, kit, colour)
            running[reading] = (child, kit.name, row.name, colour, time.monotonic() + limit)
        ready, _, _ = select.select(list(running), [], [], 0.05)
        for reading, (child, *what, end) in list(running.items()):
            if reading in ready:
                answer = os.read(reading, 65536)
                results.append([*what, *(json.loads(answer) if answer else ["no", "the process died"])])
            elif time.monotonic() > end:
                results.append([*what, "hangs", f"no end within {limit:g} s"])
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            else:
                continue
            os.close(reading)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            del running[reading]
    print(json.dumps({"results": results, "rows": [[row.name, row.sentence, row.colours] for row in ROWS.values()]}))


if __name__ == "__main__":
    split = [part.split(",") if part else [] for part in sys.argv[1:4]]
    main(*split, float(sys.argv[4]) if len(sys.argv) > 4 else 10.0)
