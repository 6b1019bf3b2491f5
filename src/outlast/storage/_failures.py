"""Turn what SQLite says into errors that tell what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outlast.errors import (
    CorruptError,
    NotOursError,
    OutlastError,
    StorageBusyError,
    StorageError,
    StorageFullError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_FULL = "no space is left on the disk; free some and run again, nothing acknowledged is lost"
_BUSY = "another process kept it locked; stop that process or try again"
_DAMAGED = (
    "the file is damaged; nothing was changed. Copy it away, with what lies beside it, before you do anything else"
)
_BY_NAME: Mapping[str, tuple[type[StorageError], str]] = {
    "FullError": (StorageFullError, _FULL),
    "BusyError": (StorageBusyError, _BUSY),
    "LockedError": (StorageBusyError, _BUSY),
    "CorruptError": (CorruptError, _DAMAGED),
    "NotADBError": (NotOursError, "it is not a database; name another file"),
    "CantOpenError": (StorageError, "it cannot be opened; check that the folder exists and that you may write there"),
    "ReadOnlyError": (StorageError, "it may only be read; check its permissions"),
}
_IOERR_WRITE = 10 | (3 << 8)


def translate(error: Exception, name: str) -> Exception:
    """Return the error of outlast for one of SQLite's; others come back as they are.

    Args:
        error: What was raised.
        name: The database, for the message.
    """
    if isinstance(error, UnicodeDecodeError):  # every text that was stored can be read, unless its bytes have changed
        translated: Exception = CorruptError(f"{name}: {_DAMAGED} ({error})", operation="storage")
        translated.__cause__ = error
        return translated
    if isinstance(error, OutlastError) or type(error).__module__.partition(".")[0] != "apsw":
        return error
    kind, remedy = _BY_NAME.get(type(error).__name__, (StorageError, "SQLite refused"))
    if type(error).__name__ == "IOError":
        kind, remedy = _io_error(error)
    translated = kind(f"{name}: {remedy} ({error})", operation="storage")
    translated.__cause__ = error
    return translated


def is_full(error: Exception) -> bool:
    """Tell whether SQLite could not write because there was no space, or the file must not become larger."""
    if type(error).__module__.partition(".")[0] != "apsw":
        return False
    return type(error).__name__ == "FullError" or getattr(error, "extendedresult", None) == _IOERR_WRITE


def _io_error(error: Exception) -> tuple[type[StorageError], str]:
    # A file-size limit of the process or the file system shows as a failed write, not as a full disk.
    if getattr(error, "extendedresult", None) == _IOERR_WRITE:
        return _BY_NAME["FullError"]
    return StorageError, "the disk failed to read or write"
