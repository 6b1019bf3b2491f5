"""Serve writes through the receiver, in a child that may be killed at any moment; another takes its place at once.

    python server.py asgi app.db
    {"listening": 38711}
    {"serving": 4242}
    {"working": 4242}

The child dies by its own hand, with SIGKILL, at the point that a request names in `X-Die`: `before-work`,
`after-work`, `before-commit` or `after-commit`. Each run of the work has a number of its own, in the effect and in the
answer, and says so before it begins. All ends when the input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import signal
import socket
import sqlite3
import sys
import threading
import time
import uuid

import psycopg
import psycopg_pool
import uvicorn
import waitress.server
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

from outlast.http import AsgiReceiver, WsgiReceiver, connection_of

WORK = 0.01  # seconds, so that most kills from outside hit somebody at work


def die_at(point, connection):
    """End this process without a last word, if that is what the request asked for."""
    if connection.dies_at == point:
        os.kill(os.getpid(), signal.SIGKILL)


class SqliteCursor(sqlite3.Cursor):
    """Die around COMMIT."""

    def execute(self, statement, *args):
        if statement == "COMMIT":
            die_at("before-commit", self.connection)
        super().execute(statement, *args)
        if statement == "COMMIT":
            die_at("after-commit", self.connection)
        return self


class SqliteConnection(sqlite3.Connection):
    """Know when to die."""

    dies_at = ""

    def cursor(self, factory=SqliteCursor):
        return super().cursor(factory)


class PostgresCursor(psycopg.Cursor):
    """Die around COMMIT."""

    def execute(self, statement, *args, **options):
        if statement == "COMMIT":
            die_at("before-commit", self.connection)
        super().execute(statement, *args, **options)
        if statement == "COMMIT":
            die_at("after-commit", self.connection)
        return self


class AsyncPostgresCursor(psycopg.AsyncCursor):
    """Die around COMMIT."""

    async def execute(self, statement, *args, **options):
        if statement == "COMMIT":
            die_at("before-commit", self.connection)
        await super().execute(statement, *args, **options)
        if statement == "COMMIT":
            die_at("after-commit", self.connection)
        return self


class PostgresConnection(psycopg.Connection):
    """Know when to die."""

    dies_at = ""


class AsyncPostgresConnection(psycopg.AsyncConnection):
    """Know when to die."""

    dies_at = ""


def open_sqlite(address):
    """Open the file."""
    return contextlib.closing(sqlite3.connect(address, timeout=10, check_same_thread=False, factory=SqliteConnection))


def asgi(address):
    """Make the application in tasks."""
    options = {"cursor_factory": AsyncPostgresCursor}
    pool = None

    def connect():
        return pool.connection() if address.startswith("postgresql:") else open_sqlite(address)

    @contextlib.asynccontextmanager
    async def lifespan(app):
        nonlocal pool
        if not address.startswith("postgresql:"):
            yield
            return
        made = psycopg_pool.AsyncConnectionPool(
            address, min_size=2, max_size=8, open=False, kwargs=options, connection_class=AsyncPostgresConnection
        )
        async with made as pool:
            yield

    async def write(request):
        connection, key = connection_of(request), request.headers["idempotency-key"]
        connection.dies_at, run = request.headers.get("x-die", ""), uuid.uuid4().hex
        say(working=os.getpid())
        die_at("before-work", connection)
        running = connection.execute(f"INSERT INTO effects VALUES ('{key}', '{run}')")
        if inspect.isawaitable(running):
            await running
        die_at("after-work", connection)
        await asyncio.sleep(WORK)

        async def parts():
            yield run[:10]
            yield run[10:]

        return StreamingResponse(parts(), 201, {"etag": f'"{run}"'})

    app = Starlette(routes=[Route("/write", write, methods=["POST"])], lifespan=lifespan)
    app.add_middleware(AsgiReceiver, connect=connect, scope="all")
    return app


def wsgi(address):
    """Make the application in threads."""
    if address.startswith("postgresql:"):
        options = {"cursor_factory": PostgresCursor}
        pool = psycopg_pool.ConnectionPool(
            address, min_size=2, max_size=8, open=True, kwargs=options, connection_class=PostgresConnection
        )
        connect = pool.connection
    else:

        def connect():
            return open_sqlite(address)

    def write(environ, start_response):
        connection, key = connection_of(environ), environ["HTTP_IDEMPOTENCY_KEY"]
        connection.dies_at, run = environ.get("HTTP_X_DIE", ""), uuid.uuid4().hex
        say(working=os.getpid())
        die_at("before-work", connection)
        connection.execute(f"INSERT INTO effects VALUES ('{key}', '{run}')")
        die_at("after-work", connection)
        time.sleep(WORK)
        start_response("201 Created", [("content-type", "text/plain"), ("etag", f'"{run}"')])
        return iter([run[:10].encode(), run[10:].encode()])

    return WsgiReceiver(write, connect, scope="all")


def serve(kind, address, listener):
    """Serve until killed."""
    if kind == "asgi":
        config = uvicorn.Config(asgi(address), log_level="critical", lifespan="on", ws="none")
        uvicorn.Server(config).run(sockets=[listener])
    else:
        waitress.server.create_server(wsgi(address), sockets=[listener], threads=8).run()


def child(kind, address, listener):
    """Be the process that serves."""
    threading.Thread(target=end_with_input, daemon=True).start()
    try:
        serve(kind, address, listener)
    finally:
        os._exit(1)


def end_with_input():
    """End everything when whoever started this is gone."""
    sys.stdin.buffer.read()
    os.kill(os.getppid(), signal.SIGTERM)
    os._exit(0)


def main(kind, address):
    """Hold the socket, and start a child again and again."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    say(listening=listener.getsockname()[1])
    while pid := os.fork():
        say(serving=pid)
        os.waitpid(pid, 0)
    child(kind, address, listener)


def say(**what):
    """Tell whoever started this; a line this short is written in one piece."""
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
