"""What the tests of delivery share: an outbox with a bus of its own, scripted servers, and a runner between them."""

import asyncio
import contextlib
from collections import defaultdict

from outlast.engines.backoff import Backoff
from outlast.events import EventBus
from outlast.outbox import Applied, DeliveryPolicy, Outbox, Verb, Write
from outlast.sync_engine import CallableTransport, Runner

SOON = DeliveryPolicy(backoff=Backoff.fixed(0.01))
LATE = DeliveryPolicy(backoff=Backoff.fixed(3600.0))


@contextlib.asynccontextmanager
async def opened(place, **options):
    """Open an outbox with a bus of its own."""
    options = {"bus": EventBus(), "durability": "process", **options}
    async with await Outbox.open(place, **options) as box:
        yield box


def put(entity, body=b"{}", **options):
    """Make a write of a note."""
    return Write(**{"verb": Verb.PUT, "kind": "note", "entity": entity, "body": body, **options})


class Server:
    """Answer by a script for each entity, then with success; remember what came."""

    def __init__(self, **script):
        self.script = defaultdict(list, {entity: list(answers) for entity, answers in script.items()})
        self.seen = []

    async def __call__(self, op):
        self.seen.append(op)
        return self.script[op.entity].pop(0) if self.script[op.entity] else Applied()

    @property
    def entities(self):
        """Return the entities in the order of the requests."""
        return [op.entity for op in self.seen]


def carry(server, **options):
    """Make a transport of a function."""
    return server if hasattr(server, "seal") else CallableTransport(server, **options)


def runner(box, server, **options):
    """Make a runner that carries ops to a function, a transport, or several by kind."""
    transport = server if isinstance(server, dict) else carry(server)
    return Runner(box, transport, **{"policy": SOON, **options})


async def deliver(box, server, **options):
    """Deliver until nothing is left that could be."""
    async with runner(box, server, **options) as run, asyncio.timeout(60):
        await run.run_until_idle()


async def until(condition, seconds=60.0):
    """Wait for what happens elsewhere."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - it comes from threads and processes too
            await asyncio.sleep(0.005)


def die_with_claims(place):
    """Leave the file as a process does that was killed with everything that waits on the wire."""
    place.execute("UPDATE $seal SET due = NULL")
