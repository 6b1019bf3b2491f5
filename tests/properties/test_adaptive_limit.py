"""The adaptive limit in virtual time against a server with so many workers, whose number and speed change.

More calls are always on offer than the limit lets through, so whatever the server cannot do at once queues inside it:
the best limit is the number of workers, and the tolerated one is `tolerance` times that.
"""

import heapq
import random
from collections import deque

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from outlast.engines.adaptive_limit import AdaptiveLimitConfig, AdaptiveLimitEngine
from outlast.engines.breaker_records import Verdict

TIMES = {
    "fixed": lambda dice, mean: mean,
    "exponential": lambda dice, mean: dice.expovariate(1 / mean),
    "lognormal": lambda dice, mean: mean * dice.lognormvariate(-0.125, 0.5),
}


class Server:
    """A queue before a number of workers."""

    def __init__(self, workers, mean, times, seed=1):
        self.workers, self.mean, self.times, self.dice = workers, mean, TIMES[times], random.Random(seed)
        self.queue, self.ends, self.busy, self.number = deque(), [], 0, 0

    def start(self, now):
        """Let idle workers take what waits."""
        while self.queue and self.busy < self.workers:
            self.busy, self.number = self.busy + 1, self.number + 1
            heapq.heappush(self.ends, (now + self.times(self.dice, self.mean), self.number, self.queue.popleft()))


class World:
    """Callers in a closed loop around an engine and a server."""

    def __init__(self, server, patience=None, **options):
        self.engine = AdaptiveLimitEngine(AdaptiveLimitConfig(**options), 0.0)
        self.server, self.patience, self.now, self.running = server, patience, 0.0, 0

    def play(self, seconds):
        """Run for a while; return the mean limit and the calls that ended each second."""
        until, limits, ended = self.now + seconds, [], 0
        while self.now < until:
            while self.running < self.engine.limit:
                self.running += 1
                self.server.queue.append(self.now)
            self.server.start(self.now)
            before = self.now
            self.now, _, began = heapq.heappop(self.server.ends)
            self.server.busy -= 1
            limits.append((self.engine.limit, self.now - before))
            late = self.patience is not None and self.now - began > self.patience
            self.engine.settle(began, self.now, self.running, Verdict.FAILURE if late else Verdict.SUCCESS)
            self.running -= 1
            ended += not late
        return sum(limit * weight for limit, weight in limits) / seconds, ended / seconds


@pytest.mark.parametrize("times", list(TIMES))
def test_it_finds_the_capacity(times):
    """Whatever the distribution of the times, it settles between the capacity and twice of it, and follows changes."""
    world = World(Server(20, 0.1, times))
    for workers in (20, 5, 40):
        world.server.workers = workers
        world.play(45)
        limit, ended = world.play(60)

        assert workers * 0.7 < limit < workers * 2.2
        assert ended > 0.8 * workers / 0.1


@pytest.mark.parametrize("initial", [1, 200])
def test_a_bad_start_is_corrected(initial):
    """A start that is far too low or far too high is forgotten after a while."""
    world = World(Server(20, 0.1, "lognormal"), initial=initial)
    world.play(60)
    limit, ended = world.play(60)

    assert 14 < limit < 44
    assert ended > 150


def test_a_slower_server_keeps_its_limit():
    """A server that takes three times as long, with as many workers, is used as before after a while."""
    world = World(Server(20, 0.1, "lognormal"))
    world.play(60)
    world.server.mean = 0.3
    world.play(120)
    limit, ended = world.play(60)

    assert 14 < limit < 44
    assert ended > 0.85 * 20 / 0.3


def test_a_long_overload_does_not_raise_it():
    """Over minutes of overload neither the limit nor the latency without load drifts up."""
    world = World(Server(20, 0.1, "exponential"))
    limits = [world.play(100)[0] for _ in range(4)]

    assert max(limits) < 44
    assert world.engine.unloaded < 0.15


def test_a_server_that_only_times_out():
    """Callers that give up on every call bring the limit down, and it comes back with the server."""
    world = World(Server(20, 0.1, "fixed"), patience=1.0)
    world.play(30)
    world.server.mean = 2.0
    world.play(120)
    assert world.engine.limit == 1
    world.server.mean = 0.1
    world.play(60)

    assert 14 < world.play(30)[0] < 44


@settings(max_examples=6)
@given(workers=st.integers(4, 40), mean=st.sampled_from([0.05, 0.1, 0.5]), seed=st.integers(0, 99))
def test_any_server(workers, mean, seed):
    """For servers of any size and speed most of the capacity is used, without a long queue."""
    world = World(Server(workers, mean, "lognormal", seed))
    world.play(60 + 200 * mean)
    limit, ended = world.play(60)

    assert limit < 2.5 * workers + 4
    assert ended > 0.7 * workers / mean
