"""Threads and tasks by the thousand, at a switch interval at which any gap between two steps shows."""

import asyncio
import contextlib
import sys
import threading

import pytest

from outlast.errors import CircuitOpenError
from outlast.policies import (
    CircuitBreaker,
    CircuitState,
    ConsecutiveFailures,
    FailureRate,
    GradedRecovery,
    HalfOpen,
    SlowCalls,
)
from outlast.testing import ManualClock

THREADS = 4
NEVER = 10**9
RULES = [
    ConsecutiveFailures(NEVER),
    FailureRate(1.0, over_calls=NEVER, min_calls=NEVER),
    FailureRate(1.0, over_seconds=30.0, min_calls=NEVER),
    FailureRate(1.0, over_seconds=30.0, min_calls=NEVER)
    | SlowCalls(1.0, slower_than=1e6, over_seconds=1.0, min_calls=NEVER),
]


@pytest.fixture
def hectic():
    """Let threads change places as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(work):
    """Run a piece of work in several threads at once, and let what it raises come out."""
    errors, ready = [], threading.Barrier(THREADS)

    def run(number):
        try:
            ready.wait(15)
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    assert not errors
    assert not any(thread.is_alive() for thread in threads)


def fail_or_not(fail):
    """Be a dependency."""
    if fail:
        raise ConnectionError


@pytest.mark.parametrize("rule", RULES, ids=["in-a-row", "of-calls", "over-time", "slow"])
def test_no_result_is_lost(hectic, rule):
    """Of calls in many threads every success and every failure is counted, while the time goes from grain to grain."""
    clock = ManualClock()
    breaker = CircuitBreaker(trip=rule, clock=clock)
    wrapped = breaker(fail_or_not)

    def work(number):
        for turn in range(5000):
            with contextlib.suppress(ConnectionError):
                wrapped(turn % 5 == number)
            if turn % 50 == 0:
                clock.advance(0.5)

    together(work)

    shot = breaker.snapshot()
    assert (shot.state, shot.calls, shot.failures) == (CircuitState.CLOSED, THREADS * 5000, THREADS * 1000)


def test_no_report_of_a_permit_is_lost(hectic):
    """What the blocks of many threads report by their permits counts, each report once."""
    breaker = CircuitBreaker(failure_threshold=NEVER)

    def work(_number):
        for turn in range(500):
            with breaker.guard() as permit:
                permit.failure() if turn % 2 else permit.success()

    together(work)

    assert (breaker.snapshot().calls, breaker.snapshot().failures) == (THREADS * 500, THREADS * 250)


def test_windows_lose_no_call(hectic):
    """The share that a window knows is that of all calls of its time."""
    clock = ManualClock()
    breaker = CircuitBreaker(trip=FailureRate(1.0, over_seconds=1000.0, min_calls=NEVER), clock=clock)
    wrapped = breaker(fail_or_not)

    def work(number):
        for turn in range(5000):
            with contextlib.suppress(ConnectionError):
                wrapped(turn % 5 == number)

    together(work)
    clock.advance(1.0)
    share = breaker.gate.engine.closed.window.share

    assert share.count(THREADS * 5000 + 1, clock.now(), 1.0) == (THREADS * 1000 + 1, THREADS * 5000 + 1)


class Dependency:
    """Fail, be cancelled, hang or succeed in turn, and count how many probes are inside at once."""

    def __init__(self, breaker, clock):
        self.breaker, self.clock = breaker, clock
        self.lock = threading.Lock()
        self.most = 0

    def watch(self):
        """Look how many slots are taken."""
        probes = self.breaker.snapshot().probes
        with self.lock:
            self.most = max(self.most, probes)

    def visit(self, turn):
        """Ask for a permit and do with it what a careless caller might."""
        try:
            permit = self.breaker.acquire()
        except CircuitOpenError:
            self.clock.advance(0.05)
            return
        self.watch()
        match turn % 7:
            case 0 | 1:
                permit.failure(ConnectionError())
            case 2:
                permit.ignore()
            case 3:
                pass  # it hangs: the permit is never settled
            case _:
                permit.success()
                permit.failure()  # too late


@pytest.mark.parametrize(
    "recovery",
    [
        HalfOpen(max_calls=2, success_threshold=3, probe_expires_after=0.5),
        HalfOpen(max_calls=2, success_ratio=0.5, probes=5, probe_expires_after=0.5),
        GradedRecovery(over_seconds=2.0, start=0.1),
    ],
    ids=["threshold", "ratio", "degrees"],
)
def test_half_open_storm(hectic, recovery):
    """Probes never exceed their limit, hung ones give their slots back, and it is never stuck."""
    clock = ManualClock()
    breaker = CircuitBreaker(failure_threshold=2, open_for=1.0, recovery=recovery, clock=clock)
    dependency = Dependency(breaker, clock)

    together(lambda number: [dependency.visit(turn + number) for turn in range(3000)])

    assert breaker.snapshot().opened > 10
    assert dependency.most <= getattr(recovery, "max_calls", 0)
    for _ in range(200):
        if breaker.state is CircuitState.CLOSED:
            break
        clock.advance(1.0)
        with contextlib.suppress(CircuitOpenError):
            breaker.acquire().success()
    assert breaker.state is CircuitState.CLOSED


def test_reconfiguring_in_the_storm_loses_nothing(hectic):
    """While calls run the rules change from kind to kind, and every result is counted."""
    clock = ManualClock()
    breaker = CircuitBreaker(trip=RULES[0], clock=clock)
    wrapped = breaker(fail_or_not)

    def work(number):
        for turn in range(3000):
            with contextlib.suppress(ConnectionError):
                wrapped(turn % 3 == 0)
            if turn % 10 == number:
                breaker.reconfigure(trip=RULES[turn // 10 % len(RULES)])
                clock.advance(0.1)

    together(work)

    assert (breaker.snapshot().calls, breaker.snapshot().failures) == (THREADS * 3000, THREADS * 1000)


async def test_cancelled_tasks_leave_no_slot_behind():
    """Of a thousand calls, cancelled at any await, every probe's slot comes back and nothing is judged."""
    clock = ManualClock()
    breaker = CircuitBreaker(failure_threshold=1, open_for=1.0, recovery=HalfOpen(max_calls=5), clock=clock)
    breaker.record_failure()
    clock.advance(1.0)

    @breaker
    async def call():
        await asyncio.sleep(1.0)

    for turn in range(200):
        tasks = [asyncio.create_task(call()) for _ in range(5)]
        for _ in range(turn % 3):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        assert all(
            isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*tasks, return_exceptions=True)
        )
        assert breaker.snapshot().probes == 0

    assert (breaker.state, breaker.snapshot().calls) == (CircuitState.HALF_OPEN, 1)
