"""What needs processes of its own: an outbox that does nothing, two that share a file, and one on a slow disk."""

import asyncio
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from queues.enqueueing import blocked, produce
from queues.figures import Figure

from outlast.events import EventBus
from outlast.outbox import Accepted, Outbox
from outlast.sync_engine import CallableTransport, Runner

SLOW = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
int fsync(int fd) { usleep(5000); return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd); }
int fdatasync(int fd) { usleep(5000); return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd); }
"""


def child(part, folder, scale, **environment):
    """Start one of the parts below in a process of its own."""
    command = (sys.executable, str(Path(__file__).parents[1] / "outbox.py"), "--part", part, "--scale", str(scale))
    return subprocess.Popen(
        (*command, "--folder", str(folder)), env={**os.environ, **environment}, stdout=subprocess.PIPE,
        stdin=subprocess.PIPE, text=True,
    )  # fmt: skip


def answer(process):
    """Return what a process has found."""
    said, _ = process.communicate()
    if process.returncode:
        sys.exit(f"a part ended with {process.returncode}")
    return json.loads(said.splitlines()[-1])


# an outbox that does nothing


def idle(folder, scale):
    """Measure the processor's time of a runner that has nothing to do."""
    for part, what in (("idle-empty", "nothing waits"), ("idle-waiting", "1,000 writes wait until they are due")):
        found = answer(child(part, folder, scale))
        note = f"{found['cpu'] * 1e3:.0f} ms in {found['wall']:.0f} s, {found['switches']:.1f} waits a second"
        yield Figure("idle", f"processor, {what}", found["cpu"] / found["wall"] * 100, "%", 0.2, least=False, note=note)


async def idle_part(folder, scale, *, waiting):
    """Be a process that has an outbox open with a runner, and has nothing to do."""

    async def later(op):
        return Accepted(retry_after=3600.0)

    box = await Outbox.open(folder / f"idle-{waiting}.db", bus=EventBus())
    await asyncio.gather(*(box.put("device", str(n), {"n": n}) for n in range(waiting)))
    async with Runner(box, CallableTransport(later), concurrency=50) as runner:
        running = asyncio.create_task(runner.run_forever())
        while runner.stats.sent < waiting:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
        await asyncio.sleep(2)
        found = await measure_idle(60 * scale)
        running.cancel()
        await asyncio.wait([running])
    await box.aclose()
    return found


async def measure_idle(seconds):
    """Return the processor's time that passes, and how often a thread has waited."""
    began, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    await asyncio.sleep(seconds)
    ended, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - wall
    cpu = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
    return {"cpu": cpu, "wall": wall, "switches": (ended.ru_nvcsw - began.ru_nvcsw) / wall}


# several producers


def two(folder, scale):
    """Compare two producer processes on one file with one alone."""
    for producers, each in ((64, int(150 * scale)), (512, int(25 * scale))):
        alone, together = [], []
        for number in range(max(2, int(5 * scale))):
            alone.append(race(folder / f"one-{producers}-{number}.db", 1, producers, each))
            together.append(race(folder / f"two-{producers}-{number}.db", 2, producers, each))
        note = f"together {statistics.median(together):,.0f}/s, one alone {statistics.median(alone):,.0f}/s"
        found = statistics.median(b / a for a, b in zip(alone, together, strict=True))
        what = f"two processes with {producers} awaiting each, against one"
        yield Figure("processes", what, found, bar=1.0 if producers == 64 else None, note=note)


def race(path, processes, producers, each):
    """Let processes queue into one file at the same time and return the rate of all together."""
    asyncio.run(made(path))
    crew = [child(f"produce-{producers}-{each}", path, 1) for _ in range(processes)]
    for one in crew:
        one.stdout.readline()  # it is ready
    for one in crew:
        one.stdin.write("\n")
        one.stdin.flush()
    found = [answer(one) for one in crew]
    took = max(one["ended"] for one in found) - min(one["began"] for one in found)
    return processes * producers * each / took


async def made(path):
    """Make the file."""
    await (await Outbox.open(path, bus=EventBus())).aclose()


async def produce_part(path, producers, each):
    """Be one of several producers: wait for the start, queue, and tell from when to when."""
    async with await Outbox.open(path, bus=EventBus()) as box:
        await produce(box, producers, 2)
        print("ready", flush=True)
        sys.stdin.readline()
        began = time.monotonic()
        await produce(box, producers, each)
        return {"began": began, "ended": time.monotonic()}


# a slow disk


def slow_disk(folder, scale):
    """Measure how long the loop is ever kept when each flush takes 5 ms; the flushes are slowed by a library in C."""
    compiler = shutil.which("cc")
    if compiler is None:
        print("no C compiler: the slow disk is left out", file=sys.stderr)
        return
    source, library = folder / "slow.c", folder / "slow.so"
    source.write_text(SLOW)
    subprocess.run((compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"), check=True)
    for found in answer(child("slow", folder, scale, LD_PRELOAD=str(library))):
        yield Figure(**found)


def slow_part(folder, scale):
    """Be the process whose flushes are slow."""
    return [vars(found) for found in blocked(folder, scale, name=" on a disk that takes 5 ms")]


def play(part, folder, scale):
    """Be one of the parts and print what was found."""
    if part == "slow":
        found = slow_part(folder, scale)
    elif part.startswith("idle"):
        found = asyncio.run(idle_part(folder, scale, waiting=1000 if part == "idle-waiting" else 0))
    else:
        _, producers, each = part.split("-")
        found = asyncio.run(produce_part(folder, int(producers), int(each)))
    print(json.dumps(found))
