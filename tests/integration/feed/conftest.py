from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from outlast.engines.backoff import Backoff
from outlast.events import EventBus
from outlast.lab.proxy import FaultProxy, Healthy, Refuse
from outlast.sync_engine import FeedStore, LadderConfig, RealtimeChannel, Rung

SERVER = Path(__file__).with_name("server.py")
SOON = Backoff.fixed(0.02)


class Server:
    """The server of a feed in a process of its own, which shares no code with the client."""

    def __init__(self):
        command = [sys.executable, str(SERVER)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.process.stdout.readline())["listening"]
        self.length = 0

    def tell(self, **told):
        """Plant something, or append events; return what the server knows."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/control",
            json.dumps(told).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def append(self, count=1, **event):
        """Append events; return how many there are."""
        made = [{"entity": f"note/{self.length + n}", "body": {"n": self.length + n}, **event} for n in range(count)]
        self.length = self.tell(append=made)["length"]
        return self.length

    @property
    def asked(self):
        """Count the requests for each rung."""
        return self.tell()["asked"]

    def end(self):
        self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture(scope="session")
def shared_server():
    """Serve a feed for all tests of this folder."""
    server = Server()
    yield server
    server.end()


@pytest.fixture
def server(shared_server):
    """Give each test a feed that begins anew."""
    shared_server.length = shared_server.tell(reset=True)["length"]
    return shared_server


class Feed:
    """A store, a proxy before the server, and channels over them."""

    healthy, refuse = Healthy(), Refuse()

    def __init__(self, server, proxy, folder):
        self.server = server
        self.proxy = proxy
        self.path = folder / "feed.db"
        self.bus = EventBus()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.proxy.port}/feed"

    def remember(self, db, event):
        """Note each event that is applied, as often as it is."""
        db.execute("CREATE TABLE IF NOT EXISTS applied (seq INTEGER)")
        db.execute("INSERT INTO applied VALUES (?)", (event.seq,))

    async def applied(self, store):
        """Return the places of all events that were applied."""
        job = store.database.read(lambda db: [seq for (seq,) in db.execute("SELECT seq FROM applied ORDER BY rowid")])
        return await asyncio.wrap_future(job)

    @contextlib.asynccontextmanager
    async def store(self, **options):
        """Open the store."""
        async with await FeedStore.open(self.path, **{"apply": self.remember, **options}) as store:
            yield store

    def channel(self, store=None, *, rungs=tuple(Rung), limits=None, **options):
        """Make a channel through the proxy that is quick to come back."""
        settings = {"reconnect": SOON, "poll_every": 0.02, "climb": Backoff.fixed(3600.0), **(limits or {})}
        ladder = LadderConfig(rungs=tuple(rungs), **settings)
        return RealtimeChannel(
            self.url, store=store, ladder=ladder, **{"bus": self.bus, "call_timeout": 5.0, "hold": 5.0, **options}
        )

    async def cut(self, channel, until):
        """Reset every connection of a live channel, and let it come back once it has noticed."""
        self.proxy.set(self.refuse)
        await until(lambda: not channel.state.live)
        self.proxy.set(self.healthy)
        await until(lambda: channel.state.live)


@pytest.fixture
def feed(server, tmp_path):
    """Give a test its server, proxy and store; the proxy begins with the block."""

    @contextlib.asynccontextmanager
    async def feed():
        async with FaultProxy("127.0.0.1", server.port) as proxy:
            yield Feed(server, proxy, tmp_path)
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a channel has left a task behind"

    return feed


@pytest.fixture
def until():
    """Wait for what another task or process does."""

    async def until(condition, seconds=15.0):
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)

    return until
