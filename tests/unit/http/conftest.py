"""Both colours of a transport, before a scripted server in virtual time."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from outlast.events import EventBus
from outlast.http import AsyncResilientTransport, ResilientTransport
from outlast.policies import Backoff, Deadline, Retry
from outlast.testing import ManualClock, VirtualLoop


class Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that knows whether it was closed."""

    def __init__(self, content=b"x"):
        self.content = content
        self.closed = 0

    def __iter__(self):
        yield self.content

    async def __aiter__(self):
        yield self.content

    def close(self):
        self.closed += 1

    async def aclose(self):
        self.closed += 1


def answer(status, **headers):
    """Make an answer; `retry_after="3"` is a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(status, headers=named, stream=Body())


class Server:
    """Give one outcome after the other, the last one for ever; numbers are statuses, exceptions are raised."""

    def __init__(self, clock, *outcomes):
        self.clock = clock
        self.outcomes = list(outcomes)
        self.seen = []
        self.times = []
        self.given = []
        self.bodies = []

    def next(self, request):
        self.seen.append(request)
        self.times.append(self.clock.now())
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        self.given.append(answer(outcome) if isinstance(outcome, int) else outcome)
        self.bodies.append(self.given[-1].stream)
        return self.given[-1]

    @property
    def open_answers(self):
        """How many answers nobody has closed."""
        return sum(not body.closed for body in self.bodies)


class SyncInner(httpx2.BaseTransport):
    """Read the request's body and ask the script."""

    def __init__(self, server):
        self.server = server
        self.closed = False

    def handle_request(self, request):
        request.body = b"".join(request.stream)
        return self.server.next(request)

    def close(self):
        self.closed = True


class AsyncInner(httpx2.AsyncBaseTransport):
    """Read the request's body and ask the script; a number of seconds before an outcome suspends."""

    def __init__(self, server):
        self.server = server
        self.closed = False

    async def handle_async_request(self, request):
        request.body = b"".join([chunk async for chunk in request.stream])
        await asyncio.sleep(0)
        return self.server.next(request)

    async def aclose(self):
        self.closed = True


class Face:
    """Write a scenario once; the subclass is the colour."""

    def __init__(self):
        self.clock = ManualClock()
        self.bus = EventBus()

    def retry(self, attempts=3, wait=1.0, **options):
        """Make a retry in virtual time."""
        around = {"clock": self.clock, "bus": self.bus}
        return Retry(attempts, backoff=Backoff.fixed(wait), **around, **options)

    def server(self, *outcomes):
        """Make a server."""
        return Server(self.clock, *outcomes)

    def deadline(self, seconds):
        """Limit a block."""
        return Deadline(seconds, name="test", clock=self.clock, bus=self.bus)


class SyncFace(Face):
    """Plain calls."""

    inner = SyncInner

    def send(self, server, method="GET", url="http://api/x", *, policy=None, within=None, options=None, **request):
        """Send a request through a transport with one policy; read and return the answer."""
        transport = self.transport(server, policy, options)
        with httpx2.Client(transport=transport) as client:
            if within is None:
                return client.request(method, url, **request)
            with self.deadline(within):
                return client.request(method, url, **request)

    def transport(self, server, policy=None, options=None):
        """Make a transport with one policy for every origin."""
        made = policy or self.retry()
        return ResilientTransport(SyncInner(server), pipeline=lambda _: made, clock=self.clock, **(options or {}))

    def stream(self, *chunks):
        """Make a body that exists once."""
        yield from chunks

    def close(self):
        """Nothing to let go."""


class AsyncFace(Face):
    """Calls on a loop in virtual time."""

    inner = AsyncInner

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=lambda: VirtualLoop(self.clock))

    def send(self, server, method="GET", url="http://api/x", *, policy=None, within=None, options=None, **request):
        """Send a request through a transport with one policy; read and return the answer."""
        transport = self.transport(server, policy, options)

        async def go():
            async with httpx2.AsyncClient(transport=transport) as client:
                if within is None:
                    return await client.request(method, url, **request)
                async with self.deadline(within):
                    return await client.request(method, url, **request)

        return self.runner.run(go())

    def transport(self, server, policy=None, options=None):
        """Make a transport with one policy for every origin."""
        made = policy or self.retry()
        inner = AsyncInner(server)
        return AsyncResilientTransport(inner, pipeline=lambda _: made, clock=self.clock, **(options or {}))

    async def stream(self, *chunks):
        """Make a body that exists once."""
        for chunk in chunks:
            yield chunk

    def close(self):
        """Close the loop."""
        self.runner.close()


@pytest.fixture(params=[SyncFace, AsyncFace], ids=["sync", "async"])
def face(request):
    """The colour to run a scenario in."""
    face = request.param()
    yield face
    face.close()


@pytest.fixture
def async_face():
    """The async colour, for what only tasks do."""
    face = AsyncFace()
    yield face
    face.close()
