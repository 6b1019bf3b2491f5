"""What a breaker can be told beyond its defaults, through its face."""

import asyncio
import contextlib
import copy
import gc
import inspect
import math
import pickle

import pytest

from outlast import errors
from outlast.errors import CircuitOpenError, ConfigError, NetworkError
from outlast.events import CallFailed, CallRejected, CircuitDisabled, CircuitOpened, EventBus
from outlast.policies import (
    CircuitBreaker,
    CircuitState,
    ConsecutiveFailures,
    FailureRate,
    FailuresWithin,
    GradedRecovery,
    HalfOpen,
    LeakyFailures,
    ResetAfterCooldown,
    SlowCalls,
)
from outlast.testing import FixedRandom, ManualClock

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
SLOW = SlowCalls(0.5, slower_than=1.0, over_calls=4, min_calls=2)


def make(face, **options):
    """Make a breaker in the world of a scenario."""
    return CircuitBreaker(**{"open_for": 30.0, **face.around, **options})


def refused(face, breaker):
    """Tell whether a call is refused."""
    fn, script = face.scripted("fine")
    try:
        face.call(breaker, fn)
    except CircuitOpenError:
        return script.calls == 0
    return False


@pytest.mark.parametrize(
    ("trip", "history", "state"),
    [
        pytest.param(FailuresWithin(3, 60.0), "FSSFSF", OPEN, id="within"),
        pytest.param(FailuresWithin(3, 2.0), "FSSFSF", CLOSED, id="not-within"),
        pytest.param(LeakyFailures(3), "FFSFF", OPEN, id="leaky"),
        pytest.param(LeakyFailures(3), "FSFSFSF", CLOSED, id="leaky-paid-back"),
        pytest.param(FailureRate(0.5, over_calls=6), "SSSFFF", OPEN, id="rate-of-calls"),
        pytest.param(FailureRate(0.5, over_seconds=30.0, min_calls=6), "SSSFFF", OPEN, id="rate-over-time"),
        pytest.param(FailureRate(0.5, over_seconds=30.0, min_calls=6), "SSSSFFF", CLOSED, id="rate-too-low"),
        pytest.param(
            FailureRate(0.5, over_seconds=10.0, min_calls=6), "FFFSSSSSSSSSSF", CLOSED, id="rate-without-the-old"
        ),
        pytest.param(SLOW, "SSLL", OPEN, id="slow"),
        pytest.param(SLOW, "SSSL", CLOSED, id="not-slow-enough"),
        pytest.param(ConsecutiveFailures(9) | SLOW, "FSSLL", OPEN, id="combined"),
    ],
)
@pytest.mark.parametrize("how", ["call", "guard", "decorated"])
def test_trip_rules(face, trip, history, state, how):
    """Each rule opens the circuit in every way of calling; a call a second, S F L(ate)."""
    breaker = make(face, trip=trip)
    run = {"call": called, "guard": guarded, "decorated": decorated}[how](face, breaker)
    for letter in history:
        face.clock.advance(1.0)
        run(letter)

    assert breaker.state is state
    assert breaker.snapshot().calls == len(history)


def outcome(face, letter):
    """Make a function that ends as a letter says."""
    if letter == "L":
        return face.slow(1.5)
    return face.scripted(ConnectionError("down") if letter == "F" else "fine")[0]


def called(face, breaker):
    """Run a call through `call` and `acall`."""

    def run(letter):
        with contextlib.suppress(ConnectionError):
            face.call(breaker, outcome(face, letter))

    return run


def decorated(face, breaker):
    """Run a call of a function that was decorated once."""
    ends = []

    if face.colour == "sync":

        def fn():
            return ends[0]()
    else:

        async def fn():
            return await ends[0]()

    wrapped = breaker(fn)

    def run(letter):
        ends[:] = [outcome(face, letter)]
        with contextlib.suppress(ConnectionError):
            face.run(wrapped)

    return run


def guarded(face, breaker):
    """Run a call inside a guard."""

    def run(letter):
        def body(_):
            if letter == "L":
                face.clock.advance(1.5)
            if letter == "F":
                raise ConnectionError

        with contextlib.suppress(ConnectionError):
            face.block(breaker.guard(), body)

    return run


def test_success_lands_in_its_grain(face):
    """Many successes before a silence do not hide an outage after it."""
    breaker = make(face, trip=FailureRate(0.5, over_seconds=10.0, min_calls=4))
    face.succeed(breaker, 50)
    face.clock.advance(60)
    face.fail(breaker, 4)

    assert breaker.state is OPEN


