"""What the receiver's middleware takes, refuses and keeps: the same for ASGI and WSGI.

Source: draft-ietf-httpapi-idempotency-key-header-07 (400, 409, 422), RFC 9457 (problem documents).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from outlast.config import check_number
from outlast.errors import Category, Outcome, classify
from outlast.http._receiver_records import (
    FENCE_HEADER,
    KEY_HEADER,
    REPLAYED_HEADER,
    Claim,
    Fence,
    Fenced,
    InProgress,
    New,
    Replay,
    Reused,
    StoredResponse,
)

_KEY: Final = re.compile(r"[!#-+\--~]{1,255}")
"""Printable ASCII without quotes and commas, by which headers are joined."""
_BODILESS: Final = frozenset({204, 205, 304})
_ASK_AGAIN: Final = frozenset({401, 408, 423, 425, 429})
_NOT_KEPT: Final = frozenset(
    {"connection", "date", "keep-alive", "server", "set-cookie", "trailer", "transfer-encoding", "upgrade"}
)


def is_final(status: int) -> bool:
    """Tell whether an answer ends the matter, so that a repeat must get it too.

    What a sender answers by coming back with the same key is not: 5xx, 401, 408, 423, 425, 429. A refusal such as
    404 or 412 is: a repeat that comes late must not take effect after its sender was told no.

    >>> [status for status in (201, 401, 412, 429, 503) if is_final(status)]
    [201, 412]
    """
    return status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _ASK_AGAIN


@dataclass(frozen=True, slots=True)
class Write:
    """Be a request that may go on.

    Args:
        key: Its key, or None.
        fence: Its sender's fence, or None.
    """

    key: str | None
    fence: Fence | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverRules:
    """Say which requests the receiver's middleware takes, and which answers it keeps.

    Args:
        key_header: The header that carries the key. Default `Idempotency-Key`.
        require_key: Whether a request without a key is refused with 400. Default False: it runs in a transaction too,
            and nothing of it is kept.
        methods: The methods that write; others pass through untouched. Default POST, PUT, PATCH, DELETE.
        is_final: Which statuses are committed and kept; with any other everything is rolled back. Default: `is_final`.
        max_body_bytes: The largest body of a request, and of an answer, 1 or more. Default 1 MiB.
        max_wait: Seconds that a request waits for its turn to write on SQLite, above 0. Default 10.
        retry_after: Whole seconds for Retry-After, 1 or more. Default 1.
        drop_headers: Names of headers, in lower case, that belong to one answer and are not kept with it.
        problem_types: What the `type` of each problem document begins with.

    Raises:
        ConfigError: A number makes no sense.
    """

    key_header: str = KEY_HEADER
    require_key: bool = False
    methods: frozenset[str] = frozenset({"POST", "PUT", "PATCH", "DELETE"})
    is_final: Callable[[int], bool] = is_final
    max_body_bytes: int = 1 << 20
    max_wait: float = 10.0
    retry_after: int = 1
    drop_headers: frozenset[str] = _NOT_KEPT
    problem_types: str = "urn:outlast:problem:"

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        check_number("max_body_bytes", self.max_body_bytes, least=1)
        check_number("max_wait", self.max_wait, above=0, most=86_400)
        check_number("retry_after", self.retry_after, least=1)

    def admit(self, key: str | None, fence: str | None) -> Write | StoredResponse:
        """Judge the headers of a request that writes.

        Args:
            key: The key's header, or None.
            fence: The fence's header, or None.

        Returns:
            What it asks for, or the answer that refuses it.
        """
        if key is None:
            return self._missing() if self.require_key else Write(None, None)
        # The draft has it as a quoted string, most senders write it plainly.
        plain = key.strip().removeprefix('"').removesuffix('"')
        if not _KEY.fullmatch(plain):
            return self._invalid(f"{self.key_header} is one key of 1 to 255 printable characters")
        told = None if fence is None else Fence.parse(fence)
        if fence is not None and told is None:
            return self._invalid(f'{FENCE_HEADER} looks like 12;sender="id"')
        return Write(plain, told)

    def answer_to(self, claim: Claim | None) -> StoredResponse | None:
        """Return the answer that a claim has already, or None when the work is to be done."""
        match claim:
            case None | New():
                return None
            case Replay(response=response):
                marked = (*response.headers, (REPLAYED_HEADER.lower(), "true"))
                return StoredResponse(response.status, marked, response.body)
            case Reused():
                return self._problem(
                    HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency-key-reused", "the key was used for another request"
                )
            case InProgress():
                return self._problem(
                    HTTPStatus.CONFLICT, "idempotency-key-in-progress", "the first request with this key is still at "
                    "work; ask again with the same key", again=True,
                )  # fmt: skip
            case Fenced(newest=newest):
                return self._problem(
                    HTTPStatus.CONFLICT, "stale-fence", f"the sender has been replaced; its newest fence is {newest}"
                )

    def kept(self, response: StoredResponse) -> StoredResponse | None:
        """Return what is to be kept of an answer, or None when all is to be rolled back."""
        if not self.is_final(response.status):
            return None
        headers = tuple((name, value) for name, value in response.headers if name.lower() not in self.drop_headers)
        return StoredResponse(response.status, headers, response.body)

    def too_large_request(self) -> StoredResponse:
        """Return the answer to a request whose body is above the limit; the rest of it is not read."""
        said = f"the body is larger than {self.max_body_bytes} bytes"
        return self._problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request-too-large", said)

    def broken_off_request(self) -> StoredResponse:
        """Return the answer to a request whose body did not come whole; its sender is gone, as a rule."""
        return self._problem(HTTPStatus.BAD_REQUEST, "request-broken-off", "the body is shorter than it says")

    def unmeasured_request(self) -> StoredResponse:
        """Return the answer to a request in chunks from a server that does not say where they end: none was read."""
        said = "send the body with a Content-Length"
        return self._problem(HTTPStatus.LENGTH_REQUIRED, "request-without-length", said)

    def instead_of(self, error: Exception) -> StoredResponse:
        """Return the answer when the application's own could not be given, and all was rolled back.

        Raises:
            Exception: The failure, where it is neither the answer's size nor a database that says that nothing was
                done and may be soon.
        """
        if isinstance(error, TooLargeError):
            said = f"the answer is larger than {self.max_body_bytes} bytes; nothing was done"
            return self._problem(HTTPStatus.INTERNAL_SERVER_ERROR, "answer-too-large", said)
        found = classify(error)
        passing = found.category in {Category.RETRIABLE, Category.TRANSIENT}
        if not passing or found.outcome is not Outcome.NOT_APPLIED:
            raise error
        said = "the database is busy; nothing was done, ask again with the same key"
        return self._problem(HTTPStatus.SERVICE_UNAVAILABLE, "busy", said, again=True)

    def _missing(self) -> StoredResponse:
        return self._problem(
            HTTPStatus.BAD_REQUEST, "idempotency-key-missing", f"a write here needs the header {self.key_header}"
        )

    def _invalid(self, said: str) -> StoredResponse:
        return self._problem(HTTPStatus.BAD_REQUEST, "idempotency-key-invalid", said)

    def _problem(self, status: HTTPStatus, name: str, detail: str, *, again: bool = False) -> StoredResponse:
        document = {
            "type": f"{self.problem_types}{name}", "title": status.phrase, "status": int(status), "detail": detail,
        }  # fmt: skip
        after = (("retry-after", str(math.ceil(self.retry_after))),) if again else ()
        headers = (("content-type", "application/problem+json"), ("cache-control", "no-store"), *after)
        return sized(StoredResponse(int(status), headers, json.dumps(document).encode()))


class TooLargeError(Exception):
    """The application's answer is above the limit."""


