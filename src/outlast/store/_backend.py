"""Where a store reads from and delivers to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from outlast.clock import SYSTEM_CLOCK, Clock
from outlast.http import AsyncHttpxClient, HttpAnswer, HttpClient, NoAnswer, error_for
from outlast.outbox import Transport
from outlast.sync_engine import Headers, HttpTransport


@dataclass(frozen=True, slots=True)
class Document:
    """Hold what a backend has under a key.

    Args:
        body: The bytes.
        etag: Their version, or None.
    """

    body: bytes
    etag: str | None = None


class Backend(Protocol):
    """Read entities and deliver writes."""

    @property
    def kind(self) -> str:
        """Return the type of the entities, as the outbox names it."""
        ...

    @property
    def transport(self) -> Transport:
        """Return what carries a write."""
        ...

    async def load(self, key: str) -> Document | None:
        """Read an entity; None says that there is none, an error that nobody knows."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


class HttpBackend:
    """Read and write the entities of one collection of an HTTP API.

    `GET {base_url}/{kind}/{key}` reads; writes go as `HttpTransport` sends them.

    Args:
        base_url: Where the API is, such as `https://api.example.org/v1/`.
        kind: The name of the collection, such as `notes`.
        headers: Headers to add to each request, such as credentials; they are never stored.
        idempotency_header: The header that carries a write's key, or None for a server that knows none.
        call_timeout: Seconds for one whole call. Default 10.
        client: A client of httpx2 or httpx to use; it is not closed here. Default: an own one.
        clock: Where the time comes from.
    """

    def __init__(
        self,
        base_url: str,
        kind: str,
        *,
        headers: Headers | None = None,
        idempotency_header: str | None = "Idempotency-Key",
        call_timeout: float = 10.0,
        client: AsyncHttpxClient | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.kind = kind
        self._clock = clock
        self._http = HttpClient(call_timeout=call_timeout, client=client)
        self.transport = HttpTransport(
            base_url, headers=headers, idempotency_header=idempotency_header, http=self._http, clock=clock
        )

    async def load(self, key: str) -> Document | None:
        """Read an entity.

        Raises:
            RemoteError: No answer came, or none of use; the subclasses say which.
        """
        url = self.transport.address(self.kind, key)
        match await self._http.request("GET", url, headers=await self.transport.credentials()):
            case HttpAnswer(status=200, headers=headers, body=body):
                return Document(body, headers.get("etag"))
            case HttpAnswer(status=404 | 410):
                return None
            case HttpAnswer() | NoAnswer() as answer:
                raise error_for(answer, f"GET {url}", self._clock.wall())

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
