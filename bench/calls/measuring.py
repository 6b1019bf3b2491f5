"""How long calls take on the processor: bare, with our policy around them, and with theirs."""

import asyncio
import statistics
import threading
import time

import circuitbreaker
import nopanic

from outlast.errors import CircuitOpenError


def run_sync(fn, calls, kwargs):
    many = range(calls)
    began = time.process_time()
    if kwargs:
        for _ in many:
            fn(**kwargs)
    else:
        for _ in many:
            fn()
    return time.process_time() - began


async def loop_async(fn, calls, kwargs):
    many = range(calls)
    began = time.process_time()
    if kwargs:
        for _ in many:
            await fn(**kwargs)
    else:
        for _ in many:
            await fn()
    return time.process_time() - began


async def loop_tasks(fn, calls, kwargs):
    async def one():
        for _ in range(calls // 1000):
            await fn()

    began = time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(1000):
            group.create_task(one())
    return time.process_time() - began


def run_threads(fn, calls, kwargs):
    crowd = [threading.Thread(target=run_sync, args=(fn, calls // 4, kwargs)) for _ in range(4)]
    began = time.process_time()
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    return time.process_time() - began


REFUSED = (CircuitOpenError, nopanic.CircuitOpen, circuitbreaker.CircuitBreakerError)


def run_refused(fn, calls, kwargs):
    began = time.process_time()
    for _ in range(calls):
        try:
            fn()
        except REFUSED:
            pass
    return time.process_time() - began


async def loop_refused(fn, calls, kwargs):
    began = time.process_time()
    for _ in range(calls):
        try:
            await fn()
        except REFUSED:
            pass
    return time.process_time() - began


RUNS = {"sync": run_sync, "threads": run_threads, "refused": run_refused}
LOOPS = {"async": loop_async, "tasks": loop_tasks, "arefused": loop_refused}


def measure(row, rounds, calls, runner):
    """Return the nanoseconds that a call costs over the bare one, ours and theirs, best and median of the rounds."""
    ours, count = row.ours(row.fn)
    variants = {"bare": row.fn, "ours": ours, "theirs": row.theirs(row.fn)}
    took = {name: [] for name in variants}
    for number in range(rounds + 1):
        for name, fn in variants.items():
            if row.how in RUNS:
                seconds = RUNS[row.how](fn, calls, row.kwargs)
            else:
                seconds = runner.run(LOOPS[row.how](fn, calls, row.kwargs))
            if number:  # the first round warms up
                took[name].append(seconds / calls * 1e9)
    best = {name: min(times) for name, times in took.items()}
    median = {name: statistics.median(times) for name, times in took.items()}
    made = (rounds + 1) * calls
    lost = None if count is None else made - count()
    # A refused call never reaches the bare function: its whole cost is the overhead, and the caller's except with it.
    base, middle = (0.0, 0.0) if "refused" in row.how else (best["bare"], median["bare"])
    return {
        "what": row.name,
        "against": row.peer,
        "ours": best["ours"] - base,
        "theirs": best["theirs"] - base,
        "ratio": (best["ours"] - base) / (best["theirs"] - base),
        "median_ratio": (median["ours"] - middle) / (median["theirs"] - middle),
        "bar": row.bar,
        "lost": lost,
    }
