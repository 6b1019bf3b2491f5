import asyncio
import inspect

import pytest

from outlast.engines import RetryConfig
from outlast.errors import (
    BadRequestError,
    CircuitOpenError,
    ConfigError,
    DeadlineExceededError,
    NetworkError,
    Outcome,
    RateLimitError,
    ThrottledError,
)
from outlast.events import RetryGaveUp, RetryScheduled
from outlast.policies import Backoff, CircuitBreaker, Retry
from outlast.testing import FixedRandom, ManualClock, run_virtual


def make(face, **options):
    """Make a retry of 3 attempts that waits 1 and 2 s."""
    return Retry(**{"random": FixedRandom(0.5), **face.around, **options})


def notes(error):
    """Return the notes of an exception."""
    return getattr(error, "__notes__", [])


def test_runs_again_until_it_succeeds(face):
    """A failure that may pass is followed by another attempt, after the wait."""
    fn, script = face.scripted(ConnectionError(), TimeoutError(), "fine")

    assert face.call(make(face), fn) == "fine"
    assert (script.calls, face.clock.now()) == (3, 1003.0)


def test_attempts_are_counted_in_total(face):
    """Three attempts are three calls, not one and three more."""
    fn, script = face.scripted(ConnectionError("down"))

    with pytest.raises(ConnectionError):
        face.call(make(face, attempts=3), fn)

    assert script.calls == 3


def test_last_error_is_raised_as_it_was(face):
    """The caller gets the last exception itself, without the earlier ones as context, and with a note."""
    last = ConnectionError("third")
    fn, _ = face.scripted(ConnectionError("first"), TimeoutError("second"), last)

    with pytest.raises(ConnectionError) as caught:
        face.call(make(face), fn)

    assert caught.value is last
    assert last.__context__ is None
    (note,) = notes(last)
    assert note.startswith(
        "outlast retry: 3 attempts, 3 s since the first failure, after ConnectionError, TimeoutError"
    )
    assert note.endswith("no further attempt: all 3 attempts were used")


def test_note_does_not_pile_up(face):
    """An exception object that is raised again and again keeps one note of ours, and those of others."""
    error = ConnectionError("constant")
    error.add_note("mine")
    fn, _ = face.scripted(error)
    for _ in range(3):
        with pytest.raises(ConnectionError):
            face.call(make(face, attempts=1), fn)

    assert notes(error) == ["mine", "outlast retry: 1 attempt; no further attempt: only one attempt is allowed"]


def test_long_history_is_cut(face):
    """The note names the last few failures only."""
    fn, _ = face.scripted(TimeoutError())

    with pytest.raises(TimeoutError) as caught:
        face.call(make(face, attempts=9), fn)

    assert "after ..., TimeoutError, TimeoutError, TimeoutError, TimeoutError, TimeoutError;" in notes(caught.value)[0]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(ValueError(), "nothing says that a repetition helps", id="unknown"),
        pytest.param(BadRequestError(), "invalid_input, which no repetition cures", id="invalid"),
        pytest.param(PermissionError(), "fatal, which no repetition cures", id="fatal"),
        pytest.param(NetworkError(outcome=Outcome.APPLIED), "its effect took place", id="applied"),
        pytest.param(RateLimitError(retry_after=121.0), "asks to wait 121 s", id="retry-after-too-long"),
    ],
)
def test_what_is_not_run_again(face, error, reason):
    """Errors that no repetition helps pass through, with a note that says why."""
    fn, script = face.scripted(error)

    with pytest.raises(type(error)) as caught:
        face.call(make(face), fn)

    assert script.calls == 1
    assert reason in notes(caught.value)[0]


def test_retry_after_is_a_floor(face):
    """The server's Retry-After holds where it is longer than the backoff."""
    fn, _ = face.scripted(RateLimitError(retry_after=7.0), RateLimitError(retry_after=0.5), "fine")
    face.call(make(face), fn)

    assert face.clock.now() == 1009.0


