"""Kill processes in the middle of their work until there were enough, then let the rest be delivered and judge."""

import time

from scene import observe, scene
from world import World

_PAUSE = 0.002
_TTL = 0.6


def worlds_of(stores, place, folder, url, seed, *, stops):
    """Return the worlds: for each store one server that knows keys and one that does not."""
    made = []
    for kind in stores:
        for keyed in ("k", "n"):
            name = f"{keyed}-{kind}"
            ttl = _TTL if stops else 30.0
            made.append(World(name, kind, place(kind, name), folder, url, seed, stops=stops, ttl=ttl))
    return made


def play(wanted, *, seed, seconds, stops=0.0, say=None, keep=None):
    """Kill, and return the verdicts and tallies.

    Args:
        wanted: How many kills on each store.
        seed: Of the server's script and of the choice of points.
        seconds: When to stop at the latest.
        stops: The share of runners that are stopped past their lease and woken up.
        say: Called with a line of progress.
        keep: A folder in which everything stays, for whoever wants to look.
    """
    with scene(seed, wanted, keep) as (folder, server, place):
        worlds = worlds_of(wanted, place, folder, server.url, seed, stops=stops)
        try:
            until = time.monotonic() + seconds
            hunt(worlds, wanted, until, say)
            for world in worlds:
                world.end()
            server.ask("/_heal")
            return [(world, world.finish(), observe(world, server, folder)) for world in worlds]
        finally:
            for world in worlds:
                world.end()


def hunt(worlds, wanted, until, say):
    """Kill until every store had enough, or the time is over."""
    told = 0.0
    while True:
        killed = {kind: sum(world.tally.total for world in worlds if world.kind == kind) for kind in wanted}
        active = [world for world in worlds if killed[world.kind] < wanted[world.kind]]
        if say and time.monotonic() > told:
            told = time.monotonic() + 0.5
            flying = sum(world.tally.in_flight for world in worlds)
            counts = ", ".join(f"{killed[kind]}/{wanted[kind]} on {kind}" for kind in wanted)
            say(f"kills: {counts}; {flying} of them with a request in flight")
        if not active or time.monotonic() > until:
            return
        for world in active:
            world.step()
        for world in worlds:
            if world not in active:
                world.end()
        time.sleep(_PAUSE)
