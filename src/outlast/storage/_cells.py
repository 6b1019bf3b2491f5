"""The rows on the pages of a SQLite file, each by itself, so that a bad one costs no other.

Source: sqlite.org/fileformat2.html, sections 1.6 (b-tree pages) and 2.1 (records).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
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


class BadPageError(Exception):
    """Say inside this room that a page or a cell is not what it should be."""


class StoredRow(NamedTuple):
    """Hold one row as it lies in the file.

    Args:
        rowid: Its number, 0 in a table that has none.
        values: Its columns; the one that is the rowid is None. A text that is no UTF-8 is left as bytes.
        page: The page that it lies on.
    """

    rowid: int
    values: tuple[Any, ...]
    page: int


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
    end, at = _varint(payload, 0)
    body, values = end, list[Any]()
    while at < end:
        kind, at = _varint(payload, at)
        value, body = _value(payload, kind, body)
        values.append(value)
    if at != end or body != len(payload) or not values:
        raise BadPageError
    return tuple(values)


def _value(payload: bytes, kind: int, at: int) -> tuple[Any, int]:
    match kind:
        case 0 | 10 | 11:
            return None, at
        case 8 | 9:
            return kind - 8, at
        case 7:
            return struct.unpack(">d", payload[at : at + 8])[0], at + 8
        case _ if kind in _INTEGERS:
            end = at + _INTEGERS[kind]
            return int.from_bytes(_exactly(payload[at:end], end - at), "big", signed=True), end
        case _ if kind >= _BYTES:
            end = at + (kind - _BYTES) // 2
            part = _exactly(payload[at:end], end - at)
            return (_text(part) if kind & 1 else part), end
        case _:
            raise BadPageError


def _text(part: bytes) -> str | bytes:
    try:
        return part.decode()
    except UnicodeDecodeError:
        return part


Bounds = tuple[int | None, int | None]
"""Behind which rowid, and up to which; None for no bound."""


def walk(file: PageFile, root: int) -> TreeReading:
    """Read a tree from its root, around whatever cannot be read."""
    reading = TreeReading()
    _descend(file, root, reading, (None, None), None)
    return reading


@dataclass(slots=True)
class TreeReading:
    """Hold what could be read of a tree.

    Args:
        rows: The rows, in their order.
        pages: The pages that belong to it.
        bad: The pages of it that are damaged.
        gaps: Between which rowids some could not be read: behind the first, up to the second; None for no bound.
        misplaced: Rows, by page and rowid, that do not lie where their rowid belongs.
    """

    rows: list[StoredRow] = field(default_factory=list[StoredRow])
    pages: set[int] = field(default_factory=set[int])
    bad: set[int] = field(default_factory=set[int])
    gaps: list[Bounds] = field(default_factory=list[Bounds])
    misplaced: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])


def _descend(file: PageFile, number: int, reading: TreeReading, bounds: Bounds, family: frozenset[int] | None) -> None:
    try:
        page = _BLANK if number in reading.pages else read_page(file, number)
    except BadPageError:
        page = _BLANK
    if page is _BLANK or (family is not None and page.kind not in family):
        reading.bad.add(number)
        reading.gaps.append(bounds)
        return
    reading.pages.add(number)
    reading.rows.extend(page.rows)
    misplaced = _misplaced(page, bounds) if page.kind == _TABLE_LEAF else []
    reading.misplaced.update((number, rowid) for rowid in misplaced)
    if page.bad or misplaced:
        reading.bad.add(number)
        reading.gaps.append(bounds)
    low, high = bounds
    for child, last in page.children:
        _descend(file, child, reading, (low, high if last is None else last), TABLE if page.kind in TABLE else INDEX)
        low = last if last is not None else low


def _misplaced(page: BtreePage, bounds: Bounds) -> list[int]:
    low, high = bounds
    found: list[int] = []
    for row in page.rows:
        if (low is not None and row.rowid <= low) or (high is not None and row.rowid > high):
            found.append(row.rowid)
        else:
            low = row.rowid
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
