"""Random programs run under our limits and under `asyncio.timeout`, and no difference may be seen."""

import asyncio
import random
import sys
from contextlib import AsyncExitStack, suppress
from contextvars import ContextVar
from itertools import pairwise

import pytest

from outlast.errors import DeadlineExceededError
from outlast.policies import Timeout, deadline
from outlast.testing import ManualClock, run_virtual

LIMITS = (0.3, 0.7, 1.1, 2.3)
PROGRAMS = 600


def program(dice, depth=0):
    """Make a random program: a list of steps, some of which hold programs."""
    return [step(dice, depth) for _ in range(dice.randint(1, 3))]


def step(dice, depth):
    """Make one step."""
    leaves = [
        *[("sleep", dice.uniform(0, 1.5))] * 5,
        ("sleep", 0),
        ("raise", dice.choice([TimeoutError, ValueError])),
        ("cancel self", dice.random() < 0.5),
    ]
    if depth >= 4 or dice.random() < 0.35:
        return dice.choice(leaves)
    inner = program(dice, depth + 1)
    other = program(dice, depth + 2)
    return dice.choice(
        [
            *[("limit", dice.choice(LIMITS), inner)] * 5,
            ("deadline", dice.uniform(0.1, 2.0), inner),
            ("finally", inner, other),
            ("catch", inner, other),
            ("swallow", dice.random() < 0.5, inner, other),
            ("group", inner, other),
            ("gather", inner, other),
            ("together", dice.choice(LIMITS), inner, other),
        ]
    )


def sign(error, depth=0):
    """Describe an exception: its kind, what is in it, its cause and its context."""
    if error is None or depth > 5:
        return None
    name = "TimeoutError" if isinstance(error, DeadlineExceededError) else type(error).__name__
    inside = tuple(sorted(map(repr, (sign(e, depth + 1) for e in getattr(error, "exceptions", ())))))
    return name, inside, sign(error.__cause__, depth + 1), sign(error.__context__, depth + 1)


class World:
    """Run a program and write down everything that can be seen; the subclass sets the limits."""

    def __init__(self):
        self.log = []
        self.moments = Moments()
        self.loop = asyncio.get_running_loop()

    def note(self, what, error=None):
        """Write down a moment."""
        now = round(self.loop.time(), 6)
        self.log.append(
            (asyncio.current_task().get_name(), what, now, asyncio.current_task().cancelling(), sign(error))
        )

    async def run(self, steps):
        """Run the steps one after the other."""
        for each in steps:
            self.note(each[0])
            try:
                await self.one(each)
            except BaseException as error:
                self.note(f"{each[0]} raised", error)
                raise
            self.note(f"{each[0]} done")

    async def one(self, each):
        """Run one step."""
        match each:
            case ("sleep", seconds):
                await asyncio.sleep(seconds)
            case ("raise", kind):
                raise kind("mine")
            case ("cancel self", wait):
                asyncio.current_task().cancel()
                if wait:
                    await asyncio.sleep(0)
            case ("limit", seconds, inner):
                await self.limit(seconds, inner)
            case ("deadline", seconds, inner):
                await self.deadline(seconds, inner)
            case ("group" | "gather" | "together", *_):
                await self.branching(each)
            case _:
                await self.catching(each)

    async def catching(self, each):
        """Run a program and do something about how it ends."""
        match each:
            case ("finally", inner, cleanup):
                try:
                    await self.run(inner)
                finally:
                    await self.run(cleanup)
            case ("catch", inner, after):
                try:
                    await self.run(inner)
                except Exception:
                    await self.run(after)
            case ("swallow", uncancel, inner, after):
                try:
                    await self.run(inner)
                except asyncio.CancelledError:
                    if uncancel:
                        asyncio.current_task().uncancel()
                    await self.run(after)

    async def branching(self, each):
        """Run programs side by side."""
        match each:
            case ("group", *branches):
                async with asyncio.TaskGroup() as group:
                    for number, branch in enumerate(branches):
                        group.create_task(self.run(branch), name=f"{asyncio.current_task().get_name()}.{number}")
            case ("gather", *branches):
                name = asyncio.current_task().get_name()
                tasks = [asyncio.create_task(self.run(b), name=f"{name}.{n}") for n, b in enumerate(branches)]
                try:
                    await asyncio.gather(*tasks, return_exceptions=True)
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.wait(tasks)
            case ("together", seconds, *branches):
                name = asyncio.current_task().get_name()
                tasks = [
                    asyncio.create_task(self.limit(seconds, b), name=f"{name}.{n}") for n, b in enumerate(branches)
                ]
                await asyncio.wait(tasks)


