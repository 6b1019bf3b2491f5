"""The example notes API in a process of its own, and the fault proxy before it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import zlib

import pytest

from outlast.lab.proxy import FaultProxy


class Api:
    """The notes API, and its ledger of effects."""

    def __init__(self, folder):
        self.db = folder / "notes.db"
        command = [sys.executable, "-W", "error", "-m", "outlast.lab.notes_api", "--db", str(self.db)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.process.stdout.readline())["listening"]

    def writes(self, prefix):
        """Return the ids of the applied writes to notes with a prefix, in order."""
        with contextlib.closing(sqlite3.connect(self.db, timeout=10)) as db:
            query = "SELECT write_id FROM effects WHERE note LIKE ? ORDER BY seq"
            return [row[0] for row in db.execute(query, [f"{prefix}%"])]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture(scope="session")
def api(tmp_path_factory):
    """Serve notes for all tests of this folder."""
    api = Api(tmp_path_factory.mktemp("api"))
    yield api
    api.end()


class Proxied:
    """A fault proxy on a loop in a thread of its own, so that both colours of client can use it."""

    def __init__(self, api, prefix):
        self.api = api
        self.prefix = prefix
        self.ready = threading.Event()
        self.thread = threading.Thread(target=asyncio.run, args=[self.run()])
        self.thread.start()
        self.ready.wait(10)

    async def run(self):
        self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        async with FaultProxy("127.0.0.1", self.api.port) as self.proxy:
            self.ready.set()
            await self.over.wait()

    def set(self, fault):
        """Fail in this way from now on."""
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (self.proxy.set(fault), done.set()))
        assert done.wait(10)

    def url(self, name="a"):
        """Return the address of a note of this test."""
        return f"http://127.0.0.1:{self.proxy.port}/notes/{self.prefix}-{name}"

    @property
    def exchanges(self):
        """What the proxy saw."""
        return self.proxy.exchanges

    def end(self):
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join(10)


@pytest.fixture
def proxied(api, request):
    """Stand between a client and the API."""
    proxied = Proxied(api, f"t{zlib.crc32(request.node.nodeid.encode())}")
    yield proxied
    proxied.end()
