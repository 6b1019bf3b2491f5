"""The straight way of retry, breaker and bulkhead, and the long way: on the same script nothing tells them apart."""

import asyncio
from contextlib import ExitStack

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from outlast.errors import BulkheadFullError, ServerError
from outlast.events import EventBus
from outlast.policies import (
    Bulkhead,
    CircuitBreaker,
    FailureRate,
    Fallback,
    HalfOpen,
    Pipeline,
    Retry,
    SlowCalls,
    Timeout,
)
from outlast.policies._straight import in_a_row
from outlast.registry import Registry
from outlast.testing import ManualClock, Recorder, run_virtual


class OtherRetry(Retry):
    """A retry that is not of the very type, so that it goes the long way."""


RATE = FailureRate(0.5, over_seconds=10.0, min_calls=4)
BREAKERS = {
    "row": {"failure_threshold": 3},
    "rate": {"trip": RATE},
    "slow": {"trip": RATE | SlowCalls(0.5, slower_than=0.4, over_seconds=10.0, min_calls=4)},
    "judging": {"failure_threshold": 3, "failed_result": lambda result: result == "garbage"},
    "broken rule": {"failure_threshold": 3, "failure_if": lambda error: 1 / 0 if "odd" in str(error) else None},
    "shadow": {"failure_threshold": 2, "shadow": True},
}
ENDINGS = ("fine", "garbage", None, "down", "odd", "full", "bug", "stop")
ERRORS = {
    "down": lambda: ServerError("down"),
    "odd": lambda: ConnectionError("odd"),
    "full": lambda: BulkheadFullError("full"),
    "bug": lambda: ValueError("bug"),
    "stop": KeyboardInterrupt,
}
STEPS = st.one_of(
    st.tuples(st.just("call"), st.lists(st.sampled_from(ENDINGS), min_size=1, max_size=3), st.sampled_from([0, 0.5])),
    st.tuples(st.just("awaitable"), st.lists(st.sampled_from(ENDINGS[:-1]), min_size=1, max_size=3), st.just(0)),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 6.0, 20.0]), st.none()),
    st.tuples(st.just("do"), st.sampled_from(["force_open", "force_closed", "disable", "reset"]), st.none()),
    st.tuples(st.just("hold"), st.integers(1, 2), st.sampled_from(ENDINGS)),
    st.tuples(st.just("fewer"), st.integers(1, 3), st.none()),
)


