"""Claim ops for an attempt each; the first claim seals an op."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence

from outlast.engines.op import OpState
from outlast.errors import ConfigError
from outlast.outbox._queries.rows import OP, read_op
from outlast.outbox._queries.settle import check_fence, park
from outlast.outbox._queries.tables import Tables
from outlast.outbox._records import Claimed, Op, SealedRequest, Unsendable, Withdrawn

Sealer = Callable[[Op], SealedRequest]
Claim = Claimed | Unsendable | Withdrawn


def claim(db: Tables, store: str, fence: int, seqs: Sequence[int], *, seal: Sealer, wall: float) -> list[Claim]:
    """Seal ops that were never sent, count an attempt for each, and return them with their requests."""
    check_fence(db, fence)
    return [_claim_one(db, store, fence, seq, seal=seal, wall=wall) for seq in seqs]


def _claim_one(db: Tables, store: str, fence: int, seq: int, *, seal: Sealer, wall: float) -> Claim:
    # Locked, so that nobody folds another write into it while it is sealed.
    row = db.execute(f"SELECT {OP} FROM $op WHERE seq = ?{db.ways.update}", (seq,)).fetchone()
    if row is None:
        return Withdrawn(seq=seq)
    op = read_op(row, store)
    sealed = db.execute(
        "SELECT attempts, method, url, headers, body_hash, body FROM $seal WHERE seq = ?", (seq,)
    ).fetchone()
    if sealed is None:
        return _seal(db, fence, op, seal, wall)
    attempts, method, url, headers, digest, body = sealed
    db.execute("UPDATE $seal SET attempts = attempts + 1, fence = ?, due = NULL WHERE seq = ?", (fence, seq))
    pairs = tuple((str(name), str(value)) for name, value in json.loads(headers))
    if body is None and digest == _digest(op.body):
        body = op.body  # kept only once, unless the transport sends other bytes than the op has
    request = SealedRequest(method=method, url=url, headers=pairs, body=body)
    return Claimed(op=op, request=request, attempt=attempts + 1)


def _seal(db: Tables, fence: int, op: Op, seal: Sealer, wall: float) -> Claim:
    try:
        request = seal(op)
    except Exception as error:
        reason = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
        park(db, op.seq, OpState.DEAD, reason, attempts=0, wall=wall)
        return Unsendable(op=op, reason=reason)
    own_body = None if request.body == op.body else request.body
    db.execute(
        "INSERT INTO $seal"
        " (seq, attempts, fence, due, delay, first_sent, reason, method, url, headers, body_hash, body)"
        " VALUES (?, 1, ?, NULL, 0, ?, '', ?, ?, ?, ?, ?)",
        (
            op.seq, fence, wall, request.method, request.url, json.dumps(request.headers), _digest(request.body),
            own_body,
        ),
    )  # fmt: skip
    return Claimed(op=op, request=request, attempt=1)


def _digest(body: bytes | None) -> bytes:
    return b"" if body is None else hashlib.sha256(body).digest()
