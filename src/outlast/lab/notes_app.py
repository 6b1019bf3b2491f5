r"""The application through outlast: the same workload as the plain one, read and written through a `Store`.

    python -m outlast.lab.notes_app --api http://127.0.0.1:8080 --ledger app.jsonl --folder app \
        --seed 1 --seconds 60 --epoch 1790000000

Its outbox and its cache lie in a folder of its own, so that it can be killed at any moment and started again.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from outlast.cache import Cache, Freshness, SqliteTier
from outlast.lab._playing import options_of_an_application, play
from outlast.lab.ledger import Ledger
from outlast.lab.workload import Action, Read, Write, plan
from outlast.outbox import Outbox
from outlast.store import HttpBackend, Store

CALL_TIMEOUT: Final = 2.5
FRESHNESS: Final = Freshness(ttl=2.0, stale_if_error=3600.0, soft_timeout=0.25, load_timeout=10.0)
_LAST_DELIVERIES: Final = 20.0


@dataclass(frozen=True, slots=True)
class Note:
    """A note as the API holds it.

    Args:
        write: The id of the write that made it what it is.
        text: Its text.
        id: Its id; empty in the notes of others, who do not repeat it in the body.
    """

    write: str
    text: str
    id: str = ""


class NotesApp:
    """Play actions against a store of notes, and write down what was asked and told.

    Args:
        store: The store.
        ledger: Where it is written down.
        now: Gives Unix seconds. Default the system's clock.
    """

    def __init__(self, store: Store[Note], ledger: Ledger, *, now: Callable[[], float] = time.time) -> None:
        self._store = store
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
            result = await self._store.read(action.note)
        except Exception as error:  # whatever it is, the user got no answer
            self._ledger.unanswered(action.note, asked=asked, at=self._now(), error=_reason(error))
            return
        write = None if result.value is None else result.value.write
        self._ledger.read(
            action.note,
            asked=asked,
            at=self._now(),
            write=write,
            age=result.age,
            stale=result.stale,
            source=result.source,
        )

    async def _write(self, action: Write) -> None:
        self._ledger.ask_write(action.write, action.note, at=self._now())
        try:
            await self._store.save(Note(action.write, action.text, action.note))
        except Exception as error:  # whatever it is, the user was told that it is not saved
            self._ledger.refused(action.write, action.note, error=_reason(error), at=self._now())
        else:
            self._ledger.ack(action.write, action.note, at=self._now())


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Play the workload to its end, then wait for the last deliveries."""
    parser = options_of_an_application("outlast.lab.notes_app", "Play through a store.")
    parser.add_argument("--folder", required=True, type=Path, help="folder of the outbox and the cache")
    asyncio.run(_run(parser.parse_args(arguments)))


async def _run(options: argparse.Namespace) -> None:
    options.folder.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        ledger = stack.enter_context(Ledger(options.ledger))
        cache = await stack.enter_async_context(
            Cache("notes", freshness=FRESHNESS, disk=SqliteTier(options.folder / "cache.db"))
        )
        outbox = await stack.enter_async_context(await Outbox.open(options.folder / "outbox.db"))
        backend = HttpBackend(options.api, "notes", call_timeout=CALL_TIMEOUT)
        stack.push_async_callback(backend.aclose)
        store = await stack.enter_async_context(Store(Note, backend=backend, cache=cache, outbox=outbox))
        await play(plan(options.seed, options.seconds, options.notes), options.epoch, NotesApp(store, ledger).act)
        try:
            await store.delivered(_LAST_DELIVERIES)
        except TimeoutError:
            sys.stderr.write(f"not everything is delivered: {store.snapshot()}\n")
            raise


__all__ = ["CALL_TIMEOUT", "FRESHNESS", "Note", "NotesApp", "main"]

if __name__ == "__main__":
    main()
