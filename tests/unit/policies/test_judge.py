import asyncio
import concurrent.futures

import pytest

from outlast.engines import Verdict
from outlast.errors import (
    AuthenticationError,
    BadRequestError,
    BulkheadFullError,
    CircuitOpenError,
    ConfigError,
    DeadlineExceededError,
    NetworkError,
    Outcome,
    OutlastError,
    RateLimitError,
    SchemaError,
    ServerError,
    ThrottledError,
)
from outlast.policies._judge import Judge, in_words

FAILURE, SUCCESS, IGNORED = Verdict.FAILURE, Verdict.SUCCESS, Verdict.IGNORED


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        pytest.param(ValueError(), FAILURE, id="a-bare-value-error-may-be-a-garbage-answer"),
        pytest.param(TypeError(), FAILURE, id="type-error"),
        pytest.param(ConnectionError(), FAILURE, id="connection"),
        pytest.param(TimeoutError(), FAILURE, id="timeout"),
        pytest.param(DeadlineExceededError(), FAILURE, id="deadline-while-it-ran"),
        pytest.param(DeadlineExceededError(outcome=Outcome.NOT_APPLIED), IGNORED, id="deadline-before-it-ran"),
        pytest.param(NetworkError(), FAILURE, id="network"),
        pytest.param(ServerError(status_code=500), FAILURE, id="500"),
        pytest.param(ServerError(status_code=501), FAILURE, id="501"),
        pytest.param(OutlastError(status_code=408), FAILURE, id="408"),
        pytest.param(OutlastError(status_code=425), FAILURE, id="425"),
        pytest.param(OutlastError(status_code=429), IGNORED, id="429"),
        pytest.param(RateLimitError(), IGNORED, id="rate-limited-without-a-status"),
        pytest.param(AuthenticationError(status_code=401), SUCCESS, id="401"),
        pytest.param(BadRequestError(status_code=404), SUCCESS, id="404"),
        pytest.param(SchemaError(), SUCCESS, id="invalid-input"),
        pytest.param(FileNotFoundError(), SUCCESS, id="no-such-file"),
        pytest.param(CircuitOpenError(), IGNORED, id="another-breaker"),
        pytest.param(BulkheadFullError(), IGNORED, id="bulkhead"),
        pytest.param(ThrottledError(), IGNORED, id="own-limiter"),
        pytest.param(asyncio.CancelledError(), IGNORED, id="cancelled"),
        pytest.param(concurrent.futures.CancelledError(), IGNORED, id="cancelled-future"),
        pytest.param(KeyboardInterrupt(), IGNORED, id="interrupt"),
        pytest.param(SystemExit(), IGNORED, id="exit"),
        pytest.param(GeneratorExit(), IGNORED, id="closed"),
        pytest.param(ExceptionGroup("g", [SchemaError(), OSError()]), FAILURE, id="group-with-a-failure"),
        pytest.param(ExceptionGroup("g", [SchemaError(), CircuitOpenError()]), SUCCESS, id="group-without-failure"),
        pytest.param(ExceptionGroup("g", [CircuitOpenError()]), IGNORED, id="group-of-rejections"),
        pytest.param(BaseExceptionGroup("g", [KeyboardInterrupt()]), IGNORED, id="group-with-interrupt"),
    ],
)
def test_default_verdicts(error, verdict):
    """What each kind of failure says about the health of the dependency."""
    assert Judge().verdict(error) is verdict


@pytest.mark.parametrize("kinds", [("OSError",), (int,), (None,)], ids=repr)
def test_only_exception_types_can_be_ignored(kinds):
    """A wrong `ignore` is refused when it is given, not in the middle of an outage."""
    with pytest.raises(ConfigError, match="must be exception types"):
        Judge(kinds)


class SpeechlessError(Exception):
    """An exception whose text cannot be had."""

    def __str__(self):
        """Fail."""
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "words"),
    [
        pytest.param(None, "reported by hand", id="none"),
        pytest.param(OSError(), "OSError", id="no-text"),
        pytest.param(OSError("a\n b"), "OSError: a b", id="one-line"),
        pytest.param(OSError("x" * 500), "OSError: " + "x" * 160, id="short"),
        pytest.param(SpeechlessError(), "SpeechlessError", id="text-raises"),
    ],
)
def test_in_words(error, words):
    """A failure is described on one short line, whatever its text does."""
    assert in_words(error) == words
