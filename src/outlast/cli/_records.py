"""Read the whole input and check it, before anything is queued or sent."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn, cast

from outlast.cli._exit import CommandError, ExitCode

_SHOWN = 10
_MAX_FIELD_CHARS = 1 << 30


class InputFormat(StrEnum):
    """Name a format of the input."""

    JSONL = "jsonl"
    """One JSON object a line."""
    CSV = "csv"
    """A header row, then one row a record; all values are texts."""


_BY_SUFFIX = {
    ".jsonl": InputFormat.JSONL,
    ".ndjson": InputFormat.JSONL,
    ".json": InputFormat.JSONL,
    ".csv": InputFormat.CSV,
}


@dataclass(frozen=True, slots=True)
class Record:
    """Hold one record of the input.

    Args:
        line: The line on which it begins, from 1.
        fields: Its members by name.
        text: The record as JSON; of JSON input it is what stands there, so that no number changes its form.
    """

    line: int
    fields: dict[str, Any]
    text: str


class Problems:
    """Collect what is wrong with the records, so that one look shows all of it.

    Args:
        name: The name of the input.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._found: list[str] = []

    def add(self, line: int, what: str) -> None:
        """Note what is wrong with a line."""
        self._found.append(f"{self._name}:{line}: {what}")

    def check(self, code: ExitCode, remedy: str) -> None:
        """Raise what was found, if anything was.

        Raises:
            CommandError: Something was found.
        """
        if not self._found:
            return
        more = len(self._found) - _SHOWN
        tail = [f"... and {more} more"] if more > 0 else []
        raise CommandError(code, "\n".join([*self._found[:_SHOWN], *tail]), f"{remedy} Nothing was queued or sent.")


def format_of(name: str, wanted: InputFormat | None) -> InputFormat:
    """Return the format of an input by its name, unless one is wanted.

    Args:
        name: The path, or `-` for standard input, which is taken for JSON Lines.
        wanted: The format that was asked for, or None.

    Raises:
        CommandError: The name does not tell.
    """
    if wanted is not None:
        return wanted
    found = InputFormat.JSONL if name == "-" else _BY_SUFFIX.get(Path(name).suffix.lower())
    if found is None:
        raise CommandError(
            ExitCode.USAGE, f"{name}: the name does not tell the format", "Add --format jsonl or --format csv."
        )
    return found


def read_records(name: str, form: InputFormat) -> list[Record]:
    """Read all records of an input.

    Args:
        name: The path, or `-` for standard input.
        form: The format.

    Raises:
        CommandError: The input cannot be read or is malformed; the message names the lines.
    """
    shown = "standard input" if name == "-" else name
    text = _decode(_read(name), shown)
    problems = Problems(shown)
    reader = _READERS[form]
    records = list(reader(text, problems))
    problems.check(ExitCode.MALFORMED_INPUT, "Correct these lines and run again.")
    return records


def _read(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise CommandError(
            ExitCode.USAGE, f"{name}: {error.strerror}", "Name a file that can be read, or - for standard input."
        ) from None


def _decode(data: bytes, shown: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = (
            "looks like UTF-16"
            if data[:2] in {b"\xff\xfe", b"\xfe\xff"}
            else f"byte 0x{data[error.start]:02x} is not UTF-8"
        )
    raise CommandError(
        ExitCode.MALFORMED_INPUT,
        f"{shown}:{line}: {found}",
        "The input must be UTF-8; convert it, such as with: iconv -f latin1 -t utf-8. Nothing was queued or sent.",
    )


def _json_lines(text: str, problems: Problems) -> Iterator[Record]:
    # Not splitlines(), which also splits at characters that may stand inside a JSON text.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value: object = json.loads(line, object_pairs_hook=_unambiguous, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            problems.add(number, f"not JSON: {_explain(error)}")
            if line.lstrip()[:1] == "[":
                break
        else:
            if isinstance(value, dict):
                yield Record(number, cast("dict[str, Any]", value), line.strip())
            else:
                problems.add(number, f'an object such as {{"id": 1}} is wanted, not {_name(value)}')


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the member {twice!r} stands there twice")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _explain(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        if error.doc.lstrip()[:1] == "[":
            return "a list that spans lines is not JSON Lines; convert it, such as with: jq -c '.[]'"
        return f"{error.msg} at column {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _name(value: object) -> str:
    match value:
        case list():
            return "a list; convert one such as with: jq -c '.[]'"
        case str():
            return "a text"
        case bool():
            return "true or false"
        case None:
            return "null"
        case _:
            return "a number"


def _csv_rows(text: str, problems: Problems) -> Iterator[Record]:
    csv.field_size_limit(_MAX_FIELD_CHARS)
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    begin = 1
    try:
        for row in rows:
            line, begin = begin, rows.line_num + 1
            if not row:
                continue
            if header is None:
                header = row
                _check_header(header, line, problems)
            elif len(row) != len(header):
                problems.add(line, f"{len(row)} columns where the header has {len(header)}")
            else:
                fields = dict(zip(header, row, strict=True))
                yield Record(line, fields, json.dumps(fields, ensure_ascii=False))
    except csv.Error as error:
        problems.add(begin, f"not CSV: {error}")
    if header is None:
        problems.add(1, "the header row is missing")


def _check_header(header: list[str], line: int, problems: Problems) -> None:
    if not all(name.strip() for name in header):
        problems.add(line, "a column of the header has no name")
    for name in sorted({name for name in header if header.count(name) > 1}):
        problems.add(line, f"the column {name!r} stands in the header twice")


_READERS: dict[InputFormat, Callable[[str, Problems], Iterator[Record]]] = {
    InputFormat.JSONL: _json_lines,
    InputFormat.CSV: _csv_rows,
}
