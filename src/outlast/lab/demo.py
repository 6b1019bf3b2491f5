"""The play: the same workload and the same faults for an application with outlast and for one without."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from outlast.lab._contestant import Contestant, Tail, sealed_and_unsettled
from outlast.lab.observer import observe
from outlast.lab.story import Phase, healed_after, story
from outlast.lab.verdict import broken_promises

_LEAD: Final = 2.0
_TICK: Final = 0.1
_LAST_WORDS: Final = 40.0
_SEALED_WITHIN: Final = 3.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Show where the play is.

    Args:
        phase: The present phase.
        elapsed: Seconds since the beginning.
        seconds: Length of the play.
        tails: What the ledgers say so far, by contestant.
        notes: What happened beside the phases, such as the kill.
    """

    phase: Phase
    elapsed: float
    seconds: float
    tails: dict[str, Tail]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Hold the settings of a play.

    Args:
        seconds: Length, >= 10. Default 60.
        seed: Seed of the workload and of the proxy's chances. Default 1.
        folder: Where the files go. Default: a temporary folder that is removed.
        plant: A bug to put into the API, `lost` or `doubled`, to see the verdict go red. Default none.
    """

    seconds: float = 60.0
    seed: int = 1
    folder: Path | None = None
    plant: str | None = None


@dataclass(slots=True)
class Demo:
    """Put on the play and count what came of it.

    Args:
        options: The settings.
        on_progress: Called about ten times a second.
    """

    options: DemoOptions
    on_progress: Callable[[Progress], None] = lambda _: None
    _notes: list[str] = field(default_factory=list[str])
    _sealed_at_kill: int = 0

    async def play(self) -> dict[str, Any]:
        """Play to the end and return the report: `outlast`, `plain`, `verdict` and the circumstances.

        Raises:
            RuntimeError: A process did not start.

        Cancel: every process that was started is ended.
        """
        with tempfile.TemporaryDirectory(prefix="outlast-demo-") as temporary:
            folder = self.options.folder or Path(temporary)
            async with AsyncExitStack() as stack:
                ours = Contestant("outlast", "outlast.lab.notes_app", folder / "outlast",
                                  ("--folder", str(folder / "outlast" / "app")))  # fmt: skip
                plain = Contestant("plain", "outlast.lab.plain_app", folder / "plain")
                for side in (ours, plain):
                    stack.push_async_callback(side.close)
                healed_at = await self._perform(ours, plain)
            return self._count(ours, plain, healed_at)

    async def _perform(self, ours: Contestant, plain: Contestant) -> float:
        seconds, phases = self.options.seconds, story(self.options.seconds)
        notes = 40 + int(seconds)
        await asyncio.gather(
            ours.set_up(notes=notes, seed=self.options.seed, plant=self.options.plant),
            plain.set_up(notes=notes, seed=self.options.seed, plant=None),
        )
        epoch = time.time() + _LEAD
        for side in (ours, plain):
            await side.start_app(seconds=seconds, epoch=epoch)
        for phase in phases:
            await self._phase(phase, epoch, ours, plain)
        self._notes.append("the play is over; waiting for the last answers and deliveries")
        ended = await asyncio.gather(ours.app_ended(_LAST_WORDS), plain.app_ended(_LAST_WORDS))
        for side, well in zip((ours, plain), ended, strict=True):
            if not well:
                self._notes.append(f"the application of {side.name} did not end by itself without an error")
        return epoch + healed_after(phases)

    async def _phase(self, phase: Phase, epoch: float, ours: Contestant, plain: Contestant) -> None:
        await self._wait_until(epoch + phase.start, phase, epoch, ours, plain)
        for side in (ours, plain):
            await side.set_fault(phase.fault)
        if phase.kill_at is not None:
            await self._wait_until(epoch + phase.kill_at, phase, epoch, ours, plain)
            await self._kill(epoch, ours, plain)
        await self._wait_until(epoch + phase.end, phase, epoch, ours, plain)

    async def _kill(self, epoch: float, ours: Contestant, plain: Contestant) -> None:
        """Kill both applications while a write of ours is sealed and has no outcome, and start them again."""
        outbox = ours.folder / "app" / "outbox.db"
        give_up = time.time() + _SEALED_WITHIN
        while not (sealed := sealed_and_unsettled(outbox)) and time.time() < give_up:
            await asyncio.sleep(_TICK / 10)
        self._sealed_at_kill = sealed
        for side in (ours, plain):
            await side.kill_app()
        at = time.time() - epoch
        self._notes.append(f"SIGKILL to both applications at {at:.1f} s, {sealed} writes sealed and unsettled")
        for side in (ours, plain):
            await side.start_app(seconds=self.options.seconds, epoch=epoch)

    async def _wait_until(self, moment: float, phase: Phase, epoch: float, *sides: Contestant) -> None:
        while (now := time.time()) < moment:
            await asyncio.sleep(min(_TICK, moment - now))
            for side in sides:
                side.tail.read_on()
            tails = {side.name: side.tail for side in sides}
            elapsed = max(0.0, time.time() - epoch)
            self.on_progress(Progress(phase, elapsed, self.options.seconds, tails, tuple(self._notes)))

    def _count(self, ours: Contestant, plain: Contestant, healed_at: float) -> dict[str, Any]:
        reports = {side.name: observe(side.api_db, [side.ledger], healed_at)[0] for side in (ours, plain)}
        broken = broken_promises(reports["outlast"], self.options.seconds)
        if not self._sealed_at_kill:
            broken.append("no write was sealed and unsettled when the application was killed, so nothing was proved")
        return {
            "seconds": self.options.seconds,
            "seed": self.options.seed,
            **reports,
            "kill": {"sealed_and_unsettled": self._sealed_at_kill},
            "notes": list(self._notes),
            "verdict": {"ok": not broken, "broken": broken},
        }


__all__ = ["Demo", "DemoOptions", "Progress"]
