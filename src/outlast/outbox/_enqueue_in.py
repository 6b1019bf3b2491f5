"""Queue writes inside the caller's own transaction: they are committed, or rolled back, with the caller's rows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from outlast.clock import SYSTEM_CLOCK
from outlast.engines.bounds import OutboxLimits
from outlast.errors import ConfigError, OutboxFullError
from outlast.outbox import _queries as sql
from outlast.outbox._identity import Identity, identity_of
from outlast.outbox._layout import INSIDE
from outlast.outbox._sizes import check_bodies
from outlast.outbox._write import Write
from outlast.storage import Borrowed, Dialect, borrow, is_open_beside, postgres_dialect

T = TypeVar("T")

_APART: Final = (
    "is of Python's sqlite3, and this process has the file open with apsw: two copies of SQLite in one process undo "
    "each other's locks. Give a connection of apsw, or call outlast.outbox.enqueue_in where the outbox is not open"
)


def enqueue_in(
    connection: Any,
    *writes: Write,
    schema: str = "outlast",
    limits: OutboxLimits | None = None,
    codec: sql.BodyCodec | None = None,
) -> list[int]:
    """Queue writes in the transaction that a connection is in, all of them or none, and return their places.

    For programs that only produce: nothing has to be open. The tables must be there, so the outbox was opened
    once, with `inside=True` where they lie in a SQLite file of your own. The delivery sees the writes after the
    commit. Whoever queues writes of several entities in several calls of one transaction may come into a
    deadlock with another transaction on PostgreSQL, which the server ends by an error: queue them in one call.

    Args:
        connection: Of apsw, sqlite3 or psycopg, inside a transaction.
        *writes: What to queue.
        schema: Where the tables lie on PostgreSQL. Default `outlast`.
        limits: Bounds that the writes must keep to; nobody waits for room in a transaction. Default: of a body only.
        codec: What writes bodies, as for `Outbox.open`.

    Raises:
        ConfigError: The connection is of another library, has no transaction, or finds no outbox; or it is of sqlite3,
            and this process has the file open with apsw, as an outbox does.
        OutboxFullError: No room is left; nothing was queued.
    """
    borrowed = borrow(connection)
    ways = _ways(borrowed, schema, codec)
    plan = whole(borrowed, plan_in(ways, writes, SYSTEM_CLOCK.wall(), None, limits=limits or OutboxLimits()))
    return sql.run(plan, ways.dialect.text, borrowed.execute)


async def aenqueue_in(
    connection: Any,
    *writes: Write,
    schema: str = "outlast",
    limits: OutboxLimits | None = None,
    codec: sql.BodyCodec | None = None,
) -> list[int]:
    """Queue writes in the transaction of an awaited connection of psycopg; see `enqueue_in`.

    Cancel: what psycopg leaves behind; the caller rolls back.
    """
    borrowed = borrow(connection)
    ways = _ways(borrowed, schema, codec)
    plan = whole(borrowed, plan_in(ways, writes, SYSTEM_CLOCK.wall(), None, limits=limits or OutboxLimits()))
    return await sql.arun(plan, ways.dialect.text, borrowed.aexecute)


def _ways(borrowed: Borrowed, schema: str, codec: sql.BodyCodec | None) -> sql.Ways:
    if is_open_beside(borrowed):
        raise ConfigError(_APART, path="connection")
    dialect = Dialect("sqlite", INSIDE) if borrowed.kind == "sqlite" else postgres_dialect(schema)
    return sql.ways_of(dialect, bodies=sql.Bodies(codec))


def borrow_beside(connection: Any, dialect: Dialect) -> Borrowed:
    """Borrow a connection in a process that has the outbox open.

    Raises:
        ConfigError: It goes to another store, or it is of the sqlite3 of Python.
    """
    borrowed = borrow(connection)
    if borrowed.kind != dialect.kind:
        raise ConfigError(f"goes to {borrowed.kind}, and the outbox lies on {dialect.kind}", path="connection")
    if borrowed.library == "sqlite3":
        raise ConfigError(_APART, path="connection")
    return borrowed


def whole(borrowed: Borrowed, plan: sql.Plan[T]) -> sql.Plan[T]:
    """Let a plan do all that it does or nothing, also where the caller goes on after its error and commits.

    Args:
        borrowed: The connection. Where its driver would begin a transaction only later, one that may write is begun
            now: meanwhile another program could queue a write under the same name.
        plan: The plan.
    """
    begins = borrowed.kind == "sqlite" and not borrowed.is_open
    yield sql.Ask("BEGIN IMMEDIATE" if begins else "SAVEPOINT outlast_enqueue")
    try:
        result = yield from plan
    except Exception:
        with suppress(Exception):  # a connection that cannot undo it has lost its transaction
            yield sql.Ask("ROLLBACK" if begins else "ROLLBACK TO SAVEPOINT outlast_enqueue")
            if not begins:
                yield sql.Ask("RELEASE SAVEPOINT outlast_enqueue")
        raise
    if not begins:
        yield sql.Ask("RELEASE SAVEPOINT outlast_enqueue")
    return result


def plan_in(
    ways: sql.Ways,
    writes: Sequence[Write],
    wall: float,
    identity: Identity | None,
    *,
    limits: OutboxLimits,
    coalescing: sql.Coalescing | None = None,
) -> sql.Plan[list[int]]:
    """Queue writes by whatever connection runs this.

    Args:
        ways: What is done differently on the store.
        writes: The writes.
        wall: Unix seconds.
        identity: The outbox that must be found there, or None for any.
        limits: The bounds.
        coalescing: Which writes are folded, or None for none.
    """
    check_bodies(limits, writes)
    ways = ways.for_others()
    found, sees_commits = (yield sql.Ask(ways.find))[0]
    if not found:
        raise ConfigError(
            "leads to a database without an outbox; open it once, with inside=True for a SQLite file of your own",
            path="connection",
        )
    meta = sql.meta_of((yield sql.Ask(sql.IDENTITY)))
    sql.check_codec(ways.bodies, meta)
    if identity is not None and identity_of(meta.items()).store != identity.store:
        raise ConfigError("leads to another database than the outbox's own", path="connection")
    if not sees_commits:
        coalescing = None  # what is on its way since the snapshot would seem never to have been sent
        yield from _check_awaited(ways, [write.after for write in writes if write.after is not None])
    calls = [sql.Call(writes, wall)]
    if not limits.counted:
        (queued,) = yield from sql.plan(ways, calls, coalescing)
        return [one.seq for one in queued]
    (found,) = yield from sql.plan_within(ways, calls, coalescing, limits, ours=False)
    if isinstance(found, OutboxFullError):
        raise found
    return [one.seq for one in found]


def _check_awaited(ways: sql.Ways, places: Sequence[int]) -> sql.Plan[None]:
    """Let the server refuse what comes after a write that is gone since the snapshot, which hides into which it went.

    The rows are held for no longer than that, or their delivery could not be recorded until the caller's commit.
    """
    if not places:
        return
    yield from ways.hold(places)
    yield sql.Ask("SAVEPOINT outlast_after")
    yield sql.Ask("SELECT 1 FROM $op WHERE seq = ANY(?::bigint[]) FOR KEY SHARE", (places,))
    yield sql.Ask("ROLLBACK TO SAVEPOINT outlast_after")
    yield sql.Ask("RELEASE SAVEPOINT outlast_after")
