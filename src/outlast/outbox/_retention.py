"""Say how long an outbox remembers what is done, and forget the rest in small portions."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple, cast

from outlast.config import check_number
from outlast.errors import OutlastError
from outlast.outbox import _queries as sql
from outlast.outbox._core import OutboxCore

_DAY: Final = 86_400.0
_YOUNG: Final = 60.0
"""Seconds for which a receipt stays in any case, so that whoever waits for a ticket hears of it."""
_SWEEP_EVERY: Final = 3_600.0
_LOOK_EVERY: Final = 5.0
_log = logging.getLogger("outlast.outbox")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Say how long an outbox remembers what is done. What waits, in whatever state, is never touched.

    Args:
        receipts_for: Seconds for which a receipt is kept, >= 60, or None for ever. Default 30 days. A ticket whose
            receipt is gone raises `ReceiptPrunedError`. The receipt of a write that was folded into one that waits
            stays.
        max_receipts: How many receipts are kept, >= 0, or None for any number. Default 100 000. None goes within its
            first minute.
        shadows_for: Seconds for which the content of an entity is kept that our own last write of it has left, as the
            base of merges, >= 60, or None for ever. Default 90 days. None goes while a write of its entity waits.
        names_for: Seconds for which the `once` name of a write that is done is remembered, >= 60, or None for ever.
            Default None, because a name that is forgotten can be queued again.
        every: Seconds between looks at the receipts, >= 1. Default 60. Names and shadows are looked at once an hour.
    """

    receipts_for: float | None = 30 * _DAY
    max_receipts: int | None = 100_000
    shadows_for: float | None = 90 * _DAY
    names_for: float | None = None
    every: float = 60.0

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        for name, least in (("receipts_for", _YOUNG), ("shadows_for", _YOUNG), ("names_for", _YOUNG), ("every", 1.0)):
            value: float | None = getattr(self, name)
            if value is not None:
                check_number(f"retention.{name}", value, least=least)
        if self.max_receipts is not None:
            check_number("retention.max_receipts", self.max_receipts, least=0)


class Pruned(NamedTuple):
    """Count what was forgotten."""

    receipts: int = 0
    names: int = 0
    shadows: int = 0


class Step(NamedTuple):
    """Hold a job that is to be run.

    Args:
        write: Whether in a transaction that writes.
        job: The job.
    """

    write: bool
    job: Callable[[sql.Tables], Any]


Steps = Generator[Step, Any, int]


def prune_steps(retention: Retention, wall: float, *, whole: bool = True) -> Generator[Step, Any, Pruned]:
    """Forget what is no longer to be remembered; each step is a transaction of its own.

    Args:
        retention: How long it is to be remembered.
        wall: Unix seconds.
        whole: Whether names and shadows are looked at too.
    """
    if (yield Step(False, sql.is_scattered)):
        yield Step(True, sql.count_backlog)
    receipts = yield from _receipts(retention, wall)
    names = shadows = 0
    if whole and retention.names_for is not None:
        before = wall - retention.names_for
        names = yield from _sweep(("",), partial(sql.old_names, before=before), sql.prune_names)
    if whole and retention.shadows_for is not None:
        before = wall - retention.shadows_for
        shadows = yield from _sweep(
            ("", ""), partial(sql.old_shadows, before=before), partial(sql.prune_shadows, before=before)
        )
    return Pruned(receipts, names, shadows)


def _receipts(retention: Retention, wall: float) -> Steps:
    known: sql.Receipts = yield Step(False, sql.receipts)
    gone = 0
    if retention.max_receipts is not None:
        gone += yield from _oldest(wall - _YOUNG, known.number - retention.max_receipts)
    before = -math.inf if retention.receipts_for is None else wall - retention.receipts_for
    if known.oldest is not None and known.oldest < before:
        gone += yield from _oldest(before, known.number)
    return gone


def _oldest(before: float, most: int) -> Steps:
    at: int | None = 0
    gone = 0
    while at is not None and gone < most:
        job = partial(sql.prune_receipts, at=at, before=before, limit=min(sql.PORTION, most - gone))
        at, pruned = yield Step(True, job)
        gone += pruned
    return gone


def _sweep(at: sql.Place | None, find: Callable[..., sql.Portion], prune: Callable[..., int]) -> Steps:
    gone = 0
    while at is not None:
        portion: sql.Portion = yield Step(False, partial(find, at=at))
        if portion.found:
            gone += yield Step(True, partial(prune, found=portion.found))
        at = portion.at
    return gone


def prune(core: OutboxCore, retention: Retention) -> Pruned:
    """Forget what is no longer to be remembered, and return how much that was."""
    steps = prune_steps(retention, core.clock.wall())
    try:
        step = next(steps)
        while True:
            step = steps.send(core.step(step.job, write=step.write).result())
    except StopIteration as end:
        return cast("Pruned", end.value)


async def aprune(core: OutboxCore, retention: Retention, *, whole: bool = True) -> Pruned:
    """Do the same on the event loop.

    Cancel: what is forgotten stays so; the rest is left.
    """
    steps = prune_steps(retention, core.clock.wall(), whole=whole)
    try:
        step = next(steps)
        while True:
            step = steps.send(await core.result(core.step(step.job, write=step.write)))
    except StopIteration as end:
        return cast("Pruned", end.value)


async def keep_pruned(core: OutboxCore, retention: Retention) -> None:
    """Prune for as long as the outbox is delivered from; what goes wrong is logged and tried again.

    Cancel: the portion that is being forgotten is forgotten.
    """
    due = swept = -math.inf
    while True:
        now = core.clock.now()
        if now >= due:
            whole = now >= swept + _SWEEP_EVERY
            try:
                await aprune(core, retention, whole=whole)
                swept = now if whole else swept
            except OutlastError as error:
                _log.warning("%s could not be pruned: %s", core.name, error)
            due = now + retention.every
        # On the loop's own time: a clock that jumps when somebody sleeps must not be moved by this.
        await asyncio.sleep(_LOOK_EVERY)
