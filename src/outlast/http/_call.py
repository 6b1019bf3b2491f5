"""Follow one request through the attempts that its policies make; the same for both transports.

The policies judge exceptions, so an answer that means trouble is raised inside of them and turned back into the answer
at the end. What may not be sent again is raised as something that no policy tries again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from outlast.engines import parse_retry_after
from outlast.errors import (
    Category,
    DeadlineExceededError,
    InDoubtError,
    Outcome,
    RemoteError,
    classify,
    classify_status,
    remote_error,
)
from outlast.http._headers import ATTEMPT_HEADER, TIMEOUT_HEADER, format_timeout

_SERVER_ERRORS: Final = 500
_TROUBLE: Final = frozenset({408, 425, 429})
_REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Safe and idempotent methods (RFC 9110 section 9.2): to apply them twice is to apply them once."""

_KEY_HEADER: Final = "idempotency-key"


class AnswerError(RemoteError):
    """The answer means trouble: 5xx, 408, 425 or 429. Raised inside the policies; see `response`.

    Rules of a user, such as `Retry(on=...)`, get it as it is. The caller gets the answer itself, unless the transport
    was told to raise it.

    Args:
        message: What was asked and what came back.
        response: The answer; its body is not read yet.
        **fields: As for `OutlastError`.
    """

    def __init__(self, message: str = "", *, response: Any = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.response = response


class _HeldError(InDoubtError):
    """A failure that would be worth another attempt, if the request might be sent again."""


@dataclass(frozen=True, slots=True)
class Sending:
    """Say what is to be sent in one attempt.

    Args:
        headers: The headers to add: the number of the attempt, and the time that is left.
        left: Seconds that the deadline in force leaves, or None.
        stale: Answers of earlier attempts, to be closed first.
    """

    headers: Mapping[str, str]
    left: float | None
    stale: list[Any]


class Call:
    """Know what became of one request so far, and whether it may be sent again.

    Thread-safe: yes; a hedge runs attempts side by side.

    Args:
        request: A request of httpx2 (or httpx).
        left: Returns the seconds that the deadline in force leaves, or None.
        wall: Returns Unix seconds, for a Retry-After date in an answer without a `Date`.
    """

    def __init__(self, request: Any, *, left: Callable[[], float | None], wall: Callable[[], float]) -> None:
        self._name = f"{request.method} {request.url.path}"
        self._repeatable = request.method in _REPEATABLE or bool(request.headers.get(_KEY_HEADER))
        self._left = left
        self._wall = wall
        self._lock = threading.Lock()
        self._sent = 0
        self._open = 0  # attempts that run, or ended in doubt, or took effect
        self._last: Exception | None = None
        self._answers: list[Any] = []
        self._stale: list[Any] = []
        self.body_taken = False
        """Whether a body that exists only once has been read."""

    def begin(self) -> Sending:
        """Return what to send now.

        Raises:
            InDoubtError: The request was sent before, and may not be sent again.
            DeadlineExceededError: No time is left; nothing was sent.
        """
        left = self._left()
        with self._lock:
            if self._sent and not self._may_go_again():
                raise _HeldError(f"{self._name} may have taken effect, and was not sent again", operation=self._name)
            if left is not None and left <= 0:
                raise DeadlineExceededError(
                    f"{self._name} was not sent: no time is left", outcome=Outcome.NOT_APPLIED, operation=self._name
                )
            self._sent += 1
            self._open += 1
            headers = {ATTEMPT_HEADER: str(self._sent)}
            if left is not None:
                headers[TIMEOUT_HEADER] = format_timeout(left)
            stale, self._stale = self._stale, []
            return Sending(headers, left, stale)

    def _may_go_again(self) -> bool:
        return (self._repeatable or not self._open) and not self.body_taken

    def answered(self, response: Any) -> Any:
        """Return an answer that is one.

        Raises:
            AnswerError: It means trouble.
        """
        status = response.status_code
        with self._lock:
            self._answers.append(response)
            if status < _SERVER_ERRORS and status not in _TROUBLE:
                return response
            meaning = classify_status(status, parse_retry_after(response.headers, self._wall()))
            self._stale.append(response)
            self._settle(meaning.outcome)
            held = meaning.retryable and not self._may_go_again()
            self._last = AnswerError(
                f"{self._name}: the server answered {status}", response=response, operation=self._name,
                category=Category.UNKNOWN if held else meaning.category, outcome=meaning.outcome,
                status_code=status, retry_after=meaning.retry_after, request_id=response.headers.get("x-request-id"),
            )  # fmt: skip
            raise self._last

    def failed(self, error: Exception) -> Exception:
        """Return what to raise inside the policies for an attempt without an answer."""
        meaning = classify(error)
        with self._lock:
            self._last = error
            self._settle(meaning.outcome)
            if not meaning.retryable or self._may_go_again():
                return error
        held = _HeldError(f"{self._name} may have taken effect", operation=self._name, outcome=meaning.outcome)
        held.__cause__ = error
        return held

    def _settle(self, outcome: Outcome) -> None:
        if outcome is Outcome.NOT_APPLIED:
            self._open -= 1

    def resolve(self, error: Exception, *, raise_answers: bool) -> Any:
        """Return the answer that the policies gave up on, or raise what the caller should see.

        Args:
            error: What came out of the policies.
            raise_answers: Whether an answer that means trouble is raised too.
        """
        last, self._last = self._last, None
        shown = last if isinstance(error, _HeldError) and last is not None else error
        if not isinstance(shown, AnswerError):
            for note in getattr(error, "__notes__", []) if shown is not error else []:
                shown.add_note(note)
            raise shown
        if not raise_answers:
            return shown.response
        raise remote_error(
            shown.status_code or _SERVER_ERRORS, shown.message, retry_after=shown.retry_after,
            operation=self._name, request_id=shown.request_id,
        )  # fmt: skip

    def leftovers(self, kept: Any) -> list[Any]:
        """Return the answers that nobody will read, to be closed."""
        with self._lock:
            rest = [answer for answer in self._answers if answer is not kept]
            self._answers, self._stale = [], []
        return rest
