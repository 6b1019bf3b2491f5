"""What jobs see of a database: the part that every store has, and the part that only SQLite's has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol


class Cursor(Protocol):
    """Be the result of a statement; rows are tuples."""

    @property
    def get(self) -> Any:
        """Return the value of the only column of the first row, its row if there are more columns, or None."""
        ...

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the rows."""
        ...


class Session(Protocol):
    """Run statements, with `?` for each value that is bound; what is written for this runs on every store."""

    def execute(self, statements: str, bindings: Sequence[Any] | None = None, /) -> Cursor:
        """Run one statement, or several if nothing is bound."""
        ...


class Connection(Session, Protocol):
    """Be a connection to one SQLite file: the part of apsw's that is used, whose own types leave the bindings open."""

    @property
    def in_transaction(self) -> bool:
        """Tell whether a transaction is open."""
        ...

    def pragma(self, name: str, value: int | str | None = None, /) -> Any:
        """Set or ask a pragma."""
        ...

    def changes(self) -> int:
        """Return how many rows the last statement changed."""
        ...

    def last_insert_rowid(self) -> int:
        """Return the rowid of the last row that was inserted."""
        ...

    def wal_checkpoint(self, dbname: str | None = None, mode: int = 0) -> tuple[int, int]:
        """Bring the log into the file; return how many frames it has, and how many of them are there already."""
        ...

    def config(self, setting: int, value: int, /) -> Any:
        """Set a number that belongs to the connection."""
        ...

    def set_wal_hook(self, hook: Callable[[Any, str, int], int], /) -> None:
        """Have somebody told, after each commit, how many pages the log has; the log grows on then by itself."""
        ...

    def set_busy_timeout(self, milliseconds: int, /) -> None:
        """Wait up to that long for a lock that another connection holds."""
        ...

    def close(self) -> None:
        """Close it."""
        ...
