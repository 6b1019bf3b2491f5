"""A real data set into a real server through every kind of failure, its pusher killed over and over."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import pytest

from outlast.lab.proxy import DropAnswer, FaultProxy, Healthy, Latency, Refuse, Status
from unmeasured import UNMEASURED

COLLECTION = "/v1/buckets/geo/collections/subdivisions/records"
KILLS_EARLY = 3
KILLS_IN_DOUBT = 13
KILLS_LATE = 8
EPISODES = 12
FAULTS = (Refuse(), Latency(0.3), Status(503), DropAnswer(0.5))


def subdivisions():
    """Return the states, provinces and so on of all countries, as pycountry ships them (ISO 3166-2, first level)."""
    text = files("pycountry").joinpath("databases", "iso3166-2.json").read_text(encoding="utf-8")
    return [{"id": row["code"], **row} for row in json.loads(text)["3166-2"] if "parent" not in row]


def receipts(outbox):
    """Return when the outbox recorded each record as delivered, read from a copy, without the engine."""
    with tempfile.TemporaryDirectory() as folder:
        for path in outbox.parent.glob(f"{outbox.name}*"):
            shutil.copy(path, folder)
        connection = sqlite3.connect(Path(folder) / outbox.name)
        try:
            return dict(connection.execute("SELECT entity, done FROM receipt"))
        except sqlite3.OperationalError:
            return {}  # killed before the tables were made
        finally:
            connection.close()


class Pusher:
    """Start the push again and again, and kill it again and again, until it has ended by itself.

    What happens when is counted in requests and commits, so that a fast machine sees as much of it as a slow one.

    Args:
        outbox: The outbox of the push.
        chance: Where the moments come from.
        rows: How many records there are.
    """

    def __init__(self, outbox, chance, rows):
        self._outbox = outbox
        self._chance = chance
        self._process = None
        self._early = [chance.uniform(0.1, 1.0) for _ in range(KILLS_EARLY)]
        kinds = [self._kill_in_doubt] * KILLS_IN_DOUBT + [self._kill_soon] * KILLS_LATE
        moments = sorted(chance.sample(range(50, rows * 9 // 10), len(kinds)), reverse=True)
        self._kills = list(zip(moments, chance.sample(kinds, len(kinds)), strict=True))
        self._faults = sorted(chance.sample(range(50, rows * 9 // 10), EPISODES), reverse=True)
        self._requests = 0
        self._commits = 0
        self._tasks = set()
        self.killed_in_doubt = 0
        self.killed_otherwise = 0
        self.snapshots = []

    async def run(self, proxy, *arguments):
        """Push through a proxy to the end, and return code and receipt of the run that got there."""
        command = (sys.executable, "-W", "error", "-m", "outlast.cli", "push", *arguments)
        self._proxy = proxy
        while True:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, env=UNMEASURED
            )
            if self._early:
                self._later(self._kill_after(self._process, self._early.pop()))
            out, _ = await self._process.communicate()
            if self._process.returncode >= 0:
                await asyncio.gather(*self._tasks)
                assert out, f"the push ended with {self._process.returncode} and without a receipt"
                return self._process.returncode, json.loads(out)
            self.snapshots.append((receipts(self._outbox), len(proxy.exchanges)))

    def _later(self, work):
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def on_request(self, exchange):
        """Break the server for a moment, now and then."""
        self._requests += 1
        if self._faults and self._requests >= self._faults[-1]:
            self._faults.pop()
            self._later(self._break(self._chance.choice(FAULTS), self._chance.uniform(0.05, 0.4)))

    async def _break(self, fault, seconds):
        self._proxy.set(fault)
        await asyncio.sleep(seconds)
        self._proxy.set(Healthy())

    async def on_answer(self, exchange):
        """Kill the pusher, now and then, when the server has committed and nobody but the server knows."""
        self._commits += exchange.method == "PUT" and exchange.upstream_status == 201
        if self._kills and self._commits >= self._kills[-1][0] and self._process.returncode is None:
            _, kill = self._kills.pop()
            await kill()

    async def _kill_in_doubt(self):
        self.killed_in_doubt += 1
        kill(self._process)
        # The answer goes on only after the pusher is gone.
        await self._process.wait()

    async def _kill_soon(self):
        self._later(self._kill_after(self._process, self._chance.uniform(0.0, 0.05)))

    async def _kill_after(self, process, seconds):
        await asyncio.sleep(seconds)
        if process.returncode is None:
            self.killed_otherwise += 1
            kill(process)


def kill(process):
    """Kill a process; its own `kill` may take the exit code away from who waits for it, when it has just ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)


