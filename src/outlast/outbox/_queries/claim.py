"""Claim ops for an attempt each; the first claim seals an op."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import Any, Final, Literal

from outlast.engines.delivery import Course, History, course
from outlast.engines.op import DeliveryPolicy, Die, OpState
from outlast.errors import ConfigError, CorruptError
from outlast.outbox._identity import Identity
from outlast.outbox._queries.bodies import PLAIN, Bodies
from outlast.outbox._queries.portion import few_enough
from outlast.outbox._queries.rows import OP, chunks, listed, read_op
from outlast.outbox._queries.settle import check_fence, park, text
from outlast.outbox._queries.tables import Tables
from outlast.outbox._records import REBASED, Claimed, Op, Passed, SealedRequest, Unsendable, Withdrawn

Sealer = Callable[[Op], SealedRequest]
Claim = Claimed | Unsendable | Passed | Withdrawn
Admit = Callable[[Op], Literal["", "no transport", "closed"]]


def _as_it_is(op: Op) -> Op:
    return op


def _everything() -> Admit:
    return lambda _: ""


@dataclass(frozen=True, slots=True)
class Terms:
    """Say on which terms ops are claimed.

    Args:
        seal: Turns an op into its request.
        upcast: Brings an op that was never sent into the newest shape.
        policy: The budgets.
        admission: Makes, for one run of the transaction, what says whether an op may be sent now.
        suspects: Ops that a dead process had on the wire; they are charged for it.
        max_bytes: Bytes of bodies and bases after which no further op is claimed at once, so that many large ones are
            never in memory together.
    """

    seal: Sealer
    upcast: Callable[[Op], Op] = _as_it_is
    policy: DeliveryPolicy = field(default_factory=DeliveryPolicy)
    admission: Callable[[], Admit] = _everything
    suspects: Collection[int] = ()
    max_bytes: int = 16 << 20


def claim(db: Tables, identity: Identity, fence: int, seqs: Sequence[int], *, terms: Terms, wall: float) -> list[Claim]:
    """Seal ops that were never sent, count an attempt for each, and return them with their requests.

    The last ones are left out when those in front of them are large.
    """
    check_fence(db, fence)
    seqs = few_enough(db, seqs, terms.max_bytes)
    run = _Run(
        identity, fence, terms, terms.admission(), wall, course(terms.policy, _NEW, wall), History(first_sent=wall)
    )
    ops: dict[int, Sequence[Any]] = {}
    seals: dict[int, Sequence[Any]] = {}
    for marks, places in listed(seqs):
        # Locked, so that nobody folds another write into it while it is sealed. One who does that now, in a transaction
        # of his own that may stay open for long, is not waited for: the others would wait with him.
        rows = db.execute(f"SELECT {OP} FROM $op WHERE seq IN {marks} ORDER BY seq{db.ways.free}", places)
        ops.update((row[0], row) for row in rows)
        rows = db.execute(f"SELECT {_SEAL}, seq FROM $seal WHERE seq IN {marks}", places)
        seals.update((row[-1], row[:-1]) for row in rows)
    claims = [_claim_one(db, run, seq, ops.get(seq), seals.get(seq)) for seq in seqs]
    _insert(db, run.fresh)
    return claims


_NEW: Final = History()
"""What is known of an op that was never sent, never expires, and is not based on what never came to be."""


@dataclass(slots=True)
class _Run:
    """Hold what is the same for all ops of one claim, and the seals that it makes."""

    identity: Identity
    fence: int
    terms: Terms
    admit: Admit
    wall: float
    way: Course | Die
    """What is to be done with an op of which nothing is known."""
    first: History
    """What is known of such an op once it is claimed."""
    fresh: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])


_SEAL = "attempts, method, url, headers, body_hash, body, first_sent, due, unreported, refused, accepted, doubt"


def _withheld(db: Tables, run: _Run, seq: int) -> Claim:
    row = db.execute(f"SELECT {OP} FROM $op WHERE seq = ?", (seq,)).fetchone()
    return Withdrawn(seq=seq) if row is None else Passed(op=read_op(row, run.identity, PLAIN), why="held")


def _claim_one(db: Tables, run: _Run, seq: int, row: Sequence[Any] | None, sealed: Sequence[Any] | None) -> Claim:
    if row is None:
        return _withheld(db, run, seq)
    terms, wall = run.terms, run.wall
    try:
        op = read_op(row, run.identity, db.ways.bodies)
    except CorruptError as error:
        return _unreadable(db, row, run.identity, error, wall)
    why = run.admit(op)
    if why:
        return Passed(op=op, why=why)
    history, status_url = _history(op, sealed, suspect=seq in terms.suspects)
    way = run.way if history is _NEW else course(terms.policy, history, wall)
    if isinstance(way, Die):
        attempts = 0 if sealed is None else sealed[0]
        park(db, seq, OpState.DEAD, way.reason, attempts=attempts, wall=wall)
        return Unsendable(op=op, reason=way.reason)
    if sealed is None:
        return _seal(db, run, op, way)
    request = _request(db.ways.bodies, op, sealed)
    if request is None:
        # Other bytes under the same key would be another request; that is never sent.
        reason = "the bytes that were sealed are damaged; it may have taken effect. See: outlast outbox doctor"
        park(db, seq, OpState.DEAD, reason, attempts=sealed[0], wall=wall)
        return Unsendable(op=op, reason=reason)
    db.execute(
        "UPDATE $seal SET attempts = attempts + 1, fence = ?, due = NULL, unreported = ?, doubt = ? WHERE seq = ?",
        (run.fence, history.unreported, int(history.doubt), seq),
    )
    return Claimed(op=op, request=request, attempt=sealed[0] + 1, history=history, course=way, status_url=status_url)


def _unreadable(db: Tables, row: Sequence[Any], identity: Identity, error: CorruptError, wall: float) -> Unsendable:
    """Put an op aside whose body the codec cannot read, so that it does not hold up all others."""
    op = read_op(row, identity, PLAIN)
    attempts = db.execute("SELECT attempts FROM $seal WHERE seq = ?", (op.seq,)).get or 0
    park(db, op.seq, OpState.DEAD, str(error), attempts=attempts, wall=wall)
    return Unsendable(op=op._replace(body=None, base=None), reason=str(error))


def _history(op: Op, sealed: Sequence[Any] | None, *, suspect: bool) -> tuple[History, str | None]:
    if sealed is None:
        if op.expires_at is None and op.if_match != REBASED:
            return _NEW, None
        return History(expires=op.expires_at, rebased=op.if_match == REBASED), None
    first_sent, due, unreported, refused, accepted, doubt = sealed[6:]
    silent = due is None  # its last claim was never reported on
    known: dict[str, Any] = {} if accepted is None else json.loads(accepted)
    history = History(
        sent=True, doubt=bool(doubt) or silent, first_sent=first_sent, accepted=known.get("since"),
        unreported=unreported + (silent and suspect), refused=refused, expires=op.expires_at,
        rebased=op.if_match == REBASED,
    )  # fmt: skip
    return history, known.get("url")


def _request(bodies: Bodies, op: Op, sealed: Sequence[Any]) -> SealedRequest | None:
    """Return the request as it was frozen, None if its bytes are not there any more."""
    method, url, headers, digest, own = sealed[1:6]
    pairs = tuple((str(name), str(value)) for name, value in json.loads(headers))
    try:
        # Kept only once, unless other bytes are sent than the op has; behind a codec there is no hash.
        body = op.body if own is None and digest else bodies.unpack(own)
    except CorruptError:
        return None
    if bodies.name is None and _digest(body) != digest:
        return None
    return SealedRequest(method=method, url=url, headers=pairs, body=body)


def _seal(db: Tables, run: _Run, op: Op, way: Course) -> Claim:
    wall = run.wall
    try:
        op = _upcast(db, run.identity, op, run.terms.upcast)
        request = run.terms.seal(op)
        headers = _headers(request)
    except Exception as error:
        reason = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
        park(db, op.seq, OpState.DEAD, reason, attempts=0, wall=wall)
        return Unsendable(op=op, reason=reason)
    digest, own_body = _frozen(db.ways.bodies, op, request)
    run.fresh.append((op.seq, run.fence, wall, request.method, request.url, headers, digest, own_body))
    history = run.first if op.expires_at is None else History(first_sent=wall, expires=op.expires_at)
    return Claimed(op, request, 1, history, way)


def _headers(made: Any) -> str:
    """Return how headers are stored, of what a transport has made and nobody has checked the types of.

    Raises:
        ConfigError: It is no request, or one that no store can hold.
    """
    request: object = made
    if not isinstance(request, SealedRequest):
        raise ConfigError(f"its transport made a {type(request).__name__} of it, which is no SealedRequest")
    if not (_storable(made.method) and _storable(made.url) and isinstance(made.body, bytes | None)):
        raise ConfigError("its transport made a request of it whose method, url or body cannot be stored")
    return json.dumps(made.headers) if made.headers else "[]"


def _storable(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value and (value.isascii() or text(value) == value)


def _insert(db: Tables, seals: Sequence[Sequence[Any]]) -> None:
    begin = 0
    for count in chunks(len(seals)):
        db.execute(_statement(count), list(chain.from_iterable(seals[begin : begin + count])))
        begin += count


@cache
def _statement(rows: int) -> str:
    row = "(?,1,?,NULL,0,?,'',?,?,?,?,?,0)"
    return (
        "INSERT INTO $seal"
        " (seq, attempts, fence, due, delay, first_sent, reason, method, url, headers, body_hash, body, doubt)"
        f" VALUES {','.join([row] * rows)}"
    )


def _upcast(db: Tables, identity: Identity, op: Op, upcast: Callable[[Op], Op]) -> Op:
    """Bring an op into the newest shape; other bytes go under another key, for the old ones may be known under it."""
    now = upcast(op)
    if now is op:
        return op
    bodies = db.ways.bodies
    changed = (now.body, now.base) != (op.body, op.base)
    generation = identity.next_generation(op.seq, op.generation) if changed else op.generation
    row = db.execute(
        f"UPDATE $op SET generation = ?, schema_v = ?, body = ?, base = ? WHERE seq = ? RETURNING {OP}",
        (generation, now.schema, bodies.pack(now.body), bodies.pack(now.base), op.seq),
    ).fetchone()
    return read_op(row, identity, bodies)


def _frozen(bodies: Bodies, op: Op, request: SealedRequest) -> tuple[bytes, bytes | None]:
    """Return what is kept of the bytes that are sent; a hash of what a codec hides would give it away."""
    if bodies.name is not None:
        return b"", bodies.pack(request.body)
    return _digest(request.body), None if request.body == op.body else request.body


def _digest(body: bytes | None) -> bytes:
    return b"" if body is None else hashlib.sha256(body).digest()
