"""The fault proxy as a process: options, commands on standard input, confirmations on standard output."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from outlast.lab._faults import dump_fault, parse_fault
from outlast.lab.proxy import FaultProxy


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the proxy until standard input ends or SIGTERM comes; return the exit code."""
    options = _options().parse_args(arguments)
    asyncio.run(_run(options))
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m outlast.lab.proxy", description="Break an HTTP API on purpose.")
    parser.add_argument("--upstream", required=True, metavar="HOST:PORT", type=_address, help="the server to break")
    parser.add_argument("--port", default=0, type=int, help="port to listen on, on 127.0.0.1 (default: a free one)")
    parser.add_argument("--log", type=Path, help="file that gets one line of JSON for every exchange")
    parser.add_argument("--seed", default=0, type=int, help="seed of the shares (default: 0)")
    return parser


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not (host and port.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host, int(port)


async def _run(options: argparse.Namespace) -> None:
    chance = random.Random(options.seed)
    async with FaultProxy(*options.upstream, port=options.port, chance=chance, log=options.log) as proxy:
        commands = asyncio.create_task(_obey(proxy))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, commands.cancel)
        _say({"listening": proxy.port})
        await asyncio.wait([commands])


async def _obey(proxy: FaultProxy) -> None:
    """Set the fault of every line, until there are no more."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        async for line in reader:
            _say(_set(proxy, line))
    finally:
        transport.close()


def _set(proxy: FaultProxy, line: bytes) -> Mapping[str, Any]:
    """Set one fault; return what to say about it."""
    try:
        command = json.loads(line)
        if not isinstance(command, dict):
            return {"error": 'a command is an object such as {"fault": "healthy"}'}
        proxy.set(parse_fault(command))  # pyright: ignore[reportUnknownArgumentType] - parse_fault checks each member
    except ValueError as error:
        return {"error": str(error)}
    return {"set": dump_fault(proxy.fault)}


def _say(message: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


__all__ = ["main"]
