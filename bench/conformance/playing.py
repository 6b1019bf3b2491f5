"""Have cells played in the environment of the peers."""

import json
import os
import signal
import subprocess
from pathlib import Path

import peers
import rows

PLAYER = Path(__file__).resolve().parent / "player.py"
SOURCE = peers.ROOT / "src"
LIMIT = 10.0
RED = {"no", "hangs"}

_running = set()


class PlayerError(Exception):
    """The player itself failed; the last line of what it said."""


def cells_of(libraries, names=(), colours=()):
    """Return the cells of some libraries, rows and colours; empty means all."""
    return [
        (library, row.name, colour)
        for library in libraries
        for row in rows.load().values()
        if not names or row.name in names
        for colour in row.colours
        if not colours or colour in colours
    ]


def play(cells, source=SOURCE, *, at_once=6, traced=False):
    """Play cells with `source` as our package and return `[library, row, colour, mark, what was seen]` for each.

    Raises:
        PlayerError: Nothing could be played, for example because the source cannot be imported.
    """
    environment = {**peers.environment(source), "PYTHONDONTWRITEBYTECODE": "1"}
    orders = json.dumps({"cells": cells, "limit": LIMIT, "at_once": at_once, "traced": traced})
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    # A session of its own, so that its cells can be ended with it.
    with subprocess.Popen(
        (peers.python(), PLAYER), env=environment, text=True, start_new_session=True, **pipes
    ) as player:
        _running.add(player)
        try:
            told, trouble = player.communicate(orders)
        finally:
            _running.discard(player)
    if player.returncode:
        raise PlayerError(trouble.strip().rpartition("\n")[2])
    return json.loads(told)


def end_all():
    """End every player and its cells."""
    for player in list(_running):
        os.killpg(player.pid, signal.SIGKILL)


def play_again(results, source=SOURCE, *, at_once=1):
    """Play the cells that failed once more, by themselves, and let that count: a busy machine is not a fault."""
    red = {tuple(cell[:3]): cell for cell in results if cell[3] == "no"}
    for told in play(list(red), source, at_once=at_once) if red else ():
        red[tuple(told[:3])][3:] = told[3:]
