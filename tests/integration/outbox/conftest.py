from __future__ import annotations

import asyncio
import inspect

import pytest

from callers import Apsw, Autocommit, Awaited, Psycopg, Sqlite3
from delivering import SOON
from outlast.events import EventBus
from outlast.outbox import Outbox, SyncOutbox
from outlast.sync_engine import CallableTransport, Runner
from outlast.testing import Recorder
from stores import PostgresPlace, SqlitePlace


class Face:
    """Write a scenario once and run it against both outboxes; `do` waits where there is something to wait for."""

    def __init__(self, kind, runner):
        self.kind = kind
        self.runner = runner
        self.bus = EventBus()
        self.seen = Recorder(self.bus)
        self.boxes = []

    def do(self, value):
        """Return a value, or what a coroutine returns."""
        return self.runner.run(value) if inspect.isawaitable(value) else value

    def open(self, path, **options):
        """Open an outbox that is closed with the test."""
        self.boxes.append(self.do(self.kind.open(path, **{"bus": self.bus, **options})))
        return self.boxes[-1]

    def close(self, box):
        """Close an outbox."""
        self.do(box.aclose() if isinstance(box, Outbox) else box.close())

    def deliver(self, box, act, **options):
        """Deliver everything by a function that is told the op and returns the answer."""

        async def function(op):
            return act(op)

        async def run():
            async with Runner(box, CallableTransport(function), policy=SOON, **options) as runner:
                await runner.run_until_idle()

        self.runner.run(run())


@pytest.fixture(params=[Outbox, SyncOutbox], ids=["async", "sync"])
def face(request):
    """Give each colour in turn."""
    with asyncio.Runner() as runner:
        face = Face(request.param, runner)
        yield face
        for box in face.boxes:
            face.close(box)


@pytest.fixture
def box(face, place):
    """Open an outbox of the present colour on the present store."""
    return face.open(place)


@pytest.fixture(params=[Psycopg, Autocommit, Awaited, Apsw, Sqlite3])
def caller(request, tmp_path):
    """Each kind of caller on its store."""
    if request.param.store == "sqlite":
        return request.param(SqlitePlace(tmp_path / "mine.db", inside=True))
    return request.param(PostgresPlace(request.getfixturevalue("postgres_server")))


@pytest.fixture(params=["open", "alone"])
def beside(request, caller):
    """Whether the caller's process has the outbox open."""
    if isinstance(caller, Sqlite3):
        return False
    return request.param == "open"
