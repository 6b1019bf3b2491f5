"""What went wrong on a rung, said so that the ladder understands it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

from outlast.engines.feed_records import Trouble
from outlast.engines.retry_after import parse_retry_after
from outlast.errors import SyncError, classify, remote_error

_REFUSED: Final = frozenset({401, 403})
_NO_RUNG: Final = 403
"""How some servers and most proxies refuse a WebSocket they do not know; if it is the credentials, the pull says so."""
_LATER: Final = frozenset({408, 425, 429})
_ELSEWHERE: Final = frozenset({302, 303, 307})
"""Redirects for now, which is also how a network answers for everybody until somebody has logged in to it."""
_NEVER: Final = frozenset({501, 505})
_SERVER_ERRORS: Final = 500


class RungError(Exception):
    """A rung failed; the ladder decides what is next.

    Args:
        trouble: How.
        reason: In words.
        at_least: Seconds that the server has asked to wait.
    """

    def __init__(self, trouble: Trouble, reason: str, at_least: float = 0.0) -> None:
        super().__init__(reason)
        self.trouble = trouble
        self.reason = reason
        self.at_least = at_least


class RefusedError(Exception):
    """The credentials were refused."""


def judge_status(status: int, headers: Mapping[str, str], wall: float, *, rung: bool) -> Exception | None:
    """Return what an answer's status means, or None when it is a success.

    Args:
        status: The status.
        headers: The headers of the answer.
        wall: Unix seconds, for a Retry-After date.
        rung: Whether it was asked for something that a server need not offer; else it is the pull, which it must.
    """
    if status in range(200, 300):
        return None
    reason = f"the server answered {status}{_points(status, headers)}"
    if status in _REFUSED and not (rung and status == _NO_RUNG):
        return RefusedError(reason)
    if status in _LATER or (status >= _SERVER_ERRORS and status not in _NEVER):
        return RungError(Trouble.UNREACHABLE, reason, parse_retry_after(headers, wall) or 0.0)
    if rung:
        return RungError(Trouble.UNSUPPORTED, reason)
    if status in _ELSEWHERE:
        return RungError(Trouble.UNREACHABLE, reason)
    if status == HTTPStatus.GONE:
        return SyncError(
            "the server no longer knows what lies behind the cursor (410); forget it with `await store.reset()`, "
            "which pulls everything anew",
            status_code=status,
        )
    return remote_error(status, f"the feed cannot be pulled: {reason}")


def _points(status: int, headers: Mapping[str, str]) -> str:
    place = headers.get("location", "").partition("?")[0] if status in range(300, 400) else ""
    return f" and points to {place}; no redirect is followed, since it would take the credentials there" * bool(place)


@contextmanager
def as_trouble(trouble: Trouble) -> Generator[None]:
    """Raise what a later attempt may mend as `RungError`, and everything else as it is.

    Args:
        trouble: What it means for the rung.
    """
    try:
        yield
    except (RungError, RefusedError):
        raise
    except Exception as error:
        if not classify(error).retryable:
            raise
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise RungError(trouble, said) from error
