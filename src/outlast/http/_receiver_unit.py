"""One request's transaction, on a connection of its own: in this thread, in another thread, or awaited."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Final, Protocol, TypeVar

from outlast.errors import ConfigError, StorageBusyError
from outlast.http._receiver_connection import aperform, dialect_of, in_transaction, is_async, needs_begin, perform
from outlast.http._receiver_records import Claim, New, StoredResponse
from outlast.http._receiver_sql import SQLITE
from outlast.http._receiver_steps import Ask, Steps, committing, opening, rolling_back

T = TypeVar("T")

CONNECTION: Final = "outlast.connection"
"""Where an application finds the connection, in the ASGI scope or the WSGI environ."""


def connection_of(request: Any) -> Any:
    """Return the connection of the transaction that a request runs in.

    Use it for all that must take effect with the answer, and leave commit and rollback to the middleware. It is gone
    when the answer is whole: not for background tasks.

    Args:
        request: The ASGI scope, the WSGI environ, or a request that has one of them as `scope` or `environ`, as those
            of Starlette, FastAPI, Flask and Django do.

    Raises:
        ConfigError: The request does not come through the middleware, or its method is none that writes.
    """
    held = getattr(request, "scope", None) or getattr(request, "environ", None) or request
    find: Callable[[str], Any] | None = getattr(held, "get", None)
    connection = None if find is None else find(CONNECTION)
    if connection is None:
        raise ConfigError(
            "has no connection: it did not come through AsgiReceiver or WsgiReceiver, or its method is not in "
            "ReceiverRules.methods",
            path="request",
        )
    return connection


class _NotCommittedError(Exception):
    """Tell whoever gave a connection that its work failed, lest it commit what strays wrote after our rollback."""


def _leaving(*, committed: bool) -> tuple[type[_NotCommittedError] | None, _NotCommittedError | None, None]:
    """Return what whoever gave a connection is told when it is given back."""
    return (None, None, None) if committed else (_NotCommittedError, _NotCommittedError("rolled back"), None)


class Unit:
    """Hold a transaction in the thread that calls.

    Args:
        manager: Gives the connection.
        max_wait: Seconds to wait for the right to write.
    """

    def __init__(self, manager: AbstractContextManager[Any], max_wait: float) -> None:
        self._manager = manager
        self._max_wait = max_wait
        self._committed = False
        self.connection: Any = None

    def open(self, ask: Ask | None) -> Claim | None:
        """Get the connection, begin, and claim the key if there is one."""
        self.connection = self._manager.__enter__()
        return perform(self.connection, _opening(self.connection, ask, self._max_wait))

    def commit(self, claim: New | None, response: StoredResponse) -> None:
        """Keep the answer, if there is a claim, and commit."""
        _check_still_open(self.connection)
        perform(self.connection, committing(dialect_of(self.connection), claim, response))
        self._committed = True

    def close(self) -> None:
        """Roll back what is not committed, and give the connection back."""
        if self.connection is None:
            return
        try:
            if in_transaction(self.connection):
                # A connection that cannot roll back is lost, and the database forgets its transaction with it.
                with contextlib.suppress(Exception):
                    perform(self.connection, rolling_back())
        finally:
            self.connection = None
            self._manager.__exit__(*_leaving(committed=self._committed))


class AsyncUnit(Protocol):
    """Be a transaction whose calls are awaited."""

    @property
    def connection(self) -> Any:
        """Return the connection."""
        ...

    async def open(self, ask: Ask | None, /) -> Claim | None:
        """Do as `Unit.open`."""
        ...

    async def commit(self, claim: New | None, response: StoredResponse, /) -> None:
        """Do as `Unit.commit`."""
        ...

    async def close(self) -> None:
        """Do as `Unit.close`."""
        ...


class AwaitedUnit:
    """Hold a transaction on an AsyncConnection.

    Args:
        manager: Gives the connection.

    Raises:
        ConfigError: From `open`: the connection is none that is awaited.
    """

    def __init__(self, manager: AbstractAsyncContextManager[Any]) -> None:
        self._manager = manager
        self._committed = False
        self.connection: Any = None

    async def open(self, ask: Ask | None, /) -> Claim | None:
        """Get the connection, begin, and claim the key if there is one."""
        self.connection = await self._manager.__aenter__()
        if not is_async(self.connection):
            raise ConfigError("gives an AsyncConnection of psycopg, or one of SQLite in a plain `with`", path="connect")
        return await aperform(self.connection, _opening(self.connection, ask, 0.0))

    async def commit(self, claim: New | None, response: StoredResponse, /) -> None:
        """Keep the answer, if there is a claim, and commit."""
        _check_still_open(self.connection)
        await aperform(self.connection, committing(dialect_of(self.connection), claim, response))
        self._committed = True

    async def close(self) -> None:
        """Roll back what is not committed, and give the connection back."""
        if self.connection is None:
            return
        try:
            if is_async(self.connection) and in_transaction(self.connection):
                with contextlib.suppress(Exception):
                    await aperform(self.connection, rolling_back())
        finally:
            self.connection = None
            await self._manager.__aexit__(*_leaving(committed=self._committed))


class Turns:
    """Let one task at a time write to a SQLite file, and do the blocking part in one thread.

    SQLite has one writer anyway. Waiting for it in threads could use up all of them, so that the one who holds it
    finds none to commit in.

    Args:
        max_wait: Seconds to wait for the turn.
    """

    def __init__(self, max_wait: float) -> None:
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="outlast-receiver")
        self.max_wait = max_wait

    async def begin(self) -> None:
        """Wait for the turn.

        Raises:
            StorageBusyError: It took too long; nothing was done.
        """
        try:
            async with asyncio.timeout(self.max_wait):
                await self._turn.acquire()
        except TimeoutError as error:
            raise StorageBusyError("other requests were writing for too long", operation="receive") from error

    def end(self) -> None:
        """Let the next one begin."""
        self._turn.release()

    async def run(self, work: Callable[[], T]) -> T:
        """Run something in the thread.

        Cancel: it goes on to its end there; there is one thread, so what is run next waits for it.
        """
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))


class ThreadUnit:
    """Hold a transaction on a connection to SQLite, whose blocking calls are made in a thread.

    Args:
        manager: Gives the connection.
        turns: Who may write.
    """

    def __init__(self, manager: AbstractContextManager[Any], turns: Turns) -> None:
        self._unit = Unit(manager, turns.max_wait)
        self._turns = turns
        self._has_turn = False

    @property
    def connection(self) -> Any:
        """Return the connection."""
        return self._unit.connection

    async def open(self, ask: Ask | None, /) -> Claim | None:
        """Wait for the turn, get the connection, begin, and claim the key if there is one.

        Raises:
            ConfigError: The connection is not one to SQLite.
        """
        await self._turns.begin()
        self._has_turn = True
        claim = await self._turns.run(lambda: self._unit.open(ask))
        if dialect_of(self.connection) is not SQLITE:
            raise ConfigError("gives an AsyncConnection: under ASGI, PostgreSQL is awaited", path="connect")
        return claim

    async def commit(self, claim: New | None, response: StoredResponse, /) -> None:
        """Keep the answer, if there is a claim, and commit."""
        await self._turns.run(lambda: self._unit.commit(claim, response))

    async def close(self) -> None:
        """Roll back what is not committed, and give the connection and the turn back."""
        if not self._has_turn:
            return
        self._has_turn = False
        try:
            await self._turns.run(self._unit.close)
        finally:
            self._turns.end()


def _opening(connection: Any, ask: Ask | None, max_wait: float) -> Steps[Claim | None]:
    return opening(dialect_of(connection), ask, begin=needs_begin(connection), max_wait=max_wait)


def _check_still_open(connection: Any) -> None:
    if not in_transaction(connection):
        raise ConfigError(
            "the application ended the transaction; leave commit and rollback to the middleware", path="connection"
        )
