"""A real outbox in a file, the damage that is done to it, and what a SQLite that is not ours still reads of it."""

import sqlite3
from contextlib import closing

from delivering import put
from outlast.engines.op import Deliver, Die
from outlast.events import EventBus
from outlast.outbox import Applied, ProcessingLease, Rejected, Report, SyncOutbox, Terms
from outlast.sync_engine import CallableTransport

PAGE = 4096
SETTLED, SEALED, READY = 30, 10, 120
PLACES = range(1, SETTLED + SEALED + READY + 1)


def make(path):
    """Make an outbox: some delivered, some dead, some sealed and in doubt, many ready, a few of them large."""
    with SyncOutbox.open(path, durability="process", bus=EventBus()) as box:
        box.enqueue(*[put(f"old{number}", b'{"old":%d}' % number) for number in range(SETTLED)])
        box.enqueue(*[put(f"sealed{number}", b'{"n":%d}' % number) for number in range(SEALED)])
        claim_and_settle(box)
        box.enqueue(*[put(f"n{number}", content(number), once=f"name{number}") for number in range(READY)])
    return path.read_bytes()


def content(number):
    """Return a body; every thirtieth goes on on other pages."""
    return b'{"n":%d,"text":"%s"}' % (number, b"y" * (6000 if number % 30 == 7 else 150))


def claim_and_settle(box):
    """Deliver the old ones but every tenth, which dies; leave the next ones on the wire."""

    async def send(op):
        return Applied() if op else Rejected("")

    core, lease = box.core, ProcessingLease(box.core.database)
    lease.acquire()
    places = list(range(1, SETTLED + SEALED + 1))
    for claimed in core.claim(lease.fence, places, Terms(CallableTransport(send).seal)).result(10):
        if claimed.op.seq <= SETTLED:
            step = Die("422") if claimed.op.seq % 10 == 0 else Deliver('"1"')
            core.settle(lease.fence, claimed, Report(step=step)).result(10)
    lease.release()


def read_one_by_one(path):
    """Return what Python's own SQLite reads of each place that it can read, asked one by one: (entity, body)."""
    found = {}
    with closing(sqlite3.connect(path)) as other:
        other.text_factory = lambda text: text.decode(errors="replace")
        for seq in PLACES:
            for table in ("op", "parked"):
                try:
                    rows = other.execute(f"SELECT * FROM {table} WHERE seq = ?", (seq,))
                    names = [column[0] for column in rows.description]
                    row = rows.fetchone()
                except sqlite3.Error:
                    continue
                if row is not None:
                    found[seq] = {**dict(zip(names, row, strict=True)), "table": table}
    return found


def root_of(path, name):
    """Return the root page of a table or index."""
    with closing(sqlite3.connect(path)) as other:
        (page,) = other.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
    return page


def leaf_of(path, table):
    """Return the second leaf below the root of a table."""
    content, at = path.read_bytes(), (root_of(path, table) - 1) * PAGE
    assert content[at] == 5, "the table is too small to have an inner page"
    cell = int.from_bytes(content[at + 14 : at + 16], "big")
    return int.from_bytes(content[at + cell : at + cell + 4], "big")