def test_slow_probe_opens_it_again(face):
    """A probe that answers too late does not close the circuit."""
    breaker = make(face, trip=SLOW, recovery=HalfOpen(success_threshold=1))
    for _ in range(2):
        face.call(breaker, face.slow(1.5))
    face.clock.advance(30)
    face.call(breaker, face.slow(1.5))
    assert (breaker.state, breaker.snapshot().reason) == (OPEN, "a probe failed: it took 1.5 s")
    face.clock.advance(30)
    face.succeed(breaker)

    assert breaker.state is CLOSED


def test_streams_are_not_slow(face):
    """How long a stream runs says nothing; that it breaks off does."""
    breaker = make(face, trip=SLOW | ConsecutiveFailures(2))
    wrapped = breaker(face.generator(1, 2))
    for _ in range(3):
        assert face.take(wrapped) == [1, 2]
        face.clock.advance(5)
    assert breaker.state is CLOSED

    broken = breaker(face.generator(1, ConnectionError()))
    for _ in range(2):
        with pytest.raises(ConnectionError):
            face.take(broken)
    assert breaker.state is OPEN


def test_recorded_calls_may_be_slow():
    """The manual face tells how long a call took."""
    breaker = CircuitBreaker(trip=SLOW)
    breaker.record_success(took=2.0)
    breaker.record_failure(took=2.0)

    assert breaker.state is OPEN


def test_failed_results(face):
    """A result that the rule calls failed is a failure, and is returned all the same."""
    breaker = make(face, failure_threshold=2, failed_result=lambda result: result == "busy")
    busy, _ = face.scripted("busy")
    assert face.call(breaker, busy) == "busy"
    face.succeed(breaker)
    assert [face.call(breaker, busy), face.call(breaker, busy)] == ["busy", "busy"]

    assert breaker.state is OPEN
    assert breaker.snapshot().recent_failures[-1][1] == "a failed result of type str"
    assert face.seen.last(CallFailed).error == "a failed result of type str"
    assert breaker.snapshot().calls == 4


def test_failed_result_of_a_probe(face):
    """A probe's result is looked at, too."""
    breaker = make(face, failure_threshold=1, failed_result=lambda result: result == "busy")
    breaker.record_failure()
    face.clock.advance(30)
    face.call(breaker, face.scripted("busy")[0])

    assert breaker.snapshot().opened == 2


def test_failed_results_of_awaitables():
    """What a plain function gives to be awaited is judged when it is there: coroutines and futures alike."""
    breaker = CircuitBreaker(failure_threshold=2, failed_result=lambda result: result == "busy")

    async def answer(text):
        return text

    async def main():
        assert await breaker.call(lambda: answer("busy")) == "busy"
        future = asyncio.get_running_loop().create_future()
        assert breaker.call(lambda: future) is future
        future.set_result("busy")
        await asyncio.sleep(0)

    asyncio.run(main())

    assert breaker.state is OPEN


@pytest.mark.parametrize("probing", [False, True], ids=["closed", "half-open"])
def test_raising_result_rule_is_seen_and_counts_for_nothing(face, probing):
    """An error in the user's own rule comes out and holds no slot."""
    breaker = make(face, failure_threshold=1, recovery=HalfOpen(max_calls=1), failed_result=lambda _: 1 / 0)
    if probing:
        breaker.record_failure()
        face.clock.advance(30)
    with pytest.raises(ZeroDivisionError):
        face.call(breaker, face.scripted("fine")[0])
    breaker.reconfigure(failed_result=None)

    face.succeed(breaker)
    assert breaker.snapshot().calls == probing + 1


def test_weights(face):
    """What a failure weighs is up to the user; nothing is no failure."""
    weights = {TimeoutError: 1.0, ConnectionError: 0.5, OSError: 0.0}
    breaker = make(face, failure_threshold=2, weight=lambda error: weights[type(error)])
    face.fail(breaker, 3, OSError)
    assert breaker.snapshot().failures == 0
    face.fail(breaker, 2)
    assert breaker.state is CLOSED
    face.fail(breaker, 1, TimeoutError)

    assert breaker.state is OPEN


def test_weights_by_hand():
    """Who reports by hand says the weight."""
    breaker = CircuitBreaker(failure_threshold=1)
    breaker.record_failure(weight=0.25)
    breaker.acquire().failure(weight=0.25)
    assert breaker.state is CLOSED
    breaker.record_failure(weight=0.5)

    assert breaker.state is OPEN