class Stage:
    """Play a script on one of the two ways and write down all that can be seen."""

    def __init__(self, retry, breaker, clock):
        self.clock, bus = clock, EventBus()
        self.seen = Recorder(bus)
        around = {"clock": clock, "bus": bus}
        dice = Halves()
        self.retry = retry(3, backoff=0.25, idempotent=True, random=dice, **around)
        self.breaker = CircuitBreaker(open_for=5.0, recovery=HalfOpen(max_calls=1), random=dice, **around, **breaker)
        self.bulkhead = Bulkhead(2, max_waiting=1, max_wait=0.5, **around)
        self.pipe = Pipeline("p", self.retry, self.breaker, self.bulkhead, clock=clock, registry=Registry())
        self.script, self.took, self.log = [], 0, []
        self.sync = self.pipe(self.work)
        self.later = self.pipe(lambda: self.awork())  # noqa: PLW0108 - a plain function that returns coroutines
        self.asynchronous = self.pipe(self.awork)

    def work(self):
        """End as the script says."""
        self.clock.advance(self.took)
        ending = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if ending in ERRORS:
            error = ERRORS[ending]()
            raise error
        return ending

    async def awork(self):
        """Do the same, after a pause."""
        await asyncio.sleep(0)
        return self.work()

    def note(self, what):
        """Write down what came of a step, and everything that the policies show."""
        shown = (self.breaker.snapshot(), self.bulkhead.snapshot(), self.retry.budget.snapshot())
        self.log.append((what, shown, self.pipe.snapshot().calls, round(self.clock.now(), 6)))

    def ends(self, error):
        """Describe an exception with its notes and its context."""
        context = None if error.__context__ is None else type(error.__context__)
        return type(error), str(error), getattr(error, "__notes__", None), context

    def call(self):
        """Call the sync function."""
        try:
            return self.sync()
        except BaseException as error:
            return self.ends(error)

    async def acall(self, fn):
        """Call and await."""
        try:
            return await fn()
        except BaseException as error:
            return self.ends(error)

    async def play(self, steps, *, sync):
        """Play the steps."""
        for kind, first, second in steps:
            match kind:
                case "call" | "awaitable":
                    self.script, self.took = list(first), second
                    way = self.later if kind == "awaitable" else self.asynchronous
                    # A plain call blocks the loop's thread, as it is meant to: nothing else runs there.
                    self.note(self.call() if sync and kind == "call" else await self.acall(way))
                case "wait":
                    self.clock.advance(first)
                case "do":
                    getattr(self.breaker, first)()
                case "fewer":
                    self.bulkhead.reconfigure(max_concurrent=first)
                case "hold":
                    await self.hold(first, second, sync=sync)
        self.note([(type(event), event) for event in self.seen.events])

    async def hold(self, slots, ending, *, sync):
        """Call while slots are taken by others, and cancel a call that waits."""
        self.script, self.took = [ending], 0
        with ExitStack() as stack:
            for _ in range(min(slots, self.bulkhead.snapshot().max_concurrent - 1)):
                stack.enter_context(self.bulkhead.guard())
            if sync:
                self.note(self.call())
            else:
                tasks = [asyncio.create_task(self.acall(self.asynchronous)) for _ in range(4)]
                await asyncio.sleep(0)
                tasks[0].cancel()
                self.note([each.result() for each in (await asyncio.wait(tasks))[0] if each is tasks[0]])
        self.note(sorted(str(task.result()) for task in tasks) if not sync else "let go")


class Halves:
    """Chance without surprises."""

    def random(self):
        """Return a half."""
        return 0.5


def played(retry, breaker, steps, *, sync):
    """Return all that can be seen of a script."""
    clock = ManualClock()
    stage = Stage(retry, BREAKERS[breaker], clock)
    run_virtual(stage.play(steps, sync=sync), clock=clock)
    return stage.log


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
@given(breaker=st.sampled_from(sorted(BREAKERS)), steps=st.lists(STEPS, min_size=1, max_size=12))
@settings(max_examples=150, deadline=None)
def test_both_ways_are_the_same(sync, breaker, steps):
    """Results, errors with notes, states, counts, events and times are equal step by step."""
    assert played(Retry, breaker, steps, sync=sync) == played(OtherRetry, breaker, steps, sync=sync)


@pytest.mark.parametrize(
    ("policies", "straight"),
    [
        ((Retry(), CircuitBreaker(), Bulkhead()), [3]),
        ((Fallback(value=0), Retry(), CircuitBreaker(), Bulkhead(), Timeout(1.0)), [1, 3, 1]),
        ((Retry(), CircuitBreaker(), Bulkhead(), Retry(), CircuitBreaker(), Bulkhead()), [3, 3]),
        ((Retry(), CircuitBreaker(), Timeout(1.0), Bulkhead()), [1, 1, 1, 1]),
        ((OtherRetry(), CircuitBreaker(), Bulkhead()), [1, 1, 1]),
        ((Retry(max_elapsed=3.0), CircuitBreaker(), Bulkhead()), [1, 1, 1]),
        ((Retry(attempt_timeout=3.0), CircuitBreaker(), Bulkhead()), [1, 1, 1]),
        ((Retry(again_if=bool), CircuitBreaker(), Bulkhead()), [1, 1, 1]),
    ],
    ids=["three", "among others", "twice", "parted", "subclass", "timed", "limited", "judged"],
)
def test_who_goes_straight(policies, straight):
    """Three of the very types in a row go straight, if the retry looks at nothing but errors."""
    assert [len(each) if isinstance(each, tuple) else 1 for each in in_a_row(policies)] == straight
