"""What the proxy breaks, it breaks as a network and a server would."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import random
import signal
import socket
import subprocess
import sys

import httpx2
import pytest
from proxied import client, drop, is_stored, put, until

from outlast.lab.proxy import BlackHole, DropAnswer, Healthy, Latency, Refuse, Status


def test_refuse_refuses_and_the_port_comes_back(through):
    """A connect gets ECONNREFUSED, open connections are reset, nobody gets the port, and it heals."""

    async def scenario(proxy):
        port = proxy.port
        async with client(proxy) as http:
            await http.get("/notes/n0000")
            proxy.set(Refuse())
            with pytest.raises(httpx2.TransportError):
                await http.get("/notes/n0000")
        with socket.socket() as probe:
            probe.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                probe.connect(("127.0.0.1", port))
            assert probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
        with socket.socket() as thief, pytest.raises(OSError, match="in use"):
            thief.bind(("127.0.0.1", port))
        proxy.set(Refuse())
        proxy.set(Healthy())
        assert proxy.port == port
        async with client(proxy) as http:
            assert (await http.get("/notes/n0000")).status_code == 200

    through(scenario)


def test_refuse_cuts_what_is_going_on(through):
    """A request that waits for its answer is reset when connections are refused."""

    async def scenario(proxy):
        proxy.set(BlackHole(0))
        async with client(proxy) as http:
            waiting = asyncio.create_task(http.get("/notes/n0000"))
            await until(lambda: proxy.exchanges)
            proxy.set(Refuse())
            with pytest.raises(httpx2.ReadError):
                await waiting

    through(scenario)


def test_latency_holds_the_answer(through, api):
    """The request is applied at once, its answer comes late, and one who gives up does not stop it."""

    async def scenario(proxy):
        proxy.set(Latency(0.3))
        loop = asyncio.get_running_loop()
        async with client(proxy) as http:
            begun = loop.time()
            assert (await http.get("/notes/n0000")).status_code == 200
            assert loop.time() - begun >= 0.3
        async with client(proxy, timeout=0.1) as http:
            with pytest.raises(httpx2.ReadTimeout):
                await put(http, "late")
        assert await is_stored(api, "late")

    late = through(scenario).exchanges[-1]
    assert (late.fault, late.upstream_status, late.answered) == ("latency", 201, None)


def test_status_answers_with_an_error(through, api):
    """The error has its Retry-After, and only the stated share is applied."""

    async def scenario(proxy):
        async with client(proxy) as http:
            proxy.set(Status(429, retry_after=7))
            throttled = await put(http, "not-applied")
            proxy.set(Status(500, applied_share=1.0))
            failed = await put(http, "applied")
            proxy.set(Status(599))
            odd = await put(http, "odd")
        assert (throttled.status_code, throttled.headers["retry-after"]) == (429, "7")
        assert throttled.headers["content-type"] == "application/problem+json"
        assert (failed.status_code, "retry-after" in failed.headers, odd.status_code) == (500, False, 599)
        assert [await is_stored(api, note) for note in ("not-applied", "applied", "odd")] == [False, True, False]

    exchanges = through(scenario).exchanges
    assert [(e.forwarded, e.upstream_status, e.answered) for e in exchanges[:2]] == [
        (False, None, 429),
        (True, 201, 500),
    ]


def test_black_hole_is_silent_also_after_it_has_gone(through, api):
    """Bytes are taken and nothing comes back, although the fault is over; the share reaches the server."""

    async def scenario(proxy):
        async with client(proxy, timeout=0.4) as http:
            proxy.set(BlackHole(1.0))
            swallowed = asyncio.create_task(put(http, "swallowed"))
            await until(lambda: proxy.exchanges and proxy.exchanges[0].upstream_status)
            proxy.set(Healthy())
            assert (await http.get("/notes/swallowed")).status_code == 200
            with pytest.raises(httpx2.ReadTimeout):
                await swallowed
            proxy.set(BlackHole(0.0))
            with pytest.raises(httpx2.ReadTimeout):
                await put(http, "vanished")
        assert [await is_stored(api, note) for note in ("swallowed", "vanished")] == [True, False]

    exchanges = through(scenario).exchanges
    assert [(e.fault, e.forwarded, e.answered) for e in exchanges] == [
        ("black-hole", True, None),
        ("healthy", True, 200),
        ("black-hole", False, None),
    ]


def test_drop_answer_applies_and_resets(through, api):
    """The client sees a reset, the server has applied the write."""

    async def scenario(proxy):
        proxy.set(DropAnswer())
        async with client(proxy) as http:
            with pytest.raises(httpx2.ReadError):
                await put(http, "dropped")
            proxy.set(DropAnswer(share=0.0))
            assert (await put(http, "kept")).status_code == 201
        assert await is_stored(api, "dropped")

    dropped, kept = through(scenario).exchanges
    assert (dropped.upstream_status, dropped.answered, kept.answered) == (201, None, 201)


def test_a_reset_is_one(through):
    """Dropping ends with a TCP reset, not with an orderly close."""

    async def scenario(proxy):
        proxy.set(DropAnswer())
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"GET /notes/n0000 HTTP/1.1\r\nhost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        await drop(writer)

    through(scenario)


def test_chance_is_seeded(through):
    """The same seed gives the same share of applied requests in the same order."""

    async def scenario(proxy):
        proxy.set(Status(500, applied_share=0.5))
        async with client(proxy) as http:
            for _ in range(20):
                await http.get("/notes/n0000")

    patterns = [
        [exchange.forwarded for exchange in through(scenario, chance=random.Random(seed)).exchanges]
        for seed in (1, 1, 2)
    ]
    assert patterns[0] == patterns[1] != patterns[2]
    assert 4 <= sum(patterns[0]) <= 16


CLIENT = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
connection.request("PUT", "/notes/killed", b'{"write": "w", "text": "x"}')
print(connection.getresponse().status)
"""


def test_a_client_can_be_killed_between_commit_and_answer(through, api, tmp_path):
    """The hook runs after the server's commit and before the client knows; the killed client leaves no trace."""

    async def scenario(proxy):
        killed.append(
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", CLIENT, str(proxy.port), stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        )
        out, _ = await killed[0].communicate()
        assert (out, killed[0].returncode) == (b"", -signal.SIGKILL)
        await until((tmp_path / "log").read_text)

    async def kill(exchange):
        assert exchange.upstream_status == 201
        assert await is_stored(api, "killed")
        killed[0].kill()
        await killed[0].wait()

    async def note_request(exchange):
        requests.append((exchange.path, exchange.forwarded))

    killed, requests = [], []
    through(scenario, on_answer=kill, on_request=note_request, log=tmp_path / "log")
    line = json.loads((tmp_path / "log").read_text())
    assert (line["forwarded"], line["upstream_status"], line["answered"]) == (True, 201, None)
    assert requests == [("/notes/killed", False)]
