"""The credentials of a feed: brought, or asked for; held in memory only."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping

from outlast.errors import ConfigError

TokenProvider = Callable[[], str | Awaitable[str]]


class Credentials:
    """Hold the present token, and whom to ask for the next.

    Args:
        token: A token, a function that returns one, plain or async, or None for none.

    Raises:
        ConfigError: A token holds what cannot stand in a header.
    """

    def __init__(self, token: str | TokenProvider | None) -> None:
        self._token: str | None = None
        self._provider: TokenProvider | None = None
        self.given = 0
        """How often somebody brought a token or a function; what is asked for does not count."""
        self.give(token)

    def __repr__(self) -> str:
        """Return what is there, never the token."""
        return f"Credentials({'token' if self._token else 'none'}, refreshable={self.refreshable})"

    def give(self, token: str | TokenProvider | None) -> None:
        """Take a new token, or a new function to ask; None leaves all as it is. Raises as the class does."""
        if callable(token):
            self._token, self._provider = None, token
        elif token is not None:
            self._token = _checked(token)
        self.given += token is not None

    @property
    def refreshable(self) -> bool:
        """Tell whether there is somebody to ask for a token."""
        return self._provider is not None

    @property
    def missing(self) -> bool:
        """Tell whether a token must be asked for before the first connection."""
        return self._token is None and self._provider is not None

    async def refresh(self) -> None:
        """Ask for a token, unless one is brought meanwhile; raises what the function raises, and as the class does."""
        if self._provider is not None:
            given, answer = self.given, self._provider()
            token = _checked(await answer if inspect.isawaitable(answer) else answer)
            if self.given == given:
                self._token = token

    def headers(self) -> Mapping[str, str]:
        """Return the headers that carry the token."""
        return {} if self._token is None else {"Authorization": f"Bearer {self._token}"}


def _checked(token: str) -> str:
    # Whoever finds it later shows it: the errors of HTTP libraries quote the header that they refuse.
    if token.isascii() and token.isprintable() and token == token.strip():
        return token
    raise ConfigError("holds what cannot stand in a header, such as the newline at the end of a file", path="token")