@pytest.mark.parametrize(
    ("on", "error", "calls"),
    [
        pytest.param(KeyError, KeyError(), 3, id="type"),
        pytest.param(LookupError, KeyError(), 3, id="subclass"),
        pytest.param((KeyError, OSError), ConnectionError(), 3, id="several"),
        pytest.param(KeyError, ConnectionError(), 1, id="not-named"),
        pytest.param(lambda e: "again" in str(e), ValueError("again"), 3, id="predicate-true"),
        pytest.param(lambda e: False, ConnectionError(), 1, id="predicate-false"),
        pytest.param(lambda e: None, ConnectionError(), 3, id="predicate-none-retriable"),
        pytest.param(lambda e: None, ValueError(), 1, id="predicate-none-unknown"),
        pytest.param(CircuitOpenError, CircuitOpenError(retry_after=1.0), 3, id="rejection-by-name"),
    ],
)
def test_on(face, on, error, calls):
    """`on=` decides; where it has no opinion, the classification does."""
    fn, script = face.scripted(error)

    with pytest.raises(type(error)):
        face.call(make(face, on=on), fn)

    assert script.calls == calls


@pytest.mark.parametrize("on", [BaseException, asyncio.CancelledError, (OSError, KeyboardInterrupt), (), "x"], ids=repr)
def test_on_refuses_what_would_catch_cancellation(on):
    """Nothing but subclasses of Exception, or a function, can be named."""
    with pytest.raises(ConfigError, match="cancellation is never retried"):
        Retry(on=on)


@pytest.mark.parametrize(
    "options", [{"attempts": 0}, {"attempts": True}, {"max_retry_after": -1}, {"max_elapsed": 0}], ids=repr
)
def test_nonsense_is_refused(options):
    """Settings under which nothing would run are refused."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        Retry(**options)


def test_idempotent_false_never_repeats_what_is_in_doubt(face):
    """What may have happened is not sent again when the author says so; what did not happen is."""
    retry = make(face, idempotent=False)
    doubtful, doubted = face.scripted(TimeoutError())
    safe, repeated = face.scripted(ConnectionRefusedError(), "fine")

    with pytest.raises(TimeoutError) as caught:
        face.call(retry, doubtful)
    face.call(retry, safe)

    assert (doubted.calls, repeated.calls) == (1, 2)
    assert "in doubt" in notes(caught.value)[0]


def test_max_elapsed_counts_from_the_start(face):
    """No attempt starts after `max_elapsed`, the first attempt's own time included."""
    slow = face.slow(5.0, None)

    def fail():
        raise ConnectionError

    async def slow_fail():
        await slow()
        fail()

    fn = slow_fail if face.colour == "async" else lambda: (slow(), fail())

    with pytest.raises(ConnectionError) as caught:
        face.call(make(face, max_elapsed=11.5), fn)

    assert "2 attempts" in notes(caught.value)[0]
    assert "max_elapsed=11.5 s" in notes(caught.value)[0]


def test_wait_must_fit_the_deadline(face):
    """A wait that the deadline leaves no room for is not begun."""
    fn, script = face.scripted(ConnectionError())
    retry = make(face, attempts=9)

    with pytest.raises(ConnectionError) as caught:
        face.within(2.5, retry, fn)

    assert (script.calls, face.clock.now()) == (2, 1001.0)
    assert "the wait of 2 s does not fit in the 1.5 s that are left" in notes(caught.value)[0]


@pytest.mark.parametrize(
    ("seconds", "after", "calls"),
    [
        pytest.param(None, 1.0, 1, id="no-deadline"),
        pytest.param(20.0, 5.0, 3, id="fits"),
        pytest.param(20.0, 25.0, 1, id="does-not-fit"),
        pytest.param(20.0, None, 3, id="unknown-wait-uses-the-backoff"),
    ],
)
def test_own_rejections(face, seconds, after, calls):
    """A call that another policy refused is repeated only where a deadline leaves room for it."""
    fn, script = face.scripted(ThrottledError(retry_after=after))
    retry = make(face)

    with pytest.raises(ThrottledError):
        face.within(seconds, retry, fn)

    assert script.calls == calls


def test_rejections_within_max_elapsed(face):
    """`max_elapsed` is a limit too: within it rejections are waited for."""
    fn, script = face.scripted(CircuitOpenError(retry_after=5.0), "fine")

    assert face.call(make(face, max_elapsed=10.0), fn) == "fine"
    assert script.calls == 2


def test_open_circuit_ends_the_retrying(face):
    """Around a breaker that opens, the retry gives up at the first refusal instead of waiting for minutes."""
    breaker = CircuitBreaker(failure_threshold=2, **face.around)
    fn, script = face.scripted(ConnectionError())

    with pytest.raises(CircuitOpenError) as caught:
        face.call(make(face, attempts=9), breaker(fn))

    assert script.calls == 2
    assert "neither a deadline nor max_elapsed" in notes(caught.value)[0]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit])
