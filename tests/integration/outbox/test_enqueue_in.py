"""Writes that are queued in the caller's own transaction are there if and only if the caller's rows are."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from contextlib import AsyncExitStack, closing

import apsw
import psycopg
import pytest

from callers import Apsw, Awaited, Psycopg, Sqlite3
from delivering import put
from outlast.errors import ConfigError
from outlast.events import EventBus
from outlast.outbox import Applied, Coalescing, Counts, OpState, Outbox, SyncOutbox, Verb, enqueue_in
from outlast.sync_engine import CallableTransport, Runner
from stores import PostgresPlace, SqlitePlace


async def deliver(caller):
    """Deliver all; return the entities in their order, and the counts."""
    seen = []

    async def act(op):
        seen.append(op.entity)
        return Applied()

    async with AsyncExitStack() as stack:
        box = await caller.open(stack)
        async with Runner(box, CallableTransport(act)) as runner:
            await runner.run_until_idle()
        return seen, await box.counts()


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_rows_and_writes_share_their_fate(caller, beside, end):
    """They are seen together after the commit, not before it, and never after a rollback."""
    async with AsyncExitStack() as stack:
        box = await caller.open(stack) if beside else None
        async with caller.transaction() as connection:
            seqs = await caller.enqueue(connection, box, put("a"), put("b"), put("a"))
            during = caller.rows(), caller.place.execute("SELECT count(*) FROM $op")[0][0]
            await caller.run(connection, end)
    seen, counts = await deliver(caller)

    committed = end == "COMMIT"
    assert during == (0, 0)
    assert seqs == sorted(set(seqs))
    assert len(seqs) == 3
    assert caller.rows() == int(committed)
    assert (sorted(seen), counts) == ((["a", "a", "b"], Counts(delivered=3)) if committed else ([], Counts()))


async def test_a_name_is_queued_once_in_any_transaction(caller, beside):
    """A second transaction gets the place of the first, also for the same name twice in one call."""
    places = []
    async with AsyncExitStack() as stack:
        box = await caller.open(stack) if beside else None
        for _ in range(2):
            async with caller.transaction() as connection:
                places += await caller.enqueue(connection, box, put("a", once="x"), put("b", once="x"))
                await caller.run(connection, "COMMIT")

    assert len(set(places)) == 1
    assert await deliver(caller) == (["a"], Counts(delivered=1))


async def test_all_are_queued_or_none(caller, beside):
    """A caller who goes on after an error, and commits, has not queued the half of it; the transaction is as it was."""
    async with AsyncExitStack() as stack:
        box = await caller.open(stack) if beside else None
        async with caller.transaction() as connection:
            with pytest.raises(ConfigError, match="there is no write 999999 yet"):
                await caller.enqueue(connection, box, put("a"), put("b", after=999_999))
            await caller.enqueue(connection, box, put("c"))
            await caller.run(connection, "COMMIT")

    assert (caller.rows(), await deliver(caller)) == (1, (["c"], Counts(delivered=1)))


async def test_what_cannot_be_folded_leaves_nothing_half_done(tmp_path):
    """A second create of what waits is refused, and with it the write that came before it in the call."""
    path = tmp_path / "mine.db"
    again = put("a", verb=Verb.CREATE)
    async with await Outbox.open(path, inside=True, coalescing=Coalescing(), bus=EventBus()) as box:
        await box.enqueue(again)
        with closing(apsw.Connection(str(path))) as connection:
            connection.execute("BEGIN")
            with pytest.raises(ConfigError, match="create"):
                await box.enqueue_in(connection, put("b"), again)
            connection.execute("COMMIT")

        assert await box.counts() == Counts(ready=1)


def test_another_program_may_queue_the_same_name_meanwhile(tmp_path):
    """Python's sqlite3 begins only when it writes; until then another could take the name, and both were queued."""
    path, write = tmp_path / "mine.db", put("a", once="x")
    with SyncOutbox.open(path, inside=True, bus=EventBus()):
        pass
    with closing(sqlite3.connect(path)) as mine, closing(sqlite3.connect(path)) as other:
        places = []

        def come_between(statement):
            if not places and statement.startswith(("BEGIN", "INSERT INTO outlast_op")):
                places.append(0)
                with other:
                    places[:] = enqueue_in(other, write)

        mine.set_trace_callback(come_between)
        with mine:
            found = enqueue_in(mine, write)

        assert found == places
        assert mine.execute("SELECT count(*) FROM outlast_op").fetchone() == (1,)


async def test_tickets_know_what_was_committed(caller):
    """A ticket of an open outbox finds its write once the transaction is over."""
    if isinstance(caller, Sqlite3):
        caller = Apsw(caller.place.another("second"))
    async with AsyncExitStack() as stack:
        box = await caller.open(stack)
        async with caller.transaction() as connection:
            (ticket,) = await box.enqueue_in(connection, put("a"))
            with pytest.raises(LookupError):
                await ticket.status()
            await caller.run(connection, "COMMIT")

        assert (await ticket.status()).state is OpState.READY


