r"""The application for comparison: the same workload through a plain HTTP client with a timeout and retries.

It is what careful code without a library looks like: 5 s timeout, 3 retries on transport errors, 429 and 5xx, with
exponential backoff from 0.5 s, Retry-After honoured, and a pool that never runs out.

    python -m outlast.lab.plain_app --api http://127.0.0.1:8080 --ledger plain.jsonl \
        --seed 1 --seconds 60 --epoch 1790000000
"""

from __future__ import annotations

import argparse
import asyncio
import email.utils
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import httpx2

from outlast.lab._playing import options_of_an_application, play
from outlast.lab.ledger import Ledger
from outlast.lab.workload import Action, Read, Write, plan

CALL_TIMEOUT: Final = 5.0
RETRIES: Final = 3
FIRST_BACKOFF: Final = 0.5
# The default limits of the client would queue calls behind those that hang, which is not what is compared here.
_LIMITS: Final = httpx2.Limits(max_connections=10_000, max_keepalive_connections=200)
_TOO_MANY_REQUESTS: Final = 429
_NOT_FOUND: Final = 404


class PlainApp:
    """Play actions against the notes API, and write down what was asked and told.

    Args:
        client: Client with the API's URL as its base.
        ledger: Where it is written down.
        now: Gives Unix seconds. Default the system's clock.
    """

    def __init__(self, client: httpx2.AsyncClient, ledger: Ledger, *, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._ledger = ledger
        self._now = now

    async def act(self, action: Action) -> None:
        """Do one action to its end."""
        match action:
            case Read():
                await self._read(action)
            case Write():
                await self._write(action)

    async def _read(self, action: Read) -> None:
        asked = self._now()
        try:
            response = await self._send("GET", action.note, None)
            write = None if response.status_code == _NOT_FOUND else _shown(response)
        except (httpx2.HTTPError, ValueError) as error:
            self._ledger.unanswered(action.note, asked=asked, at=self._now(), error=_reason(error))
        else:
            self._ledger.read(action.note, asked=asked, at=self._now(), write=write, age=0.0, stale=False, source="api")

    async def _write(self, action: Write) -> None:
        self._ledger.ask_write(action.write, action.note, at=self._now())
        try:
            response = await self._send("PUT", action.note, {"write": action.write, "text": action.text})
            response.raise_for_status()
        except httpx2.HTTPError as error:
            self._ledger.refused(action.write, action.note, error=_reason(error), at=self._now())
        else:
            self._ledger.ack(action.write, action.note, at=self._now())

    async def _send(self, method: str, note: str, body: dict[str, Any] | None) -> httpx2.Response:
        """Send a request, again if it fails in a way that may pass; return or raise what came last."""
        backoff = FIRST_BACKOFF
        for _ in range(RETRIES):
            wait = backoff
            try:
                response = await self._client.request(method, f"/notes/{note}", json=body)
                if not _may_pass(response):
                    return response
                wait = max(backoff, retry_after(response, self._now()))
            except httpx2.TransportError:
                pass
            await asyncio.sleep(wait)
            backoff *= 2
        return await self._client.request(method, f"/notes/{note}", json=body)


def retry_after(response: httpx2.Response, now: float) -> float:
    """Return the seconds that Retry-After asks to wait, 0 without a valid one; `now` is in Unix seconds."""
    value = response.headers.get("retry-after", "")
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now)
    except ValueError:
        return 0.0


def _may_pass(response: httpx2.Response) -> bool:
    return response.status_code == _TOO_MANY_REQUESTS or response.is_server_error


def _shown(response: httpx2.Response) -> str:
    """Return the id of the write that a note shows; raises HTTPStatusError or ValueError."""
    response.raise_for_status()
    return str(response.json()["write"])


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Play the workload to its end."""
    parser = options_of_an_application("outlast.lab.plain_app", "Play through a plain client.")
    asyncio.run(_run(parser.parse_args(arguments)))


async def _run(options: argparse.Namespace) -> None:
    actions = plan(options.seed, options.seconds, options.notes)
    with Ledger(options.ledger) as ledger:
        # The environment may name a proxy, which has no part in this.
        client = httpx2.AsyncClient(base_url=options.api, timeout=CALL_TIMEOUT, limits=_LIMITS, trust_env=False)
        async with client:
            await play(actions, options.epoch, PlainApp(client, ledger).act)


__all__ = ["CALL_TIMEOUT", "FIRST_BACKOFF", "RETRIES", "PlainApp", "main", "retry_after"]

if __name__ == "__main__":
    main()
