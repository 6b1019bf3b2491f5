r"""A proxy that breaks an HTTP API on purpose, and writes down what it did.

In a process of its own it takes one fault per line on standard input, and confirms each on standard output:

    python -m outlast.lab.proxy --upstream 127.0.0.1:8080 --port 0 --log exchanges.jsonl
    {"listening": 41233}
    {"fault": "latency", "seconds": 2.0}          <- standard input
    {"set": {"fault": "latency", "seconds": 2.0}}

It ends when standard input ends, or on SIGTERM.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Self

from outlast.lab._door import Door
from outlast.lab._exchange import Exchange, ExchangeLog
from outlast.lab._faults import (
    BlackHole,
    DropAnswer,
    Fault,
    Healthy,
    Latency,
    Refuse,
    Status,
    dump_fault,
    fault_name,
    parse_fault,
)
from outlast.lab._relay import relay, streams
from outlast.lab._wire import ClientSide, Message, Upstream, error_message

Hook = Callable[[Exchange], Awaitable[None]]


async def _no_hook(exchange: Exchange) -> None:
    """Let the exchange go on."""


class FaultProxy:
    """Stand between clients and one HTTP/1.1 server on loopback, and fail as told.

    A request meets the fault that is active when it has arrived whole. Connections of clients are kept alive; each
    exchange with the server has its own connection. While the proxy is healthy, a stream of events and a WebSocket are
    relayed byte by byte; going through `Refuse` cuts them. Not thread-safe. Leaving the `async with` block resets every
    open connection and ends every task.

    Args:
        upstream_host: Host of the server.
        upstream_port: Port of the server.
        port: Port to listen on, on 127.0.0.1. Default 0, a free one.
        chance: Source of the shares. Default seeded with 0, so that a run can be repeated.
        log: File that gets one line of JSON for every exchange that has ended. Default none.
        on_request: Awaited with every request, before anything is done about it.
        on_answer: Awaited after the server has answered, before a byte of it is forwarded. What a hook raises resets
            the connection, and is raised again at the end of the block, so that a failing check fails its test.
        now: Gives Unix seconds. Default the system's clock.
    """

    def __init__(
        self,
        upstream_host: str,
        upstream_port: int,
        *,
        port: int = 0,
        chance: random.Random | None = None,
        log: Path | None = None,
        on_request: Hook = _no_hook,
        on_answer: Hook = _no_hook,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._upstream = (upstream_host, upstream_port)
        self._wanted_port = port
        self._chance = chance or random.Random(0)
        self._log_path = log
        self._log = ExchangeLog()
        self._on_request = on_request
        self._on_answer = on_answer
        self._now = now
        self._fault: Fault = Healthy()
        self._door: Door | None = None
        self._conversations: set[asyncio.Task[None]] = set()
        self._broken_hooks: list[BaseException] = []

    @property
    def port(self) -> int:
        """The port that clients connect to.

        Raises:
            RuntimeError: The proxy is not running.
        """
        if self._door is None:
            raise RuntimeError("the proxy runs only inside its `async with` block")
        return self._door.port

    @property
    def fault(self) -> Fault:
        """The fault that the next request will meet."""
        return self._fault

    @property
    def exchanges(self) -> list[Exchange]:
        """Every exchange so far, in order of arrival; the last ones may still be going on."""
        return self._log.exchanges

    async def __aenter__(self) -> Self:
        """Start to listen; raises OSError when the port is taken."""
        self._door = Door(self._wanted_port, self._welcome)
        self._log = ExchangeLog(self._log_path)
        self.set(self._fault)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Reset what is open and end; raises what a hook has raised."""
        if self._door is not None:
            self._door.close()
            self._door = None
        await asyncio.gather(*self._reset_all(), return_exceptions=True)
        self._log.close()
        if self._broken_hooks:
            raise self._broken_hooks[0]

    def set(self, fault: Fault) -> None:
        """Fail in this way from now on.

        Requests that an earlier fault holds stay held; only `Refuse` touches them, by resetting every connection.
        """
        self._fault = fault
        if self._door is None:
            return
        if isinstance(fault, Refuse):
            self._door.shut()
            self._reset_all()
        else:
            self._door.open()

    def _reset_all(self) -> list[asyncio.Task[None]]:
        conversations = list(self._conversations)
        for conversation in conversations:
            conversation.cancel()
        return conversations

    def _welcome(self, connection: socket.socket) -> None:
        conversation = asyncio.create_task(self._converse(connection))
        self._conversations.add(conversation)
        conversation.add_done_callback(self._forget)
        # A task that is cancelled before its first step runs no line of its own, so this closes the socket for certain.
        conversation.add_done_callback(lambda _: connection.close())

    def _forget(self, conversation: asyncio.Task[None]) -> None:
        self._conversations.discard(conversation)
        if not conversation.cancelled() and (error := conversation.exception()) is not None:
            self._broken_hooks.append(error)

    async def _converse(self, connection: socket.socket) -> None:
        client = ClientSide(*await asyncio.open_connection(sock=connection))
        try:
            while (request := await client.receive()) is not None:
                if not (await self._serve(client, request) and client.next_cycle()):
                    break
            await client.close()
        finally:
            client.reset()
            await client.closed()

    async def _serve(self, client: ClientSide, request: Message) -> bool:
        """Let one request meet the active fault; False when the connection is to end."""
        fault = self._fault
        exchange = Exchange.of(request, at=self._now(), fault=fault_name(fault))
        self._log.begin(exchange)
        try:
            await self._on_request(exchange)
            if isinstance(fault, Healthy) and streams(request):
                await self._relay(client, request, exchange)
                return False
            answer = await self._meet(fault, client, request, exchange)
            if answer is None:
                client.reset()
            elif await client.answer(answer):
                exchange.answered = answer.status
            return exchange.answered is not None
        finally:
            self._log.end(exchange)

    async def _relay(self, client: ClientSide, request: Message, exchange: Exchange) -> None:
        def note(status: int) -> None:
            exchange.forwarded = True
            exchange.upstream_status = exchange.answered = status

        try:
            await relay(client, request, self._upstream, note)
        except (OSError, IndexError, ValueError):  # the server is away, or did not speak HTTP
            client.reset()

    async def _meet(self, fault: Fault, client: ClientSide, request: Message, exchange: Exchange) -> Message | None:
        """Return the answer for the client, or None when the connection is to be reset."""
        match fault:
            case Healthy():
                return await self._forward(request, exchange)
            case Refuse():  # pragma: no cover - `set` has ended every conversation by then
                return None
            case Latency(seconds):
                answer = await self._forward(request, exchange)
                await client.hold(seconds)
                return answer
            case Status(code, retry_after, applied_share):
                await self._forward_some(applied_share, request, exchange)
                return error_message(code, retry_after)
            case BlackHole(applied_share):
                await self._forward_some(applied_share, request, exchange)
                await client.gone()
                return None
            case DropAnswer(share):
                dropped = self._chance.random() < share
                answer = await self._forward(request, exchange)
                return None if dropped else answer

    async def _forward_some(self, share: float, request: Message, exchange: Exchange) -> None:
        if self._chance.random() < share:
            await self._forward(request, exchange)

    async def _forward(self, request: Message, exchange: Exchange) -> Message:
        upstream = Upstream(*self._upstream)
        try:
            answer = await upstream.exchange(request)
        except OSError:
            # The server itself is away; that is no fault of this proxy, so it says what a gateway says.
            answer = error_message(HTTPStatus.BAD_GATEWAY)
        else:
            exchange.upstream_status = answer.status
        finally:
            exchange.forwarded = upstream.sent
        if exchange.upstream_status is not None:
            await self._on_answer(exchange)
        return answer


__all__ = [
    "BlackHole",
    "DropAnswer",
    "Exchange",
    "Fault",
    "FaultProxy",
    "Healthy",
    "Hook",
    "Latency",
    "Refuse",
    "Status",
    "dump_fault",
    "fault_name",
    "parse_fault",
]

if __name__ == "__main__":
    from outlast.lab._proxy_process import main

    raise SystemExit(main())
