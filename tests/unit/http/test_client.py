from __future__ import annotations

import asyncio
import contextlib

import httpx2
import pytest

from outlast.errors import Category, Outcome
from outlast.http import HttpAnswer, HttpClient, NoAnswer


class Fake:
    """Be a client that does what a function says."""

    def __init__(self, act):
        self.act = act
        self.closed = False
        self.seen = []

    @contextlib.asynccontextmanager
    async def stream(self, method, url, *, headers, content, follow_redirects):
        assert not follow_redirects
        self.seen.append((method, url, headers, content))
        yield await self.act()

    async def aclose(self):
        self.closed = True


async def test_an_answer_comes_back_whole():
    """Status, headers and body are handed on, and what was sent is what was asked for."""

    async def act():
        return httpx2.Response(201, headers={"ETag": '"1"'}, content=b"x")

    fake = Fake(act)

    answer = await HttpClient(client=fake).request("PUT", "http://h/x", headers={"a": "b"}, body=b"y")

    assert isinstance(answer, HttpAnswer)
    assert (answer.status, answer.headers["etag"], answer.body) == (201, '"1"', b"x")
    assert fake.seen == [("PUT", "http://h/x", {"a": "b"}, b"y")]


@pytest.mark.parametrize(
    ("error", "reason", "category", "outcome"),
    [
        pytest.param(
            httpx2.ConnectError("refused"),
            "ConnectError: refused",
            Category.RETRIABLE,
            Outcome.NOT_APPLIED,
            id="refused",
        ),
        pytest.param(httpx2.ReadError("reset"), "ReadError: reset", Category.RETRIABLE, Outcome.IN_DOUBT, id="reset"),
        pytest.param(
            httpx2.UnsupportedProtocol("gopher"),
            "UnsupportedProtocol: gopher",
            Category.INVALID_INPUT,
            Outcome.NOT_APPLIED,
            id="wrong-request",
        ),
        pytest.param(RuntimeError(), "RuntimeError", Category.UNKNOWN, Outcome.IN_DOUBT, id="anything-else"),
    ],
)
async def test_what_the_network_does_is_an_answer(error, reason, category, outcome):
    """No exception leaves the client; it is classified instead."""

    async def act():
        raise error

    answer = await HttpClient(client=Fake(act)).request("GET", "http://h/")

    assert answer == NoAnswer(reason, category, outcome, error)


async def test_a_call_is_cut_at_its_limit():
    """A server that is silent for too long leaves the effect in doubt."""

    async def act():
        await asyncio.sleep(3600)

    answer = await HttpClient(call_timeout=2.0, client=Fake(act)).request("PUT", "http://h/")

    assert (answer.category, answer.outcome, answer.reason) == (Category.RETRIABLE, Outcome.IN_DOUBT, "TimeoutError")
    assert asyncio.get_running_loop().time() == 1002.0


async def test_cancelling_is_not_an_answer():
    """Cancellation goes through, it is nobody's failure."""

    async def act():
        await asyncio.sleep(3600)

    task = asyncio.create_task(HttpClient(client=Fake(act)).request("PUT", "http://h/"))
    await asyncio.sleep(1.0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_client_that_was_brought_is_not_closed():
    """Only an own client is closed."""
    fake = Fake(None)
    own = HttpClient()
    await HttpClient(client=fake).aclose()

    await own.aclose()

    assert (fake.closed, own._client.is_closed) == (False, True)