class Collected:
    """Put an answer together that comes in parts.

    Args:
        most: Bytes that its body may have.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._head: tuple[int, tuple[tuple[str, str], ...]] | None = None
        self._body = bytearray()
        self._too_large = False

    def start(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Set status and headers; what was collected before belongs to an answer that this one replaces."""
        self._body.clear()
        self._head = status, tuple((name, value) for name, value in headers)

    def add(self, part: bytes) -> None:
        """Add a part of the body.

        Raises:
            TooLargeError: That is too much.
        """
        self._too_large = self._too_large or len(self._body) + len(part) > self._most
        if self._too_large:
            raise TooLargeError
        self._body += part

    def whole(self) -> StoredResponse:
        """Return the answer.

        Raises:
            TooLargeError: It is too large, whatever the application made of hearing so.
            RuntimeError: It has no status: the application broke the protocol.
        """
        if self._too_large:
            raise TooLargeError
        if self._head is None:
            raise RuntimeError("the application sent a body without a status")
        return sized(StoredResponse(*self._head, bytes(self._body)))


def sized(response: StoredResponse) -> StoredResponse:
    """Return an answer that says how long its body is, also where the application sent it in parts."""
    if response.status in _BODILESS or any(name.lower() == "content-length" for name, _ in response.headers):
        return response
    headers = (*response.headers, ("content-length", str(len(response.body))))
    return StoredResponse(response.status, headers, response.body)