def test_plain_reset(face):
    """Without probes it closes when the open time is over."""
    breaker = make(face, failure_threshold=1, recovery=ResetAfterCooldown())
    face.fail(breaker, 1)
    assert refused(face, breaker)
    face.clock.advance(30)
    face.succeed(breaker)

    assert breaker.state is CLOSED
    assert face.seen.names == ["CallFailed", "CircuitOpened", "CallRejected", "CircuitClosed"]


def test_recovery_by_degrees(face):
    """Chance decides which calls run, more of them with time, until all do."""
    breaker = make(
        face, failure_threshold=1, recovery=GradedRecovery(over_seconds=10.0, start=0.25), random=FixedRandom(0.5)
    )
    breaker.record_failure()
    face.clock.advance(30)
    with pytest.raises(CircuitOpenError, match=r"half-open, and admits only a share .* ask again in 1 s"):
        face.call(breaker, face.scripted("fine")[0])
    face.clock.advance(5)
    face.succeed(breaker)
    assert (breaker.state, breaker.snapshot().admission, breaker.is_tripped()) == (HALF_OPEN, 0.625, False)
    face.clock.advance(5)
    face.succeed(breaker)

    assert breaker.state is CLOSED
    assert face.seen.names[-3:] == ["CircuitHalfOpened", "CallRejected", "CircuitClosed"]


def test_recovery_by_degrees_admits_the_share_that_it_says():
    """Over many callers the admitted share follows the line, from start to everything."""
    clock = ManualClock()
    chance = FixedRandom(*[number / 100 for number in range(100)])
    breaker = CircuitBreaker(failure_threshold=1, recovery=GradedRecovery(10.0, 0.1), clock=clock, random=chance)
    breaker.record_failure()
    clock.advance(30)
    shares = []
    for _ in range(5):
        before = breaker.snapshot().rejected
        for _ in range(100):
            with contextlib.suppress(CircuitOpenError):
                breaker.acquire().success()
        shares.append(1 - (breaker.snapshot().rejected - before) / 100)
        clock.advance(2.5)

    assert shares == pytest.approx([0.1, 0.325, 0.55, 0.775, 1.0], abs=0.02)


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 24.0), (0.5, 30.0), (0.75, 33.0)])
def test_open_time_is_spread(face, chance, seconds):
    """Jitter on the open time keeps many processes from probing at once."""
    breaker = make(face, failure_threshold=1, open_jitter=0.2, random=FixedRandom(chance))
    face.fail(breaker, 1)

    assert breaker.cooldown_remaining() == pytest.approx(seconds)


def test_shadow_refuses_nothing_and_says_what_it_would(face):
    """In shadow mode every call runs; state, counts and events are those of the real thing."""
    breaker = make(face, failure_threshold=2, success_threshold=1, shadow=True)
    face.fail(breaker, 2)
    assert (breaker.state, breaker.is_tripped()) == (OPEN, False)
    face.fail(breaker, 2)
    face.clock.advance(30)
    face.succeed(breaker)

    shot = breaker.snapshot()
    assert (shot.state, shot.rejected, shot.failures, shot.shadow) == (CLOSED, 2, 2, True)
    assert [event.event_type for event in face.seen.events if getattr(event, "shadow", False)] == [
        "CircuitOpened",
        "CallRejected",
        "CallRejected",
        "CircuitHalfOpened",
        "CircuitClosed",
    ]
    assert "shadow" in breaker.describe()


def test_shadow_lets_streams_and_blocks_run(face):
    """Guards and streams run in shadow mode, too."""
    breaker = make(face, failure_threshold=1, shadow=True)
    breaker.record_failure()

    assert face.block(breaker.guard(), lambda permit: permit.settled) is False
    assert face.take(breaker(face.generator(1, 2))) == [1, 2]
    assert breaker.snapshot().calls == 1


def test_verdict_can_be_asked():
    """What an exception would count as can be asked beforehand."""
    breaker = CircuitBreaker(ignore=KeyError, weight=lambda error: 0.0 if isinstance(error, OSError) else 1.0)
    ends = (RuntimeError(), KeyError(), OSError(), errors.BadRequestError(), KeyboardInterrupt())

    assert [breaker.verdict(error).value for error in ends] == ["failure", "ignored", "ignored", "success", "ignored"]


