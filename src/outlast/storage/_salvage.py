"""Read what can be read of a damaged SQLite file, table by table."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any

from outlast.storage._cells import StoredRow, TreeReading, orphans, walk
from outlast.storage._pages import PageFile, WalState


class SalvageReader:
    """Read the tables of a SQLite file that SQLite itself refuses, without changing it.

    What no tree leads to any more, because a page above it is damaged, is found too. It is surely alive if the list
    of free pages can be trusted; else it may be what was deleted long ago.

    Args:
        path: The file; the log beside it is read too.

    Raises:
        CorruptError: There is not even one page.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = PageFile(path)
        self._readings: dict[str, TreeReading] = {}
        schema = walk(self._file, 1)
        self._pages = set(schema.pages)
        self._schema_is_whole = not schema.bad
        self.roots: dict[str, int] = {}
        """Table or index -> the root of its tree."""
        for row in schema.rows:
            self._note(row.values)

    def _note(self, values: tuple[Any, ...]) -> None:
        match values:
            case ("table" | "index", str() as name, str(), int() as root, *_) if root:
                self.roots[name] = root
                self._readings[name] = walk(self._file, root)
                self._pages |= self._readings[name].pages
            case _:
                pass  # a view or a trigger has no pages

    @property
    def wal(self) -> WalState:
        """Return what is wrong with the log."""
        return self._file.wal

    @property
    def damaged(self) -> list[str]:
        """Return what is damaged, in words."""
        found = [] if self._file.headed else ["the header of the file"]
        found += [] if self._schema_is_whole else ["the list of tables, on page 1"]
        for name, reading in sorted(self._readings.items()):
            if reading.bad:
                found.append(f"{name}, on page {', '.join(map(str, sorted(reading.bad)))}")
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

    def table(self, name: str) -> TreeReading:
        """Return what can be read of a table; nothing, with one gap, if nobody knows where it lies."""
        return self._readings.get(name) or TreeReading(gaps=[(None, None)])

    @cached_property
    def loose(self) -> list[StoredRow]:
        """Return the rows that no tree leads to."""
        return list(orphans(self._file, self._pages))
