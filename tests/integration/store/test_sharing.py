"""Stores of several kinds that share one outbox, each with a server of its own."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from outlast.cache import Cache
from outlast.outbox import Counts, Outbox
from outlast.store import HttpBackend, Store


class Note(msgspec.Struct):
    id: str
    text: str


class User(msgspec.Struct):
    id: str
    name: str


class Api:
    """Keep what is put, by path, on a socket of its own."""

    def __init__(self):
        held = self.held = {}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 5  # so that closing, which waits for every thread, ends

            def do_PUT(self):  # the name that http.server looks for
                body = self.rfile.read(int(self.headers["content-length"]))
                held[self.path] = json.loads(body)
                self.send_response(200)
                self.send_header("ETag", '"1"')
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False  # closing waits for them: no socket is left to the collector
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def apis():
    """Two servers."""
    made = [Api(), Api()]
    yield made
    for api in made:
        api.close()


def backend(stack, api, kind):
    """Make a backend that is closed in the end."""
    made = HttpBackend(api.url, kind)
    stack.push_async_callback(made.aclose)
    return made


async def test_each_store_delivers_to_its_own_server(tmp_path, apis):
    """Whoever runs the delivery, what is of another kind goes where its own store sends it, and never elsewhere."""
    notes_api, users_api = apis
    async with contextlib.AsyncExitStack() as stack:
        box = await stack.enter_async_context(await Outbox.open(tmp_path / "app.db"))
        caches = [Cache(name) for name in ("sharing-notes", "sharing-users")]
        for cache in caches:
            await stack.enter_async_context(cache)
        users = Store(User, backend=backend(stack, users_api, "users"), cache=caches[1], outbox=box)
        async with Store(Note, backend=backend(stack, notes_api, "notes"), cache=caches[0], outbox=box) as notes:
            async with users:
                for receipt in (await notes.save(Note("a", "n")), await users.save(User("b", "u"))):
                    await receipt.settled(timeout=60)
            late = await box.create("users", "c", {"name": "late"})
            await (await notes.save(Note("d", "m"))).settled(timeout=60)
            left = (await late.status()).state

        assert (notes_api.held, users_api.held) == (
            {"/notes/a": {"id": "a", "text": "n"}, "/notes/d": {"id": "d", "text": "m"}},
            {"/users/b": {"id": "b", "name": "u"}},
        )  # fmt: skip
        assert (left, await box.counts()) == ("ready", Counts(ready=1, delivered=3))


async def test_a_store_takes_the_delivery_over_from_the_one_that_is_closed(tmp_path, apis):
    """The second store delivers on when the first, which ran it for both, has gone."""
    notes_api, users_api = apis
    async with contextlib.AsyncExitStack() as stack:
        box = await stack.enter_async_context(await Outbox.open(tmp_path / "app.db"))
        first_cache = await stack.enter_async_context(Cache("taking-notes"))
        second_cache = await stack.enter_async_context(Cache("taking-users"))
        first = Store(Note, backend=backend(stack, notes_api, "notes"), cache=first_cache, outbox=box)
        second = Store(User, backend=backend(stack, users_api, "users"), cache=second_cache, outbox=box)
        async with first:
            await second.__aenter__()
            await (await first.save(Note("a", "n"))).settled(timeout=60)
        try:
            await (await second.save(User("b", "u"))).settled(timeout=60)
        finally:
            await second.__aexit__(None, None, None)

        assert (users_api.held, second.snapshot()["delivery"]) == ({"/users/b": {"id": "b", "name": "u"}}, "")
