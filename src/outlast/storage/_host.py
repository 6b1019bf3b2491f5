"""Facts about this machine and process: the boot it runs in, and file locks that die with their holder."""

from __future__ import annotations

import fcntl
import os
import uuid
from functools import cache, partial
from pathlib import Path
from typing import Final

from outlast.clock import SYSTEM_CLOCK, Clock

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SHORT: Final = 0.00005
_LONG: Final = 0.001


@cache
def boot_id() -> str:
    """Return an id of the present boot of this machine.

    Where the system has none, it is an id of this process: then nothing that another process stored is
    taken for recent, which costs speed but never safety.
    """
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return f"process-{os.getpid()}-{uuid.uuid4().hex}"


class FileLock:
    """Hold an advisory lock on a file; the kernel drops it when the process ends, however it ends.

    Args:
        path: The file that carries the lock; it is made if needed and left behind.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Tell whether this object holds the lock."""
        return self._descriptor is not None

    def try_acquire(self) -> bool:
        """Take the lock if nobody else has it, and tell whether it is held now."""
        if self._descriptor is not None:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let go of the lock; nothing happens when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class FileGate:
    """Let the processes that write to one file take turns, each for a moment.

    Without it they would sleep in SQLite until the lock happens to be free, which is slower and lets one process
    starve the others. It protects nothing: who has waited long enough goes on, and SQLite's own lock decides.

    Thread-safe: no; one thread at a time goes through it.

    Args:
        path: The file that carries the lock; it is made if needed and left behind.
        patience: Seconds to wait at most, longer than any honest turn takes. Default 1.
        clock: Where the time comes from.
    """

    def __init__(self, path: str | os.PathLike[str], *, patience: float = 1.0, clock: Clock = SYSTEM_CLOCK) -> None:
        # One descriptor for as long as the database is open: closing it would let go of the lock.
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._patience = patience
        self._clock = clock
        # Of C alone, so that no handler of a signal is run before it is done.
        self.leave = partial(fcntl.flock, self._descriptor, fcntl.LOCK_UN)
        """Let the next one through; nothing happens when nobody had the turn."""

    def __enter__(self) -> None:
        """Wait for the turn."""
        wait, end = _SHORT, None
        while not self.try_enter():
            now = self._clock.now()
            end = now + self._patience if end is None else end
            if now >= end:
                return
            self._clock.sleep(wait)
            wait = min(2 * wait, _LONG)

    def try_enter(self) -> bool:
        """Take the turn if nobody has it, and tell whether that is so; `leave` gives it back."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def __exit__(self, *_: object) -> None:
        """Do so."""
        self.leave()

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._descriptor)
