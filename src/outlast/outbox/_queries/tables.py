"""An outbox's tables on one connection, and all in which SQLite and PostgreSQL differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeVar

from outlast.outbox._queries.bodies import PLAIN, Bodies
from outlast.outbox._queries.plans import Ask, Plan, run
from outlast.storage import Cursor, Dialect, Session, boot_id

T = TypeVar("T")

SIZE: Final = "coalesce(length({row}.body), 0) + coalesce(length({row}.base), 0)"
"""The bytes of the bodies in a row; neither store reads a body for that."""
_OLD, _NEW = SIZE.format(row="old"), SIZE.format(row="new")
_COUNT: Final = "CREATE TRIGGER $backlog_{when} AFTER {event} ON $op BEGIN UPDATE $backlog SET {change}; END"
# A row for each connection, so that no two transactions ever wait for each other.
_ADD: Final = """
CREATE FUNCTION $backlog_{when}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO $backlog AS mine SELECT pg_backend_pid(), {change} ON CONFLICT (shard)
    DO UPDATE SET ops = mine.ops + excluded.ops, bytes = mine.bytes + excluded.bytes;
    RETURN NULL;
END $$;
CREATE TRIGGER backlog_{when} AFTER {event} EXECUTE FUNCTION $backlog_{when}()
"""

NEWCOMER: Final = (
    "seq, lane, CASE WHEN after_seq IS NOT NULL AND (EXISTS (SELECT 1 FROM $op AS a WHERE a.seq = o.after_seq)"
    " OR EXISTS (SELECT 1 FROM $parked AS p WHERE p.seq = o.after_seq)) THEN after_seq END, passable FROM $op AS o"
)
"""Selects what a delivery must know of new ops; what an op waits for only while that is not delivered."""

Version = int | str
"""Stands for a moment of an outbox; 0 for the beginning."""


class Tables:
    """Run statements on the tables of one outbox; `$op` stands for its table `op`, `?` for a value.

    Args:
        db: The connection.
        ways: What is done differently on its store.
    """

    def __init__(self, db: Session, ways: Ways) -> None:
        self.db = db
        self.ways = ways
        self._text = ways.dialect.text

    def execute(self, statement: str, bindings: Sequence[Any] = ()) -> Cursor:
        """Run one statement."""
        return self.db.execute(self._text(statement), bindings)

    def run(self, plan: Plan[T]) -> T:
        """Run a plan."""
        return run(plan, self._text, lambda statement, bindings: list(self.db.execute(statement, bindings)))


class Ways(Protocol):
    """Do what the two stores do differently; everything else is written once."""

    dialect: Dialect
    find: str
    """Asks whether the tables are there, and whether each statement sees all commits, by one that never fails."""
    share: str
    """Behind a SELECT: nobody may change the row until this transaction ends."""
    update: str
    """Behind a SELECT: nobody else may do the same, or change the row, until this transaction ends."""
    free: str
    """The same, without the rows that somebody else holds so now."""
    lane_index: str
    """Makes the index by which the ops of a lane are found, if the store has none anyway."""
    returning: str
    """Behind an INSERT into `op`: give the places back."""
    count_backlog: Sequence[str]
    """Make the triggers that count what waits."""
    gather_backlog: str
    """Add up what several connections have counted, if each counts for itself."""
    longest_key: float
    """How many bytes an index takes of what a row is found by."""
    bodies: Bodies
    """How bodies are written."""

    def for_others(self) -> Ways:
        """Return the ways of a connection that is somebody else's."""
        ...

    def before_enqueue(self, lanes: Sequence[int], names: Sequence[str]) -> Plan[None]:
        """See to it that places are given in the order of commits, in each lane and for each `once`."""
        ...

    def hold(self, places: Sequence[int]) -> Plan[None]:
        """Wait until nobody folds these away any more, and see to it that nobody does until the commit."""
        ...

    def take(self, places: Sequence[int]) -> Plan[bool]:
        """Tell, without waiting, whether nobody holds one of these; if so nobody can until the commit."""
        ...

    def announce(self, db: Tables) -> None:
        """Wake whoever delivers when this transaction is committed, where that is possible."""
        ...

    def places(self, rows: Sequence[Sequence[Any]], count: int) -> Plan[list[int]]:
        """Return the places that an INSERT of so many rows has given, which had these rows as its result."""
        ...

    def version(self, db: Tables) -> Version:
        """Return the present moment, asked before a snapshot that must not miss anything since."""
        ...

    def continues(self, version: Version, now: Version) -> bool:
        """Tell whether the present moment is one after another, and not of a server that may have forgotten that."""
        ...

    def begin(self, db: Tables) -> None:
        """Begin a snapshot for several statements, if a read is not one anyway."""
        ...

    def end(self, db: Tables) -> None:
        """End it."""
        ...

    def newer(self, version: Version, after: int) -> Ask:
        """Return the question for (seq, lane) of what was queued since a moment, and may lie behind a place."""
        ...

    def behind(self, seq: int, known_to: int) -> int:
        """Return the place behind which all of a lane's followers of an op lie that a caller cannot know."""
        ...

    def last_given(self, db: Tables) -> int:
        """Return the last place that was given, also if nothing is left of it."""
        ...

    def begin_contest(self, db: Tables) -> None:
        """Let only one at a time decide who holds the lease, or how the outbox is used."""
        ...

    def lease_clock(self, db: Tables, now: float) -> tuple[float, str]:
        """Return the time by which a lease is judged and the boot that it counts in, given this process's time."""
        ...


