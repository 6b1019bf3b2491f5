"""What came of a push: counts, reasons, the guarantee that holds, and how to go on."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from outlast.cli._exit import ExitCode
from outlast.cli._visible import json_text, visible
from outlast.outbox import Counts, OpState, OpStatus, Outbox

_LOOKED_AT = 10_000
_REASONS = 5
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Reason:
    """Say why some records are not delivered.

    Args:
        state: Where they are: `conflict`, `dead` or `waiting`.
        reason: What the server or the network said.
        count: How many.
        examples: The ids of some of them.
    """

    state: str
    reason: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Hold what came of a push.

    Args:
        code: How it ended.
        message: Why it ended early, or empty.
        counts: The writes of the outbox by what became of them.
        queued: How many this run has added.
        known: How many of the input were in the outbox already.
        superseded: How many conflicting or dead ones gave way to a newer version of their record.
        delivered_now: How many this run has delivered.
        requests: How many requests this run has sent.
        seconds: How long it took.
        reasons: Why some are not delivered, the most frequent first.
        guarantee: What holds for each record.
        origin: The server.
        outbox: The outbox file.
    """

    code: ExitCode
    message: str
    counts: Counts
    queued: int
    known: int
    superseded: int
    delivered_now: int
    requests: int
    seconds: float
    reasons: tuple[Reason, ...]
    guarantee: str
    origin: str
    outbox: str

    def as_json(self) -> str:
        """Return it as one line of JSON."""
        counts = self.counts
        value: dict[str, Any] = {
            "exit_code": int(self.code),
            "exit": self.code.word,
            "message": self.message,
            "delivered": counts.delivered,
            "waiting": counts.open,
            "conflicting": counts.conflict,
            "dead": counts.dead,
            "this_run": {
                "queued": self.queued,
                "already_queued": self.known,
                "superseded": self.superseded,
                "delivered": self.delivered_now,
                "requests": self.requests,
                "seconds": round(self.seconds, 3),
            },
            "reasons": [asdict(reason) for reason in self.reasons],
            "guarantee": self.guarantee,
            "origin": self.origin,
            "outbox": self.outbox,
        }
        return json_text(value)

    def as_text(self) -> str:
        """Return it for people, on one screen."""
        counts = self.counts
        lines = [
            *([self.message, ""] if self.message else []),
            f"delivered    {counts.delivered:>9,}   ({self.delivered_now:,} of them in this run, {self.seconds:.1f} s)",
            f"waiting      {counts.open:>9,}",
            f"conflicting  {counts.conflict:>9,}",
            f"dead         {counts.dead:>9,}",
            *self._notes(),
            *([""] if self.reasons else []),
            *(line for reason in self.reasons for line in _lines_of(reason)),
            "",
            f"Guarantee: {self.guarantee}.",
            f"Outbox: {self.outbox}",
            *self._advice(),
        ]
        return "\n".join(lines)

    def _notes(self) -> list[str]:
        notes: list[str] = []
        if self.known:
            notes.append(f"{self.known:,} of the records were queued by an earlier run and not queued again.")
        if self.superseded:
            notes.append(f"{self.superseded:,} undeliverable ones gave way to a newer version of their record.")
        return notes

    def _advice(self) -> list[str]:
        advice: list[str] = []
        if self.counts.open:
            advice.append("Run the same command again to go on with those that wait; nothing delivered is sent again.")
        if self.counts.conflict:
            advice.append("Conflicting: the server holds something else and was left as it is.")
        if self.counts.conflict or self.counts.dead:
            advice.append(
                "When the cause is removed, add --replay to send the conflicting and dead ones again,"
                " or correct the records and run the same command."
            )
        return advice


def _lines_of(reason: Reason) -> list[str]:
    some = ", ".join(reason.examples)
    more = ", ..." if reason.count > len(reason.examples) else ""
    return [
        f"{reason.count:,} {reason.state}: {visible(reason.reason) or 'no answer recorded'}",
        f"    {visible(some)}{more}",
    ]


async def find_reasons(box: Outbox) -> tuple[Reason, ...]:
    """Group what an outbox says of the writes that are not delivered; of very many it looks at the first ones.

    Args:
        box: The outbox.
    """
    states = (OpState.CONFLICT, OpState.DEAD, OpState.WAITING)
    found = await asyncio.gather(*(box.list(state, limit=_LOOKED_AT) for state in states))
    return group_reasons([status for statuses in found for status in statuses])


def group_reasons(statuses: Sequence[OpStatus]) -> tuple[Reason, ...]:
    """Return the most frequent reasons, conflicts and dead ones before those that only wait.

    Args:
        statuses: The writes that are not delivered.
    """
    groups: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for status in statuses:
        # Servers like to repeat the id; with it every reason would stand alone.
        groups[status.state.value, _without_id(status)].append(status.entity)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0] == OpState.WAITING.value, -len(item[1])))
    return tuple(
        Reason(state, reason, len(entities), tuple(entities[:_EXAMPLES]))
        for (state, reason), entities in ordered[:_REASONS]
    )


def _without_id(status: OpStatus) -> str:
    # The first word is the status code or the class of an exception, which an id may look like.
    first, blank, rest = status.reason.partition(" ")
    return first + blank + re.sub(rf"(?<![\w-]){re.escape(status.entity)}(?![\w-])", "(id)", rest)
