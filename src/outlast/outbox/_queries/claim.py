"""Claim ops for an attempt each; the first claim seals an op."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from outlast.engines.delivery import Course, History, course
from outlast.engines.op import DeliveryPolicy, Die, OpState
from outlast.errors import ConfigError
from outlast.outbox._identity import Identity
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
    """

    seal: Sealer
    policy: DeliveryPolicy = field(default_factory=DeliveryPolicy)
    admission: Callable[[], Admit] = _everything
    suspects: Collection[int] = ()


def claim(db: Tables, identity: Identity, fence: int, seqs: Sequence[int], *, terms: Terms, wall: float) -> list[Claim]:
    """Seal ops that were never sent, count an attempt for each, and return them with their requests."""
    check_fence(db, fence)
    admit = terms.admission()
    return [_claim_one(db, identity, fence, seq, terms=terms, admit=admit, wall=wall) for seq in seqs]


_DAMAGED: Final = b"\0damaged"
_SEAL = "attempts, method, url, headers, body_hash, body, first_sent, due, unreported, refused, accepted, doubt"


def _claim_one(
    db: Tables, identity: Identity, fence: int, seq: int, *, terms: Terms, admit: Admit, wall: float
) -> Claim:
    # Locked, so that nobody folds another write into it while it is sealed.
    row = db.execute(f"SELECT {OP} FROM $op WHERE seq = ?{db.ways.update}", (seq,)).fetchone()
    if row is None:
        return Withdrawn(seq=seq)
    op = read_op(row, identity)
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
    if _sealed_body(op, sealed) is _DAMAGED:
        # Other bytes under the same key would be another request; that is never sent.
        reason = "the bytes that were sealed are damaged; it may have taken effect. See: outlast outbox doctor"
        park(db, seq, OpState.DEAD, reason, attempts=sealed[0], wall=wall)
        return Unsendable(op=op, reason=reason)
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
    attempts, method, url, headers = sealed[:4]
    pairs = tuple((str(name), str(value)) for name, value in json.loads(headers))
    request = SealedRequest(method=method, url=url, headers=pairs, body=_sealed_body(op, sealed))
    return Claimed(op=op, request=request, attempt=attempts + 1, history=history, course=way, status_url=status_url)


def _sealed_body(op: Op, sealed: Sequence[Any]) -> bytes | None:
    """Return the bytes that were frozen, `_DAMAGED` if they are not there any more."""
    digest, own = sealed[4:6]
    # Kept only once, unless the transport sends other bytes than the op has.
    body = op.body if own is None and digest else own
    return body if _digest(body) == digest else _DAMAGED


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
