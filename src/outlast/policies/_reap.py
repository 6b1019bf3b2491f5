"""Cancel tasks and wait until they have really ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any


async def reap(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and return when all of them have ended; how they ended does not matter.

    Cancel: the tasks are cancelled again, and the cancellation goes on when they have ended.
    """
    waited = list(tasks)
    pending, interrupted = set(waited), None
    for task in pending:
        task.cancel()
    while pending:
        try:
            _, pending = await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            interrupted = error
            for task in pending:
                task.cancel()
    for task in waited:
        if not task.cancelled():
            task.exception()  # taken note of, so that asyncio does not complain that nobody asked
    if interrupted is not None:
        raise interrupted
