"""What only an application in tasks does: goes on after the answer, is cancelled, waits for its turn."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from psycopg_pool import AsyncConnectionPool
from sides import Asgi

from outlast.errors import ConfigError
from outlast.http import AsgiReceiver, ReceiverRules, connection_of


async def nothing():
    """Send a request without a body."""
    return {"type": "http.request"}


def test_work_after_the_answer_holds_nothing(asgi):
    """A background task runs after the commit, has no connection, and keeps nobody else from writing."""
    asgi.serve(rules=ReceiverRules(max_wait=5.0))
    seen = []

    async def task(scope):
        asgi.script.after.clear()
        seen.append(asgi.place.effects())
        seen.append((await asgi.asks("other")).status)
        with pytest.raises(ConfigError, match="has no connection"):
            connection_of(scope)

    asgi.script.after.append(task)
    asgi.ask()

    assert seen == [["k"], 201]


def test_a_client_that_goes_away_early(asgi):
    """Where the request never came whole nothing is begun."""

    async def gone():
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    asgi.runner.run(asgi.app(scope, gone, None))

    assert asgi.script.calls == 0


def test_other_connections_pass(asgi):
    """A WebSocket is not a write."""
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    asgi.runner.run(AsgiReceiver(app, asgi.connect, scope="all")({"type": "websocket"}, None, None))

    assert seen == ["websocket"]


def test_what_would_pass_an_answer_by_is_not_on_offer(asgi):
    """A file sent by its path could not be kept; who the client is by its certificate is no affair of the answer."""
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["extensions"])

    receiver = AsgiReceiver(app, asgi.connect, scope="all")
    for offered in ({"tls": {"client_cert_name": "ann"}, "http.response.pathsend": {}}, None):
        scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "extensions": offered}
        asgi.runner.run(receiver(scope, nothing, None))

    assert seen == [{"tls": {"client_cert_name": "ann"}}, {}]


def test_cancelling_rolls_back(asgi):
    """A request that is cut in the middle leaves nothing, and the next one gets its turn."""

    async def cut():
        reached = asyncio.Event()

        async def inside():
            reached.set()
            await asyncio.sleep(60)

        asgi.script.inside = inside
        task = asyncio.create_task(asgi.asks())
        await reached.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        asgi.script.inside = None
        return await asgi.asks()

    assert asgi.runner.run(cut()).status == 201
    assert asgi.place.effects() == ["k"]


async def test_what_strays_after_the_end_is_rolled_back_too(postgres_place):
    """A task of the request goes on when another one has failed; the pool committed what came after the rollback."""
    strays = []

    async def fail(db):
        await db.execute("SELECT 1")
        raise ZeroDivisionError

    async def go_on(db):
        for name in "ab":
            await db.execute("INSERT INTO effects VALUES (%s, 'stray')", [name])

    async def app(scope, receive, send):
        db = connection_of(scope)
        strays.append(asyncio.ensure_future(fail(db)))
        strays.append(asyncio.ensure_future(go_on(db)))
        await asyncio.gather(*strays)

    side = Asgi(postgres_place.prepare())
    side.close()
    async with AsyncConnectionPool(postgres_place.address, min_size=1, open=False) as pool:
        side.app = AsgiReceiver(app, pool.connection, scope="all")
        with pytest.raises(ZeroDivisionError):
            await side.asks()
        await asyncio.wait(strays)

    assert postgres_place.effects() == []


async def test_cancelling_while_waiting_for_the_file(sqlite_place):
    """A request that is cut while another process writes leaves no transaction behind in its thread."""
    side = Asgi(sqlite_place.prepare())
    side.serve()
    with sqlite_place.connect() as other:
        other.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(side.asks())
        done, _ = await asyncio.wait([task], timeout=0.05)
        assert not done
        task.cancel()
        await asyncio.sleep(0)
        other.rollback()
        await asyncio.wait([task])
        other.execute("BEGIN IMMEDIATE")
    assert task.cancelled()

    assert (await side.asks()).status == 201
    side.close()


def test_tasks_wait_for_their_turn_to_write(sqlite_place):
    """With SQLite one request writes at a time; the others wait, and those that wait too long are told so."""
    side = Asgi(sqlite_place.prepare())
    side.serve(rules=ReceiverRules(max_wait=0.05))

    async def together():
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def inside():
            reached.set()
            await go_on.wait()

        side.script.inside = inside
        first = asyncio.create_task(side.asks("a"))
        await reached.wait()
        second = await side.asks("b")
        go_on.set()
        return second.problem, (await first).status

    try:
        assert side.runner.run(together()) == ((503, "busy"), 201)
        assert sqlite_place.effects() == ["a"]
    finally:
        side.close()


def test_a_connection_of_the_wrong_colour_is_named(asgi):
    """Under ASGI PostgreSQL is awaited, and SQLite is not."""
    place = asgi.place

    @contextlib.asynccontextmanager
    async def awaited():
        with place.connect() as connection:
            yield connection

    asgi.serve(connect=awaited if place.is_sqlite else place.connect)

    with pytest.raises(ConfigError, match="AsyncConnection"):
        asgi.ask()
