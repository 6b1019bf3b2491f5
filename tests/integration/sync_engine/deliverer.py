"""A process that queues or delivers, to be killed; options say where it ends itself."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys

from outlast.engines.backoff import Backoff
from outlast.errors import LeaseHeldError, LeaseLostError
from outlast.events import DEFAULT_BUS, OpDelivered
from outlast.outbox import DeliveryPolicy, LeaseConfig, Outbox
from outlast.sync_engine import HttpTransport, Runner


def say(**message):
    """Tell the test, one line of JSON each."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


class Dying(HttpTransport):
    """Kill the own process instead of sending."""

    async def send(self, op, request):
        os.kill(os.getpid(), signal.SIGKILL)


async def die(op, step):
    """Kill the own process between the answer and the commit."""
    os.kill(os.getpid(), signal.SIGKILL)


async def produce(options):
    """Queue writes without end, and note each in the ledger once it is acknowledged."""
    ledger = os.open(options.ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    async with await Outbox.open(options.box) as box:
        number = 0
        while True:
            number += 1
            write = f"{options.produce}-{os.getpid()}-{number}"
            note = f"{options.produce}-{number % 8}"
            await box.put("notes", note, {"write": write, "text": "x"})
            os.write(ledger, f"{write} {note}\n".encode())
            await asyncio.sleep(0.02)


async def deliver(options):
    """Deliver until idle, or until the end."""
    lease = LeaseConfig(beat_every=options.ttl / 3, ttl=options.ttl)
    transport = Dying if options.die == "before-send" else HttpTransport
    headers = {"Authorization": "Bearer very-secret-token"}
    keys = "Idempotency-Key" if options.keys else None
    # Whoever is killed every tenth of a second may be killed at the same op again and again.
    policy = DeliveryPolicy(backoff=Backoff.fixed(0.05), max_deaths=1000)
    before_settle = die if options.die == "before-commit" else None
    DEFAULT_BUS.subscribe(lambda event: say(delivered=event.seq), OpDelivered)
    async with await Outbox.open(options.box) as box:
        runner = Runner(
            box,
            transport(options.url, headers=headers, idempotency_header=keys, call_timeout=5.0),
            policy=policy,
            lease=lease,
            before_settle=before_settle,
            concurrency=options.concurrency,
        )
        try:
            async with runner:
                say(leased=True)
                await (runner.run_forever() if options.forever else runner.run_until_idle())
        except (LeaseHeldError, LeaseLostError) as error:
            say(error=type(error).__name__)


def main():
    """Do as the options say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--box", required=True)
    parser.add_argument("--url")
    parser.add_argument("--produce")
    parser.add_argument("--ledger")
    parser.add_argument("--die", choices=["before-send", "before-commit"])
    parser.add_argument("--ttl", type=float, default=30.0)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--no-keys", dest="keys", action="store_false")
    parser.add_argument("--forever", action="store_true")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(produce(options) if options.produce else deliver(options))


if __name__ == "__main__":
    main()
