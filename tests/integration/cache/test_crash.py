import asyncio
import signal
import subprocess
import sys
import time

import pytest

from outlast.cache import Cache, Source, SqliteTier, SyncCache
from outlast.registry import Registry

SYNC = """
import sys, time
from outlast.cache import SqliteTier, SyncCache
cache = SyncCache("users", disk=SqliteTier(sys.argv[1]))
for n in range(100):
    cache.get_or_load(n, str)
cache.put("kept", 1)
cache.remove(7)
print("removed", flush=True)
time.sleep(60)
"""

ASYNC = """
import asyncio, sys
from outlast.cache import Cache, SqliteTier
async def load(key):
    return str(key)
async def main():
    cache = Cache("users", disk=SqliteTier(sys.argv[1]))
    for n in range(100):
        await cache.get_or_load(n, load)
    await cache.put("kept", 1)
    await cache.remove(7)
    print("removed", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""

CHURN = """
import itertools, sys
from outlast.cache import SqliteTier, SyncCache
cache = SyncCache("users", disk=SqliteTier(sys.argv[1]))
for n in itertools.count():
    cache.put(n, n)
    cache.remove(n)
    print(n, flush=True)
"""


def start(program, path):
    """Start a program on the file."""
    return subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)


def kill(process):
    """End it the hard way."""
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read()
    process.stdout.close()
    process.wait()
    return rest


@pytest.mark.parametrize("program", [SYNC, ASYNC], ids=["sync", "async"])
def test_removed_value_is_not_back_after_kill_9(tmp_path, program):
    """A value whose removal returned stays away when the process is killed right after; what was put is there."""
    path = tmp_path / "cache.db"
    process = start(program, path)
    assert process.stdout.readline() == "removed\n"
    kill(process)

    with SyncCache("users", disk=SqliteTier(path), registry=Registry()) as cache:
        assert cache.peek(7) is None
        assert cache.peek("kept").value == 1
        assert cache.peek(6).value == "6"


def test_kill_9_at_any_moment_brings_no_removed_value_back(tmp_path):
    """However a busy process is killed, none of the removals that it had reported is undone, and the file opens."""
    path = tmp_path / "cache.db"
    for _ in range(5):
        process = start(CHURN, path)
        seen = [int(process.stdout.readline()) for _ in range(20)]
        seen += [int(line) for line in kill(process).splitlines()]

        with SyncCache("users", disk=SqliteTier(path), registry=Registry()) as cache:
            assert [cache.peek(key) for key in seen] == [None] * len(seen)


def test_age_after_a_real_restart(tmp_path):
    """A second process tells the age of a value by the machine's own clock."""
    path = tmp_path / "cache.db"
    program = (
        "import sys; from outlast.cache import *\n"
        "with SyncCache('users', disk=SqliteTier(sys.argv[1])) as cache: cache.put('k', 'v')\n"
    )
    before = time.monotonic()
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)

    async def peek():
        async with Cache("users", disk=SqliteTier(path), registry=Registry()) as cache:
            return await cache.peek("k")

    result = asyncio.run(peek())

    assert result.source is Source.DISK
    assert 0.0 < result.age < time.monotonic() - before


def test_two_processes_share_a_file(tmp_path):
    """Several processes write to one file at the same time, and each value is there."""
    path = tmp_path / "cache.db"
    program = (
        "import sys; from outlast.cache import *\n"
        "with SyncCache('users', disk=SqliteTier(sys.argv[1])) as cache:\n"
        "    for n in range(50): cache.put(f'{sys.argv[2]}-{n}', n)\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program, str(path), str(n)]) for n in range(4)]
    assert [process.wait() for process in processes] == [0] * 4

    with SyncCache("users", disk=SqliteTier(path), registry=Registry()) as cache:
        assert all(cache.peek(f"{who}-{n}").value == n for who in range(4) for n in range(50))
