"""What the receiver does in a database, as statements to run and rows to hand back: it never touches a connection.

So the same lines serve threads and tasks, and every driver.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from outlast.errors import InDoubtError, NewerFormatError
from outlast.http._receiver_records import (
    Claim,
    Fence,
    Fenced,
    InProgress,
    New,
    Replay,
    Reused,
    StoredResponse,
)
from outlast.http._receiver_sql import VERSION, Dialect

T = TypeVar("T")
Statement = tuple[str, tuple[Any, ...]]
Rows = list[tuple[Any, ...]]
Steps = Generator[Statement, Rows, T]
"""Statements in order; each is answered with its rows, and at the end there is a result."""

_PRUNE_WITH_EACH = 2
"""Expired rows that a new key removes: more than one, so that the table shrinks to what is alive by itself."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Hold what is asked about a request.

    Args:
        scope: Whose keys these are.
        key: The key.
        fingerprint: What must be equal when the key comes again.
        fence: The sender's fence, or None.
        retention: Seconds that the answer is kept.
    """

    scope: str
    key: str
    fingerprint: str
    fence: Fence | None
    retention: float


def creating(sql: Dialect) -> Steps[None]:
    """Create the tables, or bring older ones up to date; nothing happens when they are.

    Raises:
        NewerFormatError: A newer version of outlast made them.
    """
    if sql.lock_tables is not None:
        yield sql.lock_tables, ()
    yield sql.marker, ()
    rows = yield sql.version, ()
    version = rows[0][0] if rows else 0
    if version > VERSION:
        raise NewerFormatError(
            f"the receiver's tables have layout {version}, and this version of outlast knows up to {VERSION}; "
            "upgrade outlast. Nothing was touched"
        )
    for step in (statement for migration in sql.migrations[version:] for statement in migration):
        yield step, ()
    if version != VERSION:
        yield sql.mark, (VERSION,)


def claiming(sql: Dialect, ask: Ask) -> Steps[Claim]:
    """Find out what a request is, and claim its key if it is new.

    Raises:
        InDoubtError: The key was claimed and committed without an answer.
    """
    if sql.lock_key is not None:
        rows = yield sql.lock_key, (_number(ask),)
        if not rows[0][0]:
            return InProgress()
    # On SQLite this is also what waits for the transaction before ours, so that all below sees what it left.
    yield sql.prune, (_PRUNE_WITH_EACH,)
    if ask.fence is not None:
        newest = yield from _fencing(sql, ask.scope, ask.fence)
        if newest > ask.fence.number:
            return Fenced(newest)
    if (yield sql.claim, (ask.scope, ask.key, ask.fingerprint, ask.retention)):
        return New(ask.scope, ask.key)
    rows = yield sql.find, (ask.scope, ask.key)
    return _found(ask, rows[0])


def _fencing(sql: Dialect, scope: str, fence: Fence) -> Steps[int]:
    """Return the highest fence of a sender; it stays so until the end of the transaction."""
    sender = (scope, fence.sender)
    rows = yield sql.fence_seen, sender
    if not rows or rows[0][0] < fence.number:
        yield sql.fence_raise, (*sender, fence.number)
    rows = yield sql.fence_hold, sender
    return int(rows[0][0])


def _found(ask: Ask, row: tuple[Any, ...]) -> Claim:
    fingerprint, status, headers, body = row
    if fingerprint != ask.fingerprint:
        return Reused()
    if status is None:
        raise InDoubtError(
            f"the key {ask.key!r} was claimed, and committed without an answer; store the answer before you commit"
        )
    return Replay(StoredResponse(status, tuple((name, value) for name, value in json.loads(headers)), bytes(body)))


def storing(sql: Dialect, claim: New, response: StoredResponse) -> Steps[None]:
    """Keep the answer to a claimed key.

    Raises:
        InDoubtError: The claim is gone: the transaction was rolled back, or it has an answer already.
    """
    values = (response.status, json.dumps(response.headers), response.body)
    if not (yield sql.store, (*values, claim.scope, claim.key)):
        raise InDoubtError(
            f"the claim of the key {claim.key!r} is not open; claim and store once each, in one transaction"
        )


def pruning(sql: Dialect, most: int) -> Steps[int]:
    """Delete up to so many expired answers, and return how many there were."""
    rows = yield sql.prune, (most,)
    return len(rows)


def opening(sql: Dialect, ask: Ask | None, *, begin: bool, max_wait: float) -> Steps[Claim | None]:
    """Open a transaction that may write, and claim the key in it, if the request has one.

    Args:
        sql: The database.
        ask: What is asked, or None for a request without a key.
        begin: Whether the driver leaves BEGIN to us.
        max_wait: Seconds to wait for the right to write.
    """
    if sql.wait is not None:
        yield f"{sql.wait} = {int(max_wait * 1000)}", ()
    if begin:
        yield sql.begin, ()
    if ask is not None:
        return (yield from claiming(sql, ask))
    if not begin:
        # A driver begins with the first statement, and an application that needs none has ended no transaction.
        yield "SELECT 1", ()
    return None


def committing(sql: Dialect, claim: New | None, response: StoredResponse) -> Steps[None]:
    """Keep the answer, if the request has a key, and commit it with the work."""
    if claim is not None:
        yield from storing(sql, claim, response)
    else:
        # A transaction that has failed fails here too; its COMMIT would only say that it rolled back.
        yield "SELECT 1", ()
    yield "COMMIT", ()


def rolling_back() -> Steps[None]:
    """Undo everything."""
    yield "ROLLBACK", ()


def in_own_transaction(sql: Dialect, steps: Steps[T], *, begin: bool) -> Steps[T]:
    """Run steps between BEGIN, unless the driver says that by itself, and COMMIT; if they fail, roll back."""
    if begin:
        yield sql.begin, ()
    try:
        result = yield from steps
        yield "COMMIT", ()
    except BaseException:
        yield "ROLLBACK", ()
        raise
    return result


def _number(ask: Ask) -> int:
    """Return the 64-bit number that stands for a key; two keys that share one only wait for each other."""
    named = json.dumps([ask.scope, ask.key]).encode()
    return int.from_bytes(hashlib.sha256(named).digest()[:8], signed=True)
