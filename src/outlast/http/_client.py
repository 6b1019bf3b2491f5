"""The HTTP client, opened without any retries of its own, and what its failures mean."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from outlast.errors import Category, Outcome, RemoteError, classify
from outlast.storage import require


class AsyncHttpxClient(Protocol):
    """Be a client of httpx2 or of httpx, by its shape."""

    def stream(
        self, method: str, url: str, *, headers: Any, content: Any, follow_redirects: bool
    ) -> AbstractAsyncContextManager[Any]:
        """Send a request and give the answer, its body not read yet."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Hold a whole answer.

    Args:
        status: The status code.
        headers: The headers; look names up in lower case.
        body: The body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Say that no whole answer came.

    Args:
        reason: What failed, in words.
        category: What can be done about it.
        outcome: Whether the request may have taken effect.
        error: The exception itself.
    """

    reason: str
    category: Category
    outcome: Outcome
    error: BaseException


class HttpClient:
    """Send single HTTP requests, each within one overall limit, and never raise for what the network does.

    A redirect is an answer and is never followed, whatever the client does otherwise: the write would become a GET, and
    the credentials would be shown to whoever it leads to.

    Args:
        call_timeout: Seconds for one whole call: connecting, sending and reading. Default 10.
        connections: Connections at once. Default 100.
        client: A client of httpx2 (or httpx) to use instead of an own one; it is not closed here.
        max_answer_bytes: The largest body of an answer that is read, 1 or more; one above is cut, as by a lost
            connection. Default 64 MiB.

    Raises:
        MissingExtraError: httpx2 is not installed.
    """

    def __init__(
        self,
        *,
        call_timeout: float = 10.0,
        connections: int = 100,
        client: AsyncHttpxClient | None = None,
        max_answer_bytes: int = 64 << 20,
    ) -> None:
        self._call_timeout = call_timeout
        self._max_answer_bytes = max_answer_bytes
        self._owned = client is None
        self._client = client if client is not None else _open(call_timeout, connections)

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> HttpAnswer | NoAnswer:
        """Send a request once.

        Args:
            method: The method.
            url: The absolute address.
            headers: The headers.
            body: The body, or None.

        Cancel: the connection is closed; whether the server acted is in doubt.
        """
        try:
            async with asyncio.timeout(self._call_timeout):
                return await self._answer(method, url, dict(headers or {}), body)
        except Exception as error:
            answered = _raised(error)
            if answered is not None:
                return answered
            meaning = classify(error)
            said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            return NoAnswer(said, meaning.category, meaning.outcome, error)

    async def _answer(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> HttpAnswer:
        asked = self._client.stream(method, url, headers=headers, content=body, follow_redirects=False)
        async with asked as response:
            try:
                found = await self._read(response)
            except Exception as error:
                # What became of a write is said by the status; one that is sent again would be answered so again.
                if method == "GET" or type(error).__name__ != "DecodingError":
                    raise
                found = b""
        return HttpAnswer(response.status_code, response.headers, found)

    async def _read(self, response: Any) -> bytes:
        found = bytearray()
        async for part in response.aiter_bytes():
            found += part
            if len(found) > self._max_answer_bytes:
                said = f"the answer is larger than {self._max_answer_bytes} bytes"
                raise RemoteError(said, category=Category.FATAL, outcome=Outcome.IN_DOUBT)
        return bytes(found)

    async def aclose(self) -> None:
        """Close the connections, unless the client was brought by the caller."""
        if self._owned:
            await self._client.aclose()


def _raised(error: Exception) -> HttpAnswer | None:
    """Return the answer that a hook of a brought client has made an error of; its body was not read."""
    response: Any = getattr(error, "response", None) if type(error).__name__ == "HTTPStatusError" else None
    return None if response is None else HttpAnswer(response.status_code, response.headers, b"")


def _open(call_timeout: float, connections: int) -> AsyncHttpxClient:
    module = require("httpx2", extra="http", purpose="HTTP")
    limits = module.Limits(max_connections=connections, max_keepalive_connections=connections)
    client: AsyncHttpxClient = module.AsyncClient(timeout=call_timeout, limits=limits, follow_redirects=False)
    return client
