"""Know a row of an outbox by its shape, and say what is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from outlast.engines.op import Verb

VERBS: Final = tuple(map(str, Verb))
_FEWEST: Final = 8
"""The columns of a receipt in the first layout; no table has fewer."""
STATES: Final = ("conflict", "dead")
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "INTEGER": (int,), "REAL": (float, int), "TEXT": (str,), "BLOB": (bytes,), "": (str, int, float, bytes),
}  # fmt: skip


class Column(NamedTuple):
    """Hold a column of a table as SQLite lists it.

    Args:
        name: Its name.
        kind: Its type, empty for any.
        needed: Whether it must hold a value.
        default: What an older row has instead.
        is_place: Whether it is the number of the row.
    """

    name: str
    kind: str
    needed: bool
    default: Any
    is_place: bool


@dataclass(slots=True)
class Judged:
    """Hold a row as it can be stored again.

    Args:
        values: By the names of the columns.
        doubts: What had to be guessed.
    """

    values: dict[str, Any]
    doubts: list[str] = field(default_factory=list[str])


def fits(columns: Sequence[Column], rowid: int, values: Sequence[Any]) -> bool:
    """Tell whether a row that no tree leads to can be one of a table."""
    if not _FEWEST <= len(values) <= len(columns) or rowid < 1:
        return False
    return all(map(_fits, columns, values)) and _has_words(columns, values)


def _fits(column: Column, value: Any) -> bool:
    if column.is_place:
        return value is None
    return not column.needed if value is None else isinstance(value, _TYPES[column.kind])


def _has_words(columns: Sequence[Column], values: Sequence[Any]) -> bool:
    named = {column.name: value for column, value in zip(columns, values, strict=False)}
    return named.get("verb", VERBS[0]) in VERBS and named.get("state", STATES[0]) in STATES


def judge(columns: Sequence[Column], rowid: int, values: Sequence[Any]) -> Judged:
    """Return a row as it can be stored again; what cannot be right is guessed, and named.

    Args:
        columns: Those of its table.
        rowid: Its number.
        values: As they lie in the file; columns that are younger than the row are not among them.
    """
    judged = Judged({})
    for number, column in enumerate(columns):
        value = values[number] if number < len(values) else column.default
        judged.values[column.name] = rowid if column.is_place else _usable(column, value, judged.doubts)
    for name, words in (("verb", VERBS), ("state", STATES)):
        found = judged.values.get(name, words[0])
        if found not in words:
            judged.values[name] = difflib.get_close_matches(found, words, n=1, cutoff=0.0)[0]
            judged.doubts.append(f"its {name} reads {found!r}")
    if len(values) > len(columns):
        judged.doubts.append("it has too many columns")
    return judged


def _usable(column: Column, value: Any, doubts: list[str]) -> Any:
    if value is None and not column.needed:
        return None
    # Where no number can be, NaN, SQLite would store nothing.
    if isinstance(value, _TYPES[column.kind]) and value == value:  # noqa: PLR0124 - NaN alone is not
        return value
    doubts.append(f"its {column.name} is damaged")
    match column.kind, value:
        case "TEXT", bytes():
            return value.decode(errors="replace")
        case "BLOB", str():
            return value.encode()
        case "INTEGER" | "REAL", _:
            return 0
        case "BLOB", _:
            return b""
        case _:
            return "" if value is None else str(value)
