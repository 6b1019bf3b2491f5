"""The proxy is not in the way, whatever its clients and servers do, and obeys as a process too."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys

import httpx2
import pytest
from proxied import client, drop, is_stored, put, until

from outlast.lab.proxy import BlackHole, FaultProxy, Healthy, Latency


def test_healthy_is_transparent_and_keeps_connections(through):
    """Status, headers and body pass unchanged, over one connection of the client."""

    async def scenario(proxy):
        async with client(proxy) as http:
            created = await put(http, "healthy")
            read = await http.get("/notes/healthy?x=1", headers={"if-none-match": '"9"'})
            same = await http.get("/notes/healthy", headers={"if-none-match": read.headers["etag"]})
            head = await http.head("/notes/healthy")
            missing = await http.get("/notes/none")
        assert [a.status_code for a in (created, read, same, head, missing)] == [201, 200, 304, 200, 404]
        assert read.json() == {"write": "w", "text": "x"}
        assert head.headers["content-length"] == read.headers["content-length"]
        assert len(proxy._conversations) == 1

    first, second, *_ = through(scenario).exchanges
    assert (first.method, first.path, first.idempotency_key) == ("PUT", "/notes/healthy", "key-healthy-w")
    assert (first.fault, first.forwarded, first.upstream_status, first.answered) == ("healthy", True, 201, 201)
    assert (second.path, second.if_none_match, second.if_match) == ("/notes/healthy?x=1", '"9"', None)


def test_chunked_bodies_and_100_continue(through, api):
    """A body without a declared length arrives whole, also from a client that waits to be asked for it."""

    async def scenario(proxy):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        head = b"PUT /notes/chunked HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 \r\n\r\n"
        body = b'{"write": "w", "text": "x"}'
        writer.write(f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 201 ")
        writer.close()
        await writer.wait_closed()
        assert await is_stored(api, "chunked")

    through(scenario)


def test_pipelined_requests_and_a_last_one(through):
    """What a client sends while its answer is held is not lost, and `connection: close` is honoured."""

    async def scenario(proxy):
        proxy.set(Latency(0.1))
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"GET /notes/n0000 HTTP/1.1\r\nhost: x\r\n\r\n")
        await until(lambda: proxy.exchanges)
        writer.write(b"GET /notes/n0001 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answers = await reader.read()
        assert (answers.count(b"HTTP/1.1 200 "), b"seed-n0000" in answers, b"seed-n0001" in answers) == (2, True, True)
        await drop(writer)

    assert [exchange.answered for exchange in through(scenario).exchanges] == [200, 200]


def test_large_bodies_pass(through):
    """A megabyte goes up and comes back."""

    async def scenario(proxy):
        async with client(proxy) as http:
            await http.put("/notes/large", json={"write": "w", "text": "x" * 1_000_000})
            assert len((await http.get("/notes/large")).json()["text"]) == 1_000_000

    through(scenario)


def test_a_hook_that_raises_fails_its_block(through):
    """The client learns nothing, and the check that failed is not lost."""

    async def scenario(proxy):
        async with client(proxy) as http:
            with pytest.raises(httpx2.TransportError):
                await http.get("/notes/n0000")

    async def refuse(exchange):
        raise LookupError(exchange.path)

    with pytest.raises(LookupError, match="/notes/n0000"):
        through(scenario, on_answer=refuse)


def test_closing_ends_what_is_open(through):
    """Idle, held and half-sent conversations all end with the block, and are in the log."""

    async def scenario(proxy):
        async with contextlib.AsyncExitStack() as stack:
            for data in (b"", b"GET /notes/n", b"GET /notes/n0000 HTTP/1.1\r\nhost: x\r\n\r\nGET /more"):
                proxy.set(BlackHole(0))
                _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
                stack.push_async_callback(drop, writer)
                writer.write(data)
            await until(lambda: proxy.exchanges)
            await proxy.__aexit__(None, None, None)

    assert len(through(scenario).exchanges) == 1


def test_closing_ends_what_has_not_begun(through):
    """A connection whose task is ended before its first step leaves no socket open."""

    async def scenario(proxy):
        with socket.create_connection(("127.0.0.1", proxy.port)) as knocking:
            proxy._door._accept()
            await proxy.__aexit__(None, None, None)
            knocking.setblocking(False)
            assert knocking.recv(1) == b""

    through(scenario)


def test_a_client_that_left_was_not_answered(through):
    """Bytes that are handed to a connection nobody holds any more are no answer."""

    async def leave(exchange):
        clients[0].close()
        await clients[0].wait_closed()

    async def scenario(proxy):
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        clients.append(writer)
        writer.write(b"GET /notes/n0000 HTTP/1.1\r\nhost: x\r\n\r\n")
        await until(lambda: proxy.exchanges)
        await until(lambda: not proxy._conversations)

    clients = []
    (exchange,) = through(scenario, on_answer=leave).exchanges
    assert (exchange.upstream_status, exchange.answered) == (200, None)


@pytest.mark.parametrize("data", [b"nonsense\r\n\r\n", b"PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nab"])
def test_what_is_not_http_is_hung_up_on(through, data):
    """Nonsense and half a request end the conversation without an exchange."""

    async def scenario(proxy):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(data)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    assert through(scenario).exchanges == []


def test_a_client_that_does_not_read_holds_nobody(through):
    """An answer that its client never takes ends with the client."""

    async def scenario(proxy):
        async with client(proxy) as http:
            await http.put("/notes/huge", json={"write": "w", "text": "x" * 8_000_000})
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port, limit=1)
        writer.write(b"GET /notes/huge HTTP/1.1\r\nhost: x\r\n\r\n")
        await until(lambda: len(proxy.exchanges) == 2 and proxy.exchanges[1].upstream_status)
        await asyncio.sleep(0.1)
        await drop(writer)
        await until(lambda: not proxy._conversations)

    assert through(scenario).exchanges[-1].answered is None


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"nonsense\r\n\r\n"])
def test_a_server_that_breaks_off_is_a_bad_gateway(says):
    """A server that takes a request and does not answer is told apart from one that does."""

    async def break_off(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(says)
        writer.close()
        await writer.wait_closed()

    async def main():
        server = await asyncio.start_server(break_off, "127.0.0.1", 0)
        async with server, FaultProxy(*server.sockets[0].getsockname()[:2]) as proxy, client(proxy) as http:
            assert (await http.get("/")).status_code == 502
            return proxy.exchanges[0]

    exchange = asyncio.run(main())
    assert (exchange.forwarded, exchange.upstream_status, exchange.answered) == (True, None, 502)


def test_a_server_that_is_away_is_a_bad_gateway():
    """Nothing was forwarded when nobody listens behind the proxy."""

    async def main():
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        async with FaultProxy("127.0.0.1", port) as proxy, client(proxy) as http:
            assert (await http.get("/")).status_code == 502
            return proxy.exchanges[0]

    exchange = asyncio.run(main())
    assert (exchange.forwarded, exchange.upstream_status) == (False, None)


def test_a_taken_port_is_an_error():
    """A proxy that cannot listen says so; one that does not run has no port."""

    async def main():
        with socket.create_server(("127.0.0.1", 0)) as taken:
            proxy = FaultProxy("127.0.0.1", 1, port=taken.getsockname()[1])
            proxy.set(Healthy())
            with pytest.raises(RuntimeError, match="async with"):
                _ = proxy.port
            with pytest.raises(OSError, match="in use"):
                await proxy.__aenter__()
            await proxy.__aexit__(None, None, None)

    asyncio.run(main())


def ask(port):
    """Ask for a note, with a new connection."""
    return httpx2.get(f"http://127.0.0.1:{port}/notes/n0000", timeout=5.0, trust_env=False)


def test_the_process_obeys_its_standard_input(run, api, tmp_path):
    """Each line is confirmed or refused, each exchange logged, and the end of input ends the process."""
    log = tmp_path / "exchanges.jsonl"
    proxy = run("outlast.lab.proxy", "--upstream", f"127.0.0.1:{api.port}", "--port", 0, "--log", log, "--seed", 3)

    assert ask(proxy.port).status_code == 200
    assert proxy.tell('{"fault": "status", "code": 503}')["set"]["code"] == 503
    assert ask(proxy.port).status_code == 503
    assert "unknown fault" in proxy.tell('{"fault": "fire"}')["error"]
    assert "error" in proxy.tell("[]")
    assert "error" in proxy.tell("nonsense")
    proxy.popen.stdin.close()
    assert proxy.popen.wait(5) == 0
    assert [json.loads(line)["answered"] for line in log.read_text().splitlines()] == [200, 503]


def test_the_process_ends_on_sigterm(run, api):
    """A signal ends the proxy as cleanly as the end of its input."""
    proxy = run("outlast.lab.proxy", "--upstream", f"127.0.0.1:{api.port}")

    assert proxy.end() == 0


def test_a_wrong_upstream_is_a_usage_error():
    """A mistake in the options is explained without a traceback."""
    command = [sys.executable, "-m", "outlast.lab.proxy", "--upstream", "nowhere"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)

    assert ended.returncode == 2
    assert "'nowhere' is not HOST:PORT" in ended.stderr
