from __future__ import annotations

import asyncio
import contextlib
import socket

import httpx
import httpx2
import pytest

from outlast.errors import Category, Outcome
from outlast.http import HttpAnswer, HttpClient, NoAnswer


@contextlib.asynccontextmanager
async def serving(act):
    """Serve on loopback; each connection is handed to a function, and how many there were is counted."""
    seen = []

    async def welcome(reader, writer):
        seen.append(1)
        try:
            await act(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(welcome, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", seen


@contextlib.asynccontextmanager
async def client(**options):
    """Open an own client."""
    http = HttpClient(**options)
    try:
        yield http
    finally:
        await http.aclose()


async def reset(reader, writer):
    """Read the request and reset the connection."""
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    writer.transport.abort()


async def half(reader, writer):
    """Promise ten bytes and send three."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    await writer.drain()


async def silence(reader, writer):
    """Read and say nothing until the client goes."""
    await reader.read()


async def drip(reader, writer):
    """Send a byte now and then, so that no single wait is long."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        for _ in range(200):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)


async def moved(reader, writer):
    """Send elsewhere."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


async def mislabelled(reader, writer):
    """Say that the body is compressed, which it is not."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nETag: "7"\r\nContent-Length: 2\r\n\r\n{}')
    await writer.drain()


async def flood(reader, writer):
    """Send an answer that has no end."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(b"1000\r\n" + bytes(0x1000) + b"\r\n")
            await writer.drain()


async def test_an_answer_without_end_does_not_fill_the_memory():
    """What is above the limit is not read; the server may have acted."""
    async with serving(flood) as (url, seen), client(max_answer_bytes=10_000, call_timeout=30.0) as http:
        answer = await http.request("PUT", url, body=b"x")

    assert (answer.outcome, answer.reason, len(seen)) == (
        Outcome.IN_DOUBT, "RemoteError: the answer is larger than 10000 bytes", 1,
    )  # fmt: skip


@pytest.mark.parametrize("act", [reset, half, silence, drip], ids=lambda act: act.__name__)
async def test_an_answer_that_does_not_come_whole_is_in_doubt_and_asked_for_once(act):
    """The server may have acted, and nothing below the outbox tries again by itself."""
    async with serving(act) as (url, seen), client(call_timeout=0.3) as http, asyncio.timeout(50):
        answer = await http.request("PUT", url, body=b"x")

    assert isinstance(answer, NoAnswer)
    assert (answer.category, answer.outcome, len(seen)) == (Category.RETRIABLE, Outcome.IN_DOUBT, 1)


async def raise_for_status(response):
    """Be the hook that many clients have."""
    response.raise_for_status()


@pytest.mark.parametrize("library", [httpx2, httpx], ids=["httpx2", "httpx"])
async def test_an_answer_that_a_hook_raises_is_one(library):
    """It says all that it said: a 404 to a delete went to the dead letters, and a 401 led to no new credentials."""
    hooks = {"response": [raise_for_status]}
    async with serving(moved) as (url, _), library.AsyncClient(event_hooks=hooks) as brought:
        answer = await HttpClient(client=brought).request("DELETE", url)

    assert (answer.status, answer.headers["location"], answer.body) == (302, "/there", b"")


@pytest.mark.parametrize("library", [httpx2, httpx], ids=["httpx2", "httpx"])
async def test_a_body_that_cannot_be_decoded(library):
    """The status says what became of a write, which would be sent again for ever; what is asked for was the body."""
    async with serving(mislabelled) as (url, _), library.AsyncClient() as brought:
        http = HttpClient(client=brought)
        written, read = await http.request("PUT", url, body=b"x"), await http.request("GET", url)

    assert isinstance(written, HttpAnswer)
    assert (written.status, written.headers["etag"], written.body) == (200, '"7"', b"")
    assert isinstance(read, NoAnswer)


async def test_nobody_listens():
    """A refused connection surely changed nothing."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        async with client() as http:
            answer = await http.request("PUT", f"http://127.0.0.1:{bound.getsockname()[1]}/")

    assert (answer.category, answer.outcome) == (Category.RETRIABLE, Outcome.NOT_APPLIED)


@pytest.mark.parametrize("library", [httpx2, httpx], ids=["httpx2", "httpx"])
async def test_a_redirect_is_not_followed(library):
    """A write does not become a GET somewhere else that succeeds, also with a client that would follow."""
    async with serving(moved) as (url, seen), library.AsyncClient(follow_redirects=True) as brought:
        answer = await HttpClient(client=brought).request("PUT", url, body=b"x")

    assert isinstance(answer, HttpAnswer)
    assert (answer.status, answer.headers["location"], len(seen)) == (302, "/there", 1)
