"""Talk to the notes API, through the proxy and beside it."""

from __future__ import annotations

import asyncio
import contextlib

import httpx2


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
