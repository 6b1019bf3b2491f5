"""Programs that queue, each a process of its own, and the delivery of what they have queued."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

from outlast.engines.backoff import Backoff
from outlast.events import EventBus
from outlast.outbox import Applied, DeliveryPolicy, Outbox
from outlast.sync_engine import CallableTransport, Runner
from unmeasured import UNMEASURED

FRAMEWORKS = Path(__file__).parent / "integration" / "frameworks"


@contextlib.contextmanager
def program(name, *arguments):
    """Run a program of the frameworks' folder as a process for the length of a block."""
    command = [sys.executable, str(FRAMEWORKS / name), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=UNMEASURED) as process:
        try:
            yield process
        finally:
            process.terminate()


async def delivered(path, **options):
    """Deliver what waits in an outbox, in another program than the one that has queued it; return what was seen."""
    seen = []

    async def server(op):
        seen.append((op.entity, op.body))
        return Applied()

    policy = DeliveryPolicy(backoff=Backoff.fixed(0.01))
    async with (
        await Outbox.open(path, bus=EventBus(), **options) as box,
        Runner(box, CallableTransport(server), policy=policy) as runner,
    ):
        await runner.run_until_idle()
    return seen
