"""The rules that come with outlast: the standard library, SQLite and the HTTP clients."""

from __future__ import annotations

import errno

from outlast.errors._base import Category, Outcome
from outlast.errors._classify import UNKNOWN, Classification, Rule, classify_status, register_rule

_RETRY_SAFE = Classification(Category.RETRIABLE, Outcome.NOT_APPLIED)
_RETRY_DOUBT = Classification(Category.RETRIABLE, Outcome.IN_DOUBT)
_EXHAUSTED = Classification(Category.TRANSIENT, Outcome.NOT_APPLIED)
_FATAL = Classification(Category.FATAL, Outcome.NOT_APPLIED)
_FATAL_DOUBT = Classification(Category.FATAL, Outcome.IN_DOUBT)
_INPUT = Classification(Category.INVALID_INPUT, Outcome.NOT_APPLIED)

_BY_ERRNO = {
    errno.ENOSPC: _EXHAUSTED,
    errno.EDQUOT: _EXHAUSTED,
    errno.EMFILE: _EXHAUSTED,
    errno.ENFILE: _EXHAUSTED,
    errno.ENOMEM: _EXHAUSTED,
    errno.EAGAIN: _EXHAUSTED,
    errno.EHOSTUNREACH: _RETRY_SAFE,
    errno.ENETUNREACH: _RETRY_SAFE,
    errno.ENETDOWN: _RETRY_SAFE,
}


def _os_error(error: BaseException) -> Classification:
    code = error.errno if isinstance(error, OSError) else None
    return _BY_ERRNO.get(code or 0, UNKNOWN)


def _http_status(error: BaseException) -> Classification:
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if not isinstance(status, int):
        return UNKNOWN
    return classify_status(status, _seconds(getattr(response, "headers", {}).get("retry-after")))


def _seconds(value: str | None) -> float | None:
    # Only the plain number here; dates need the answer's own Date and belong to engines.retry_after.
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:
        return None


_STANDARD: dict[tuple[str, str], Rule] = {
    ("builtins", "ConnectionRefusedError"): _RETRY_SAFE,
    ("builtins", "ConnectionError"): _RETRY_DOUBT,
    ("builtins", "TimeoutError"): _RETRY_DOUBT,
    ("builtins", "PermissionError"): _FATAL,
    ("builtins", "FileNotFoundError"): _INPUT,
    ("builtins", "IsADirectoryError"): _INPUT,
    ("builtins", "NotADirectoryError"): _INPUT,
    ("builtins", "OSError"): _os_error,
    ("builtins", "MemoryError"): Classification(Category.TRANSIENT, Outcome.IN_DOUBT),
    ("builtins", "NotImplementedError"): _FATAL,
    ("builtins", "EOFError"): _RETRY_DOUBT,
    ("asyncio", "IncompleteReadError"): _RETRY_DOUBT,
    ("socket", "gaierror"): _RETRY_SAFE,
    ("ssl", "SSLCertVerificationError"): _FATAL,
    ("ssl", "SSLError"): _RETRY_DOUBT,
    ("http", "HTTPException"): _RETRY_DOUBT,
}

_SQLITE: dict[tuple[str, str], Rule] = {
    ("apsw", "BusyError"): _EXHAUSTED,
    ("apsw", "LockedError"): _EXHAUSTED,
    ("apsw", "FullError"): _EXHAUSTED,
    ("apsw", "IOError"): _RETRY_DOUBT,
    ("apsw", "CorruptError"): _FATAL_DOUBT,
    ("apsw", "NotADBError"): _FATAL,
    ("apsw", "CantOpenError"): _FATAL,
    ("apsw", "ReadOnlyError"): _FATAL,
    ("apsw", "ConstraintError"): _INPUT,
    ("sqlite3", "IntegrityError"): _INPUT,
    ("sqlite3", "OperationalError"): _EXHAUSTED,
    ("sqlite3", "DatabaseError"): _FATAL_DOUBT,
}

_HTTPX: dict[str, Rule] = {
    "ConnectError": _RETRY_SAFE,
    "ConnectTimeout": _RETRY_SAFE,
    "PoolTimeout": _EXHAUSTED,
    "TransportError": _RETRY_DOUBT,
    "UnsupportedProtocol": _INPUT,
    "LocalProtocolError": _INPUT,
    "ProxyError": _RETRY_SAFE,
    "DecodingError": _RETRY_DOUBT,
    "TooManyRedirects": _INPUT,
    "InvalidURL": _INPUT,
    "HTTPStatusError": _http_status,
}


def install() -> None:
    """Register every rule of this module; importing `outlast.errors` does it once."""
    for (package, name), rule in (_STANDARD | _SQLITE).items():
        register_rule(package, name, rule)
    for package in ("httpx", "httpx2"):
        for name, rule in _HTTPX.items():
            register_rule(package, name, rule)
