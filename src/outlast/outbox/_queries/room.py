"""Queue within bounds: count what waits by triggers, and judge each call by itself inside the commit.

Nothing is counted before somebody opens the outbox with bounds; from then on the triggers count for everybody, also
for programs without bounds and for writes in a caller's own transaction. In SQLite the count is one row under the
write lock, so it is exact. In PostgreSQL each connection adds to a row of its own, so nobody waits for another; what
other producers are committing at the same moment is not seen, so together they may go beyond a bound by one commit
of each of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from outlast.engines.bounds import Load, OutboxLimits, overrun
from outlast.errors import ConfigError, OutboxFullError
from outlast.outbox._queries.enqueue import Call, known_names, plan
from outlast.outbox._queries.fold import Coalescing
from outlast.outbox._queries.plans import Ask, Plan
from outlast.outbox._queries.tables import SIZE, Tables, Ways
from outlast.outbox._records import Queued
from outlast.outbox._write import Write

_SUM: Final = f"coalesce(sum({SIZE.format(row='o')}), 0)"
_BEGIN: Final = f"INSERT INTO $backlog (shard, ops, bytes) SELECT 0, count(*), {_SUM} FROM $op AS o"
_LOAD: Final = "SELECT count(*), CAST(sum(ops) AS BIGINT), CAST(sum(bytes) AS BIGINT) FROM $backlog"
_PARKED: Final = "SELECT count(*) FROM (SELECT 1 FROM $parked LIMIT ?) AS found"
"""Counted anew each time, for there are never many more than the bound, and only those up to it are looked at."""
_OLDEST: Final = "SELECT created FROM $op ORDER BY seq LIMIT 1"
_MANY: Final = 100
_UNCOUNTED: Final = "bounds need an outbox that counts: open it once with limits=OutboxLimits(...)"


def count_backlog(db: Tables) -> None:
    """See to it that what waits is counted from now on."""
    db.ways.begin_contest(db)  # or two who open it at once would both begin
    if db.execute("SELECT 1 FROM $backlog WHERE shard = 0").get is None:
        for statement in db.ways.count_backlog:
            db.execute(statement)
        db.execute(_BEGIN)
    elif db.ways.gather_backlog:
        db.execute(db.ways.gather_backlog)


def is_scattered(db: Tables) -> bool:
    """Tell whether the count lies in many rows: connections that come and go leave one each, and all are read."""
    return bool(db.ways.gather_backlog) and db.execute("SELECT count(*) FROM $backlog").get > _MANY


def plan_within(
    ways: Ways, calls: Sequence[Call], coalescing: Coalescing | None, limits: OutboxLimits, *, ours: bool = True
) -> Plan[list[list[Queued] | OutboxFullError]]:
    """Store what fits and tell what became of each call: all of its writes, or why none of them.

    Args:
        ways: What is done differently on the store.
        calls: What several callers want to have queued.
        coalescing: Which writes are folded into ones that wait, or None for none.
        limits: The bounds.
        ours: Whether the transaction is our own. In a caller's, where nothing may be undone, a write counts as a new
            one near a bound although it would be folded.

    Raises:
        ConfigError: As `plan` does, or nobody counts.
    """
    before = yield from _load(limits, calls[0].wall)
    if overrun(limits, before, before.plus(_sizes([write for call in calls for write in call.writes]))) is None:
        return [*(yield from plan(ways, calls, coalescing))]
    # All locks at once and in one order, as without bounds; then call by call, for some will fit and some will not.
    writes = [write for call in calls for write in call.writes]
    yield from ways.before_enqueue(
        [write.lane_id for write in writes], [write.once for write in writes if write.once is not None]
    )
    found: list[list[Queued] | OutboxFullError] = []
    for call in calls:
        folds = ours and coalescing is not None and not call.together and any(map(coalescing.takes, call.writes))
        attempt = _try if folds else _judge
        found.append((yield from attempt(ways, call, coalescing, limits)))
    return found


def _judge(
    ways: Ways, call: Call, coalescing: Coalescing | None, limits: OutboxLimits
) -> Plan[list[Queued] | OutboxFullError]:
    """Store a call if what is new of it fits."""
    before = yield from _load(limits, call.wall)
    known = set((yield from known_names([write.once for write in call.writes if write.once is not None])))
    fresh: list[Write] = []
    for write in call.writes:
        if write.once is None or write.once not in known:
            fresh.append(write)
        if write.once is not None:
            known.add(write.once)
    full = overrun(limits, before, before.plus(_sizes(fresh)))
    return (yield from _store(ways, call, coalescing)) if full is None else full


def _try(
    ways: Ways, call: Call, coalescing: Coalescing | None, limits: OutboxLimits
) -> Plan[list[Queued] | OutboxFullError]:
    """Store a call, see what that made of the load, and undo it if it did not fit."""
    before = yield from _load(limits, call.wall)
    yield Ask("SAVEPOINT outlast_room")
    queued = yield from _store(ways, call, coalescing)
    full = overrun(limits, before, (yield from _load(limits, call.wall)))
    if full is not None:
        yield Ask("ROLLBACK TO SAVEPOINT outlast_room")
    yield Ask("RELEASE SAVEPOINT outlast_room")
    return queued if full is None else full


def _store(ways: Ways, call: Call, coalescing: Coalescing | None) -> Plan[list[Queued]]:
    (queued,) = yield from plan(ways, [call], coalescing)
    return queued


def _load(limits: OutboxLimits, wall: float) -> Plan[Load]:
    ((shards, ops, size),) = yield Ask(_LOAD)
    if not shards:
        raise ConfigError(_UNCOUNTED, path="limits")
    load = Load(ops, size)
    if limits.max_parked is not None:
        ((parked,),) = yield Ask(_PARKED, (limits.max_parked,))
        load = load._replace(parked=parked)
    if limits.max_age is not None:
        oldest = yield Ask(_OLDEST)
        load = load._replace(age=max(0.0, wall - oldest[0][0]) if oldest else 0.0)
    return load


def _sizes(writes: Sequence[Write]) -> list[int]:
    return [len(write.body or b"") + len(write.base or b"") for write in writes]
