import gc
import math
import threading
import weakref

import pytest

from outlast.errors import (
    BadRequestError,
    CircuitOpenError,
    ConfigError,
    DuplicateNameError,
    RateLimitError,
)
from outlast.events import CallFailed, CallRejected, CircuitClosed, CircuitHalfOpened, CircuitOpened, EventBus
from outlast.policies import Backoff, CircuitBreaker, CircuitState, ConsecutiveFailures, HalfOpen
from outlast.registry import Registry
from outlast.testing import ManualClock, Recorder

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN


def make(face, **options):
    """Make a breaker that opens after 3 failures for 30 s."""
    return CircuitBreaker(**{"failure_threshold": 3, "open_for": 30.0, **face.around, **options})


def test_opens_after_failures_in_a_row(face):
    """Enough failures in a row open it, and then nothing runs."""
    breaker = make(face)
    face.fail(breaker, 3)
    fn, script = face.scripted("fine")

    with pytest.raises(CircuitOpenError):
        face.call(breaker, fn)

    assert (breaker.state, script.calls) == (OPEN, 0)


def test_success_breaks_the_row(face):
    """A success between failures means that the row starts anew."""
    breaker = make(face)
    face.fail(breaker, 2)
    face.succeed(breaker)
    face.fail(breaker, 2)

    assert breaker.state is CLOSED


def test_users_error_passes_untouched(face):
    """The exception that the function raised is the one that the caller gets."""
    error = ConnectionError("down")
    fn, _ = face.scripted(error)

    with pytest.raises(ConnectionError) as caught:
        face.call(make(face), fn)

    assert caught.value is error


def test_arguments_and_result_pass(face):
    """Arguments reach the function, and its result comes back."""
    fn = face.function(lambda *args, **kwargs: (args, kwargs))

    assert face.call(make(face), fn, 1, two=2) == ((1,), {"two": 2})


def test_rejection_says_which_why_and_when(face):
    """The error names the circuit, why it opened, and the seconds that really remain."""
    breaker = make(face, name="payments", registry=face.registry)
    face.fail(breaker, 3)
    face.clock.advance(17.5)
    fn, _ = face.scripted("fine")

    with pytest.raises(CircuitOpenError) as caught:
        face.call(breaker, fn)

    error = caught.value
    assert str(error) == (
        "circuit 'payments' is open (3 failures in a row, the last: ConnectionError: down); it will probe in 12.5 s"
    )
    assert (error.retry_after, error.operation, error.timestamp) == (12.5, "payments", face.clock.wall())


def test_probes_close_it(face):
    """After the open time two successful probes close it."""
    breaker = make(face)
    face.fail(breaker, 3)
    face.clock.advance(30)

    face.succeed(breaker)
    assert breaker.state is HALF_OPEN
    face.succeed(breaker)
    assert breaker.state is CLOSED


def test_failed_probe_opens_it_again(face):
    """One failed probe is enough, and the open time starts anew."""
    breaker = make(face)
    face.fail(breaker, 3)
    face.clock.advance(30)
    face.fail(breaker, 1)

    assert (breaker.state, breaker.cooldown_remaining()) == (OPEN, 30.0)


def test_open_time_grows(face):
    """With growth each reopening lasts longer, up to the cap; closing starts over."""
    breaker = make(face, open_growth=Backoff(factor=3.0, cap=100.0))
    waits = []
    for failures in (3, 1, 1, 1):
        face.fail(breaker, failures)
        waits.append(breaker.cooldown_remaining())
        face.clock.advance(waits[-1])
    face.succeed(breaker, 2)
    face.fail(breaker, 3)

    assert ([*waits, breaker.cooldown_remaining()]) == [30.0, 90.0, 100.0, 100.0, 30.0]


def test_guard_settles_by_the_rules(face):
    """A block counts as a call does: its error fails it, a wrong request does not."""
    breaker = make(face)
    for error in (ConnectionError(), BadRequestError(), ConnectionError(), ConnectionError(), ConnectionError()):
        with pytest.raises(type(error)):
            face.block(breaker.guard(), lambda _, error=error: throw(error))

    assert breaker.state is OPEN
    with pytest.raises(CircuitOpenError):
        face.block(breaker.guard(), lambda _: None)


