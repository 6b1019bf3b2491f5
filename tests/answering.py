"""A real HTTP server that answers by a function, and the delivery of an outbox to it."""

import asyncio
import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from delivering import SOON
from outlast.sync_engine import Runner


class Api:
    """Answer every request by a function, on a socket of its own; remember what came."""

    def __init__(self, answer):
        self.answer, self.seen = answer, []
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 5  # so that closing, which waits for every thread, ends

            def _any(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                api.seen.append((self.command, self.path, dict(self.headers), body))
                status, headers, sent = api.answer(self.command, self.path, self.headers, body)
                raw = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(raw))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _any  # noqa: N815 - the names that http.server looks for

            def log_message(self, *args):
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False  # closing waits for them: no socket is left to the collector
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self):
        """End the server."""
        self.server.shutdown()
        self.server.server_close()

    def paths(self, method):
        """Return where requests of a method went."""
        return [path for command, path, *_ in self.seen if command == method]


@contextlib.asynccontextmanager
async def served(answer):
    """Serve for the length of a block."""
    api = Api(answer)
    try:
        yield api
    finally:
        await asyncio.to_thread(api.close)


async def deliver(box, *transports, routes=None, **options):
    """Deliver until idle and close the transports."""
    try:
        async with Runner(box, routes or transports[0], policy=SOON, **options) as run, asyncio.timeout(60):
            await run.run_until_idle()
    finally:
        for transport in transports:
            await transport.aclose()
