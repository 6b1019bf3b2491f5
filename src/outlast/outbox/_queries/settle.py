"""Record what became of an attempt, if this process still holds the lease."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

from outlast.engines.op import AskCredentials, Await, Compare, Conflict, Deliver, Die, OpState, Postpone, Renew, Step
from outlast.engines.origin_pause import OriginPause, pause
from outlast.errors import ConfigError, LeaseLostError
from outlast.outbox._queries import shadows
from outlast.outbox._queries.identity import identity
from outlast.outbox._queries.rows import OP, chunks, listed
from outlast.outbox._queries.tables import Tables
from outlast.outbox._records import Claimed


class Report(NamedTuple):
    """Say what became of one attempt, and what is known besides.

    Args:
        step: What became of it.
        followers: The next ops of the lane, as far as the caller knows them.
        known_to: The last place that the caller has seen, behind which more may lie; None when it knows of more
            followers than it names.
        doubt: Whether the op may have taken effect, when it goes on.
        refused: Whether a refusal was forgiven.
        origin: Who asked for a rest, if the step pauses an origin.
    """

    step: Step
    followers: Sequence[int] = ()
    known_to: int | None = None
    doubt: bool = True
    refused: bool = False
    origin: str = ""


def check_fence(db: Tables, fence: int) -> None:
    """Refuse to write on behalf of a process that no longer holds the lease."""
    current = db.execute(f"SELECT fence FROM $lease WHERE role = 'deliver'{db.ways.share}").get
    if current != fence:
        raise LeaseLostError(
            f"another process delivers now (its fence is {current}, ours was {fence})", operation="outbox"
        )


class Settlement(NamedTuple):
    """Say what became of attempts that are to be recorded together, and on whose behalf.

    Args:
        fence: Of the term in which they were claimed.
        found: The attempts, each with what became of it.
        wall: Unix seconds.
    """

    fence: int
    found: Sequence[tuple[Claimed, Report]]
    wall: float


def settle(db: Tables, settlements: Sequence[Settlement]) -> None:
    """Record what became of attempts, if this process still owns all of them."""
    for fence in {one.fence for one in settlements}:
        check_fence(db, fence)
    _check_owned(db, settlements)
    delivered = [(one.wall, [pair for pair in one.found if isinstance(pair[1].step, Deliver)]) for one in settlements]
    _receive(db, delivered)
    lasting = [(one.wall, pair) for one in settlements for pair in one.found if not leaves_nothing(*pair)]
    remembers = any(found for _, found in delivered) and shadows.concerned(db, [pair[1].step for _, pair in lasting])
    if remembers:
        lasting = [(one.wall, pair) for one in settlements for pair in one.found]
    for wall, (claimed, report) in lasting:
        _record(db, claimed, report, wall, remembers=remembers)


def leaves_nothing(claimed: Claimed, report: Report) -> bool:
    """Tell whether what became of an attempt leaves nothing behind but its receipt, and means nothing to others."""
    return isinstance(report.step, Deliver) and shadows.ends_alone(claimed.op, report.step)


def _check_owned(db: Tables, settlements: Sequence[Settlement]) -> None:
    attempts: dict[tuple[int, int], list[int]] = {}
    for fence, found, _ in settlements:
        for claimed, _ in found:
            attempts.setdefault((fence, claimed.attempt), []).append(claimed.op.seq)
    query = "SELECT count(*) FROM $seal WHERE seq IN {} AND fence = ? AND attempts = ?"
    for owner, seqs in attempts.items():
        if len(seqs) != sum(db.execute(query.format(marks), [*some, *owner]).get for marks, some in listed(seqs)):
            which = f"op {seqs[0]} is" if len(seqs) == 1 else f"one of the ops {min(seqs)} to {max(seqs)} is"
            raise LeaseLostError(f"{which} no longer this process's to settle", operation="outbox")


def _record(db: Tables, claimed: Claimed, report: Report, wall: float, *, remembers: bool) -> None:
    op = claimed.op
    match report.step:
        case Deliver() | Renew() as step:
            _change(db, claimed, report, step, wall if remembers else None)
        case Postpone() | AskCredentials() | Await() as step:
            _keep(db, claimed, step, report, wall)
        case Conflict(reason=reason) as step:
            park(db, op.seq, OpState.CONFLICT, reason, attempts=claimed.attempt, wall=wall)
            _show(db, op.seq, step)
        case Die(reason=reason):
            park(db, op.seq, OpState.DEAD, reason, attempts=claimed.attempt, wall=wall)
        case Compare():
            raise ConfigError("an op that is to be compared is not settled yet", operation="outbox")


def _change(db: Tables, claimed: Claimed, report: Report, step: Deliver | Renew, wall: float | None) -> None:
    """Let an op that is done, or goes again as something else, have its effect on the next write of its entity.

    Args:
        db: The connection.
        claimed: The op.
        report: What became of it.
        step: The same.
        wall: Unix seconds, None when nothing need be remembered of it.
    """
    match step:
        case Deliver():
            if wall is not None:
                shadows.remember(db, claimed.op, step, wall)
            shadows.hand_on(db, claimed.op, step, followers=report.followers, known_to=report.known_to)
        case Renew():
            _renew(db, claimed, step)
            shadows.rebase(db, claimed.op, followers=report.followers, known_to=report.known_to)


def _keep(db: Tables, claimed: Claimed, step: Postpone | AskCredentials | Await, report: Report, wall: float) -> None:
    """Let an op wait as it is."""
    match step:
        case Postpone(wait=wait, reason=reason, pause_origin=paused):
            _postpone(db, claimed, wait, reason, report=report, wall=wall)
            if paused:
                _pause(db, report.origin, wait, reason, wall)
        case AskCredentials(reason=reason):
            _postpone(db, claimed, 0.0, reason, report=report, wall=wall)
        case Await(url=url, wait=wait, pause_origin=paused):
            _await(db, claimed, url, wall)
            _postpone(db, claimed, wait, "the server has accepted it", report=report, wall=wall)
            if paused:
                _pause(db, report.origin, wait, "asked about what it has accepted, it wants a rest", wall)


def _show(db: Tables, seq: int, step: Conflict) -> None:
    """Add to a conflict what is known of both sides."""
    if step.base is not None or step.theirs is not None:
        bodies = db.ways.bodies
        db.execute(
            "UPDATE $parked SET base = coalesce(?, base), theirs = ? WHERE seq = ?",
            (bodies.pack(step.base), bodies.pack(step.theirs), seq),
        )


def _receive(db: Tables, delivered: Sequence[tuple[float, Sequence[tuple[Claimed, Report]]]]) -> None:
    """Write the receipts of what was delivered when, and take it out of the queue."""
    rows = [_receipt(claimed, report.step, wall) for wall, found in delivered for claimed, report in found]
    begin = 0
    for count in chunks(len(rows)):
        db.execute(_receipts(count), list(chain.from_iterable(rows[begin : begin + count])))
        begin += count
    _remove(db, [row[0] for row in rows])


@cache
def _receipts(rows: int) -> str:
    return (
        "INSERT INTO $receipt (seq, generation, attempts, etag, kind, entity, done, outcome)"
        f" VALUES {','.join(['(?,?,?,?,?,?,?,?)'] * rows)}"
    )


def _receipt(claimed: Claimed, step: Step, wall: float) -> tuple[Any, ...]:
    assert isinstance(step, Deliver)  # noqa: S101 - chosen by that
    op, outcome = claimed.op, step.outcome
    outcome = outcome if outcome == "delivered" else f"delivered:{outcome}"
    return (op.seq, op.generation, claimed.attempt, step.etag, op.kind, op.entity, wall, outcome)


def _renew(db: Tables, claimed: Claimed, step: Renew) -> None:
    """Let an op go again with other content, as if it had never been sent, but under a new key."""
    op, bodies = claimed.op, db.ways.bodies
    generation = identity(db).next_generation(op.seq, op.generation)
    media = op.content_type if step.verb is op.verb else "application/json"
    db.execute(
        "UPDATE $op SET generation = ?, rounds = rounds + 1, verb = ?, body = ?, if_match = ?, base = ?,"
        " content_type = ? WHERE seq = ?",
        (generation, step.verb.value, bodies.pack(step.body), step.if_match, bodies.pack(step.base), media, op.seq),
    )
    db.execute("DELETE FROM $seal WHERE seq = ?", (op.seq,))


def _await(db: Tables, claimed: Claimed, url: str | None, wall: float) -> None:
    since = claimed.history.accepted
    known = {"url": claimed.status_url if url is None else url, "since": wall if since is None else since}
    db.execute("UPDATE $seal SET accepted = ? WHERE seq = ?", (json.dumps(known), claimed.op.seq))


def _remove(db: Tables, seqs: Sequence[int]) -> None:
    for marks, places in listed(seqs):
        db.execute(f"DELETE FROM $op WHERE seq IN {marks}", places)
        db.execute(f"DELETE FROM $seal WHERE seq IN {marks}", places)


def _postpone(db: Tables, claimed: Claimed, wait: float, reason: str, *, report: Report, wall: float) -> None:
    # Whoever reports on it did not die of it.
    db.execute(
        "UPDATE $seal SET due = ?, delay = ?, reason = ?, doubt = ?, refused = refused + ?, unreported = 0"
        " WHERE seq = ?",
        (wall + wait, wait, text(reason), int(report.doubt), int(report.refused), claimed.op.seq),
    )


def _pause(db: Tables, origin: str, wait: float, reason: str, wall: float) -> None:
    row = db.execute("SELECT until, delay, reason FROM $origin WHERE name = ?", (origin,)).fetchone()
    known = None if row is None else OriginPause(*row)
    now = pause(known, wait, wall=wall, longest=wait, reason=text(reason))
    db.execute(
        "INSERT INTO $origin (name, until, delay, reason) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
        " until = excluded.until, delay = excluded.delay, reason = excluded.reason",
        (origin, now.until, now.length, now.reason),
    )


def pauses(db: Tables) -> Mapping[str, OriginPause]:
    """Return the pauses that origins have asked for, those that are over too."""
    return {row[0]: OriginPause(*row[1:]) for row in db.execute("SELECT name, until, delay, reason FROM $origin")}


def park(db: Tables, seq: int, state: OpState, reason: str, *, attempts: int, wall: float) -> None:
    """Move an op to where somebody decides about it."""
    db.execute(
        f"INSERT INTO $parked (state, reason, parked, attempts, {OP}) SELECT ?, ?, ?, ?, {OP} FROM $op WHERE seq = ?",
        (state.value, text(reason), wall, attempts, seq),
    )
    _remove(db, [seq])


def text(reason: str) -> str:
    """Return what a server said as every store can hold it."""
    return reason.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