class Ours(World):
    """Our limits: one policy for each length, so that many calls share its lane."""

    def __init__(self, timeouts):
        super().__init__()
        self.timeouts = timeouts

    async def limit(self, seconds, inner):
        """Limit by a policy."""
        await self.timeouts[seconds].acall(self.run, inner)

    async def deadline(self, seconds, inner):
        """Limit a block."""
        async with deadline(seconds, clock=self.loop.clock):
            await self.run(inner)


OUTER = ContextVar("outer", default=())


class Reference(World):
    """`asyncio.timeout`, with what a deadline means said beside it.

    Where the time of a limit around is over, nothing starts; and a limit around that would cut another task only is
    passed on to this one.
    """

    async def limit(self, seconds, inner):
        """Limit by asyncio."""
        around = [(until, task) for until, task, over in OUTER.get() if not over]
        left = [until - self.loop.time() for until, _ in around]
        if left and min(left) <= 0:
            raise TimeoutError
        passed_on = [until - self.loop.time() for until, task in around if task is not asyncio.current_task()]
        seconds = min([seconds, *passed_on])
        self.moments.seen.append(self.loop.time() + seconds)
        over = []
        token = OUTER.set((*OUTER.get(), (self.loop.time() + seconds, asyncio.current_task(), over)))
        try:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(asyncio.timeout(seconds))
                stack.callback(over.append, 1)
                await self.run(inner)
        finally:
            with suppress(ValueError):  # a task that is left alone is closed in another context
                OUTER.reset(token)

    deadline = limit


class Moments:
    """Know whether two limits of a program were to end at one moment, which asyncio orders as it likes."""

    def __init__(self):
        self.seen = []

    def tie(self):
        """Tell whether two of them meet."""
        moments = sorted(self.seen)
        return any(later - earlier < 1e-6 for earlier, later in pairwise(moments))


def play(seed, kind):
    """Run the program of a seed, with cancellations from outside, and return all that was seen."""
    dice = random.Random(seed)
    steps = [("limit", dice.choice(LIMITS), program(dice)), *program(dice)]
    cancels = [dice.uniform(0, 3) for _ in range(dice.choice([0, 0, 1, 2, 3]))]
    clock = ManualClock()
    timeouts = {seconds: Timeout(seconds, clock=clock) for seconds in LIMITS}

    async def main():
        world = Ours(timeouts) if kind is Ours else Reference()
        world.loop.set_exception_handler(lambda *_: None)  # some programs leave tasks alone
        task = asyncio.create_task(world.run(steps), name="main")
        for seconds in cancels:
            world.loop.call_later(seconds, task.cancel)
        await asyncio.wait([task])
        end = "cancelled" if task.cancelled() else sign(task.exception())
        # Task by task: a TaskGroup cancels its tasks in the order of a set, that is in any.
        return (
            sorted(world.log, key=lambda entry: entry[0]),
            end,
            task.cancelling(),
            round(world.loop.time(), 6),
            world.moments.tie(),
        )

    return run_virtual(main(), clock=clock)


@pytest.mark.skipif(sys.version_info < (3, 11, 3), reason="asyncio.timeout itself loses cancellations before 3.11.3")
@pytest.mark.parametrize("batch", range(5))
def test_no_difference_from_asyncio_timeout(batch):
    """Outcome, time, cancelling(), cause and context are those of asyncio.timeout, event by event."""
    unlike = 0
    for seed in range(batch * PROGRAMS // 5, (batch + 1) * PROGRAMS // 5):
        *ours, _ = play(seed, Ours)
        *asyncios, tie = play(seed, Reference)
        unlike += ours != asyncios
        assert tie or ours == asyncios, f"program {seed}"
    assert unlike <= PROGRAMS / 5 / 100
