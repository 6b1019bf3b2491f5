import pytest

from outlast.engines.adaptive_limit import AdaptiveLimitConfig, AdaptiveLimitEngine
from outlast.engines.breaker_records import Verdict
from outlast.errors import ConfigError

OK, BAD, NOTHING = Verdict.SUCCESS, Verdict.FAILURE, Verdict.IGNORED


class Driver:
    """Let calls end, one window after the other."""

    def __init__(self, **options):
        self.engine = AdaptiveLimitEngine(AdaptiveLimitConfig(**{"window": 1.0, "min_samples": 10, **options}), 0.0)
        self.now = 0.0
        self.changes = []

    def window(self, latency=0.1, *, calls=20, failures=0, running=None):
        """Let one window pass in which calls took that long."""
        running = self.engine.limit if running is None else running
        for number in range(calls + failures):
            self.now += 0.01 if number < calls + failures - 1 else 1.3
            verdict = BAD if number < failures else OK
            began = self.now - (10.0 if verdict is BAD else min(latency, self.now - self.engine._window.began))
            self.settle(began, running, verdict, latency)

    def settle(self, began, running, verdict=OK, latency=None):
        """Let one call end; its latency is put down directly where a window is shorter than the call."""
        window = self.engine._window
        change = self.engine.settle(began, self.now, running, verdict)
        if verdict is OK and latency is not None and window.latencies:
            window.latencies[-1] = latency
        self.changes += [change] if change else []

    def measured(self, latency=0.1):
        """Let it find out the latency without load."""
        self.window(latency)
        while self.engine.measuring:
            self.window(latency)
        return self


def test_it_starts_where_it_is_told():
    """Before the first window nothing is known."""
    engine = Driver(initial=7).engine

    assert (engine.limit, engine.latency, engine.unloaded, engine.measuring) == (7, None, None, False)


def test_it_grows_by_its_root_while_it_is_used():
    """A limit that is used, by calls as fast as without load, grows by its square root."""
    driver = Driver(initial=25).measured()
    assert driver.engine.limit == 25
    driver.window()

    assert driver.engine.limit == 30
    assert (driver.changes[-1].before, driver.changes[-1].after) == (25, 30)


def test_it_shrinks_to_what_the_tolerance_allows():
    """Calls that take twice the tolerated latency halve the limit."""
    driver = Driver(initial=40).measured()
    driver.window(0.2)

    assert driver.engine.limit == 30
    assert "0.2 s" in driver.changes[-1].reason


def test_one_window_at_most_halves_it():
    """However slow the calls of one window are, the limit is not less than halved."""
    driver = Driver(initial=40).measured()
    driver.window(9.0)

    assert driver.engine.limit == 20


def test_bounds_hold():
    """The limit stays between its bounds."""
    driver = Driver(initial=5, min_limit=4, max_limit=6).measured()
    for _ in range(3):
        driver.window()
    assert driver.engine.limit == 6
    for _ in range(3):
        driver.window(0, calls=0, failures=20)

    assert driver.engine.limit == 4


def test_constant_timeouts_are_no_stable_round_trip():
    """Known fault 1: calls that all time out after the same time shrink the limit, and are no samples."""
    driver = Driver(initial=64).measured()
    for _ in range(6):
        driver.window(calls=0, failures=20)

    assert driver.engine.limit == 1
    assert (driver.engine.unloaded, driver.engine.latency) == (0.1, 0.1)


def test_a_few_failures_shrink_it_a_little():
    """Failures shrink the limit in proportion to their share, and above a tenth it does not grow."""
    driver = Driver(initial=100).measured()
    driver.window(calls=18, failures=2)
    assert driver.engine.limit == 95
    driver.window(calls=99, failures=1)

    assert driver.engine.limit == 104


def test_latency_without_load_does_not_drift_up():
    """Known fault 2: however long calls are slow under load, the latency without load stays what it was."""
    driver = Driver(initial=40, remeasure_every=1e9).measured()
    for _ in range(500):
        driver.window(0.12)

    assert driver.engine.unloaded == pytest.approx(0.1)


def test_halving_the_load_finds_the_latency_without():
    """Where calls get faster with less load, less load is tried until they do not."""
    driver = Driver(initial=64, remeasure_every=10.0).measured()
    driver.now += 10
    driver.window(0.8)
    limits = [driver.engine.limit]
    for latency in (0.4, 0.2, 0.1, 0.1):
        driver.window(latency)
        limits.append(driver.engine.limit)

    assert limits == [32, 16, 8, 4, 8]
    assert (driver.engine.unloaded, driver.engine.measuring) == (0.1, False)


