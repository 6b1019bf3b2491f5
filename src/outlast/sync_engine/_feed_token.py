"""The credentials of a feed: brought, or asked for; held in memory only."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping

TokenProvider = Callable[[], str | Awaitable[str]]


class Credentials:
    """Hold the present token, and whom to ask for the next.

    Args:
        token: A token, a function that returns one, plain or async, or None for none.
    """

    def __init__(self, token: str | TokenProvider | None) -> None:
        self._token: str | None = None
        self._provider: TokenProvider | None = None
        self.give(token)

    def __repr__(self) -> str:
        """Return what is there, never the token."""
        return f"Credentials({'token' if self._token else 'none'}, refreshable={self.refreshable})"

    def give(self, token: str | TokenProvider | None) -> None:
        """Take a new token, or a new function to ask; None leaves all as it is."""
        if callable(token):
            self._token, self._provider = None, token
        elif token is not None:
            self._token = token

    @property
    def refreshable(self) -> bool:
        """Tell whether there is somebody to ask for a token."""
        return self._provider is not None

    @property
    def missing(self) -> bool:
        """Tell whether a token must be asked for before the first connection."""
        return self._token is None and self._provider is not None

    async def refresh(self) -> None:
        """Ask for a token; raises what the function raises."""
        if self._provider is not None:
            answer = self._provider()
            self._token = await answer if inspect.isawaitable(answer) else answer

    def headers(self) -> Mapping[str, str]:
        """Return the headers that carry the token."""
        return {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
