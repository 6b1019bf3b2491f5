"""The play: the same workload and the same faults for an application with outlast and for one without."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from outlast.lab._contestant import Contestant, Tail, sealed_and_unsettled
from outlast.lab.observer import observe
from outlast.lab.story import Phase, healed_after, story
from outlast.lab.verdict import broken_promises

_LEAD: Final = 2.0
_TICK: Final = 0.1
_LAST_WORDS: Final = 40.0
_STRIKES_WITHIN: Final = 4.0
"""Seconds in which a planted bug has certainly struck; a fault before could take its answer from the client."""
_LOOKS_FOR_A_SEALED_WRITE: Final = 300


@dataclass(frozen=True, slots=True)
class Progress:
    """Show where the play is.

    Args:
        phase: The present phase.
        elapsed: Seconds since the beginning.
        seconds: Length of the play.
        tails: What the ledgers say so far, by contestant.
        notes: What happened beside the phases, such as the kill, each with its moment.
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
    _sides: tuple[Contestant, ...] = ()
    _epoch: float = 0.0
    _seconds: float = 0.0
    _notes: list[str] = field(default_factory=list[str])
    _sealed_at_kill: int = 0

    async def play(self) -> dict[str, Any]:
        """Play to the end and return the report: `outlast`, `plain`, `verdict` and the circumstances.

        Raises:
            RuntimeError: A process did not start, or ended with an error in the middle of the play.

        Cancel: every process that was started is ended.
        """
        with tempfile.TemporaryDirectory(prefix="outlast-demo-") as temporary:
            folder = self.options.folder or Path(temporary)
            ours = Contestant("outlast", "outlast.lab.notes_app", folder / "outlast",
                              ("--folder", str(folder / "outlast" / "app")))  # fmt: skip
            plain = Contestant("plain", "outlast.lab.plain_app", folder / "plain")
            self._sides = (ours, plain)
            try:
                healed_at = await self._perform(ours, plain)
            finally:
                await asyncio.gather(*(side.close() for side in self._sides))
            return self._count(ours, plain, healed_at)

    async def _perform(self, ours: Contestant, plain: Contestant) -> float:
        phases = _room_for_a_plant(story(self.options.seconds)) if self.options.plant else story(self.options.seconds)
        self._seconds = phases[-1].end
        notes = 40 + int(self._seconds)
        # One after the other: when one does not start, nothing of the other may still be starting.
        await ours.set_up(notes=notes, seed=self.options.seed, plant=self.options.plant)
        await plain.set_up(notes=notes, seed=self.options.seed, plant=None)
        self._epoch = time.time() + _LEAD
        await self._start_apps()
        for phase in phases:
            await self._phase(phase)
        await self._end(phases[-1])
        return self._epoch + healed_after(phases)

    async def _start_apps(self) -> None:
        for side in self._sides:
            await side.start_app(seconds=self._seconds, epoch=self._epoch)

    async def _phase(self, phase: Phase) -> None:
        await self._wait_until(self._epoch + phase.start, phase)
        for side in self._sides:
            await side.set_fault(phase.fault)
        if phase.kill_at is not None:
            await self._wait_until(self._epoch + phase.kill_at, phase)
            await self._kill()
        await self._wait_until(self._epoch + phase.end, phase)

    async def _kill(self) -> None:
        """Kill both applications while a write of ours is sealed and has no outcome, and start them again."""
        outbox = self._sides[0].folder / "app" / "outbox.db"
        for _ in range(_LOOKS_FOR_A_SEALED_WRITE):
            self._sealed_at_kill = sealed_and_unsettled(outbox)
            if self._sealed_at_kill:
                break
            await asyncio.sleep(_TICK / 10)
        for side in self._sides:
            await side.kill_app()
        sealed = self._sealed_at_kill
        writes = "1 write" if sealed == 1 else f"{sealed} writes"
        self._note(f"SIGKILL to both applications, with {writes} sealed and unsettled")
        await self._start_apps()

    async def _end(self, phase: Phase) -> None:
        """Wait until both applications have ended by themselves, and note it when one does not."""
        self._note("the play is over; waiting for the last answers and deliveries")
        ending = [asyncio.create_task(side.app_ended(_LAST_WORDS)) for side in self._sides]
        try:
            while (await asyncio.wait(ending, timeout=_TICK))[1]:
                self._show(phase)
        finally:
            for task in ending:
                task.cancel()
        for side, well in zip(self._sides, ending, strict=True):
            if not well.result():
                self._note(f"the application of {side.name} did not end by itself without an error{side.last_words()}")

    def _note(self, text: str) -> None:
        self._notes.append(f"{self._elapsed():5.1f} s  {text}")

    def _elapsed(self) -> float:
        return max(0.0, time.time() - self._epoch)

    async def _wait_until(self, moment: float, phase: Phase) -> None:
        while (now := time.time()) < moment:
            await asyncio.sleep(min(_TICK, moment - now))
            for side in self._sides:
                side.check_app()
            self._show(phase)

    def _show(self, phase: Phase) -> None:
        for side in self._sides:
            side.tail.read_on()
        tails = {side.name: side.tail for side in self._sides}
        self.on_progress(Progress(phase, self._elapsed(), self._seconds, tails, tuple(self._notes)))

    def _count(self, ours: Contestant, plain: Contestant, healed_at: float) -> dict[str, Any]:
        reports = {side.name: observe(side.api_db, [side.ledger], healed_at)[0] for side in (ours, plain)}
        broken = broken_promises(reports["outlast"], self._seconds)
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


def _room_for_a_plant(phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
    """Return the phases with a first one that is long enough for a planted bug to strike while all is well."""
    later = max(0.0, _STRIKES_WITHIN - phases[0].end)
    first = replace(phases[0], end=phases[0].end + later)
    return (first, *(_postponed(phase, later) for phase in phases[1:]))


def _postponed(phase: Phase, later: float) -> Phase:
    kill_at = None if phase.kill_at is None else phase.kill_at + later
    return replace(phase, start=phase.start + later, end=phase.end + later, kill_at=kill_at)


__all__ = ["Demo", "DemoOptions", "Progress"]