def test_a_server_that_got_slower_is_noticed():
    """Where less load makes calls no faster, their latency is what they take without load, and the limit stays."""
    driver = Driver(initial=64, remeasure_every=10.0).measured()
    driver.now += 10
    driver.window(0.3)
    assert (driver.engine.measuring, driver.engine.limit) == (True, 32)
    driver.window(0.3)

    assert (driver.engine.unloaded, driver.engine.limit) == (0.3, 64)


def test_calls_from_before_do_not_count_in_a_measurement():
    """While the load is being lowered calls still feel the old one; they are not counted."""
    driver = Driver(initial=64, remeasure_every=10.0).measured()
    driver.now += 10
    driver.window(0.8)
    for _ in range(100):
        driver.now += 0.1
        driver.settle(driver.now - 0.05, 60)
    assert not driver.engine._phase.drained

    driver.settle(driver.now - 0.05, 33)
    assert driver.engine._phase.drained
    assert driver.engine._window.latencies == []


def test_a_measurement_among_failures_is_given_up():
    """When everything fails, this is no time for measuring."""
    driver = Driver(initial=64, remeasure_every=10.0).measured()
    driver.now += 10
    driver.window(0.8)
    driver.window(calls=0, failures=20, running=30)

    assert (driver.engine.measuring, driver.engine.unloaded, driver.engine.limit) == (False, 0.1, 32)


def test_it_does_not_climb_while_it_is_not_used():
    """Known fault 3: fast calls far below the limit are no reason to raise it."""
    driver = Driver(initial=20).measured()
    for _ in range(500):
        driver.window(running=5)

    assert driver.engine.limit == 20


def test_a_few_lucky_calls_are_no_minimum():
    """Known fault 4: with little traffic a few very fast calls do not become the latency without load."""
    driver = Driver(initial=20).measured()
    for number in range(1000):
        driver.now += 60.0
        driver.settle(driver.now - (0.001 if number % 5 == 0 else 0.1), 1)

    assert driver.engine.unloaded == pytest.approx(0.1)
    assert driver.engine.limit == 20


def test_a_lower_median_counts_step_by_step():
    """A window of faster calls pulls the latency without load down by a fifth; slower ones bring it back."""
    driver = Driver(initial=20).measured()
    driver.window(0.05, running=5)
    assert driver.engine.unloaded == pytest.approx(0.09)
    driver.window(0.1, running=5)

    assert driver.engine.unloaded == pytest.approx(0.092)


def test_ignored_calls_tell_nothing():
    """Cancelled calls are neither samples nor failures."""
    driver = Driver(initial=20)
    for _ in range(100):
        driver.now += 1
        driver.settle(driver.now - 1, 20, NOTHING)

    assert (driver.engine.limit, driver.engine.latency) == (20, None)


def test_a_flood_of_calls_ends_the_window_early():
    """With twenty times the samples that it needs a window is judged before its time is over."""
    driver = Driver(initial=25).measured()
    for expected in (*[25] * 199, 30):
        driver.now += 1e-6
        driver.settle(driver.now, 25, OK, 0.1)
        assert driver.engine.limit == expected


def test_calls_from_another_window_are_no_samples():
    """A call that began under another limit does not say how long calls take under this one."""
    driver = Driver(initial=20).measured()
    driver.settle(driver.now - 5.0, 20)

    assert driver.engine._window.latencies == []


def test_reconfigure_keeps_what_was_learnt():
    """Other bounds move the limit only where they must; the latency without load stays."""
    driver = Driver(initial=20).measured()

    assert driver.engine.reconfigure(AdaptiveLimitConfig(max_limit=200)) is None
    change = driver.engine.reconfigure(AdaptiveLimitConfig(initial=5, max_limit=10))
    assert (change.before, change.after, driver.engine.unloaded) == (20, 10, 0.1)


@pytest.mark.parametrize(
    "options",
    [
        {"min_limit": 0},
        {"min_limit": 300},
        {"initial": 500},
        {"tolerance": 1.0},
        {"min_samples": 0},
        {"window": 0},
        {"remeasure_every": 0},
    ],
    ids=repr,
)
def test_nonsense_is_refused(options):
    """Limits that cannot hold are refused."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        AdaptiveLimitConfig(**options)
