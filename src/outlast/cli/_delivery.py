"""Queue, deliver and stop in time: the part of `outlast push` that runs on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from outlast.cli._courier import Courier, Pacer
from outlast.cli._exit import CommandError, ExitCode, code_of
from outlast.cli._options import PushOptions
from outlast.cli._progress import Display, View
from outlast.cli._queue import Queued, queue, replay_all
from outlast.cli._receipt import Receipt, find_reasons
from outlast.cli._stop import StopSignals
from outlast.cli._template import origin_of
from outlast.cli._writes import KIND, Planned
from outlast.clock import SYSTEM_CLOCK
from outlast.errors import LeaseHeldError, OutlastError
from outlast.events import EventBus, OpConflicted, OpDelivered, OpDied, OpEvent, OpPostponed
from outlast.outbox import Counts, Outbox, Verb
from outlast.sync_engine import HttpTransport, Runner

_LOOK_EVERY = 0.2
_DRAIN = 5.0
_NO_ORIGIN = "http://nowhere.invalid"
"""Stands for the server when there is nothing to deliver."""


class Tally:
    """Keep the counts of an outbox up to date from its events, without asking the file each time."""

    def __init__(self) -> None:
        self.base = Counts()
        self.delivered = 0
        self.conflicting = 0
        self.dead = 0
        self._due = 0.0

    def note(self, event: OpEvent) -> None:
        """Count an event."""
        self.delivered += isinstance(event, OpDelivered)
        self.conflicting += isinstance(event, OpConflicted)
        self.dead += isinstance(event, OpDied)
        if isinstance(event, OpPostponed):
            self._due = event.at + event.wait

    def view(self, runner: Runner) -> View:
        """Return what there is to show."""
        settled = self.delivered + self.conflicting + self.dead
        now = SYSTEM_CLOCK.now()
        return View(
            at=now,
            delivered=self.base.delivered + self.delivered,
            waiting=max(0, self.base.open - settled),
            conflicting=self.base.conflict + self.conflicting,
            dead=self.base.dead + self.dead,
            trouble=runner.stats.trouble,
            next_try=max(0.0, self._due - now, runner.breaker.cooldown_remaining()),
        )


@dataclass(frozen=True, slots=True)
class Ending:
    """Say how a run ended; `DELIVERED` means that it did all it could."""

    code: ExitCode
    message: str = ""


class Delivery:
    """Run one push over one outbox.

    Args:
        options: What was asked for.
        planned: The writes that the input asks for.
        display: Where progress is shown.
    """

    def __init__(self, options: PushOptions, planned: Sequence[Planned], display: Display) -> None:
        self._options = options
        self._planned = planned
        self._display = display
        self._tally = Tally()
        self._queued = Queued()
        self._verbs: set[Verb] = set()
        self._origin = ""

    async def run(self) -> Receipt:
        """Queue, deliver, and say what came of it.

        Raises:
            CommandError: The outbox belongs to another program, or holds writes for another server.
            OutlastError: The outbox cannot be opened, or another process delivers from it.
        """
        bus = EventBus()
        started = SYSTEM_CLOCK.now()
        with bus.subscribe(self._tally.note, OpEvent):
            async with await Outbox.open(self._options.outbox, bus=bus) as box:
                await self._check(box)
                before = await box.counts()
                ending, requests = await self._deliver(box)
                self._display.close()
                return await self._receipt(box, ending, before, requests, SYSTEM_CLOCK.now() - started)

    async def _check(self, box: Outbox) -> None:
        """Refuse an outbox whose writes are not this command's to deliver, or would go elsewhere."""
        options = self._options
        foreign = await box.core.result(box.core.kinds()) - {KIND}
        if foreign:
            kinds = ", ".join(sorted(foreign)[:5])
            said = f"{options.outbox} belongs to another program: it holds writes of kind {kinds}"
            raise CommandError(ExitCode.NOT_AN_OUTBOX, said, "Name another file with --outbox. It was not changed.")
        undelivered = await box.core.result(box.core.undelivered())
        origins = {origin_of(target) for _, target in undelivered if target is not None}
        self._origin = options.template.origin if options.template is not None else min(origins, default=_NO_ORIGIN)
        if others := origins - {self._origin}:
            said = f"{options.outbox} holds writes for {', '.join(sorted(others))}, and this run is for {self._origin}"
            raise CommandError(
                ExitCode.USAGE, said, "Deliver those first with their own --to, or name another --outbox."
            )
        self._verbs = {verb for verb, _ in undelivered} | {planned.write.verb for planned in self._planned}
        for verb in self._verbs:
            options.shape.check(verb)

    async def _deliver(self, box: Outbox) -> tuple[Ending, int]:
        options = self._options
        transport = HttpTransport(
            self._origin, headers=options.headers, idempotency_header=options.shape.key_header,
            at_least_once=options.shape.at_least_once, call_timeout=options.pace.call_timeout,
        )  # fmt: skip
        courier = Courier(transport, Pacer(options.pace.rate), options.headers)
        runner = Runner(box, courier, concurrency=options.pace.concurrency, park_lanes=False, drain=_DRAIN)
        try:
            async with runner:
                ending = await self._work(box, runner, courier)
        except LeaseHeldError as error:
            said = f"another process delivers from {options.outbox}; nothing of this run was queued"
            raise CommandError(
                ExitCode.ALREADY_RUNNING, said, "Wait until it ends, or end it, and run again."
            ) from error
        except OutlastError as error:
            ending = Ending(code_of(error), str(error))
        finally:
            await transport.aclose()
        return ending, runner.stats.sent

    async def _work(self, box: Outbox, runner: Runner, courier: Courier) -> Ending:
        """Work until everything is done, the server gives no useful answer for too long, or somebody asks to stop."""
        with StopSignals(self._stopping, self._display.close) as stop:
            work = asyncio.create_task(self._queue_and_run(box, runner))
            stopped = asyncio.create_task(stop.wait())
            silent = asyncio.create_task(self._patience(courier))
            shown = asyncio.create_task(self._show(runner))
            try:
                await asyncio.wait({work, stopped, silent}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (stopped, silent, shown, work):
                    if not task.done():
                        task.cancel()
                await asyncio.gather(stopped, silent, shown, work, return_exceptions=True)
                # Inside of the block, so that a second Ctrl-C ends the waiting for these at once.
                await runner.drain()
            if not work.cancelled():
                work.result()
                return Ending(ExitCode.DELIVERED)
            if not stopped.cancelled():
                return Ending(stop.code)
            return Ending(ExitCode.UNFINISHED, self._silence(runner))

    def _stopping(self) -> None:
        self._display.say(
            f"stopping: requests on the wire get {_DRAIN:.0f} s; a second Ctrl-C ends at once, and loses nothing either"
        )

    async def _queue_and_run(self, box: Outbox, runner: Runner) -> None:
        self._queued = await queue(box, self._planned, self._display.queueing)
        if self._options.replay:
            await replay_all(box)
        self._tally.base = await box.counts()
        await runner.run_until_idle()

    async def _patience(self, courier: Courier) -> None:
        patience = self._options.pace.patience
        while courier.silent_for < patience:
            await SYSTEM_CLOCK.asleep(min(_LOOK_EVERY, patience))

    async def _show(self, runner: Runner) -> None:
        while True:
            await SYSTEM_CLOCK.asleep(_LOOK_EVERY)
            if self._tally.base.total:
                self._display.delivering(self._tally.view(runner))

    def _silence(self, runner: Runner) -> str:
        trouble = runner.stats.trouble or "no answer at all"
        patience = f"{self._options.pace.patience:g} s"
        return f"{self._origin} gave no useful answer for {patience} ({trouble})"

    async def _receipt(self, box: Outbox, ending: Ending, before: Counts, requests: int, seconds: float) -> Receipt:
        counts = await box.counts()
        verbs = sorted(self._verbs) or [self._options.shape.verb]
        return Receipt(
            code=_final(ending.code, counts),
            message=self._message(ending, counts),
            counts=counts,
            queued=self._queued.new,
            known=self._queued.known,
            superseded=self._queued.superseded,
            delivered_now=counts.delivered - before.delivered,
            requests=requests,
            seconds=seconds,
            reasons=await find_reasons(box),
            guarantee="; ".join(dict.fromkeys(self._options.shape.guarantee(verb) for verb in verbs)),
            origin=self._origin,
            outbox=str(self._options.outbox),
        )

    def _message(self, ending: Ending, counts: Counts) -> str:
        saved = f"{counts.delivered:,} delivered, {counts.open:,} saved in {self._options.outbox}"
        match ending.code:
            case ExitCode.DELIVERED:
                return ""
            case ExitCode.INTERRUPTED | ExitCode.TERMINATED:
                return f"interrupted; {saved}; run the same command again to go on"
            case _:
                return f"{ending.message}; {saved}; run the same command again to go on"


def _final(code: ExitCode, counts: Counts) -> ExitCode:
    """Return how a push ended, from how its run ended and what is left."""
    if code is not ExitCode.DELIVERED:
        return code
    if counts.conflict or counts.dead:
        return ExitCode.UNDELIVERABLE
    return ExitCode.UNFINISHED if counts.open else ExitCode.DELIVERED