class SqliteWays:
    """One process writes at a time, so places are given in the order of commits and nothing needs a lock."""

    share: str = ""
    update: str = ""
    free: str = ""
    lane_index: str = "CREATE INDEX IF NOT EXISTS $op_lane ON $op (lane, seq)"
    returning: str = ""
    count_backlog: Sequence[str] = (
        _COUNT.format(when="in", event="INSERT", change=f"ops = ops + 1, bytes = bytes + {_NEW}"),
        _COUNT.format(when="out", event="DELETE", change=f"ops = ops - 1, bytes = bytes - ({_OLD})"),
        _COUNT.format(when="edit", event="UPDATE OF body, base", change=f"bytes = bytes + {_NEW} - ({_OLD})"),
    )
    gather_backlog: str = ""
    longest_key: float = math.inf

    def __init__(self, dialect: Dialect, bodies: Bodies = PLAIN) -> None:
        self.dialect = dialect
        self.bodies = bodies
        self.find = f"SELECT count(*), 1 FROM sqlite_schema WHERE type = 'table' AND name = '{dialect.prefix}meta'"

    def for_others(self) -> Ways:
        """Return itself."""
        return self

    def before_enqueue(self, lanes: Sequence[int], names: Sequence[str]) -> Plan[None]:
        """Do nothing."""
        yield from ()

    def hold(self, places: Sequence[int]) -> Plan[None]:
        """Do nothing: nobody else writes."""
        yield from ()

    def take(self, places: Sequence[int]) -> Plan[bool]:
        """Say so: nobody else writes."""
        yield from ()
        return True

    def announce(self, db: Tables) -> None:
        """Do nothing: whoever delivers looks."""

    def places(self, rows: Sequence[Sequence[Any]], count: int) -> Plan[list[int]]:
        """Count back from the last row: within one statement under the write lock they follow each other."""
        ((last,),) = yield Ask("SELECT last_insert_rowid()")
        return list(range(last - count + 1, last + 1))

    def version(self, db: Tables) -> Version:
        """Return a number that SQLite changes when another connection commits."""
        return int(db.execute("PRAGMA data_version").get)

    def continues(self, version: Version, now: Version) -> bool:
        """Say so: a file that is put in the place of another is another outbox."""
        return True

    def begin(self, db: Tables) -> None:
        """Begin a transaction: each statement of its own would see another moment."""
        db.execute("BEGIN")

    def end(self, db: Tables) -> None:
        """End it."""
        db.execute("ROLLBACK")

    def newer(self, version: Version, after: int) -> Ask:
        """Look behind the last known place, for a smaller one cannot be committed any more."""
        return Ask(f"SELECT {NEWCOMER} WHERE seq > ? ORDER BY seq", (after,))

    def behind(self, seq: int, known_to: int) -> int:
        """Trust the caller, who has seen all places up to one; there is no index of lanes to look in."""
        return known_to

    def last_given(self, db: Tables) -> int:
        """Ask the table in which SQLite counts."""
        found = db.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (f"{self.dialect.prefix}op",)).get
        return int(found or 0)

    def begin_contest(self, db: Tables) -> None:
        """Do nothing: this transaction is the only one that writes."""

    def lease_clock(self, db: Tables, now: float) -> tuple[float, str]:
        """Trust the monotonic clock of this machine, and for this boot only."""
        return now, boot_id()


