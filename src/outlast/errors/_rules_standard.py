"""What the exceptions of the standard library mean."""

from __future__ import annotations

import errno
from typing import Final

from outlast.errors._classify import UNKNOWN, Classification, classify_group
from outlast.errors._meanings import (
    EXHAUSTED,
    EXHAUSTED_DOUBT,
    FATAL,
    INPUT,
    RETRY_DOUBT,
    RETRY_SAFE,
    Rules,
    judge_answer,
    judge_inner,
)

_BY_ERRNO: Final = {
    errno.ENOSPC: EXHAUSTED,
    errno.EDQUOT: EXHAUSTED,
    errno.EMFILE: EXHAUSTED,
    errno.ENFILE: EXHAUSTED,
    errno.ENOMEM: EXHAUSTED,
    errno.EAGAIN: EXHAUSTED,
    errno.EHOSTUNREACH: RETRY_SAFE,
    errno.ENETUNREACH: RETRY_SAFE,
    errno.ENETDOWN: RETRY_SAFE,
}


def _os_error(error: BaseException) -> Classification:
    code = error.errno if isinstance(error, OSError) else None
    return _BY_ERRNO.get(code or 0, UNKNOWN)


def _url_error(error: BaseException) -> Classification:
    return judge_inner(getattr(error, "reason", None), RETRY_DOUBT)


def _url_status(error: BaseException) -> Classification:
    return judge_answer(getattr(error, "code", None), getattr(error, "headers", None))


STANDARD: Final[dict[str, Rules]] = {
    "builtins": {
        "ConnectionRefusedError": RETRY_SAFE,
        "ConnectionError": RETRY_DOUBT,
        "TimeoutError": RETRY_DOUBT,
        "PermissionError": FATAL,
        "FileNotFoundError": INPUT,
        "IsADirectoryError": INPUT,
        "NotADirectoryError": INPUT,
        "OSError": _os_error,
        "MemoryError": EXHAUSTED_DOUBT,
        "NotImplementedError": FATAL,
        "EOFError": RETRY_DOUBT,
        "BaseExceptionGroup": classify_group,
    },
    "asyncio": {"IncompleteReadError": RETRY_DOUBT, "QueueFull": EXHAUSTED},
    "queue": {"Full": EXHAUSTED},
    "_queue": {"Empty": EXHAUSTED},
    "concurrent": {"BrokenExecutor": RETRY_DOUBT},
    "socket": {"gaierror": RETRY_SAFE},
    "ssl": {"SSLCertVerificationError": FATAL, "SSLError": RETRY_DOUBT},
    "http": {"HTTPException": RETRY_DOUBT},
    "urllib": {"URLError": _url_error, "HTTPError": _url_status},
}
