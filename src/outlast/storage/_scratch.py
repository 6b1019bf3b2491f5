"""A file for what is needed for a while only, so that it need not lie in memory."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from outlast.storage._connection import Connection
from outlast.storage._extras import require
from outlast.storage._failures import translate


@contextmanager
def scratch(path: Path) -> Generator[Connection]:
    """Open a database that is gone when it is closed, however that comes about.

    Its file has no name any more as soon as it is open, so that even a killed process leaves nothing.

    Args:
        path: Where it lies until then; there must be no file.

    Raises:
        StorageError: It cannot be made, or its disk is full.
    """
    apsw = require("apsw", extra="store", purpose="what is found")
    try:
        with ExitStack() as undo:
            undo.callback(path.unlink, missing_ok=True)
            connection: Connection = apsw.Connection(str(path))
            undo.callback(connection.close)
            connection.pragma("journal_mode", "off")  # nobody will want to go back
            connection.pragma("synchronous", 0)
            path.unlink()
            connection.execute("BEGIN")
            yield connection
    except apsw.Error as error:
        raise translate(error, str(path)) from error
