"""Judge what became of the writes, from outside: this program imports nothing of outlast, and changes nothing.

It reads what the producers wanted and were told (their own synced ledgers), what took effect (the server's synced
ledger), what the server holds in the end, and what still waits in the outbox's own tables.

Usage: `python observer.py --world NAME --ledgers FOLDER --server FILE --state FILE [--place PLACE]`
"""

import argparse
import json
import sqlite3
import sys
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path


@dataclass
class Verdict:
    """Say what became of the writes of one world; every list must be empty."""

    world: str
    keyed: bool
    wanted: int = 0
    acknowledged: int = 0
    effects: int = 0
    arrivals: int = 0
    repeated: int = 0  # arrivals beyond the first of a write
    stale: int = 0  # arrivals sent under a fence older than one that was already seen
    waiting: int = 0
    lost: list = field(default_factory=list)  # I1
    unwanted: list = field(default_factory=list)  # I2
    doubled: list = field(default_factory=list)  # I3
    unordered: list = field(default_factory=list)  # I4
    diverged: list = field(default_factory=list)  # I5
    changed: list = field(default_factory=list)  # I6
    torn: list = field(default_factory=list)  # a group of which only a part took effect
    hammered: list = field(default_factory=list)  # sent without end
    restless: list = field(default_factory=list)  # I8

    FAULTS = ("lost", "unwanted", "doubled", "unordered", "diverged", "changed", "torn", "hammered", "restless")

    @property
    def good(self):
        return not any(getattr(self, name) for name in self.FAULTS)


def lines_of(path):
    """Return the lines of a ledger; a kill may have cut the last one short."""
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def judge(world, ledgers, server, state, waiting=None, *, most_arrivals=60):
    """Compare the ledgers.

    Args:
        world: Whose.
        ledgers: The lines of all producers.
        server: The lines of the server.
        state: What the server holds in the end, by path.
        waiting: The writes that the outbox still has, by table, or None when that is not known.
        most_arrivals: How often one key may reach a server that knows keys, for each time that somebody asked for it.
    """
    server = [line for line in server if line["world"] == world]
    wants = {line["w"]: line for line in ledgers if line["t"] == "want"}
    acks = {line["w"]: line["seq"] for line in ledgers if line["t"] == "ack"}
    effects = [line for line in server if line["t"] == "effect"]
    arrivals = [line for line in server if line["t"] == "arrival"]
    counted = Counter(line["w"] for line in effects)
    times = Counter(line["w"] for line in arrivals)
    verdict = Verdict(world, world.startswith("k"), len(wants), len(acks), len(effects), len(arrivals))
    verdict.repeated = sum(number - 1 for number in times.values())
    verdict.stale = count_stale(arrivals)
    verdict.waiting = sum((waiting or {}).values())
    verdict.restless = [f"{table}: {number}" for table, number in (waiting or {}).items() if number]
    verdict.lost = [write for write in acks if not counted[write]]
    verdict.unwanted = [write for write in counted if write not in wants]
    lanes = {lane: [line for line in effects if line["lane"] == lane] for lane in {line["lane"] for line in effects}}
    if verdict.keyed:
        verdict.doubled = [write for write, number in counted.items() if number > 1]
        verdict.changed = changed(arrivals)
        keys = Counter(line["key"] for line in arrivals)
        decided = Counter(str(line["seq"]) for line in ledgers if line["t"] == "decide")
        verdict.hammered = [
            key for key, number in keys.items() if number > most_arrivals * (1 + decided[key.split(":")[1]])
        ]
    verdict.unordered = [lane for lane, lines in lanes.items() if not in_order(lines, acks, keyed=verdict.keyed)]
    verdict.diverged = diverged(lanes, wants, state, world)
    groups = defaultdict(set)
    for write, want in wants.items():
        if want.get("group"):
            groups[want["group"]].add(bool(counted[write]))
    verdict.torn = [group for group, parts in groups.items() if len(parts) > 1]
    return verdict


def in_order(lines, acks, *, keyed):
    """Tell whether a lane saw its writes in the order of their places, and each producer's in its own order."""
    # A server without keys may apply the same idempotent write twice in a row; that changes nothing.
    writes = [write for write, _ in groupby(line["w"] for line in lines)]
    places = [acks[write] for write in writes if write in acks]
    if keyed:
        places = [int(line["key"].split(":")[1]) for line in lines]
    numbers = defaultdict(list)
    for write in writes:
        producer, _, number = write.rsplit(".", 2)
        numbers[producer].append(int(number))
    own = all(seen == sorted(set(seen)) for seen in numbers.values())
    return own and places == sorted(set(places))


def changed(arrivals):
    """Return the keys under which more than one request was sent."""
    prints = defaultdict(set)
    for line in arrivals:
        if line["fault"] != "drop-before-read":  # its body was not read
            prints[line["key"]].add(line["print"])
    return [key for key, found in prints.items() if len(found) > 1]


def diverged(lanes, wants, state, world):
    """Return the entities that do not hold what the writes make of them in their order."""
    model = {}
    for lane, lines in lanes.items():
        for write, _ in groupby(line["w"] for line in lines):
            if want := wants.get(write):
                apply(model, lane, want)
    state = {path: body for path, body in state.items() if path.split("/")[1] == world}
    return sorted(path for path in model.keys() | state.keys() if model.get(path) != state.get(path))


def apply(model, lane, want):
    """Do to a plain dictionary what a write does to the server."""
    body = want["body"]
    match want["verb"]:
        case "delete":
            model.pop(lane, None)
        case "patch":
            model[lane] = {**model.get(lane, {}), **body}
        case "post":
            model[lane] = [*model.get(lane, []), body]
        case _:
            model[lane] = body


def count_stale(arrivals):
    """Count what was sent under an older fence than one that the server had already seen."""
    newest = stale = 0
    for line in arrivals:
        fence = int((line["fence"] or "0").partition(";")[0])
        stale += fence < newest
        newest = max(newest, fence)
    return stale


def look(place):
    """Return how many writes wait in the tables of an outbox; nothing is changed there."""
    tables = ("op", "parked")
    if not place.startswith("postgresql:"):
        with closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True, timeout=10)) as db:
            return {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
    import psycopg

    address, _, schema = place.partition("?schema=")
    with psycopg.connect(address) as db:
        db.read_only = True
        return {table: db.execute(f"SELECT count(*) FROM {schema}.{table}").fetchone()[0] for table in tables}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--world", required=True)
    parser.add_argument("--ledgers", type=Path, required=True)
    parser.add_argument("--server", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--place")
    options = parser.parse_args()
    ledgers = [line for path in sorted(options.ledgers.glob("*.jsonl")) for line in lines_of(path)]
    waiting = look(options.place) if options.place else None
    state = json.loads(options.state.read_text())
    verdict = judge(options.world, ledgers, lines_of(options.server), state, waiting)
    print(json.dumps({**asdict(verdict), "good": verdict.good}))
    sys.exit(not verdict.good)


if __name__ == "__main__":
    main()