class PostgresWays:
    """Many write at a time, so the order within a lane is made by a lock, and what is new is told by snapshots.

    Args:
        dialect: Where the tables lie.
        sender: What marks this process's own notifications.
        bodies: How bodies are written.
    """

    share: str = " FOR SHARE"
    update: str = " FOR UPDATE"
    free: str = " FOR UPDATE SKIP LOCKED"
    lane_index: str = ""
    returning: str = " RETURNING seq"
    count_backlog: Sequence[str] = (
        _ADD.format(
            when="in", change=f"count(*), sum({SIZE.format(row='fresh')}) FROM fresh HAVING count(*) > 0",
            event="INSERT ON $op REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT",
        ),
        _ADD.format(
            when="out", change=f"-count(*), -sum({SIZE.format(row='gone')}) FROM gone HAVING count(*) > 0",
            event="DELETE ON $op REFERENCING OLD TABLE AS gone FOR EACH STATEMENT",
        ),
        _ADD.format(when="edit", change=f"0, {_NEW} - ({_OLD})", event="UPDATE OF body, base ON $op FOR EACH ROW"),
    )  # fmt: skip
    gather_backlog: str = (
        "WITH gone AS (DELETE FROM $backlog WHERE shard IN"
        " (SELECT shard FROM $backlog WHERE shard <> 0 FOR UPDATE SKIP LOCKED) RETURNING ops, bytes)"
        " UPDATE $backlog AS base SET ops = base.ops + found.ops, bytes = base.bytes + found.bytes"
        " FROM (SELECT coalesce(sum(ops), 0) AS ops, coalesce(sum(bytes), 0) AS bytes FROM gone) AS found"
        " WHERE shard = 0"
    )
    longest_key: float = 2_600
    _HOLD: Final = "SELECT count(pg_advisory_xact_lock_shared(key)) FROM unnest(?::bigint[]) AS key"
    _TAKE: Final = "SELECT bool_and(pg_try_advisory_xact_lock(key)) FROM unnest(?::bigint[]) AS key"
    _BEFORE: Final = "SELECT pg_notify(?, ?), count(pg_advisory_xact_lock(key)) FROM unnest(?::bigint[]) AS key"

    def __init__(self, dialect: Dialect, sender: str = "", bodies: Bodies = PLAIN) -> None:
        self.dialect = dialect
        self.bodies = bodies
        self._sender = sender
        self._salt = dialect.key("lane")
        self._held = dialect.key("after")
        sees = "current_setting('transaction_isolation') LIKE 'read%'"
        self.find = f"SELECT to_regclass('{dialect.prefix}meta') IS NOT NULL, {sees}"

    def for_others(self) -> Ways:
        """Return ways whose notifications this process hears too, because it does not hear of the commit otherwise."""
        return PostgresWays(self.dialect, bodies=self.bodies)

    def before_enqueue(self, lanes: Sequence[int], names: Sequence[str]) -> Plan[None]:
        """Lock the lanes and names until the commit, always in the same order, and wake whoever delivers then.

        A place is taken only under the lock of its lane, so within a lane they are committed in their order.
        """
        numbers = {lane ^ self._salt for lane in lanes} | {self.dialect.key(f"once\x1f{name}") for name in names}
        yield Ask(self._BEFORE, (self.dialect.channel, self._sender, sorted(numbers)))

    def hold(self, places: Sequence[int]) -> Plan[None]:
        """Share a lock for each: a row's own lock would also keep its delivery from being settled."""
        yield Ask(self._HOLD, (self._numbers(places),))

    def take(self, places: Sequence[int]) -> Plan[bool]:
        """Try these locks for oneself."""
        ((taken,),) = yield Ask(self._TAKE, (self._numbers(places),))
        return bool(taken)

    def _numbers(self, places: Sequence[int]) -> list[int]:
        return sorted({place ^ self._held for place in places})

    def announce(self, db: Tables) -> None:
        """Notify the channel of the schema."""
        db.execute("SELECT pg_notify(?, ?)", (self.dialect.channel, self._sender))

    def places(self, rows: Sequence[Sequence[Any]], count: int) -> Plan[list[int]]:
        """Return what the INSERT has returned."""
        yield from ()
        return [row[0] for row in rows]

    def version(self, db: Tables) -> Version:
        """Return the snapshot: which transactions are visible, and for which life of the server that holds.

        It is the same until another one commits.
        """
        return str(
            db.execute("SELECT pg_current_snapshot() || ' ' || extract(epoch FROM pg_postmaster_start_time())").get
        )

    def continues(self, version: Version, now: Version) -> bool:
        """Compare the lives: what was not flushed, or not copied, is lost with one, and its numbers are given again."""
        return not version or str(version).partition(" ")[2] == str(now).partition(" ")[2]

    def begin(self, db: Tables) -> None:
        """Do nothing: a read is one snapshot."""

    def end(self, db: Tables) -> None:
        """Do nothing."""

    def newer(self, version: Version, after: int) -> Ask:
        """Compare transactions and not places: one with a smaller place may be committed later."""
        if not version:
            return Ask(f"SELECT {NEWCOMER} ORDER BY seq")
        return Ask(
            f"SELECT {NEWCOMER} WHERE tx >= pg_snapshot_xmin(?::pg_snapshot)"
            " AND NOT pg_visible_in_snapshot(tx, ?::pg_snapshot) ORDER BY seq",
            (str(version).partition(" ")[0],) * 2,
        )

    def behind(self, seq: int, known_to: int) -> int:
        """Look behind the op itself: its lane is in order, the others that the caller knows need not be."""
        return seq

    def last_given(self, db: Tables) -> int:
        """Ask the sequence, which takes no part in transactions."""
        sequence = db.execute("SELECT pg_get_serial_sequence(?, 'seq')", (f"{self.dialect.prefix}op",)).get
        return int(db.execute(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}").get)

    def begin_contest(self, db: Tables) -> None:
        """Lock until the commit; a row that is not there yet could not be locked."""
        db.execute("SELECT pg_advisory_xact_lock(?)", (self.dialect.key("contest"),))

    def lease_clock(self, db: Tables, now: float) -> tuple[float, str]:
        """Ask the server, which is the only clock that all contenders share."""
        return float(db.execute("SELECT extract(epoch FROM clock_timestamp())::float8").get), "postgresql"


def ways_of(dialect: Dialect, sender: str = "", bodies: Bodies = PLAIN) -> Ways:
    """Return the ways of a store."""
    return SqliteWays(dialect, bodies) if dialect.kind == "sqlite" else PostgresWays(dialect, sender, bodies)
