"""Read what can be read of a damaged SQLite file, table by table."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from typing import Any

from outlast.storage._cells import StoredRow, TreeReading, orphans, walk
from outlast.storage._pages import PageFile, WalState


class SalvageReader:
    """Read the tables of a SQLite file that SQLite itself refuses, without changing it.

    No row is kept here, so that a large file needs no more memory than a small one. What no tree leads to any more,
    because a page above it is damaged, is found too. It is surely alive if the list of free pages can be trusted; else
    it may be what was deleted long ago.

    Args:
        path: The file; the log beside it is read too.

    Raises:
        CorruptError: There is not even one page.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = PageFile(path)
        self._readings: dict[str, TreeReading] = {}
        self._schema = TreeReading()
        self.roots: dict[str, int] = {}
        """Table or index -> the root of its tree."""
        for row in walk(self._file, 1, self._schema):
            self._note(row.values)

    def _note(self, values: tuple[Any, ...]) -> None:
        match values:
            case ("table" | "index", str() as name, str(), int() as root, *_) if root:
                self.roots[name] = root
            case _:
                pass  # a view or a trigger has no pages

    def close(self) -> None:
        """Close the file; a second close does nothing."""
        self._file.close()

    @property
    def wal(self) -> WalState:
        """Return what is wrong with the log."""
        return self._file.wal

    @property
    def damaged(self) -> list[str]:
        """Return what is damaged, in words."""
        found = [] if self._file.headed else ["the header of the file"]
        found += ["the list of tables, on page 1"] if self._schema.bad else []
        for name in sorted(self.roots):
            if bad := self.reading(name).bad:
                found.append(f"{name}, on page {', '.join(map(str, sorted(bad)))}")
        if self._file.suspect:
            found.append(f"the log of page {', '.join(map(str, sorted(self._file.suspect)))}")
        if self.wal.headless:
            found.append("the header of the log")
        if not self.certain:
            found.append("the list of free pages")
        return found

    @property
    def certain(self) -> bool:
        """Tell whether what no tree leads to is surely alive."""
        return self._file.free is not None

    @property
    def suspect(self) -> set[int]:
        """Return the pages of which only a damaged version is left."""
        return self._file.suspect

    def rows(self, name: str) -> Iterator[StoredRow]:
        """Yield what can be read of a table, page by page; nothing if nobody knows where it lies."""
        if name in self.roots:
            reading = TreeReading()
            yield from walk(self._file, self.roots[name], reading)
            self._readings[name] = reading

    def reading(self, name: str) -> TreeReading:
        """Return what is known of the tree of a table or index; one gap, if nobody knows where it lies."""
        if name not in self._readings:
            deque(self.rows(name), maxlen=0)  # unless its rows were read to the end, that is done now
        return self._readings.get(name) or TreeReading(gaps=[(None, None)])

    def loose(self) -> Iterator[StoredRow]:
        """Yield the rows that no tree leads to."""
        known = self._schema.pages.union(*(self.reading(name).pages for name in self.roots))
        return orphans(self._file, known)