def test_guard_leaves_a_settled_permit(face):
    """What the block itself says about its permit stands."""
    breaker = make(face, failure_threshold=1)

    face.block(breaker.guard(), lambda permit: permit.failure(OSError("garbage")))

    assert breaker.snapshot().recent_failures == ((1000.0, "OSError: garbage"),)


def test_guard_serves_one_block(face):
    """A guard that is used twice is refused; its permit belongs to one block."""
    guard = make(face).guard()
    face.block(guard, lambda _: None)

    with pytest.raises(ConfigError, match="one block only"):
        face.block(guard, lambda _: None)


def test_leaving_a_guard_that_was_not_entered_does_nothing(face):
    """An exit without an entry settles nothing."""
    breaker = make(face)
    breaker.guard().__exit__(None, None, None)

    assert breaker.snapshot().calls == 0


def throw(error):
    """Raise, as an expression."""
    raise error


@pytest.mark.parametrize(
    ("report", "calls", "failures"),
    [
        pytest.param(lambda permit: permit.success(), 1, 0, id="success"),
        pytest.param(lambda permit: permit.failure(), 1, 1, id="failure"),
        pytest.param(lambda permit: permit.failure(BadRequestError()), 1, 1, id="failure-whatever-the-rules"),
        pytest.param(lambda permit: permit.ignore(), 0, 0, id="ignored"),
        pytest.param(lambda permit: permit.judge(None), 1, 0, id="judged-return"),
        pytest.param(lambda permit: permit.judge(BadRequestError()), 1, 0, id="judged-wrong-request"),
        pytest.param(lambda permit: permit.judge(RateLimitError()), 0, 0, id="judged-429"),
        pytest.param(lambda permit: [permit.failure(), permit.failure(), permit.success()], 1, 1, id="only-once"),
    ],
)
def test_permit_reports(report, calls, failures):
    """A permit reports one of three verdicts, once."""
    breaker = CircuitBreaker()
    permit = breaker.acquire()
    assert not permit.settled

    report(permit)

    assert permit.settled
    assert (breaker.snapshot().calls, breaker.snapshot().failures) == (calls, failures)


def test_permit_shows_itself():
    """A permit's repr shows the engine's permit."""
    assert "settled=False" in repr(CircuitBreaker().acquire())


def test_refusal_while_probing(face):
    """While all probes run the error says so, and to ask again soon."""
    breaker = make(face, recovery=HalfOpen(max_calls=1), open_for=0.5)
    face.fail(breaker, 3)
    face.clock.advance(0.5)
    probe = face.begin(breaker)
    fn, _ = face.scripted("fine")

    with pytest.raises(CircuitOpenError, match=r"half-open, and as many probes .* ask again in 0.5 s"):
        face.call(breaker, fn)
    probe.end()


def test_manual_face():
    """Programs that ask before they work get the same circuit."""
    clock = ManualClock()
    breaker = CircuitBreaker(failure_threshold=2, open_for=10.0, clock=clock)
    breaker.record_failure(OSError("x"))
    breaker.record_success()
    breaker.record_failure()
    assert not breaker.is_tripped()
    breaker.record_failure()
    assert (breaker.is_tripped(), breaker.cooldown_remaining()) == (True, 10.0)

    clock.advance(10)
    assert not breaker.is_tripped()
    breaker.record_success()
    breaker.record_success()

    assert breaker.state is CLOSED


def test_manual_failure_while_open_does_not_prolong():
    """A late failure while the circuit is open leaves the remaining time as it is."""
    clock = ManualClock()
    breaker = CircuitBreaker(failure_threshold=1, open_for=10.0, clock=clock)
    breaker.record_failure()
    clock.advance(4)
    breaker.record_failure()
    breaker.record_success()

    assert (breaker.cooldown_remaining(), breaker.snapshot().failures) == (6.0, 1)


def test_manual_probe_fails():
    """The first failure recorded after the open time opens the circuit again."""
    clock = ManualClock()
    breaker = CircuitBreaker(failure_threshold=1, open_for=10.0, clock=clock)
    breaker.record_failure()
    clock.advance(10)
    breaker.record_failure()

    assert (breaker.state, breaker.snapshot().opened) == (OPEN, 2)


