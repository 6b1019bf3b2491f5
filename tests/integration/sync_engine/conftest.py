from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from outlast.engines.backoff import Backoff
from outlast.events import EventBus
from outlast.lab.proxy import FaultProxy
from outlast.outbox import DeliveryPolicy, Outbox
from outlast.sync_engine import HttpTransport, Runner
from unmeasured import UNMEASURED

PROGRAM = Path(__file__).with_name("deliverer.py")
SOON = DeliveryPolicy(backoff=Backoff.fixed(0.02))


class Api:
    """The example notes API in a process of its own, and its ledger of effects."""

    def __init__(self, folder):
        self.db = folder / "notes.db"
        command = [sys.executable, "-W", "error", "-m", "outlast.lab.notes_api", "--db", str(self.db)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=UNMEASURED)
        self.port = json.loads(self.process.stdout.readline())["listening"]

    def rows(self, query, *values):
        """Ask the API's own database."""
        with contextlib.closing(sqlite3.connect(self.db, timeout=10)) as db:
            return db.execute(query, values).fetchall()

    def effects(self, prefix=""):
        """Return (note, write) of every applied change in order."""
        return self.rows("SELECT note, write_id FROM effects WHERE note LIKE ? ORDER BY seq", f"{prefix}%")

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture(scope="session")
def shared_api(tmp_path_factory):
    """Serve notes for all tests of this folder."""
    api = Api(tmp_path_factory.mktemp("api"))
    yield api
    api.end()


class World:
    """An outbox, a proxy before the API, and what a test does with them; its notes have a prefix of their own."""

    def __init__(self, api, path, prefix):
        self.api = api
        self.path = path
        self.prefix = prefix
        self.bus = EventBus()
        self.started = []

    @contextlib.asynccontextmanager
    async def proxied(self, **options):
        """Stand between client and API."""
        async with FaultProxy("127.0.0.1", self.api.port, **options) as proxy:
            self.proxy = proxy
            yield proxy

    @property
    def url(self):
        return f"http://127.0.0.1:{self.proxy.port}/"

    async def open(self, stack):
        """Open the outbox until the stack ends."""
        return await stack.enter_async_context(await Outbox.open(self.path, bus=self.bus))

    def note(self, name="a"):
        return f"{self.prefix}-{name}"

    def body(self, write, text="x"):
        return {"write": f"{self.prefix}-{write}", "text": text}

    @contextlib.asynccontextmanager
    async def runner(self, box, *, transport=None, **options):
        """Deliver through the proxy for the length of a block."""
        own = HttpTransport(self.url, **(transport or {}))
        try:
            async with Runner(box, own, **{"policy": SOON, **options}) as runner:
                yield runner
        finally:
            await own.aclose()

    async def deliver(self, box, **options):
        """Deliver until idle."""
        async with self.runner(box, **options) as runner, asyncio.timeout(150):
            await runner.run_until_idle()

    def writes(self):
        """Return what the API has applied for this test, in order."""
        return [write.removeprefix(f"{self.prefix}-") for _, write in self.api.effects(self.prefix)]

    def start(self, *arguments, env=None):
        """Start the program that delivers, or produces, as a process."""
        command = [sys.executable, "-W", "error", str(PROGRAM), "--box", str(self.path), *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
        self.started.append(process)
        return process

    async def ended(self, process, seconds=150):
        """Wait for the end of a process; return its exit code."""
        async with asyncio.timeout(seconds):
            while process.poll() is None:  # noqa: ASYNC110 - a process tells nobody
                await asyncio.sleep(0.01)
        return process.returncode

    async def says(self, process):
        """Return the next line that a process says, None when it has ended."""
        line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 150)
        return json.loads(line) if line else None

    def close(self):
        for process in self.started:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGCONT)
                process.kill()
            process.wait(10)
            process.stdout.close()


@pytest.fixture
def world(shared_api, tmp_path, request):
    """Give a test its own file, notes and processes; on each store in turn if it also asks for a `place`."""
    path = request.getfixturevalue("place") if "place" in request.fixturenames else tmp_path / "app.db"
    world = World(shared_api, path, f"t{zlib.crc32(request.node.nodeid.encode())}")
    yield world
    world.close()


@pytest.fixture
def until():
    """Wait for what another task or process does."""

    async def until(condition, seconds=150.0):
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)

    return until
