"""Credentials of a transport: where they come from, and how new ones are had when they are refused."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, runtime_checkable

HeaderMap = Mapping[str, str]
Headers = HeaderMap | Callable[[], HeaderMap]


@runtime_checkable
class Credentials(Protocol):
    """Give the headers that say who is calling. They are added when a request is sent, and never stored.

    One object may serve several transports: when a server refuses what it gave, all of them wait while it is
    refreshed once.
    """

    def headers(self) -> HeaderMap | Awaitable[HeaderMap]:
        """Return the headers for a request; may be awaited."""
        ...

    def refresh(self) -> Awaitable[None] | None:
        """Get new credentials; may be awaited. What it raises stops the delivery, and nothing is lost."""
        ...


CredentialsLike = Credentials | Callable[[], HeaderMap | Awaitable[HeaderMap]]


async def headers_of(credentials: CredentialsLike | None) -> HeaderMap:
    """Return the headers that credentials give."""
    if credentials is None:
        return {}
    found = credentials.headers() if isinstance(credentials, Credentials) else credentials()
    return await found if inspect.isawaitable(found) else found


async def refresh(credentials: CredentialsLike | None) -> None:
    """Let credentials be refreshed."""
    if isinstance(credentials, Credentials):
        done = credentials.refresh()
        if inspect.isawaitable(done):
            await done
