"""Look into an outbox without changing it, beside whoever delivers from it."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Self

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.engines.op import OpState
from outlast.engines.origin_pause import OriginPause
from outlast.errors import CorruptError
from outlast.outbox import _queries as sql
from outlast.outbox._layout import INSIDE, OUTBOX, POSTGRES_OUTBOX
from outlast.outbox._parked import ParkedOp
from outlast.outbox._queries.identity import IDENTITY, check_codec, meta_of
from outlast.outbox._queries.rows import OP
from outlast.outbox._records import Counts, Op, OpStatus, SealedRequest
from outlast.storage import is_address, open_reading

_SEAL: Final = "attempts, due, first_sent, reason, doubt, accepted, method, url, headers, body FROM $seal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """Show what is known of the sendings of an op.

    Args:
        request: What is sent, the same bytes each time. Credentials are no part of it.
        attempts: How often it was sent.
        due: Unix seconds until which it waits; None while nothing is known of the last sending.
        first_sent: Unix seconds of the first sending; 0 when that is too long ago to be trusted.
        reason: What the last sending met with.
        doubt: Whether one of them may have taken effect.
        status_url: Where the server that has accepted it is asked, or None.
    """

    request: SealedRequest
    attempts: int
    due: float | None
    first_sent: float
    reason: str
    doubt: bool
    status_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpSheet:
    """Show all that an outbox holds of one write.

    Args:
        status: Where it is in its life.
        op: The write, None once it is delivered or folded.
        sealed: What is known of its sendings, None if it was never sent or is on its way no more.
        parked: What is known of the server's side, if it waits for a decision.
    """

    status: OpStatus
    op: Op | None = None
    sealed: Sealed | None = None
    parked: ParkedOp | None = None


class Inspection:
    """Show one moment of an outbox; nothing is changed, made or brought up.

    Thread-safe: no.

    Args:
        db: The tables.
        name: What the outbox is called; it holds no secret.
        clock: Where the time comes from.
    """

    def __init__(self, db: sql.Tables, name: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self.db = db
        self.name = name
        self.clock = clock
        self.identity = sql.identity(db)

    @classmethod
    @contextmanager
    def open(
        cls, where: str | os.PathLike[str], *, clock: Clock = SYSTEM_CLOCK, codec: sql.BodyCodec | None = None
    ) -> Generator[Self]:
        """Look into an outbox for the length of a block; tables inside of a file of somebody else's are found too.

        Args:
            where: A file, or the address of a PostgreSQL database.
            clock: Where the time comes from.
            codec: What reads its bodies. Default: they are shown as they are stored.

        Raises:
            StorageError: There is no outbox that could be read; the subclasses say why.
            ConfigError: Its bodies were written by another codec, with another key, or without one.
        """
        layout = POSTGRES_OUTBOX if is_address(where) else OUTBOX
        with open_reading(where, layout, inside=INSIDE) as reading:
            bodies = sql.Bodies(codec)
            db = sql.Tables(reading.session, sql.ways_of(reading.dialect, bodies=bodies))
            if codec is not None:
                check_codec(bodies, meta_of(db.execute(IDENTITY)))
            yield cls(db, reading.name, clock)

    @property
    def inside(self) -> bool:
        """Tell whether the tables lie in a file of somebody else's."""
        dialect = self.db.ways.dialect
        return dialect.kind == "sqlite" and bool(dialect.prefix)

    @property
    def codec(self) -> str | None:
        """Return the name of the codec that its bodies are written by."""
        found = self.db.execute("SELECT value FROM $meta WHERE name = 'codec'").get
        return None if found is None else str(found)

    def counts(self) -> Counts:
        """Count the writes by what became of them."""
        return sql.counts(self.db)

    def list(self, state: OpState | None = None, *, kind: str | None = None, limit: int = 100) -> Sequence[OpStatus]:
        """List writes by place.

        Args:
            state: Only those in this state. Default: all.
            kind: Only those of this kind. Default: all.
            limit: How many at most. Default 100.
        """
        return sql.statuses(self.db, state, None, limit, kind=kind)

    def parked(self, state: OpState | None = None, *, limit: int = 100) -> Sequence[ParkedOp]:
        """List the writes that wait for a decision, conflicting, dead, or both."""
        return sql.parked(self.db, self.identity, state=state, limit=limit)

    def show(self, seq: int) -> OpSheet:
        """Show all that is held of a write.

        Args:
            seq: Its place.

        Raises:
            LookupError: Nothing lies at that place.
        """
        found = sql.statuses(self.db, None, seq, 1)
        if not found:
            raise LookupError(f"{self.name} knows no write {seq}; it was discarded, or there never was one")
        parked = next(iter(sql.parked(self.db, self.identity, seq=seq)), None)
        op = self._op(seq) if parked is None else parked.op
        return OpSheet(status=found[0], op=op, sealed=self._sealed(seq, op), parked=parked)

    def _op(self, seq: int) -> Op | None:
        row = self.db.execute(f"SELECT {OP} FROM $op WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else sql.read_op(row, self.identity, self.db.ways.bodies)

    def _sealed(self, seq: int, op: Op | None) -> Sealed | None:
        row = self.db.execute(f"SELECT {_SEAL} WHERE seq = ?", (seq,)).fetchone()
        if row is None or op is None:
            return None
        attempts, due, first_sent, reason, doubt, accepted, method, url, headers, body = row
        try:
            pairs = tuple((str(name), str(value)) for name, value in json.loads(headers))
            status_url = None if accepted is None else json.loads(accepted)["url"]
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptError(f"what was sealed of write {seq} is damaged; see: outlast outbox doctor") from error
        content = op.body if body is None else self.db.ways.bodies.unpack(body)
        request = SealedRequest(method=method, url=url, headers=pairs, body=content)
        return Sealed(
            request=request, attempts=attempts, due=due, first_sent=first_sent, reason=reason,
            doubt=bool(doubt) or due is None, status_url=status_url,
        )  # fmt: skip

    def pauses(self) -> Mapping[str, OriginPause]:
        """Return the pauses that origins have asked for, those that are over too."""
        return sql.pauses(self.db)

    def undelivered(self) -> Iterator[OpSheet]:
        """Yield every write that waits, conflicts or is dead, by place."""
        places = self.db.execute("SELECT seq FROM $op UNION ALL SELECT seq FROM $parked ORDER BY seq")
        for (seq,) in [*places]:
            try:
                yield self.show(seq)
            except LookupError as error:
                raise CorruptError(f"write {seq} is listed and cannot be found; see: outlast outbox doctor") from error