def test_is_tripped_while_all_probes_run():
    """In half-open it is tripped exactly while no slot is free."""
    clock = ManualClock()
    breaker = CircuitBreaker(failure_threshold=1, open_for=10.0, recovery=HalfOpen(max_calls=1), clock=clock)
    breaker.record_failure()
    clock.advance(10)
    permit = breaker.acquire()
    assert breaker.is_tripped()
    permit.ignore()

    assert not breaker.is_tripped()


def test_forced_states(face):
    """Held open by hand it refuses without end; closed by hand it starts over; reset forgets."""
    breaker = make(face, name="x", registry=face.registry)
    face.fail(breaker, 2)
    breaker.force_open()
    fn, _ = face.scripted("fine")
    with pytest.raises(CircuitOpenError, match=r"opened by hand.*until force_closed") as caught:
        face.call(breaker, fn)
    assert (caught.value.retry_after, breaker.cooldown_remaining()) == (None, math.inf)

    breaker.force_closed()
    face.fail(breaker, 2)
    assert (breaker.state, breaker.snapshot().failures) == (CLOSED, 4)

    breaker.reset()
    assert (breaker.snapshot().failures, breaker.snapshot().rejected) == (0, 0)


def test_events_in_order(face):
    """Every change and every counted failure is an event, in order."""
    breaker = make(face, name="x", registry=face.registry, failure_threshold=1, success_threshold=1)
    face.fail(breaker, 2)
    face.clock.advance(30)
    face.succeed(breaker)

    assert face.seen.names == ["CallFailed", "CircuitOpened", "CallRejected", "CircuitHalfOpened", "CircuitClosed"]
    assert face.seen.last(CircuitOpened).until == 1030.0
    assert face.seen.last(CallRejected).retry_after == 30.0
    assert face.seen.last(CallFailed).error == "ConnectionError: down"
    assert face.seen.last(CircuitClosed).reason == "1 probes succeeded"


def test_listener_may_change_the_breaker():
    """A listener that resets the breaker sees the reset's own event after the one that it handles."""
    bus, breaker = EventBus(), None
    order = []

    def heal(event):
        order.append(event.event_type)
        breaker.reset()

    breaker = CircuitBreaker(failure_threshold=1, bus=bus)
    with bus.subscribe(heal, CircuitOpened), bus.subscribe(lambda e: order.append(e.event_type), CircuitClosed):
        breaker.record_failure()

    assert order == ["CircuitOpened", "CircuitClosed"]


def test_raising_listener_does_not_reach_the_caller():
    """A broken listener leaves the call and the breaker alone."""
    bus = EventBus()
    breaker = CircuitBreaker(failure_threshold=1, bus=bus)
    with bus.subscribe(lambda _: throw(RuntimeError("broken"))):
        breaker.record_failure()

    assert breaker.state is OPEN


def test_listener_runs_without_the_lock():
    """A listener may ask the breaker from another thread while it runs."""
    bus, answers = EventBus(), []
    breaker = CircuitBreaker(failure_threshold=1, bus=bus)

    def ask(_):
        thread = threading.Thread(target=lambda: answers.append(breaker.snapshot().state))
        thread.start()
        thread.join(1)

    with bus.subscribe(ask, CircuitOpened):
        breaker.record_failure()

    assert answers == [OPEN]


def test_own_rules(face):
    """`failure_if` and `ignore` come before the default rules, and None falls back to them."""
    rule = {KeyError: True, OSError: False, RuntimeError: None}
    breaker = make(face, failure_threshold=1, failure_if=lambda e: rule.get(type(e)), ignore=ZeroDivisionError)
    for error in (OSError(), ZeroDivisionError()):
        fn, _ = face.scripted(error)
        with pytest.raises(type(error)):
            face.call(breaker, fn)
    assert (breaker.state, breaker.snapshot().calls) == (CLOSED, 1)

    fn, _ = face.scripted(RuntimeError())
    with pytest.raises(RuntimeError):
        face.call(breaker, fn)
    assert breaker.state is OPEN


