"""What the exit code of a command says, and the errors that end one."""

from __future__ import annotations

import errno
import os
from enum import IntEnum
from typing import Any, Final

from outlast.errors import (
    AuthenticationError,
    ConfigError,
    LeaseHeldError,
    LeaseLostError,
    NewerFormatError,
    OutlastError,
    StorageBusyError,
    StorageError,
    StorageFullError,
)


class ExitCode(IntEnum):
    """Say how a command ended; docs/reference/exit-codes.md says what to do about each."""

    DELIVERED = 0
    FAILED = 1
    USAGE = 2
    MALFORMED_INPUT = 3
    DUPLICATE_ID = 4
    BAD_TARGET = 5
    UNFINISHED = 6
    UNDELIVERABLE = 7
    NOT_AN_OUTBOX = 8
    NEWER_OUTBOX = 9
    DISK_FULL = 10
    ALREADY_RUNNING = 11
    CREDENTIALS_REFUSED = 12
    BROKEN_PROMISE = 13
    FINDINGS = 14
    INTERRUPTED = 130
    TERMINATED = 143

    @property
    def word(self) -> str:
        """Return the name as it stands in JSON, such as `disk_full`."""
        return self.name.lower()


class CommandError(Exception):
    """End a command with a message that fits on one screen.

    Args:
        code: The exit code.
        message: What is wrong, where.
        remedy: What to do about it, or empty when the message says it.
    """

    def __init__(self, code: ExitCode, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy

    @property
    def text(self) -> str:
        """Return the message, and the remedy on a line of its own."""
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message


_CODES: tuple[tuple[type[OutlastError], ExitCode], ...] = (
    (AuthenticationError, ExitCode.CREDENTIALS_REFUSED),
    (LeaseHeldError, ExitCode.ALREADY_RUNNING),
    (LeaseLostError, ExitCode.ALREADY_RUNNING),
    (StorageBusyError, ExitCode.ALREADY_RUNNING),
    (StorageFullError, ExitCode.DISK_FULL),
    (NewerFormatError, ExitCode.NEWER_OUTBOX),
    (StorageError, ExitCode.NOT_AN_OUTBOX),
    (ConfigError, ExitCode.USAGE),
)
"""The first row that fits counts, so a class stands above those it derives from."""


FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says when nothing more can be written."""


def of_system(error: OSError) -> CommandError:
    """Return what ends a command that the system has refused something.

    Args:
        error: What it said.
    """
    where = "" if error.filename is None else f"{error.filename}: "
    return CommandError(
        ExitCode.DISK_FULL if error.errno in FULL else ExitCode.FAILED, f"{where}{error.strerror or error}"
    )


def end_output() -> None:
    """Write nothing more to standard output, not even at the end: whoever read it has had enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def say(text: str) -> None:
    """Print a result; whether somebody reads it changes nothing of how the command ended."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        end_output()


def code_of(error: OutlastError) -> ExitCode:
    """Return the exit code that stands for an error.

    Args:
        error: What ended the command.
    """
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.FAILED)


def error_as_json(error: CommandError | OutlastError) -> dict[str, Any]:
    """Return an error as what a command prints of it with --json.

    Args:
        error: What ended the command.
    """
    code = error.code if isinstance(error, CommandError) else code_of(error)
    text = error.text if isinstance(error, CommandError) else str(error)
    return {"exit_code": int(code), "exit": code.word, "message": text}