@pytest.mark.timeout(600)
async def test_real_data_survives_twenty_kills(kinto, tmp_path):
    """50 records that exist with other content are conflicts and untouched; all others are there once and equal."""
    rows = subdivisions()
    chance = random.Random(2026)
    chosen = chance.sample(rows, 100)
    others, equals = chosen[:50], chosen[50:]
    for row in others:
        kinto.ask("PUT", f"{COLLECTION}/{row['id']}", {"data": {"name": "somebody else's"}})
    for row in equals:
        kinto.ask("PUT", f"{COLLECTION}/{row['id']}", {"data": row})
    before = {row["id"]: row for row in kinto.ask("GET", COLLECTION)["data"]}
    source, outbox = tmp_path / "rows.jsonl", tmp_path / "rows.outbox"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    pusher = Pusher(outbox, chance, len(rows))
    async with FaultProxy("127.0.0.1", kinto.port, on_request=pusher.on_request, on_answer=pusher.on_answer) as proxy:
        url = f"http://127.0.0.1:{proxy.port}{COLLECTION}/{{id}}"
        options = ("--create", "--wrap", "data", "--header", f"Authorization: {kinto.credentials}", "--json")
        code, receipt = await pusher.run(proxy, source, "--to", url, *options)
    after = {row["id"]: row for row in kinto.ask("GET", COLLECTION)["data"]}

    assert len(rows) >= 3000
    assert pusher.killed_in_doubt >= 10
    assert pusher.killed_in_doubt + pusher.killed_otherwise >= 20
    assert (code, receipt["delivered"], receipt["conflicting"]) == (7, len(rows) - 50, 50)
    assert (receipt["waiting"], receipt["dead"]) == (0, 0)
    assert {row["id"] for row in others} == conflicts(outbox)
    # Kinto raises last_modified with each write, so what was untouched is what it was.
    assert {row["id"]: after[row["id"]] for row in chosen} == before
    assert {key: without_time(row) for key, row in after.items() if key not in before} == {
        row["id"]: row for row in rows if row["id"] not in before
    }
    assert sent_after_receipt(proxy.exchanges, pusher.snapshots, receipts(outbox)) == []


def without_time(row):
    """Return a record without what the server adds."""
    return {name: value for name, value in row.items() if name not in {"last_modified", "schema"}}


def conflicts(outbox):
    """Return the ids that lie in the conflict inbox."""
    connection = sqlite3.connect(outbox)
    try:
        return {row[0] for row in connection.execute("SELECT entity FROM parked WHERE state = 'conflict'")}
    finally:
        connection.close()


def sent_after_receipt(exchanges, snapshots, last):
    """Return the requests for records that the outbox had recorded as delivered before.

    Args:
        exchanges: What the proxy saw, in order.
        snapshots: After each kill, the receipts and how many exchanges there were.
        last: The receipts at the end, with their times.
    """
    puts = [
        (number, one.path.rpartition("/")[2], one.at) for number, one in enumerate(exchanges) if one.method == "PUT"
    ]
    late = [(name, at) for _, name, at in puts if at > last.get(name, at)]
    again = [
        (number, name) for known, seen in snapshots for number, name, _ in puts if number >= seen and name in known
    ]
    return late + again


@pytest.mark.parametrize(
    ("times", "snapshots", "found"),
    [
        pytest.param([1.0, 2.0], [({}, 1), ({"a": 2.5}, 2)], [], id="before-its-receipt"),
        pytest.param([1.0, 3.0], [], [("a", 3.0)], id="after-its-time"),
        pytest.param([1.0, 2.0], [({"a": 0.5}, 1)], [(1, "a")], id="after-a-kill"),
    ],
)
def test_sending_again_would_be_seen(times, snapshots, found):
    """The check itself sees a request that comes after the receipt, by its time and by the receipts after a kill."""
    exchanges = [SimpleNamespace(method="PUT", path="/records/a", at=at) for at in times]

    assert sent_after_receipt(exchanges, snapshots, {"a": 2.5}) == found