@pytest.mark.parametrize("probing", [False, True], ids=["closed", "half-open"])
def test_raising_rule_is_seen_and_counts_for_nothing(face, probing):
    """An error in the user's own rule comes out, with the call's error as its context, and holds no slot."""
    breaker = make(face, failure_threshold=1, recovery=HalfOpen(max_calls=1), failure_if=lambda _: 1 / 0)
    if probing:
        breaker.record_failure()
        face.clock.advance(30)
    fn, _ = face.scripted(ConnectionError("down"))

    with pytest.raises(ZeroDivisionError) as caught:
        face.call(breaker, fn)

    assert isinstance(caught.value.__context__, ConnectionError)
    face.succeed(breaker)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"failure_threshold": 0}, "failure_threshold"),
        ({"success_threshold": 0}, "recovery"),
        ({"open_for": 0}, "open_for"),
        ({"failure_threshold": 3, "trip": ConsecutiveFailures(3)}, "either trip= or failure_threshold="),
        ({"success_threshold": 3, "recovery": HalfOpen()}, "either recovery= or success_threshold="),
        ({"ignore": "OSError"}, "ignore"),
        ({"open_growth": Backoff(cap=1.0)}, "open_growth"),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)
def test_nonsense_is_refused(options, message):
    """Settings that make no sense are refused with their name."""
    with pytest.raises(ConfigError, match=message):
        CircuitBreaker(**options)


def test_rules_as_objects():
    """Trip and recovery rules may be given as objects."""
    breaker = CircuitBreaker(trip=ConsecutiveFailures(1), recovery=HalfOpen(success_threshold=1), open_for=1.0)
    breaker.record_failure()

    assert breaker.state is OPEN


@pytest.mark.parametrize(
    ("preset", "failures", "seconds"),
    [
        pytest.param(CircuitBreaker.defaults, 5, 30.0, id="defaults"),
        pytest.param(CircuitBreaker.lenient, 10, 60.0, id="lenient"),
        pytest.param(CircuitBreaker.strict, 3, 15.0, id="strict"),
    ],
)
def test_presets(preset, failures, seconds):
    """The presets open after so many failures for so many seconds."""
    clock = ManualClock()
    breaker = preset(clock=clock)
    for _ in range(failures - 1):
        breaker.record_failure()
    assert breaker.state is CLOSED
    breaker.record_failure()

    assert (breaker.state, breaker.cooldown_remaining()) == (OPEN, seconds)


def test_name_is_registered_weakly():
    """A name is unique while its holder lives, and free again afterwards; without one nothing is registered."""
    registry = Registry()
    first = CircuitBreaker("payments", registry=registry)
    assert registry.get("circuit_breaker", "payments") is first
    with pytest.raises(DuplicateNameError, match="share it"):
        CircuitBreaker("payments", registry=registry)

    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None
    CircuitBreaker("payments", registry=registry)
    assert CircuitBreaker(registry=registry).name == "circuit_breaker"
    assert registry.components() == []


def test_repr_and_description_show_everything():
    """A failing test explains itself."""
    breaker = CircuitBreaker(failure_threshold=1)
    breaker.record_failure(OSError("x"))

    assert "OSError: x" in repr(breaker)
    assert "open_for=30.0" in repr(breaker)
    assert breaker.describe().startswith("circuit breaker 'circuit_breaker': opens for 30 s after the first")


def test_threads_lose_no_failure_and_no_slot():
    """Under a storm of threads every result counts once, and every probe's slot comes back."""
    clock = ManualClock()
    breaker = CircuitBreaker(failure_threshold=10**6, clock=clock)

    def storm():
        for turn in range(500):
            with breaker.guard() as permit:
                permit.failure() if turn % 2 else permit.success()

    threads = [threading.Thread(target=storm) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert (breaker.snapshot().calls, breaker.snapshot().failures) == (2000, 1000)


def test_events_are_not_built_unheard():
    """Without a listener nothing is published, with one for another type neither."""
    bus = EventBus()
    with Recorder(bus, CircuitHalfOpened) as seen:
        CircuitBreaker(failure_threshold=1, bus=bus).record_failure()

    assert seen.events == []
