from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path

import pytest

from unmeasured import UNMEASURED

sys.path.append(str(Path(__file__).parent))

SETTINGS = """
[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = {port}
threads = {threads}

[app:main]
use = egg:kinto
kinto.storage_backend = kinto.core.storage.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.userid_hmac_secret = only-for-this-test
multiauth.policies = basicauth
kinto.bucket_create_principals = system.Everyone

[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = plain
[logger_root]
level = ERROR
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = plain
[formatter_plain]
format = %(message)s
"""
CREDENTIALS = "Basic " + b64encode(b"test:test").decode()


class Kinto:
    """A Kinto server in a process of its own, its memory its own as well."""

    credentials = CREDENTIALS

    def __init__(self, folder, threads):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]
        settings, log = folder / "kinto.ini", folder / "kinto.log"
        settings.write_text(SETTINGS.format(port=self.port, threads=threads))
        # Its own dependencies warn of each other, so warnings are no errors there.
        environment = {**UNMEASURED, "PYTHONWARNINGS": "ignore"}
        command = [Path(sys.executable).with_name("kinto"), "start", "--ini", settings]
        with log.open("wb") as out:
            self.popen = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
        self._wait(log)

    def _wait(self, log):
        end = time.monotonic() + 50
        while True:
            try:
                self.ask("GET", "/v1/")
            except OSError:
                assert self.popen.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
            else:
                return

    def ask(self, method, path, body=None):
        """Send one request, past every proxy, and return the answer's JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=50)
        try:
            headers = {"Authorization": CREDENTIALS, "Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            found = json.loads(answer.read())
        finally:
            connection.close()
        assert answer.status < 400, found
        return found

    def end(self):
        """Stop the server."""
        self.popen.terminate()
        self.popen.wait(10)


@pytest.fixture
def kinto(tmp_path):
    """A real Kinto server with an empty collection."""
    yield from served(tmp_path)


@pytest.fixture(scope="module")
def shared_kinto(tmp_path_factory):
    """A real Kinto server that the tests of a module share, each with records of its own.

    With one thread: its storage in memory compares If-Match and writes in two steps, so under load two requests with
    one version may both pass, and nobody who sends them could know.
    """
    yield from served(tmp_path_factory.mktemp("kinto"), threads=1)


def served(folder, threads=8):
    """Yield a server with an empty collection, and end it."""
    server = Kinto(folder, threads)
    server.ask("PUT", "/v1/buckets/geo")
    server.ask("PUT", "/v1/buckets/geo/collections/subdivisions")
    yield server
    server.end()
