"""A full disk takes no new writes, but what waits is delivered and recorded: by real limits of the system."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from delivering import put
from outlast.errors import StorageFullError
from outlast.events import EventBus
from outlast.outbox import Counts, OutboxLimits, SyncOutbox

TESTS = str(Path(__file__).parents[2])

FILL = """
import asyncio, itertools, json, resource, sys
sys.path.insert(0, sys.argv[1])
from delivering import SOON, Server
from outlast.errors import StorageFullError
from outlast.events import EventBus
from outlast.outbox import InDoubt, LeaseConfig, OutboxLimits, Rejected, SealedRequest, SyncOutbox
from outlast.sync_engine import CallableTransport, Runner

path, how, reserve = sys.argv[2], sys.argv[3], json.loads(sys.argv[4])


class Large(CallableTransport):
    def seal(self, op):
        return SealedRequest(method="put", url="x" * 300, body=op.body)


async def drain(box, server):
    try:
        async with Runner(box, Large(server), policy=SOON, concurrency=8, lease=LeaseConfig(0.02, 30)) as runner:
            async with asyncio.timeout(60):
                await runner.run_until_idle()
    except StorageFullError:
        pass


def fill(box):
    for number in itertools.count():
        try:
            box.put("note", f"n{number}", b"x" * 300)
        except StorageFullError as error:
            return number, str(error)


with SyncOutbox.open(path, bus=EventBus(), limits=OutboxLimits(reserve=reserve)) as box:
    if how == "pages":
        box.core.database.write(lambda db: db.pragma("max_page_count", db.pragma("page_count") + 40)).result()
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (260_000, resource.RLIM_INFINITY))
    acknowledged, said = fill(box)
    odd = {f"n{n}": [InDoubt("cut")] for n in range(0, acknowledged, 5)}
    odd |= {f"n{n}": [Rejected("400")] for n in range(1, acknowledged, 5)}
    asyncio.run(drain(box, Server(**odd)))
    found = box.counts()
    again, _ = fill(box)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    told = {"acknowledged": acknowledged, "said": said, "again": again, "open": found.open}
    print(json.dumps({**told, "delivered": found.delivered, "dead": found.dead}))
"""


def filled(path, how, reserve=None):
    """Fill a disk in a process of its own, deliver while it is full, and return what came of it."""
    program = [sys.executable, "-W", "error", "-c", FILL, TESTS, str(path), how, json.dumps(reserve)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("how", "limit"),
    [("pages", "the page limit of the database"), ("file size", "the file-size limit of the process")],
)
def test_a_full_disk_drains(tmp_path, how, limit):
    """All that was acknowledged is sealed, delivered, postponed or buried in place, and then there is room again."""
    found = filled(tmp_path / "app.db", how)

    assert "no space is left for new writes" in found["said"]
    assert limit in found["said"]
    assert found["acknowledged"] > 5
    assert (found["open"], found["dead"]) == (0, len(range(1, found["acknowledged"], 5)))
    assert found["delivered"] == found["acknowledged"] - found["dead"]
    assert found["again"] > 0


@pytest.mark.timeout(120)
def test_without_a_reserve_a_full_disk_may_not_drain(tmp_path):
    """Where nothing is kept back the system refuses in the end, and then records do not fit either."""
    found = filled(tmp_path / "app.db", "pages", reserve=0)

    assert "no space is left on the disk" in found["said"]
    assert found["open"] > 0


UPGRADE = """
import resource, sys
from dataclasses import replace
from outlast.errors import StorageFullError
from outlast.outbox import SyncOutbox
from outlast.outbox._layout import OUTBOX
from outlast.storage import SqliteDatabase

path, op = sys.argv[1], "INSERT INTO op (lane, verb, kind, entity, generation, content_type, created, body)"
old = SqliteDatabase(path, replace(OUTBOX, version=2, migrations=OUTBOX.migrations[:2]))
rows = [(number, b"x" * 4000) for number in range(50)]
old.write(lambda db: [db.execute(f"{op} VALUES (?, 'put', 'n', 'e', 0, 'x', 1.0, ?)", row) for row in rows]).result()
old.close()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    SyncOutbox.open(path)
except StorageFullError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
with SyncOutbox.open(path) as box:
    print(box.counts().ready)
"""


def test_an_upgrade_needs_space_and_says_so(tmp_path):
    """An older file that cannot be brought up for want of space stays as it was, and is brought up later."""
    program = [sys.executable, "-W", "error", "-c", UPGRADE, str(tmp_path / "app.db")]
    done = subprocess.run(program, capture_output=True, text=True, timeout=110, check=False)

    said, waiting = done.stdout.splitlines()
    assert "no space is left on the disk" in said
    assert waiting == "50"


def test_the_disk_is_asked(face, tmp_path):
    """A reserve larger than what the disk has left refuses every new write, and lets what waits go."""
    path = tmp_path / "app.db"
    face.do(face.open(path, inside=True).put("note", "a", {}))
    box = face.open(path, inside=True, limits=OutboxLimits(reserve=1 << 60))

    with pytest.raises(StorageFullError, match=r"the disk leaves [0-9,]+ bytes, of which 1,152,921"):
        face.do(box.put("note", "b", {}))
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageFullError, match="the disk leaves"):
            face.do(box.enqueue_in(connection, put("b")))

    assert face.do(box.counts()) == Counts(ready=1)


def test_the_disk_of_a_server_is_the_servers_business(postgres_server):
    """PostgreSQL says itself when its disk is full; no reserve is kept there."""
    with SyncOutbox.open(postgres_server.fresh(), bus=EventBus(), limits=OutboxLimits(reserve=1 << 60)) as box:
        box.put("note", "a", {})

        assert box.counts() == Counts(ready=1)
