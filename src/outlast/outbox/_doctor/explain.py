"""Say why a write is not on its way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from outlast.engines.lease import LeaseRow
from outlast.engines.op import OpState
from outlast.outbox._inspection import Inspection, OpSheet
from outlast.outbox._records import Op

_LEASE: Final = "SELECT holder, fence, boot, beat, ttl, locked FROM $lease WHERE role = 'deliver'"
_CHAIN: Final = 20
"""How many writes that wait for each other are named."""


@dataclass(frozen=True, slots=True)
class Why:
    """Give one reason why a write is not on its way.

    Args:
        code: The reason as a word.
        text: The reason in words.
        remedy: What to do about it, empty when time does it.
        seq: The place of the write that it is about.
    """

    code: str
    text: str
    remedy: str
    seq: int


_SAID: Final = {
    OpState.DELIVERED: "it is delivered",
    OpState.MERGED: "write {0.into} has taken it up",
    OpState.ANNIHILATED: "a later write undid it before it was sent",
    OpState.SENT: "it is on the wire, or was when its process died",
    OpState.ACCEPTED: "the server has it and works on it",
}


def explain(seen: Inspection, seq: int) -> list[Why]:
    """Say why a write is not on its way, the nearest cause first.

    Args:
        seen: The outbox.
        seq: Its place.

    Raises:
        LookupError: Nothing lies at that place.
    """
    sheet = seen.show(seq)
    found = list(_own(seen, sheet))
    if sheet.op is not None and sheet.parked is None:
        found += _in_front(seen, sheet.op, {seq})
        found += _paused(seen, sheet)
        found += nobody(seen)
    return found or [Why("ready", "nothing is in its way; it is the next of its lane", "", seq)]


def _own(seen: Inspection, sheet: OpSheet) -> Iterator[Why]:
    """Yield what lies in the write itself."""
    status, seq, wall = sheet.status, sheet.status.seq, seen.clock.wall()
    if status.state in _SAID:
        yield Why(status.state.value, _SAID[status.state].format(status), "", seq)
    elif sheet.parked is not None:
        remedy = f"outlast outbox replay OUTBOX {seq}, with --body to send something else, or discard OUTBOX {seq}"
        yield Why(status.state.value, f"it waits for a decision: {status.reason}", remedy, seq)
    else:
        yield from _waiting(sheet, wall)
    op = sheet.op
    if op is not None and sheet.parked is None and op.expires_at is not None and op.expires_at <= wall:
        yield Why("expired", f"it expired {wall - op.expires_at:.0f} s ago; its turn ends it", "", seq)


def _waiting(sheet: OpSheet, wall: float) -> Iterator[Why]:
    sealed = sheet.sealed
    if sealed is not None and sealed.due is not None and sealed.due > wall:
        said = f"attempt {sealed.attempts} met with: {sealed.reason}; the next is due in {sealed.due - wall:.0f} s"
        yield Why("due", said, "", sheet.status.seq)


def _in_front(seen: Inspection, op: Op, named: set[int]) -> Iterator[Why]:
    """Yield what must go first: parked writes of its lane, the head of its lane, and what it comes after.

    Args:
        seen: The outbox.
        op: The write.
        named: The writes that are explained already, for one may be in the way in more than one way.
    """
    held = seen.db.execute("SELECT min(seq) FROM $parked WHERE lane = ?", (op.lane,)).get
    if held is not None:
        remedy = f"outlast outbox replay OUTBOX {held}, or discard OUTBOX {held}"
        said = f"its lane is held until somebody decides about write {held}"
        yield Why("lane held", said, remedy, op.seq)
    before = seen.db.execute(
        "SELECT max(seq) FROM $op WHERE lane = ? AND seq < ? AND NOT passable", (op.lane, op.seq)
    ).get
    for place, code, text in (
        (before, "lane", "it goes after write {} of its lane"),
        (op.after, "after", "it comes after write {}"),
    ):
        if place is not None and seen.db.execute(_UNDELIVERED, (place, place)).get:
            yield Why(code, f"{text.format(place)}, which is not delivered", "", op.seq)
            if place not in named and len(named) <= _CHAIN:
                named.add(place)
                yield from _further(seen, place, named)


_UNDELIVERED: Final = "SELECT seq FROM $op WHERE seq = ? UNION ALL SELECT seq FROM $parked WHERE seq = ?"


def _further(seen: Inspection, seq: int, named: set[int]) -> Iterator[Why]:
    sheet = seen.show(seq)
    yield from _own(seen, sheet)
    if sheet.op is not None and sheet.parked is None:
        yield from _in_front(seen, sheet.op, named)


def _paused(seen: Inspection, sheet: OpSheet) -> Iterator[Why]:
    where = sheet.sealed.request.url if sheet.sealed is not None else sheet.op.target if sheet.op is not None else None
    for origin, pause in seen.pauses().items():
        left = pause.left(seen.clock.wall())
        if left and (where is None or "://" not in where or where.startswith(origin)):
            said = f"{origin} asked not to be called for another {left:.0f} s: {pause.reason}"
            yield Why("paused", said, "", sheet.status.seq)


def nobody(seen: Inspection) -> Iterator[Why]:
    """Yield why nothing at all is delivered: nobody does it."""
    remedy = "start a process that runs a Runner over this outbox"
    row: Any = seen.db.execute(_LEASE).fetchone()
    if row is None:
        yield Why("nobody", "no process has ever delivered from this outbox", remedy, 0)
        return
    lease = LeaseRow(*row)
    now, boot = seen.db.ways.lease_clock(seen.db, seen.clock.now())
    if not lease.holder:
        yield Why("nobody", "no process delivers from this outbox now", remedy, 0)
    elif lease.boot_id != boot:
        yield Why("nobody", "the process that delivered from this outbox ended when its machine did", remedy, 0)
    elif (silent := now - lease.beat) > lease.ttl / 2:  # who lives beats at least three times in `ttl`
        said = f"the process that delivers from this outbox has not been heard of for {silent:.0f} s"
        yield Why("nobody", f"{said}; it has died or stands still", remedy, 0)
