"""The rows on the pages of a SQLite file, each by itself, so that a bad one costs no other.

Source: sqlite.org/fileformat2.html, sections 1.6 (b-tree pages) and 2.1 (records).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

from outlast.storage._pages import PageFile

_INDEX_INNER, _TABLE_INNER, _INDEX_LEAF, _TABLE_LEAF = 2, 5, 10, 13
INDEX: Final = frozenset({_INDEX_INNER, _INDEX_LEAF})
TABLE: Final = frozenset({_TABLE_INNER, _TABLE_LEAF})
_INTEGERS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_HEADER_OF_FILE: Final = 100
_SHORTEST_CELL: Final = 4
_GOES_ON: Final = 0x80
_BYTES: Final = 12
_MOST_HEADERS: Final = 1024


class BadPageError(Exception):
    """Say inside this room that a page or a cell is not what it should be."""


class StoredRow(NamedTuple):
    """Hold one row as it lies in the file.

    Args:
        rowid: Its number, 0 in a table that has none.
        values: Its columns; the one that is the rowid is None. A text that is no UTF-8 is left as bytes.
        page: The page that it lies on.
        misplaced: Whether it does not lie where its rowid belongs.
    """

    rowid: int
    values: tuple[Any, ...]
    page: int
    misplaced: bool = False


@dataclass(slots=True)
class BtreePage:
    """Hold what could be read of a page of a tree.

    Args:
        kind: What it is.
        rows: The rows on it.
        children: Each child page with the greatest rowid below it; None for the last child.
        bad: How many of its cells cannot be read.
    """

    kind: int
    rows: list[StoredRow] = field(default_factory=list[StoredRow])
    children: list[tuple[int, int | None]] = field(default_factory=list[tuple[int, int | None]])
    bad: int = 0


_BLANK: Final = BtreePage(0)


def read_page(file: PageFile, number: int) -> BtreePage:
    """Read one page of a tree; cells that cannot be read are counted.

    Raises:
        BadPageError: It is none.
    """
    content = file.page(number)
    at = _HEADER_OF_FILE if number == 1 else 0
    kind = content[at] if len(content) > at else 0
    if not 1 <= number <= file.count or kind not in INDEX | TABLE or len(content) < file.size:
        raise BadPageError
    inner = kind in {_INDEX_INNER, _TABLE_INNER}
    cells = int.from_bytes(content[at + 3 : at + 5], "big")
    pointers = at + (12 if inner else 8)
    if cells > (file.size - pointers) // (2 + _SHORTEST_CELL):
        raise BadPageError
    page = BtreePage(kind)
    used = 0
    for where in struct.unpack(f">{cells}H", content[pointers : pointers + 2 * cells]):
        begin = where & (file.size - 1)  # as SQLite reads it
        try:
            used += _read_cell(file, number, content, begin, page) - begin
        except (BadPageError, struct.error, IndexError):
            page.bad += 1
    if not page.bad and used + _unused(content, at, pointers + 2 * cells) != file.usable:
        page.bad = 1  # it holds more, or less, than its header tells
    if inner:
        page.children.append((int.from_bytes(content[at + 8 : at + 12], "big"), None))
    return page


def _unused(content: bytes, at: int, pointers_end: int) -> int:
    """Return how many bytes of a page are not those of cells: header, pointers, gap, free blocks and fragments."""
    begin = int.from_bytes(content[at + 5 : at + 7], "big") or 65536
    free, total, seen = int.from_bytes(content[at + 1 : at + 3], "big"), begin + content[at + 7], 0
    while free and seen < free < len(content) - 3:
        following, size = struct.unpack(">HH", content[free : free + 4])
        total, seen, free = total + size, free, following
    return total if begin >= pointers_end and not free else -1


def _read_cell(file: PageFile, number: int, content: bytes, where: int, page: BtreePage) -> int:
    """Read a cell and return where it ends."""
    begin = where
    if page.kind in {_INDEX_INNER, _TABLE_INNER}:
        child, where = int.from_bytes(content[where : where + 4], "big"), where + 4
        if page.kind == _TABLE_INNER:
            last, end = _varint(content, where)
            page.children.append((child, last))
            return end
        page.children.append((child, None))
    length, where = _varint(content, where)
    rowid = 0
    if page.kind == _TABLE_LEAF:
        rowid, where = _varint(content, where)
    payload, end = _payload(file, content, where, length, table=page.kind == _TABLE_LEAF)
    page.rows.append(StoredRow(rowid, _record(payload), number))
    return max(end, begin + _SHORTEST_CELL)


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(8):
        byte = content[at + place]
        value = value << 7 | byte & 0x7F
        if byte < _GOES_ON:
            return value, at + place + 1
    value = value << 8 | content[at + 8]
    return (value - (1 << 64) if value >> 63 else value), at + 9


def _payload(file: PageFile, content: bytes, at: int, length: int, *, table: bool) -> tuple[bytes, int]:
    """Return the bytes of a record, of which a long one goes on on other pages, and where its cell ends."""
    usable = file.usable
    most = usable - 35 if table else (usable - 12) * 64 // 255 - 23
    if not 0 <= length <= file.count * file.size:
        raise BadPageError
    if length <= most:
        return _exactly(content[at : at + length], length), at + length
    least = (usable - 12) * 32 // 255 - 23
    here = least + (length - least) % (usable - 4)
    here = here if here <= most else least
    parts, left, end = [_exactly(content[at : at + here], here)], length - here, at + here + 4
    following = int.from_bytes(content[at + here : at + here + 4], "big")
    while left:
        page = file.page(following) if 1 < following <= file.count else b""
        if len(page) < file.size or following in file.suspect:
            raise BadPageError
        parts.append(page[4 : 4 + min(left, usable - 4)])
        left -= len(parts[-1])
        following = int.from_bytes(page[:4], "big")
    return b"".join(parts), end


def _exactly(part: bytes, length: int) -> bytes:
    if len(part) < length:
        raise BadPageError
    return part


def _record(payload: bytes) -> tuple[Any, ...]:
    end, _ = _varint(payload, 0)
    length, fields = _fields(payload[:end])
    if length != len(payload):
        raise BadPageError
    return tuple([read(payload[begin:end]) for read, begin, end in fields])


Field = tuple[Callable[[bytes], Any], int, int]
"""How a value is read, and where it begins and ends."""


@lru_cache(_MOST_HEADERS)
def _fields(header: bytes) -> tuple[int, tuple[Field, ...]]:
    """Return how long a record is and what lies where in it; many of a table have the same header."""
    said, at = _varint(header, 0)
    where, found = said, list[Field]()
    while at < said:
        kind, at = _varint(header, at)
        read, length = _reader(kind)
        found.append((read, where, where + length))
        where += length
    if at != said or not found:
        raise BadPageError
    return where, tuple(found)


def _reader(kind: int) -> tuple[Callable[[bytes], Any], int]:
    """Return what reads a value of a kind, and how many bytes it has."""
    if kind >= _BYTES:
        return (_text if kind & 1 else bytes), (kind - _BYTES) // 2
    if kind not in _SHORT:
        raise BadPageError
    return _SHORT[kind]


def _integer(part: bytes) -> int:
    return int.from_bytes(part, "big", signed=True)


def _real(part: bytes) -> float:
    found: float = struct.unpack(">d", part)[0]
    return found


def _none(_part: bytes) -> None:
    """Return what an absent value is."""


_SHORT: Final[Mapping[int, tuple[Callable[[bytes], Any], int]]] = {
    **{kind: (_integer, length) for kind, length in _INTEGERS.items()},
    **dict.fromkeys((0, 10, 11), (_none, 0)),
    7: (_real, 8), 8: (lambda _: 0, 0), 9: (lambda _: 1, 0),
}  # fmt: skip


def _text(part: bytes) -> str | bytes:
    try:
        return part.decode()
    except UnicodeDecodeError:
        return part


Bounds = tuple[int | None, int | None]
"""Behind which rowid, and up to which; None for no bound."""


@dataclass(slots=True)
class TreeReading:
    """Hold what is known of a tree that was read.

    Args:
        pages: The pages that belong to it.
        bad: The pages of it that are damaged.
        gaps: Between which rowids some rows could not be read: behind the first, up to the second; None for no bound.
    """

    pages: set[int] = field(default_factory=set[int])
    bad: set[int] = field(default_factory=set[int])
    gaps: list[Bounds] = field(default_factory=list[Bounds])


def walk(file: PageFile, root: int, reading: TreeReading) -> Iterator[StoredRow]:
    """Yield the rows of a tree in their order, around whatever cannot be read.

    Args:
        file: The file.
        root: The page that it begins at.
        reading: Told of every page by the way; it is complete when there are no more rows.
    """
    ahead: list[tuple[int, Bounds, frozenset[int]]] = [(root, (None, None), INDEX | TABLE)]
    while ahead:
        number, bounds, family = ahead.pop()
        page = _page_of(file, number, reading, family)
        rows = _marked(page, bounds) if page.kind == _TABLE_LEAF else page.rows
        if page is not _BLANK:
            reading.pages.add(number)
        if page is _BLANK or page.bad or any(row.misplaced for row in rows):
            reading.bad.add(number)
            reading.gaps.append(bounds)
        yield from rows
        ahead += reversed(_below(page, bounds))


def _page_of(file: PageFile, number: int, reading: TreeReading, family: frozenset[int]) -> BtreePage:
    """Return a page of a tree, or a blank one: it cannot be read, is another tree's, or was met before."""
    try:
        page = _BLANK if number in reading.pages else read_page(file, number)
    except BadPageError:
        return _BLANK
    return page if page.kind in family else _BLANK


