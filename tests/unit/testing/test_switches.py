"""The switches of the test kit, and dependencies that follow a script."""

import pytest

from outlast.clock import SYSTEM_CLOCK
from outlast.errors import BulkheadFullError, CircuitOpenError, ConfigError, ThrottledError
from outlast.policies import (
    AdaptiveLimit,
    AdaptiveThrottle,
    Backoff,
    Bulkhead,
    Chaos,
    CircuitBreaker,
    CircuitState,
    Fallback,
    Hedge,
    Pipeline,
    RateLimit,
    Retry,
    Timeout,
)
from outlast.registry import Registry
from outlast.testing import ManualClock, ScriptedDependency, Slow, disabled, force_open, instant


def test_instant_waits_for_nothing_and_says_what_for():
    """Waits are over at once and listed, whatever policy waits."""
    dependency = ScriptedDependency(ConnectionError(), ConnectionError, "fine")

    with instant() as waits:
        assert Retry(3, backoff=Backoff.fixed(600)).call(dependency) == "fine"

    assert waits == [600, 600]
    assert vars(SYSTEM_CLOCK) == {}


async def test_instant_for_tasks():
    """Async waits are over at once too, and others have their turn."""
    dependency = ScriptedDependency(ConnectionError(), "fine")

    with instant() as waits:
        assert await Retry(backoff=Backoff.fixed(600)).acall(dependency.acall) == "fine"

    assert waits == [600]


def test_instant_inside_of_another():
    """The inner one counts for itself, and the outer goes on afterwards."""
    with instant() as outer:
        SYSTEM_CLOCK.sleep(1)
        with instant() as inner:
            SYSTEM_CLOCK.sleep(2)
        SYSTEM_CLOCK.sleep(3)

    assert (outer, inner) == ([1, 3], [2])


def test_force_open_by_name():
    """A circuit is held open for a block and is as new afterwards."""
    registry = Registry()
    breaker = CircuitBreaker("db", registry=registry)
    breaker.record_failure()

    with force_open("db", registry=registry) as found:
        assert found is breaker
        with pytest.raises(CircuitOpenError):
            breaker.call(dict)

    assert breaker.state is CircuitState.CLOSED
    assert breaker.snapshot().failures == 0
    with pytest.raises(ConfigError, match="there are: db"), force_open("dp", registry=registry):
        pass
    with pytest.raises(KeyError), force_open(breaker):
        raise KeyError
    assert breaker.call(len, "fine") == 4


def test_disabled_lets_everything_through():
    """No policy of a pipeline stands in the way during the block, and each is as before after it."""
    clock = ManualClock()
    retry, breaker, bulkhead, rate = (
        Retry(5, clock=clock),
        CircuitBreaker(failure_threshold=1, clock=clock),
        Bulkhead(1, max_waiting=0),
        RateLimit(1, per=60.0, clock=clock),
    )
    pipeline = Pipeline("p", retry, breaker, bulkhead, rate, registry=Registry())
    dependency = ScriptedDependency(ConnectionError())
    call = pipeline(dependency)

    with disabled(pipeline):
        for _ in range(10):
            with pytest.raises(ConnectionError):
                call()
        assert dependency.count == 10
        with bulkhead.guard(), bulkhead.guard():
            pass

    assert pipeline.to_config() == [
        {"retry": 5},
        {"circuit_breaker": {"failure_threshold": 1}},
        {"bulkhead": {"max_concurrent": 1, "max_waiting": 0}},
        {"rate_limit": {"calls": 1, "per": 60.0}},
    ]
    assert breaker.state is CircuitState.CLOSED
    with bulkhead.guard(), pytest.raises(BulkheadFullError), bulkhead.guard():
        pass
    clock.advance(660.0)
    rate.call(dict)
    with pytest.raises(ThrottledError):
        rate.call(dict)


def test_disabled_for_all_that_is_alive():
    """Without arguments every policy is meant, decorated functions included; open circuits are open afterwards."""
    breaker, closed = CircuitBreaker(failure_threshold=1), CircuitBreaker(failure_threshold=1)
    breaker.force_open()
    fallback, chaos = Fallback(value=0), Chaos(rate=1.0, fault=ConnectionError, enabled=True)
    idle = Chaos(rate=1.0, fault=ConnectionError)
    guarded, disturbed = breaker(len), chaos(len)

    with disabled():
        assert (guarded("fine"), disturbed("fine")) == (4, 4)
        assert fallback.call(int, "x") == 0

    assert (breaker.state, closed.state) == (CircuitState.OPEN, CircuitState.CLOSED)
    assert (chaos.snapshot().active, idle.snapshot().active) == (True, False)


@pytest.mark.parametrize(
    "policy",
    [Timeout(0.5), Hedge(delay=0.1, idempotent=True), AdaptiveLimit(), AdaptiveThrottle(), Hedge(idempotent=True)],
    ids=lambda policy: type(policy).__name__,
)
def test_settings_come_back(policy):
    """After the block the settings are those of before."""
    before = policy.settings()

    with disabled(policy):
        during = policy.settings()

    assert policy.settings() == before
    assert during != before


class Mine(Timeout):
    """A policy that cannot change while it runs."""

    def reconfigure(self, **settings):
        """Refuse."""
        raise ConfigError("never")


def test_what_cannot_change_is_left_alone():
    """A policy that refuses the change stays as it is."""
    policy = Mine(0.5)
    with disabled(policy):
        assert policy.settings()["seconds"] == 0.5


async def test_scripted_dependency():
    """Outcomes come in their order, the last one stays, and calls are recorded with their moment."""
    clock = ManualClock(start=0.0)
    dependency = ScriptedDependency(1, Slow(2.0, "late"), Slow(3.0, KeyError), ValueError("no"), clock=clock)

    assert dependency("a", b=2) == 1
    assert await dependency.acall() == "late"
    with pytest.raises(KeyError):
        dependency()
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            await dependency.acall()
    assert [call.at for call in dependency.calls] == [0.0, 0.0, 2.0, 5.0, 5.0]
    assert (dependency.count, dependency.calls[0].args, dependency.calls[0].kwargs) == (5, ("a",), {"b": 2})


async def test_scripted_dependency_slow_in_both_colours():
    """A slow outcome takes its time before its value or its error, in async code too."""
    clock = ManualClock(start=0.0)
    dependency = ScriptedDependency(Slow(1.0), Slow(1.0, EOFError), clock=clock)

    assert await dependency.acall() is None
    with pytest.raises(EOFError):
        await dependency.acall()
    assert clock.now() == 2.0


def test_script_needs_an_outcome():
    """An empty script is refused."""
    with pytest.raises(ConfigError, match="at least one outcome"):
        ScriptedDependency()
