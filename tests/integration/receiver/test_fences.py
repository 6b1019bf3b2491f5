"""A runner that was replaced without knowing it changes nothing at a server that looks at its fence."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from contextlib import closing

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from outlast.engines.backoff import Backoff
from outlast.errors import LeaseLostError
from outlast.events import EventBus
from outlast.http import AsgiReceiver, connection_of
from outlast.lab.proxy import FaultProxy
from outlast.outbox import Counts, DeliveryPolicy, LeaseConfig, OpState, Outbox
from outlast.sync_engine import HttpBatch, HttpTransport, Runner

SOON = DeliveryPolicy(backoff=Backoff.fixed(0.01))
# Nothing here takes so long that a beat would matter; what is frozen is frozen by hand.
LEASE = LeaseConfig(beat_every=100.0, ttl=300.0)


class Api:
    """Serve writes through the receiver, and remember the fences that came."""

    def __init__(self, place):
        self.place = place
        self.fences = []

    async def write(self, request):
        """Note the effect."""
        connection_of(request).execute(
            "INSERT INTO effects VALUES (?, ?)", (request.headers["idempotency-key"], request.headers["outbox-fence"])
        )
        return Response(status_code=200, headers={"etag": '"1"'})

    @property
    def app(self):
        app = Starlette(routes=[Route("/notes/{note}", self.write, methods=["PUT"])])
        app.add_middleware(
            AsgiReceiver,
            connect=lambda: closing(sqlite3.connect(self.place.address, timeout=30, check_same_thread=False)),
            scope="all",
        )
        return app

    @contextlib.asynccontextmanager
    async def serving(self):
        """Listen on a free port of loopback."""
        server = uvicorn.Server(uvicorn.Config(self.app, port=0, log_level="error", ws="none", lifespan="off"))
        task = asyncio.create_task(server.serve())
        try:
            async with asyncio.timeout(60):
                while not server.started:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.005)
            yield server.servers[0].sockets[0].getsockname()[1]
        finally:
            server.should_exit = True
            await task


def effects(place):
    """Return (place in the outbox, term) of each effect in order."""
    rows = place.rows("SELECT key, worker FROM effects ORDER BY rowid")
    return [(int(key.split(":")[1]), int(fence.split(";")[0])) for key, fence in rows]


@pytest.mark.timeout(120)
async def test_the_late_request_of_a_replaced_runner_is_refused(sqlite_place, tmp_path):
    """Its request was on the wire when another took over and went on; it comes late and is refused."""
    place = sqlite_place.prepare()
    path, held, let_go = tmp_path / "box.db", asyncio.Event(), asyncio.Event()

    async def hold(exchange):
        if not held.is_set():
            held.set()
            await let_go.wait()

    async with contextlib.AsyncExitStack() as stack:
        port = await stack.enter_async_context(Api(place).serving())
        proxy = await stack.enter_async_context(FaultProxy("127.0.0.1", port, on_request=hold))
        first, second = [await stack.enter_async_context(await Outbox.open(path, bus=EventBus())) for _ in range(2)]
        slow, fast = HttpTransport(f"http://127.0.0.1:{proxy.port}/"), HttpTransport(f"http://127.0.0.1:{port}/")
        stack.push_async_callback(slow.aclose)
        stack.push_async_callback(fast.aclose)
        for number in range(3):
            await first.put("notes", "a", {"n": number})
        zombie = Runner(first, slow, policy=SOON, lease=LEASE)
        await zombie.__aenter__()
        running = asyncio.create_task(zombie.run_until_idle())
        async with asyncio.timeout(60):
            await held.wait()
        # It is frozen: the time of its beat goes by.
        first.core.database.write(lambda db: db.execute("UPDATE lease SET beat = beat - 1e6")).result(30)
        async with Runner(second, fast, policy=SOON, lease=LEASE) as successor:
            await successor.run_until_idle()
            let_go.set()
            async with asyncio.timeout(60):
                with pytest.raises(LeaseLostError):
                    await running
            with contextlib.suppress(LeaseLostError):
                await zombie.__aexit__(None, None, None)

        assert effects(place) == [(1, 2), (2, 2), (3, 2)]
        # The request was sealed with its address, so the successor has sent the first one this way too.
        assert [exchange.upstream_status for exchange in proxy.exchanges] == [409, 200]
        assert await second.counts() == Counts(delivered=3)


async def test_a_copy_of_an_outbox_waits_instead_of_giving_its_writes_up(sqlite_place, tmp_path):
    """A server that has seen a later term refuses an older copy of the file: its writes wait, and you see why."""
    place = sqlite_place.prepare()
    async with Api(place).serving() as port, await Outbox.open(tmp_path / "box.db", bus=EventBus()) as box:
        api = HttpTransport(f"http://127.0.0.1:{port}/")
        for number in range(2):
            await box.put("notes", "a", {"n": number})
            async with Runner(box, api, policy=SOON, lease=LEASE) as runner:
                await runner.run_until_idle()
        box.core.database.write(lambda db: db.execute("UPDATE lease SET fence = 0")).result(30)
        ticket = await box.put("notes", "a", {"n": 2})
        async with Runner(box, api, policy=SOON, lease=LEASE) as runner:
            running = asyncio.create_task(runner.run_until_idle())
            async with asyncio.timeout(60):
                while (await ticket.status()).attempts < 2:  # noqa: ASYNC110 - the file tells nobody
                    await asyncio.sleep(0.01)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        status = await ticket.status()
        await api.aclose()

        assert status.state is OpState.WAITING
        assert "its newest fence is 2" in status.reason or "cut off" in status.reason
        assert effects(place) == [(1, 1), (2, 2)]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        pytest.param({}, ["Outbox-Fence"], id="default"),
        pytest.param({"fence_header": "X-Term"}, ["X-Term"], id="another-name"),
        pytest.param({"fence_header": None}, [], id="none"),
    ],
)
@pytest.mark.parametrize("batch", [None, HttpBatch()], ids=["alone", "batch"])
async def test_every_request_says_which_term_it_belongs_to(tmp_path, options, found, batch):
    """The fence is that of the runner which sends, alone and in batches, and no part of what was sealed."""
    requests = []

    async def note(request):
        body = json.loads(await request.body())
        requests.append((dict(request.headers), [one["headers"] for one in body.get("requests", [])]))
        answers = [{"status": 200, "headers": {}, "body": {}} for _ in body.get("requests", [])]
        return Response(json.dumps({"responses": answers}), media_type="application/json")

    routes = [Route("/{rest:path}", note, methods=["PUT", "POST"])]
    api = Api(None)
    type(api).app, before = Starlette(routes=routes), type(api).app
    try:
        async with api.serving() as port, await Outbox.open(tmp_path / "box.db", bus=EventBus()) as box:
            transport = HttpTransport(f"http://127.0.0.1:{port}/", batch=batch, **options)
            for entity in "ab":
                await box.put("notes", entity, {})
            async with Runner(box, transport, policy=SOON, lease=LEASE) as runner:
                await runner.run_until_idle()
            await transport.aclose()
            sender = box.core.store_id
    finally:
        type(api).app = before

    assert len(requests) == (1 if batch else 2)
    for headers, parts in requests:
        assert len(parts) == (2 if batch else 0)
        assert [headers.get(name.lower()) for name in found] == [f'1;sender="{sender}"'] * len(found)
        assert ("outbox-fence" in headers) == ("Outbox-Fence" in found)
        for part in parts:
            assert [name for name in part if name in {"Outbox-Fence", "X-Term"}] == found
