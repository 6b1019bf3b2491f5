"""Credentials of a transport: where they come from, and how new ones are had when they are refused."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, runtime_checkable

from outlast.errors import ConfigError

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""Source: RFC 9110 section 5.6.2."""

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


def replacing(*given: HeaderMap) -> dict[str, str]:
    """Return headers of which later ones replace earlier ones of the same name, in whatever case that is written.

    >>> replacing({"authorization": "old", "X-A": "1"}, {"Authorization": "new"})
    {'Authorization': 'new', 'X-A': '1'}
    """
    return dict({name.lower(): (name, value) for headers in given for name, value in headers.items()}.values())


def check_headers(headers: HeaderMap) -> HeaderMap:
    """Return headers that can be sent.

    Raises:
        ConfigError: One cannot, such as a token with the line break of its file; what it holds is not shown.
    """
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ConfigError(f"{name!r} cannot be the name of a header", path="headers")
        if not _is_one_line(value):
            raise ConfigError(f"the header {name!r} cannot be sent: its value is one line of ASCII", path="headers")
    return headers


def _is_one_line(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


async def refresh(credentials: CredentialsLike | None) -> None:
    """Let credentials be refreshed."""
    if isinstance(credentials, Credentials):
        done = credentials.refresh()
        if inspect.isawaitable(done):
            await done
