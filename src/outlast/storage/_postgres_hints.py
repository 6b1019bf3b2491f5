"""What a server can do beside storing: a lock that dies with its holder, and a call when somebody has written."""

from __future__ import annotations

import logging
import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from outlast.storage._postgres_failures import ServerAwayError, translate
from outlast.storage._postgres_link import PostgresLink

_log = logging.getLogger("outlast.storage")


class AdvisoryLock:
    """Hold an advisory lock on a connection of its own; the server frees it when the connection ends.

    A process that dies on any host loses it at once, one whose host dies when the server misses it.

    Thread-safe: no; its owner takes turns.

    Args:
        link: A connection that nobody else uses.
        key: The number of the lock in its database.
        name: The database, for errors.
    """

    def __init__(self, link: PostgresLink, key: int, name: str) -> None:
        self._link = link
        self._key = key
        self._name = name
        self._holder: Any = None

    @property
    def held(self) -> bool:
        """Tell whether this object holds the lock, as far as it knows."""
        return self._holder is not None

    def try_acquire(self) -> bool:
        """Take the lock if nobody else has it, and tell whether it is held now.

        Raises:
            StorageError: The server cannot be reached.
        """
        try:
            return self._link.call(self._take)
        except Exception as error:
            self._holder = None
            raise translate(error, self._name) from error

    def _take(self, connection: Any) -> bool:
        if self._holder is connection:
            connection.execute("SELECT 1")  # it is held for as long as this connection lives
            return True
        self._holder = None
        if connection.execute("SELECT pg_try_advisory_lock(%s)", (self._key,)).fetchone()[0]:
            self._holder = connection
            return True
        self._link.drop()
        return False

    def release(self) -> None:
        """Let go of the lock; nothing happens when it is not held."""
        self._holder = None
        self._link.drop()


class Listener:
    """Call a function whenever somebody else notifies a channel, from a thread of its own.

    Args:
        link: A connection that nobody else uses.
        channel: The name of the channel.
        own: The payload of this process's own notifications, which are left out.
        hear: What is called.
    """

    def __init__(self, link: PostgresLink, channel: str, own: str, hear: Callable[[], None]) -> None:
        self._link = link
        self._channel = channel
        self._own = own
        self._hear = hear
        self.stopped = False
        self.hears = False
        """Whether it is connected, so that nothing is missed now."""
        self._bell, self._ringer = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="outlast-listener", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether its connection is closed, for good."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            with suppress(ServerAwayError):  # it is waited for without end, so somebody has said stop
                self._link.call(self._listen)
        except Exception:  # it is only a hint: whoever listens looks now and then anyway
            _log.exception("listening to %s has ended", self._channel)
        finally:
            self._link.close()
            self._bell.close()

    def _listen(self, connection: Any) -> None:
        connection.execute(f'LISTEN "{self._channel}"')
        self.hears = True
        self._hear()  # for what was said while nobody listened
        # Not `select.select`, which knows only the first 1,024 files of a process.
        with selectors.DefaultSelector() as ready:
            ready.register(connection, selectors.EVENT_READ)
            ready.register(self._bell, selectors.EVENT_READ)
            try:
                self._hear_until_stopped(connection, ready)
            finally:
                self.hears = False

    def _hear_until_stopped(self, connection: Any, ready: selectors.DefaultSelector) -> None:
        while not self.stopped:
            ready.select()
            if any(notice.payload != self._own for notice in connection.notifies(timeout=0)):
                self._hear()

    def stop(self) -> None:
        """Hear no more; a second call does nothing."""
        if not self.stopped:
            self.stopped = True
            self._link.hurry()
            with suppress(OSError):
                self._ringer.send(b"x")
            self._ringer.close()

    def join(self) -> None:
        """Wait a moment for its connection to be closed; not from the thread that it calls."""
        self._thread.join(5.0)
