"""What is tried again and what is not, and what the caller gets."""

import asyncio

import pytest
from retries import make, notes

from outlast.errors import (
    BadRequestError,
    CircuitOpenError,
    DeadlineExceededError,
    NetworkError,
    Outcome,
    RateLimitError,
)
from outlast.events import RetryGaveUp, RetryScheduled
from outlast.policies import Retry


def test_runs_again_until_it_succeeds(face):
    """A failure that may pass is followed by another attempt, after the wait."""
    fn, script = face.scripted(ConnectionError(), TimeoutError(), "fine")

    assert face.call(make(face), fn) == "fine"
    assert (script.calls, face.clock.now()) == (3, 1003.0)


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


def test_timeout_of_each_attempt_is_retried(face):
    """Our own DeadlineExceededError is retriable."""
    fn, script = face.scripted(DeadlineExceededError(), "fine")
    face.call(make(face), fn)

    assert script.calls == 2


async def test_cancelled_waits_leave_nothing():
    """A storm of calls that are cancelled while they wait ends at once, and no task or timer is left."""
    loop = asyncio.get_running_loop()
    retry = Retry(backoff=3600.0, clock=loop.clock)

    async def fail():
        raise ConnectionError

    calls = [asyncio.create_task(retry.acall(fail)) for _ in range(80)]
    await asyncio.sleep(0.1)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)

    assert all(call.cancelled() for call in calls)
    assert len(asyncio.all_tasks()) == 1
    assert [handle for handle in loop._scheduled if not handle.cancelled()] == []
