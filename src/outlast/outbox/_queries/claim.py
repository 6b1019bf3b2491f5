"""Claim ops for an attempt each; the first claim seals an op."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from outlast.engines.delivery import Course, History, course
from outlast.engines.op import DeliveryPolicy, Die, OpState
from outlast.errors import ConfigError
from outlast.outbox._queries.rows import OP, read_op
from outlast.outbox._queries.settle import check_fence, park
from outlast.outbox._queries.tables import Tables
from outlast.outbox._records import Claimed, Op, Passed, SealedRequest, Unsendable, Withdrawn

Sealer = Callable[[Op], SealedRequest]
Claim = Claimed | Unsendable | Passed | Withdrawn
Admit = Callable[[Op], Literal["", "no transport", "closed"]]


def _everything() -> Admit:
    return lambda _: ""


@dataclass(frozen=True, slots=True)
class Terms:
    """Say on which terms ops are claimed.

    Args:
        seal: Turns an op into its request.
        policy: The budgets.
        admission: Makes, for one run of the transaction, what says whether an op may be sent now.
        suspects: Ops that a dead process had on the wire; they are charged for it.
        max_bytes: Bytes of bodies and bases after which no further op is claimed at once, so that many large ones are
            never in memory together.
    """

    seal: Sealer
    policy: DeliveryPolicy = field(default_factory=DeliveryPolicy)
    admission: Callable[[], Admit] = _everything
    suspects: Collection[int] = ()
    max_bytes: int = 16 << 20


def claim(db: Tables, store: str, fence: int, seqs: Sequence[int], *, terms: Terms, wall: float) -> list[Claim]:
    """Seal ops that were never sent, count an attempt for each, and return them with their requests.

    The last ones are left out when those in front of them are large.
    """
    check_fence(db, fence)
    admit = terms.admission()
    claims: list[Claim] = []
    room = terms.max_bytes
    for seq in seqs:
        if room <= 0:
            break
        claims.append(_claim_one(db, store, fence, seq, terms=terms, admit=admit, wall=wall))
        room -= _size(claims[-1])
    return claims


def _size(claimed: Claim) -> int:
    if not isinstance(claimed, Claimed):
        return 0
    bodies = claimed.request.body, claimed.op.base
    return sum(len(body) for body in bodies if body is not None)


_SEAL = "attempts, method, url, headers, body_hash, body, first_sent, due, unreported, refused, accepted, doubt"


def _claim_one(db: Tables, store: str, fence: int, seq: int, *, terms: Terms, admit: Admit, wall: float) -> Claim:
    # Locked, so that nobody folds another write into it while it is sealed.
    row = db.execute(f"SELECT {OP} FROM $op WHERE seq = ?{db.ways.update}", (seq,)).fetchone()
    if row is None:
        return Withdrawn(seq=seq)
    op = read_op(row, store)
    why = admit(op)
    if why:
        return Passed(op=op, why=why)
    sealed = db.execute(f"SELECT {_SEAL} FROM $seal WHERE seq = ?", (seq,)).fetchone()
    history, status_url = _history(op, sealed, suspect=seq in terms.suspects)
    way = course(terms.policy, history, wall)
    if isinstance(way, Die):
        attempts = 0 if sealed is None else sealed[0]
        park(db, seq, OpState.DEAD, way.reason, attempts=attempts, wall=wall)
        return Unsendable(op=op, reason=way.reason)
    if sealed is None:
        return _seal(db, fence, op, terms.seal, wall)
    db.execute(
        "UPDATE $seal SET attempts = attempts + 1, fence = ?, due = NULL, unreported = ?, doubt = ? WHERE seq = ?",
        (fence, history.unreported, int(history.doubt), seq),
    )
    return _again(op, sealed, history, way, status_url)


def _history(op: Op, sealed: Sequence[Any] | None, *, suspect: bool) -> tuple[History, str | None]:
    if sealed is None:
        return History(expires=op.expires_at), None
    first_sent, due, unreported, refused, accepted, doubt = sealed[6:]
    silent = due is None  # its last claim was never reported on
    known: dict[str, Any] = {} if accepted is None else json.loads(accepted)
    history = History(
        sent=True, doubt=bool(doubt) or silent, first_sent=first_sent, accepted=known.get("since"),
        unreported=unreported + (silent and suspect), refused=refused, expires=op.expires_at,
    )  # fmt: skip
    return history, known.get("url")


def _again(op: Op, sealed: Sequence[Any], history: History, way: Course, status_url: str | None) -> Claimed:
    attempts, method, url, headers, digest, body = sealed[:6]
    pairs = tuple((str(name), str(value)) for name, value in json.loads(headers))
    if body is None and digest == _digest(op.body):
        body = op.body  # kept only once, unless the transport sends other bytes than the op has
    request = SealedRequest(method=method, url=url, headers=pairs, body=body)
    return Claimed(op=op, request=request, attempt=attempts + 1, history=history, course=way, status_url=status_url)


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
        " (seq, attempts, fence, due, delay, first_sent, reason, method, url, headers, body_hash, body, doubt)"
        " VALUES (?, 1, ?, NULL, 0, ?, '', ?, ?, ?, ?, ?, 0)",
        (
            op.seq, fence, wall, request.method, request.url, json.dumps(request.headers), _digest(request.body),
            own_body,
        ),
    )  # fmt: skip
    return Claimed(op=op, request=request, attempt=1, history=History(first_sent=wall, expires=op.expires_at))


def _digest(body: bytes | None) -> bytes:
    return b"" if body is None else hashlib.sha256(body).digest()
