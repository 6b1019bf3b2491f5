"""Keep the write-ahead log of a SQLite connection as short as the disk and the readers let it be."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from outlast.storage._connection import Connection

_LONG: Final = 1000
"""Pages after which a log is written back."""
_LONG_WHEN_LOW: Final = 32
"""The same while little space is left."""


class Log:
    """Write a log back when it is long, by whoever has the connection and the time for it.

    SQLite would do so by itself, inside the commit that makes the log too long, and so in any thread that commits.

    Thread-safe: no; whoever has the connection calls it.

    Args:
        connection: The connection that commits.
        driver: The module of the driver.
    """

    def __init__(self, connection: Connection, driver: Any) -> None:
        self._connection = connection
        self._driver = driver
        self._pages = 0
        self._low = False
        self.commits = 0
        """How many have added to it; one that changes nothing does not, and needs no flush."""
        connection.set_wal_hook(self._note)

    def _note(self, _connection: object, _name: str, pages: int) -> int:
        self._pages = pages
        self.commits += 1
        return 0

    @property
    def long(self) -> bool:
        """Tell whether it is to be written back, which may take some milliseconds."""
        return self._pages >= (_LONG_WHEN_LOW if self._low else _LONG)

    def shorten(self) -> None:
        """Write a long log back as far as nobody reads in it; the next commit begins it anew if that was all."""
        if self.long:
            with suppress(self._driver.Error):  # the next commit brings the next try
                self._connection.wal_checkpoint(mode=self._driver.SQLITE_CHECKPOINT_PASSIVE)

    def save_space(self, *, low: bool) -> None:
        """Keep it from growing further while little space is left: what it has is enough for what waits."""
        if low != self._low:
            self._low = low
            if low:
                self.begin_anew()

    def begin_anew(self) -> bool:
        """Write it back, so that the next commit needs no further space for it; tell whether that went well."""
        try:
            busy, logged, _ = self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        except self._driver.Error:
            return False
        return not busy and logged > 0