def test_idle_is_closed():
    """It may be forgotten only while it is closed: an open one would start closed the next time."""
    breaker = CircuitBreaker()
    assert breaker.idle()
    breaker.force_open()

    assert not breaker.idle()


def test_shadow_can_be_ended(face):
    """What was tried in the shadow is switched on with the state that it has."""
    breaker = make(face, failure_threshold=1, shadow=True)
    face.fail(breaker, 1)
    assert not refused(face, breaker)
    breaker.reconfigure(shadow=False)

    assert refused(face, breaker)


def test_disabled(face):
    """Switched off by hand every call runs and nothing counts, until it is switched on."""
    breaker = make(face, failure_threshold=1)
    breaker.disable()
    face.fail(breaker, 3)
    assert (breaker.state, breaker.snapshot().calls) == (CircuitState.DISABLED, 0)
    assert face.seen.last(CircuitDisabled).reason == "disabled by hand"
    breaker.force_closed()
    face.fail(breaker, 1)

    assert breaker.state is OPEN


def test_on_trip(face):
    """The function given is told each time the circuit opens, without a lock, and may do as it likes."""
    told = []
    breaker = make(face, failure_threshold=1, on_trip=lambda event: told.append((event.reason, breaker.state)))
    face.fail(breaker, 1)
    breaker.force_closed()
    breaker.force_open()

    assert told == [("1 failures in a row, the last: ConnectionError: down", OPEN), ("opened by hand", OPEN)]


def test_raising_on_trip_does_not_reach_the_caller(face, caplog):
    """An error in the notification is logged; the caller gets the call's own."""
    breaker = make(face, failure_threshold=1, on_trip=lambda _: 1 / 0)
    with pytest.raises(ConnectionError):
        face.call(breaker, face.scripted(ConnectionError("down"))[0])

    assert "ZeroDivisionError" in caplog.text


def test_on_trip_can_be_changed(face):
    """The notification is a setting as the others."""
    told = []
    breaker = make(face, failure_threshold=1, on_trip=lambda _: told.append("old"))
    breaker.reconfigure(on_trip=lambda _: told.append("new"))
    face.fail(breaker, 1)
    breaker.reconfigure(on_trip=None)
    breaker.force_open()

    assert told == ["new"]


@pytest.mark.parametrize(
    "trip",
    [
        FailureRate(0.5, over_seconds=30.0, min_calls=4),
        FailureRate(0.5, over_calls=4),
        SlowCalls(0.5, slower_than=1.0, over_calls=4) | ConsecutiveFailures(4),
        LeakyFailures(4),
    ],
    ids=repr,
)
def test_decorated_functions_follow_a_new_rule(face, trip):
    """A function that is decorated already is judged by the rule that came later."""
    breaker = make(face, failure_threshold=3)
    run = decorated(face, breaker)
    run("S")
    notes = breaker.reconfigure(trip=trip)
    assert all("begins with an empty window" in note for note in notes)
    for _ in range(4):
        run("F")

    assert breaker.state is OPEN


def test_reconfigured_thresholds_keep_what_was_counted(face):
    """A streak goes on under the new number, and back under the old."""
    breaker = make(face, failure_threshold=5)
    face.fail(breaker, 2)
    assert breaker.reconfigure(failure_threshold=3) == ()
    assert breaker.reconfigure(trip=ConsecutiveFailures(4)) == ()
    assert breaker.reconfigure(open_for=7.0, open_jitter=0.0) == ()
    face.fail(breaker, 1)
    assert breaker.state is CLOSED
    face.fail(breaker, 1)

    assert (breaker.state, breaker.cooldown_remaining()) == (OPEN, 7.0)


def test_reconfigured_recovery_is_said(face):
    """What cannot be kept is said, and what happens is published."""
    breaker = make(face, failure_threshold=1, open_for=1.0)
    face.fail(breaker, 1)
    face.clock.advance(1)
    face.succeed(breaker)

    assert breaker.reconfigure(recovery=ResetAfterCooldown()) == (
        "the running recovery begins anew as ResetAfterCooldown()",
    )
    assert (breaker.state, face.seen.names[-1]) == (CLOSED, "CircuitClosed")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"failure_treshold": 3}, "did you mean failure_threshold"),
        ({"open_for": -1}, "open_for"),
        ({"trip": ConsecutiveFailures(3), "failure_threshold": 3}, "not both"),
        ({"ignore": 3}, "exception types"),
        ({"clock": None}, "unknown setting"),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)
