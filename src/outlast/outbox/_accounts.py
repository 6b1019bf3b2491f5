"""Refresh refused credentials once for all that share them, while their ops wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from outlast.errors import AuthenticationError
from outlast.outbox._routes import Route
from outlast.outbox._transport import Refreshing


@dataclass(slots=True)
class _Account:
    """Hold what is known of some credentials.

    Args:
        owner: What stands for them.
        version: How often they were refreshed.
        proved: Whether a server has taken the present ones.
        refreshing: The task that gets new ones, or None.
    """

    owner: object
    version: int = 0
    proved: bool = False
    refreshing: asyncio.Task[None] | None = None


class Accounts:
    """Know the credentials of all routes. For one event loop.

    Args:
        failed: Called with the error when no new credentials could be had.
        done: Called when the ops of an account may go again.
    """

    def __init__(self, failed: Callable[[BaseException], None], done: Callable[[], None]) -> None:
        self._failed = failed
        self._done = done
        self._accounts: dict[int, _Account] = {}

    def _of(self, route: Route) -> _Account:
        owner = route.account
        return self._accounts.setdefault(id(owner), _Account(owner))

    def version(self, route: Route) -> int:
        """Return which credentials a request is sent with now."""
        return self._of(route).version

    def blocked(self, route: Route) -> bool:
        """Tell whether the ops of a route wait for new credentials. Thread-safe."""
        account = self._accounts.get(id(route.account))
        return account is not None and account.refreshing is not None

    def proved(self, route: Route, version: int) -> None:
        """Note that a server has taken the credentials of a version."""
        account = self._of(route)
        account.proved |= account.version == version

    def refused(self, route: Route, version: int) -> bool:
        """Tell whether an op that was refused may go again, with other credentials; they may be on their way.

        Args:
            route: How it was sent.
            version: Which credentials it was sent with.
        """
        account = self._of(route)
        if account.refreshing is not None or account.version != version:
            return True
        transport = route.transport
        if not isinstance(transport, Refreshing) or transport.account is None:
            return False
        if account.version and not account.proved:
            return False  # what a refresh has just given is refused too
        account.refreshing = asyncio.create_task(self._refresh(account, transport), name="outlast-refresh")
        # Not by the task itself: an eager one that never waits ends before it is known here.
        account.refreshing.add_done_callback(lambda _: self._ended(account))
        return True

    async def _refresh(self, account: _Account, transport: Refreshing) -> None:
        try:
            await transport.refresh()
            account.version += 1
            account.proved = False
        except Exception as error:
            failure = AuthenticationError(
                f"new credentials could not be had ({type(error).__name__}: {error}); nothing is lost, give some and "
                "go on",
                status_code=401,
            )
            failure.__cause__ = error
            self._failed(failure)

    def _ended(self, account: _Account) -> None:
        account.refreshing = None
        self._done()

    async def aclose(self) -> None:
        """End the refreshing that goes on."""
        tasks = [account.refreshing for account in self._accounts.values() if account.refreshing is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
