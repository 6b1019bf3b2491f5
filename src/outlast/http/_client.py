"""The HTTP client, opened without any retries of its own, and what its failures mean."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from outlast.errors import Category, Outcome, classify
from outlast.storage import require


class AsyncHttpxClient(Protocol):
    """Be a client of httpx2 or of httpx, by its shape."""

    async def request(self, method: str, url: str, *, headers: Any, content: Any) -> Any:
        """Send a request and return the whole answer."""
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

    Args:
        call_timeout: Seconds for one whole call: connecting, sending and reading. Default 10.
        connections: Connections at once. Default 100.
        client: A client of httpx2 (or httpx) to use instead of an own one; it is not closed here.

    Raises:
        MissingExtraError: httpx2 is not installed.
    """

    def __init__(
        self, *, call_timeout: float = 10.0, connections: int = 100, client: AsyncHttpxClient | None = None
    ) -> None:
        self._call_timeout = call_timeout
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
                response = await self._client.request(method, url, headers=dict(headers or {}), content=body)
        except Exception as error:
            meaning = classify(error)
            said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            return NoAnswer(said, meaning.category, meaning.outcome, error)
        return HttpAnswer(response.status_code, response.headers, response.content)

    async def aclose(self) -> None:
        """Close the connections, unless the client was brought by the caller."""
        if self._owned:
            await self._client.aclose()


def _open(call_timeout: float, connections: int) -> AsyncHttpxClient:
    module = require("httpx2", extra="http", purpose="HTTP")
    limits = module.Limits(max_connections=connections, max_keepalive_connections=connections)
    client: AsyncHttpxClient = module.AsyncClient(timeout=call_timeout, limits=limits, follow_redirects=False)
    return client