def test_nonsense_changes_nothing(settings, message):
    """A change that is refused leaves the breaker as it was."""
    breaker = CircuitBreaker(failure_threshold=4)
    before = repr(breaker)
    with pytest.raises(ConfigError, match=message):
        breaker.reconfigure(**settings)

    assert repr(breaker) == before


def test_settings_tell_what_was_changed():
    """The settings of a policy show its present ones."""
    breaker = CircuitBreaker(failure_threshold=4)
    breaker.reconfigure(trip=LeakyFailures(3), shadow=True)

    assert breaker.settings(defaults=False) == {"trip": LeakyFailures(3), "shadow": True}


def refusal_of(breaker):
    """Return the error of a refused call."""
    with pytest.raises(CircuitOpenError) as caught:
        breaker.call(len, "x")
    return caught.value


def opened(**options):
    """Make a breaker that is open."""
    breaker = CircuitBreaker(failure_threshold=1, clock=ManualClock(), **options)
    breaker.record_failure(OSError("x"))
    return breaker


def test_refusal_is_the_public_error():
    """The error that words itself late has everything that the public one has, and says the same."""
    error = refusal_of(opened())

    text = "the circuit is open (1 failures in a row, the last: OSError: x); it will probe in 30 s"
    assert isinstance(error, errors.RejectedError)
    assert (error.type_name, error.status_code, error.metadata, error.category) == (
        "CircuitOpenError",
        None,
        {},
        errors.Category.TRANSIENT,
    )
    assert (str(error), error.args, repr(error)) == (text, (text,), f"CircuitOpenError({text!r})")
    assert error.enrich(operation="load", shard=3).metadata == {"shard": 3}
    with pytest.raises(AttributeError, match="nonsense"):
        _ = error.nonsense


@pytest.mark.parametrize("again", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy], ids=["pickle", "copy"])
@pytest.mark.parametrize("read", [False, True], ids=["unread", "read"])
def test_refusal_survives_a_process_boundary(again, read):
    """Pickled or copied it is the plain public error, whether somebody had read it or not."""
    error = refusal_of(opened())
    if read:
        error.add_note("seen")
        str(error)
    twin = again(error)

    assert type(twin) is errors.CircuitOpenError
    assert (str(twin), twin.retry_after, getattr(twin, "__notes__", [])) == (str(error), 30.0, ["seen"] if read else [])


def test_refusals_leave_nothing_to_the_collector():
    """A refused call leaves no cycle of error, traceback and frame."""
    breaker = opened()
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            with contextlib.suppress(CircuitOpenError):
                breaker.call(len, "x")
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_refusal_while_forced_open_has_no_time():
    """Held open by hand nobody knows when to come back."""
    breaker = CircuitBreaker()
    breaker.force_open()

    assert refusal_of(breaker).retry_after is None
    assert breaker.cooldown_remaining() == math.inf


def test_rejections_are_published_when_wanted():
    """Refusals are counted always, and published to those who listen."""
    bus = EventBus()
    breaker = opened(bus=bus)
    refusal_of(breaker)
    seen = []
    with bus.subscribe(seen.append, CallRejected):
        refusal_of(breaker)

    assert breaker.snapshot().rejected == 2
    assert [(event.retry_after, event.shadow, event.source) for event in seen] == [(30.0, False, "circuit_breaker")]


def test_wrapped_functions_keep_their_shape():
    """Under every rule a decorated function is what it was."""
    breaker = CircuitBreaker(trip=FailureRate(0.5, over_seconds=30.0) | SLOW, failed_result=lambda _: False)

    @breaker
    async def fetch(order: int) -> str:
        return str(order)

    assert inspect.iscoroutinefunction(fetch)
    assert list(inspect.signature(fetch).parameters) == ["order"]


def test_outcome_of_an_opened_event_names_the_reason():
    """The event that it opened says what tipped it and until when."""
    bus, seen = EventBus(), []
    with bus.subscribe(seen.append, CircuitOpened):
        breaker = CircuitBreaker(trip=FailuresWithin(1, 60.0), bus=bus, clock=ManualClock(start=5.0))
        with pytest.raises(NetworkError):
            breaker.call(throw, NetworkError("gone"))

    assert [(event.reason, event.until) for event in seen] == [
        ("1 failures within 60 s, the last: NetworkError: gone", 35.0)
    ]


def throw(error):
    """Raise, as a call."""
    raise error
