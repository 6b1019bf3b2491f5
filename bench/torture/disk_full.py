"""Fill the disk for real, by SQLite's page limit and by the file-size limit of the process, and deliver from it."""

import asyncio
import itertools
import json
import os
import resource
import tempfile
from pathlib import Path

from world import fork

from outlast.errors import StorageFullError
from outlast.events import EventBus
from outlast.outbox import Applied, SyncOutbox
from outlast.sync_engine import CallableTransport, Runner

_ROOM = 20  # pages
_FILE = 160_000  # bytes


def play(how):
    """Fill a disk in a process of its own, and return what was acknowledged, refused, delivered and doubled."""
    reading, writing = os.pipe()
    pid = fork(lambda: os.write(writing, json.dumps(_fill(how)).encode()))
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(told) if told else {"broken": f"the play of {how} did not end"}


def _fill(how):
    effects = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "app.db"
        with SyncOutbox.open(path, bus=EventBus()) as box:
            acknowledged = _queue_until_full(box, how)
            in_place = asyncio.run(_drain(box, effects))
        with SyncOutbox.open(path, bus=EventBus()) as box:
            if how == "pages":
                _leave(box, 0)
            reopened = asyncio.run(_drain(box, effects))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        with SyncOutbox.open(path, bus=EventBus()) as box:
            asyncio.run(_drain(box, effects))
            left = box.counts()
        return {
            "acknowledged": acknowledged, "recorded_in_place": in_place, "recorded_after_opening_again": reopened,
            "waiting": left.open,
            "lost": sorted(set(range(acknowledged)) - effects.keys()),
            "half": sorted(effects.keys() - set(range(acknowledged))),
            "doubled": sorted(number for number, keys in effects.items() if len(keys) > 1),
        }  # fmt: skip


def _queue_until_full(box, how):
    """Queue until it raises; return how many were acknowledged."""
    if how == "pages":
        _leave(box, _ROOM)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE, resource.RLIM_INFINITY))
    for number in itertools.count():
        try:
            box.put("note", f"n{number % 7}", {"n": number, "padding": "x" * 900})
        except StorageFullError:
            return number
    return None


async def _drain(box, effects):
    """Deliver for as long as it goes; return how many deliveries could be recorded."""

    async def server(op):
        effects.setdefault(json.loads(op.body)["n"], set()).add(op.key)
        return Applied()

    try:
        async with Runner(box, CallableTransport(server), concurrency=4) as runner, asyncio.timeout(30):
            await runner.run_until_idle()
    except StorageFullError:
        pass
    return box.counts().delivered


def _leave(box, pages):
    """Let the file grow by so many pages at most."""
    box.core.database.write(lambda db: db.pragma("max_page_count", db.pragma("page_count") + pages)).result()


def good(found):
    """Tell whether nothing was lost, and everything could be recorded while the disk was full."""
    clean = not any(found[name] for name in ("waiting", "lost", "half", "doubled"))
    return clean and found["recorded_in_place"] == found["acknowledged"] > 0
