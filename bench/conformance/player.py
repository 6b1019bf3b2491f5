"""Play rows against libraries, each cell in a process of its own with a limit of time; run by the suite, not by hand.

Usage: `python player.py`, with the orders as JSON on standard input: `cells` (library, row, colour), `limit` in
seconds, `at_once`, and `traced` to learn which functions of which files each cell called. Prints JSON.
"""

import asyncio
import contextlib
import json
import os
import select
import signal
import sys
import threading
import time
import traceback
import warnings

import adapters
import rows
from demand import Broken, NotApplicable
from stage import Stage


def play(row, kit, colour):
    """Play one cell in this process and return `[mark, what was seen]`."""
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


def play_traced(row, kit, colour):
    """Play one cell and return also the functions of our own that it called, as `[file, first line]`."""
    called = set()

    def note(frame, event, _):
        if event == "call" and "/outlast/" in frame.f_code.co_filename:
            called.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        told = play(row, kit, colour)
    finally:
        sys.setprofile(None)
    return [*told, sorted(called)]


class Cell:
    """One cell under way in a fork."""

    def __init__(self, kit, row, colour, *, limit, how):
        self.names, self.answer = [kit.name, row.name, colour], b""
        self.end, self.limit = time.monotonic() + limit, limit
        self.reading, writing = os.pipe()
        self.child = os.fork()
        if not self.child:
            self._run(writing, lambda: how(row, kit, colour))
        os.close(writing)

    def _run(self, writing, work):
        try:
            os.close(self.reading)
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            warnings.simplefilter("ignore")
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(json.dumps(work()).encode())
        finally:
            os._exit(0)

    def read(self):
        """Read on; tell whether that was all."""
        more = os.read(self.reading, 65536)
        self.answer += more
        return not more

    def result(self):
        """End the cell and return what came of it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        os.close(self.reading)
        with contextlib.suppress(ValueError):
            return [*self.names, *json.loads(self.answer)]
        late = time.monotonic() > self.end
        return [*self.names, *(("hangs", f"no end within {self.limit:g} s") if late else ("no", "the process died"))]


def play_all(cells, *, limit, at_once, how):
    """Play cells, so many at once, and yield what came of each."""
    todo, running = list(reversed(cells)), {}
    while todo or running:
        while todo and len(running) < at_once:
            cell = Cell(*todo.pop(), limit=limit, how=how)
            running[cell.reading] = cell
        ready, _, _ = select.select(list(running), [], [], 0.05)
        for reading, cell in list(running.items()):
            if (reading in ready and cell.read()) or time.monotonic() > cell.end:
                del running[reading]
                yield cell.result()


def main(orders):
    known = rows.load()
    kits = {kit.name: kit for kit in adapters.load(sorted({name for name, _, _ in orders["cells"]}))}
    cells = [(kits[name], known[row], colour) for name, row, colour in orders["cells"]]
    how = play_traced if orders.get("traced") else play
    results = play_all(cells, limit=orders["limit"], at_once=orders["at_once"], how=how)
    print(json.dumps(list(results)))


if __name__ == "__main__":
    main(json.load(sys.stdin))
