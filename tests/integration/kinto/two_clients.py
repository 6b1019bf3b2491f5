"""Two clients of one Kinto collection, each with an outbox and a way to the server that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict
from itertools import count

from two_users import Edit

from outlast.engines.backoff import Backoff
from outlast.events import EventBus, OpPostponed
from outlast.lab.proxy import FaultProxy, Healthy, Refuse
from outlast.outbox import DeliveryPolicy, OpState, Outbox, Verb, Write
from outlast.policies import CircuitBreaker, HalfOpen
from outlast.sync_engine import ConflictPolicy, HttpTransport, MergeRules, OnDuplicate, Overlay, Rule, Runner

SOON = DeliveryPolicy(backoff=Backoff.fixed(0.01))
# What Kinto adds of its own.
POLICY = ConflictPolicy(
    merge=MergeRules({"data.stars": Rule.MAX}),
    on_duplicate=OnDuplicate.MERGE,
    server_fields=frozenset({"permissions", "data.id", "data.last_modified", "data.schema"}),
)
PATIENCE = 60.0
NAMES = count(1)


def fields(view):
    """Return what users write of a record, None if it is not there."""
    if view is None:
        return None
    return {name: value for name, value in view["data"].items() if name not in {"id", "last_modified", "schema"}}


class Client:
    """Somebody who sees records through an overlay, edits them without a connection, and comes back."""

    def __init__(self, collection, proxy, box):
        self.collection, self.proxy, self.box = collection, proxy, box
        self.overlay = Overlay(box, "records")
        self.etags = {}
        self.edits = defaultdict(list)
        """Of each record, (place, edit)."""

    async def pull(self):
        """See what the server holds."""
        await self.overlay.refresh()  # what was delivered until now, the pull will contain
        mark = self.overlay.start_pull()
        held = await self.collection.views()
        for record in {*held, *self.etags, *self.edits}:
            view = held.get(record)
            self.overlay.pulled(record, view, mark=mark)
            self.etags[record] = None if view is None else f'"{view["data"]["last_modified"]}"'

    async def edit(self, record, after, *, patch=False):
        """Make something else of a record as it is seen; None removes it."""
        view = await self.overlay.get(record)
        before = fields(view)
        verb, body = Verb.PUT, after
        if before is None:
            verb = Verb.CREATE
        elif after is None:
            verb = Verb.DELETE
        elif patch:
            verb = Verb.PATCH
            body = {name: after.get(name) for name in {*before, *after} if before.get(name) != after.get(name)}
        (ticket,) = await self.overlay.enqueue(
            Write(
                verb=verb,
                kind="records",
                entity=record,
                body=None if body is None else json.dumps({"data": body}).encode(),
                if_match=None if verb is Verb.CREATE else self.etags.get(record),
                base=None if view is None else json.dumps(view).encode(),
            )
        )
        self.edits[record].append((ticket.seq, Edit(before, after)))

    async def come_back(self, fault):
        """Go on trying without a connection, and then with one that has a fault."""
        self.proxy.set(Refuse())
        tried = asyncio.Event()
        transport = HttpTransport(self.collection.url(self.proxy.port), headers=self.collection.headers)
        breaker = CircuitBreaker(open_for=0.02, recovery=HalfOpen(max_calls=1, success_threshold=1))
        run = Runner(self.box, transport, policy=SOON, conflicts={"records": POLICY}, breaker=breaker)
        with self.box.core.bus.subscribe(lambda _: tried.set(), OpPostponed):
            try:
                async with run, asyncio.timeout(PATIENCE):
                    idle = asyncio.create_task(run.run_until_idle())
                    waiting = asyncio.create_task(tried.wait())
                    await asyncio.wait((idle, waiting), return_when=asyncio.FIRST_COMPLETED)
                    waiting.cancel()
                    self.proxy.set(fault)
                    await idle
            finally:
                await transport.aclose()

    async def left(self, record):
        """Return the edits of a record that are not delivered, after checking that they wait for a decision."""
        undone = {}
        for seq, edit in self.edits[record]:
            state = (await self.box.ticket(seq).status()).state
            if state not in {OpState.DELIVERED, OpState.ANNIHILATED}:
                # What was folded is one edit now.
                before = undone[seq][0].before if seq in undone else edit.before
                undone[seq] = Edit(before, edit.after), state
        states = [state for _, state in undone.values()]
        assert states == [OpState.CONFLICT, *[OpState.READY] * (len(states) - 1)][: len(states)]
        return tuple(edit for edit, _ in undone.values())

    async def discard_all(self):
        """Drop whatever somebody has to decide about, until nothing of that is left."""
        while conflicts := await self.box.list(OpState.CONFLICT):
            for status in conflicts:
                await self.box.discard(status.seq)
            await self.come_back(Healthy())


class Collection:
    """A collection of a real server that only one test uses."""

    def __init__(self, kinto):
        self.kinto = kinto
        self.path = f"/v1/buckets/geo/collections/c{next(NAMES)}"
        self.headers = {"Authorization": kinto.credentials}

    def url(self, port):
        return f"http://127.0.0.1:{port}{self.path}/"

    async def ask(self, method, path="", body=None):
        return await asyncio.to_thread(self.kinto.ask, method, f"{self.path}{path}", body)

    async def put(self, record, data):
        """Make a record as somebody else did long ago."""
        await self.ask("PUT", f"/records/{record}", {"data": data})

    async def views(self):
        """Return all records as the server shows them one by one."""
        return {row["id"]: {"data": row} for row in (await self.ask("GET", "/records"))["data"]}

    async def held(self):
        """Return what users have written of all records."""
        return {record: fields(view) for record, view in (await self.views()).items()}


@contextlib.asynccontextmanager
async def two_clients(kinto, folder, start, **options):
    """Enter a collection with records and two clients who have seen them."""
    collection = Collection(kinto)
    await collection.ask("PUT")
    for record, data in start.items():
        await collection.put(record, data)
    async with contextlib.AsyncExitStack() as stack:
        clients = []
        for _ in range(2):
            proxy = await stack.enter_async_context(FaultProxy("127.0.0.1", kinto.port))
            path = folder / f"client{next(NAMES)}.db"
            box = await stack.enter_async_context(await Outbox.open(path, bus=EventBus(), **options))
            clients.append(Client(collection, proxy, box))
            await clients[-1].pull()
        yield collection, clients
