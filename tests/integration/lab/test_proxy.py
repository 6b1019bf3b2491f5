from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import json
import random
import signal
import socket
import subprocess
import sys

import httpx2
import pytest

from outlast.lab.proxy import (
    BlackHole,
    DropAnswer,
    FaultProxy,
    Healthy,
    Latency,
    Refuse,
    Status,
)


def client(proxy, timeout=5.0):
    """Talk through the proxy."""
    return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{proxy.port}", timeout=timeout, trust_env=False)


async def put(http, note, write="w"):
    """Put a note under a key."""
    headers = {"idempotency-key": f"key-{note}-{write}"}
    return await http.put(f"/notes/{note}", json={"write": write, "text": "x"}, headers=headers)


async def drop(writer):
    """Leave without a word."""
    writer.transport.abort()
    with contextlib.suppress(ConnectionResetError):
        await writer.wait_closed()


async def until(condition):
    """Wait for what another task or process does."""
    while not condition():  # noqa: ASYNC110 - the proxy tells nobody
        await asyncio.sleep(0.01)


async def is_stored(api, note):
    """Ask the API itself, beside the proxy."""
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{api.port}", trust_env=False) as http:
        return (await http.get(f"/notes/{note}")).status_code == 200


@pytest.fixture
def through(api):
    """Run a coroutine function with a proxy before the shared API, and see that nothing is left behind."""

    def play(scenario, **options):
        async def main():
            async with FaultProxy("127.0.0.1", api.port, **options) as proxy:
                await asyncio.wait_for(scenario(proxy), 15)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left
            return proxy

        proxy = asyncio.run(main())
        gc.collect()  # what was left open would warn here, and warnings are errors
        return proxy

    return play


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