async def test_the_blocking_face_does_the_same(caller):
    """`SyncOutbox` queues in blocking connections, and says which face is for the awaited ones."""
    if isinstance(caller, Sqlite3):
        return
    with caller.open_sync() as box:
        async with caller.transaction() as connection:
            if isinstance(caller, Awaited):
                with pytest.raises(ConfigError, match="is awaited"):
                    box.enqueue_in(connection, put("a"))
                return
            (ticket,) = box.enqueue_in(connection, put("a"))
            await caller.run(connection, "COMMIT")

        assert ticket.status().state is OpState.READY


async def test_without_a_transaction_nothing_is_queued(caller):
    """What would be committed apart from the caller's rows is a mistake, and is told before anything is written."""
    async with caller.transaction() as connection:
        await caller.run(connection, "ROLLBACK")
        if isinstance(caller, Sqlite3):
            connection.isolation_level = None
        if isinstance(caller, Awaited):
            await connection.set_autocommit(True)
        elif caller.store == "postgres":
            connection.autocommit = True
        with pytest.raises(ConfigError, match="begin one first"):
            await caller.enqueue(connection, None, put("a"))

    assert await deliver(caller) == ([], Counts())


async def test_a_database_without_an_outbox_is_told(caller):
    """The caller's transaction stays usable."""
    if caller.store == "sqlite":
        other = sqlite3.connect(":memory:")
        with pytest.raises(ConfigError, match="inside=True"):
            enqueue_in(other, put("a"))
        other.close()
        return
    async with caller.transaction() as connection:
        caller.place = caller.place.another("nowhere")
        with pytest.raises(ConfigError, match="without an outbox"):
            await caller.enqueue(connection, None, put("a"))
        await caller.run(connection, "COMMIT")

    assert caller.rows() == 1


async def test_a_connection_to_another_outbox_is_refused(caller):
    """Writes cannot end up where nobody delivers them from."""
    if isinstance(caller, Sqlite3):
        with caller.open_sync() as box, closing(apsw.Connection(":memory:")) as memory:
            memory.execute("BEGIN")
            with pytest.raises(ConfigError, match="without an outbox"):
                box.enqueue_in(memory, put("a"))
        return
    other = type(caller)(caller.place.another("other"))
    async with AsyncExitStack() as stack:
        box = await other.open(stack)
        async with caller.transaction() as connection:
            if caller.store == "sqlite":
                with pytest.raises(ConfigError, match="another database"):
                    await box.enqueue_in(connection, put("a"))
            else:  # another schema of the same database is as good as its own: the statement names it
                await box.enqueue_in(connection, put("a"))

    assert await deliver(other) == ([], Counts())


PRODUCE = """
import apsw, os, psycopg, signal, sys
from outlast.outbox import Verb, Write, enqueue_in
where, schema, mine, after = sys.argv[1:]
if schema == "-":
    connection = apsw.Connection(where)
    connection.execute("BEGIN IMMEDIATE")
else:
    connection = psycopg.connect(where)
connection.execute(f"INSERT INTO {mine} VALUES (1)")
write = Write(verb=Verb.PUT, kind="note", entity="a", body=b"{}")
enqueue_in(connection, write, **({} if schema == "-" else {"schema": schema}))
if after == "after":
    connection.execute("COMMIT")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("kind", [Psycopg, Apsw])
async def test_a_killed_producer_leaves_both_or_neither(kind, moment, tmp_path, postgres_server):
    """SIGKILL before the commit leaves nothing, after it everything."""
    place = PostgresPlace(postgres_server) if kind is Psycopg else SqlitePlace(tmp_path / "mine.db", inside=True)
    caller = kind(place)
    where = [place.libpq, place.schema] if kind is Psycopg else [str(place), "-"]
    process = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", PRODUCE, *where, caller.mine, moment], check=False
    )
    seen, _ = await deliver(caller)

    assert process.returncode == -9
    assert (caller.rows(), seen) == ((1, ["a"]) if moment == "after" else (0, []))


def test_a_second_transaction_waits_for_the_lane(postgres_server):
    """Within a lane places are in the order of commits, because the second one cannot get a place before the first."""
    caller = Psycopg(PostgresPlace(postgres_server))
    schema, done, order = caller.place.schema, threading.Event(), []

    def second():
        with closing(psycopg.connect(caller.place.libpq)) as connection:
            order.extend(enqueue_in(connection, put("a"), schema=schema))
            connection.commit()
        done.set()

    with closing(psycopg.connect(caller.place.libpq)) as connection:
        order.extend(enqueue_in(connection, put("a"), schema=schema))
        thread = threading.Thread(target=second)
        thread.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND query LIKE %s"
        while not caller.place.server.execute(waiting, f"%{'pg_notify'}%")[0][0]:
            assert not done.wait(0.01)
        connection.commit()
    thread.join(10)

    assert done.is_set()
    assert order == sorted(order)
