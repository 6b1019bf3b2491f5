"""Write what an outbox holds to a file that is never half there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from outlast.cli._exit import FULL, CommandError, ExitCode
from outlast.cli._outbox_json import sheet_as_json
from outlast.cli._visible import json_text
from outlast.outbox import Inspection
from outlast.storage import publish


def export_lines(seen: Inspection) -> Iterator[str]:
    """Yield each write that waits, conflicts or is dead as a line of JSON, by place."""
    for sheet in seen.undelivered():
        yield json_text(sheet_as_json(sheet))


def write_whole(path: Path, lines: Iterable[str]) -> int:
    """Write lines to a file, which is there as a whole or not at all; return how many.

    Raises:
        CommandError: It cannot be written.
    """
    number = 0
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        part = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                for number, line in enumerate(lines, start=1):  # noqa: B007 - it is what is returned
                    file.write(f"{line}\n")
            publish(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        code = ExitCode.DISK_FULL if error.errno in FULL else ExitCode.USAGE
        raise CommandError(code, f"--to: {path}: {error.strerror}; nothing was written") from error
    return number