def test_cancellation_passes(face, error):
    """What is no Exception ends the call at once, without a note."""
    fn, script = face.scripted(error())

    with pytest.raises(error) as caught:
        face.call(make(face), fn)

    assert script.calls == 1
    assert notes(caught.value) == []


async def test_cancelled_while_waiting():
    """Cancelling a task that waits for its next attempt ends it at once."""
    calls = []

    async def fn():
        calls.append(1)
        raise ConnectionError

    task = asyncio.create_task(Retry(clock=asyncio.get_running_loop().clock).acall(fn))
    await asyncio.sleep(0.5)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert calls == [1]


def test_events(face):
    """Each decision is an event."""
    fn, _ = face.scripted(ConnectionError())
    with pytest.raises(ConnectionError):
        face.call(make(face, attempts=2, name="load"), fn)

    assert face.seen.events == [
        RetryScheduled(source="load", at=1000.0, attempt=1, wait=1.0, error="ConnectionError"),
        RetryGaveUp(source="load", at=1001.0, attempts=2, reason="all 2 attempts were used", error="ConnectionError"),
    ]


def test_loop_form(face):
    """The body in the loop runs again until it succeeds; numbers count from 1."""
    outcomes = iter([ConnectionError(), ConnectionError(), "fine"])
    numbers = []

    def body(attempt):
        numbers.append(attempt.number)
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert face.loop(make(face).attempts(), body) == "fine"
    assert (numbers, face.clock.now()) == ([1, 2, 3], 1003.0)


@pytest.mark.parametrize("error", [ConnectionError, ValueError, KeyboardInterrupt])
def test_loop_form_raises_the_last(face, error):
    """The loop form raises what the decorator would raise."""
    last = error("x")

    def body(attempt):
        raise last

    with pytest.raises(error) as caught:
        face.loop(make(face).attempts(), body)

    assert caught.value is last


def test_loop_form_without_wait(face):
    """A backoff of nothing waits nothing."""
    outcomes = iter([ConnectionError(), "fine"])

    def body(attempt):
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome

    face.loop(make(face, backoff=Backoff.fixed(0)).attempts(), body)

    assert face.clock.sleeps == []


def test_loop_without_with_is_refused():
    """A body outside of `with attempt:` would run for ever; the second round says so."""
    with pytest.raises(ConfigError, match="inside `with attempt:`"):
        for _ in Retry().attempts():
            pass


def test_only_the_opening_of_a_stream_is_repeated(face):
    """Before the first item a failure is repeated; after it, nothing is delivered twice."""
    opened = []

    def items():
        opened.append(1)
        if len(opened) < 3:
            raise ConnectionError("no opening")
        yield "a"
        raise ConnectionError("broke off")

    async def aitems():
        for item in items():
            yield item

    stream = make(face)(aitems if face.colour == "async" else items)
    read = []

    with pytest.raises(ConnectionError, match="broke off"):
        read += face.take(stream)

    assert len(opened) == 3


def test_sync_function_that_returns_a_coroutine():
    """A lambda that returns a coroutine is retried as what it is: each attempt calls it again."""
    clock, calls = ManualClock(), []

    async def work():
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionError
        return "fine"

    def begin():
        return work()

    result = Retry(clock=clock).call(begin)
    assert inspect.iscoroutine(result)

    assert run_virtual(result, clock=clock) == "fine"
    assert len(calls) == 3


def test_other_results_pass():
    """A result of an unusual type that is no awaitable comes back as it is."""
    thing = object()

    assert Retry().call(lambda: thing) is thing


def test_timeout_of_each_attempt_is_retried(face):
    """Our own DeadlineExceededError is retriable."""
    fn, script = face.scripted(DeadlineExceededError(), "fine")
    face.call(make(face), fn)

    assert script.calls == 2


def test_it_shows_itself():
    """The settings are visible."""
    retry = Retry(4, name="load", max_elapsed=9.0)

    assert retry.name == "load"
    assert retry.snapshot() == RetryConfig(attempts=4, max_elapsed=9.0)
    assert "attempts=4" in repr(retry)
    assert retry.describe().startswith("retry: up to 4 attempts, at most 9 s, waits")
