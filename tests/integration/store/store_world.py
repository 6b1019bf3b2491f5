"""A notes API and a fault proxy in the test's own loop, and stores over them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass

import uvicorn

from outlast.cache import Cache, Freshness, SqliteTier
from outlast.engines.backoff import Backoff, Jitter
from outlast.engines.lease import LeaseConfig
from outlast.engines.op import DeliveryPolicy
from outlast.lab._notes import Change, write_body
from outlast.lab._notes_book import NotesBook
from outlast.outbox import Outbox
from outlast.policies import CircuitBreaker, HalfOpen, Retry
from outlast.registry import Registry
from outlast.store import HttpBackend, Store, StoreConfig

PATIENCE = 50.0
QUICK = DeliveryPolicy(backoff=Backoff(base=0.05, factor=1.0, cap=0.05, jitter=Jitter.NONE))


@dataclass(frozen=True)
class Note:
    write: str
    text: str
    id: str = ""


def quick_breaker(open_for=0.2):
    """Make a circuit that is tried again soon."""
    return CircuitBreaker(open_for=open_for, recovery=HalfOpen(max_calls=1, success_threshold=1))


def quick_config(**options):
    """Return settings with which nothing takes long."""
    options.setdefault("circuit_breaker", quick_breaker())
    options.setdefault("retry", Retry(attempts=1))
    return StoreConfig(delivery=QUICK, lease=LeaseConfig(beat_every=0.2, ttl=2.0), **options)


class World:
    """An API with notes, a proxy before it, a folder for files, and a place for an outbox."""

    def __init__(self, folder, place):
        self.folder = folder
        self.place = place
        self.book = NotesBook(folder / "notes.db")
        self.proxy = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.proxy.port}"

    def somebody_writes(self, note, text, verb="PUT"):
        """Change a note as another client would."""
        self.book.overwrite(Change(verb, note, f"other-{text}", write_body(f"other-{text}", text)))

    def asked(self, method=None, path=None):
        """Return the exchanges that the proxy saw, of one method and path if given."""
        return [
            exchange
            for exchange in self.proxy.exchanges
            if method in {None, exchange.method} and path in {None, exchange.path}
        ]

    def effects(self, note):
        """Return what was ever applied to a note, as write ids."""
        rows = self.book._db.execute("SELECT write_id FROM effects WHERE note = ? ORDER BY seq", (note,))
        return [row[0] for row in rows]

    @contextlib.asynccontextmanager
    async def outbox(self, name=None, **options):
        """Open the outbox, or another one in a file."""
        async with await Outbox.open(self.place if name is None else self.folder / name, **options) as outbox:
            yield outbox

    @contextlib.asynccontextmanager
    async def cache(self, name="cache.db", **freshness):
        """Open a cache over a file."""
        freshness = Freshness(**{"soft_timeout": 0.2, "load_timeout": 2.0, **freshness})
        async with Cache(
            "notes", freshness=freshness, disk=SqliteTier(self.folder / name), registry=Registry()
        ) as cache:
            yield cache

    def backend(self, **options):
        """Make a backend behind the proxy."""
        return HttpBackend(self.url, "notes", **{"call_timeout": 1.0, **options})

    @contextlib.asynccontextmanager
    async def store(self, *, outbox=None, cache=None, backend=None, config=None, model=Note, key="id", **freshness):
        """Open a store with whatever is not given made for it."""
        async with contextlib.AsyncExitStack() as stack:
            outbox = outbox or await stack.enter_async_context(self.outbox())
            cache = cache or await stack.enter_async_context(self.cache(**freshness))
            if backend is None:
                backend = self.backend()
                stack.push_async_callback(backend.aclose)
            config = config or quick_config()
            store = Store(model, backend=backend, cache=cache, outbox=outbox, config=config, key=key)
            yield await stack.enter_async_context(store)


@contextlib.asynccontextmanager
async def serving(app):
    """Serve an app on a free port of loopback, in this loop."""
    config = uvicorn.Config(app, http="h11", ws="none", lifespan="off", log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        task = asyncio.create_task(server._serve([listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


async def eventually(holds, what="it", within=PATIENCE):
    """Wait until a question, plain or async, is answered with something true, and return that."""
    async with asyncio.timeout(within):
        while True:
            answer = holds()
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer:
                return answer
            await asyncio.sleep(0.01)