def _below(page: BtreePage, bounds: Bounds) -> list[tuple[int, Bounds, frozenset[int]]]:
    """Return the children of a page, each with the bounds of what may lie there."""
    found: list[tuple[int, Bounds, frozenset[int]]] = []
    low, high = bounds
    for child, last in page.children:
        found.append((child, (low, high if last is None else last), TABLE if page.kind in TABLE else INDEX))
        low = last if last is not None else low
    return found


def _marked(page: BtreePage, bounds: Bounds) -> list[StoredRow]:
    """Return the rows of a leaf, those marked that do not lie where their rowid belongs."""
    low, high = bounds
    found: list[StoredRow] = []
    for row in page.rows:
        if (low is not None and row.rowid <= low) or (high is not None and row.rowid > high):
            found.append(row._replace(misplaced=True))
        else:
            low = row.rowid
            found.append(row)
    return found


def orphans(file: PageFile, known: set[int]) -> Iterator[StoredRow]:
    """Yield the rows of all pages of trees that no tree leads to, and that are not known to be free.

    Args:
        file: The file.
        known: The pages that belong to a tree that could be read.
    """
    free = file.free or frozenset()
    for number in range(2, file.count + 1):
        if number in known or number in free:
            continue
        try:
            yield from read_page(file, number).rows
        except BadPageError:
            continue
