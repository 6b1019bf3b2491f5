"""End on Ctrl-C and on SIGTERM without losing anything; on a second one at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Self

from outlast.cli._exit import ExitCode

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Listen to the signals that ask a process to end, for the length of a block.

    Args:
        on_first: Called at the first signal.
        on_second: Called at the second, just before the process ends.
    """

    def __init__(self, on_first: Callable[[], None], on_second: Callable[[], None]) -> None:
        self._on_first = on_first
        self._on_second = on_second
        self._asked = asyncio.Event()
        self._signal: int | None = None

    @property
    def code(self) -> ExitCode:
        """Return the exit code for the signal that came."""
        return ExitCode.TERMINATED if self._signal == signal.SIGTERM else ExitCode.INTERRUPTED

    async def wait(self) -> None:
        """Wait for the first signal."""
        await self._asked.wait()

    def __enter__(self) -> Self:
        """Begin to listen."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._heard, number)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the signals to the system again."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    def _heard(self, number: int) -> None:
        if self._signal is not None:  # pragma: no cover - the process ends before what was measured could be saved
            self._on_second()
            os._exit(int(self.code))
        self._signal = number
        self._on_first()
        self._asked.set()
