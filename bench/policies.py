"""What a call through a policy costs over the bare call, beside the same policies of other libraries, in one run.

Rounds are short and interleaved: in each, every variant runs once, so that a busy machine hits all alike. Measured is
the time that the process has on the processor. A figure is the best of the rounds; a ratio is overhead over overhead.
Ours runs with its retry budget and one event listener, the others in their defaults. Afterwards the counts that our
policies keep are compared with the calls that were made.

Usage: `make bench ARGS=policies`, or `python bench/policies.py [--quick] [--json] [--write]`
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

if __name__ == "__main__" and "OUTLAST_BENCH_INSIDE" not in os.environ:
    import peers

    inside = {**peers.environment(), "OUTLAST_BENCH_INSIDE": "1"}
    sys.exit(subprocess.run((peers.python(), __file__, *sys.argv[1:]), env=inside, check=False).returncode)

import circuitbreaker
import nopanic

from outlast.errors import CircuitOpenError
from outlast.events import CircuitOpened, Event, EventBus
from outlast.policies import (
    Bulkhead,
    CircuitBreaker,
    FailureRate,
    Fallback,
    Hedge,
    Pipeline,
    RateLimit,
    Retry,
    SingleFlight,
    SlowCalls,
    Timeout,
)
from outlast.registry import Registry

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "policies" / "speed.md"
BUS = EventBus()
BUS.subscribe(lambda event: None, Event)
nopanic.subscribe(lambda event: None)


def plain(*args, **kwargs):
    return None


async def quick(*args, **kwargs):
    return None


async def suspends(*args, **kwargs):
    await asyncio.sleep(0)


class Row:
    """One comparison.

    Args:
        name: What is compared.
        fn: The bare function.
        ours: Puts our policy around it, and returns the function and what counts its calls.
        theirs: Puts the other library's around it.
        peer: The other library.
        bar: The most that our overhead may be of theirs, or None.
        how: `sync`, `async`, `tasks`, `threads`, or `refused` and `arefused`.
        kwargs: Keyword arguments of the call.
    """

    def __init__(self, name, fn, ours, theirs, peer="nopanic", bar=None, how=None, kwargs=None):
        self.name, self.fn, self.ours, self.theirs, self.peer, self.bar = name, fn, ours, theirs, peer, bar
        self.how = how or ("async" if asyncio.iscoroutinefunction(fn) else "sync")
        self.kwargs = kwargs or {}


def breaker(**options):
    """Return what decorates with our breaker and says how many calls it has counted."""

    def decorate(fn):
        made = CircuitBreaker(bus=BUS, **options)
        return made(fn), lambda: made.snapshot().calls

    return decorate


def uncounted(make):
    """Return what decorates with one of our policies that keeps no count of successes."""
    return lambda fn: (make()(fn), None)


def retry(fn):
    made = Retry(4, bus=BUS)
    return made(fn), lambda: made.budget.snapshot().calls


def stack(*, timeout):
    """Retry with its budget, breaker, bulkhead and, in async code, timeout; the pipeline counts and times its calls."""

    def decorate(fn):
        inner = CircuitBreaker(trip=FailureRate(0.5, over_seconds=30.0), bus=BUS)
        limits = (Timeout(5.0, bus=BUS),) if timeout else ()
        made = Pipeline("bench", Retry(4, bus=BUS), inner, Bulkhead(1000, bus=BUS), *limits, registry=Registry())
        return made(fn), lambda: agreed(made, inner)

    return decorate


def four():
    """Return a pipeline of the four, unregistered."""
    policies = (Retry(4, bus=BUS), CircuitBreaker(bus=BUS, **RATE), Bulkhead(10, bus=BUS), Timeout(5.0, bus=BUS))
    return Pipeline("bench", *policies, registry=Registry())


def agreed(pipeline, inner):
    """Return how many calls were counted, or -1 when those who count do not agree."""
    stats = pipeline.snapshot().calls
    counts = {inner.snapshot().calls, stats.success, stats.latencies.calls}
    return counts.pop() if len(counts) == 1 else -1


def their_stack(*, timeout):
    limits = (nopanic.timeout(5.0),) if timeout else ()
    return nopanic.compose(nopanic.retry(4), nopanic.circuit_breaker(), nopanic.bulkhead(1000), *limits)


def open_breaker(*heard):
    """Return what decorates with an open breaker, one listener to events of these types attached."""

    def decorate(fn):
        bus = EventBus()
        bus.subscribe(lambda event: None, *heard)
        made = CircuitBreaker(open_for=3600.0, bus=bus)
        made.force_open()
        return made(fn), lambda: made.snapshot().rejected

    return decorate


def their_open_breaker(fn):
    made = nopanic.circuit_breaker(reset_timeout=3600.0)
    made.force_open()
    return made(fn)


def old_open_breaker(fn):
    made = circuitbreaker.CircuitBreaker(1, 3600, name="open")
    wrapped = made(fn)
    made._state, made._opened = "open", time.monotonic()  # noqa: SLF001 - it has no way to open it by hand
    return wrapped


def asyncio_timeout(fn):
    async def limited(*args, **kwargs):
        async with asyncio.timeout(5.0):
            return await fn(*args, **kwargs)

    return limited


RATE = {"trip": FailureRate(0.5, over_seconds=30.0)}
SLOW = {
    "trip": FailureRate(0.5, over_seconds=30.0) | SlowCalls(0.5, slower_than=1.0, over_seconds=30.0),
}


def rows():
    """Return the table: first what has a bar, then what is for information."""
    slow = {"slow_call_duration": 1.0, "slow_call_threshold": 0.5}
    found = []
    for fn, colour in ((plain, "sync"), (quick, "async")):
        found += [
            Row(f"breaker, failure rate over 30 s, {colour}", fn, breaker(**RATE), nopanic.circuit_breaker(), bar=0.25),
            Row(f"same with slow-call rule, {colour}", fn, breaker(**SLOW), nopanic.circuit_breaker(**slow), bar=0.30),
            Row(
                f"breaker, consecutive failures, {colour}",
                fn,
                breaker(),
                circuitbreaker.CircuitBreaker(5, 30, name=f"bench {colour}"),
                "circuitbreaker",
                0.40,
            ),
            Row(f"retry, {colour}", fn, retry, nopanic.retry(4), bar=0.80),
            Row(
                f"bulkhead, {colour}", fn, uncounted(lambda: Bulkhead(1000, bus=BUS)), nopanic.bulkhead(1000), bar=0.20
            ),
        ]
    limit = uncounted(lambda: Timeout(5.0, bus=BUS))
    found += [
        Row("timeout, callee does not suspend", quick, limit, asyncio_timeout, "asyncio.timeout", 0.30),
        Row("timeout, callee suspends", suspends, limit, asyncio_timeout, "asyncio.timeout", 0.30),
        Row(
            "retry + breaker + bulkhead + timeout, async",
            quick,
            stack(timeout=True),
            their_stack(timeout=True),
            bar=0.20,
        ),
        Row("same without timeout, sync", plain, stack(timeout=False), their_stack(timeout=False), bar=0.25),
    ]
    opening = open_breaker(CircuitOpened)
    found += [
        Row("rejection by an open circuit, sync", plain, opening, their_open_breaker, bar=0.45, how="refused"),
        Row("rejection by an open circuit, async", quick, opening, their_open_breaker, bar=0.45, how="arefused"),
    ]
    words = {"order": 1, "amount": 2}
    return [
        *found,
        Row("rejection, each one heard, sync", plain, open_breaker(Event), their_open_breaker, how="refused"),
        Row("rejection, each one heard, async", quick, open_breaker(Event), their_open_breaker, how="arefused"),
        Row("rejection, sync", plain, opening, old_open_breaker, "circuitbreaker", how="refused"),
        Row("retry, theirs with a budget too, sync", plain, retry, nopanic.retry(4, budget=nopanic.RetryBudget())),
        Row("retry, theirs with a budget too, async", quick, retry, nopanic.retry(4, budget=nopanic.RetryBudget())),
        Row("breaker, rate, callee suspends", suspends, breaker(**RATE), nopanic.circuit_breaker()),
        Row("the four, callee suspends", suspends, stack(timeout=True), their_stack(timeout=True)),
        Row("breaker, rate, sync, keyword arguments", plain, breaker(**RATE), nopanic.circuit_breaker(), kwargs=words),
        Row("the four, keyword arguments", quick, stack(timeout=True), their_stack(timeout=True), kwargs=words),
        Row("breaker, rate, 1,000 tasks", suspends, breaker(**RATE), nopanic.circuit_breaker(), how="tasks"),
        Row("timeout, 1,000 tasks", suspends, limit, asyncio_timeout, "asyncio.timeout", how="tasks"),
        Row("the four, 1,000 tasks", suspends, stack(timeout=True), their_stack(timeout=True), how="tasks"),
        Row("breaker, rate, 4 threads", plain, breaker(**RATE), nopanic.circuit_breaker(), how="threads"),
        Row("the three, 4 threads", plain, stack(timeout=False), their_stack(timeout=False), how="threads"),
        Row("rate limit, sync", plain, uncounted(lambda: RateLimit(1e9, bus=BUS)), nopanic.rate_limit(1e9)),
        Row("rate limit, async", quick, uncounted(lambda: RateLimit(1e9, bus=BUS)), nopanic.rate_limit(1e9)),
        Row("fallback, sync", plain, uncounted(lambda: Fallback(value=0, bus=BUS)), nopanic.fallback(0)),
        Row("fallback, async", quick, uncounted(lambda: Fallback(value=0, bus=BUS)), nopanic.fallback(0)),
        Row(
            "hedge that is not needed",
            quick,
            uncounted(lambda: Hedge(delay=5.0, idempotent=True, bus=BUS)),
            nopanic.hedge(delay=5.0),
        ),
        Row(
            "single-flight, alone",
            quick,
            uncounted(lambda: SingleFlight(key=lambda *_: 0, bus=BUS)),
            nopanic.cache(1e-9, key=lambda *_: 0),
        ),
    ]


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


def memory():
    """Return the bytes that one policy takes, and one decorated function, ours and theirs."""
    makers = {
        "breaker, consecutive": (
            lambda: CircuitBreaker(bus=BUS),
            lambda: circuitbreaker.CircuitBreaker(5, 30),
            "circuitbreaker",
        ),
        "breaker, rate": (lambda: CircuitBreaker(bus=BUS, **RATE), nopanic.circuit_breaker, "nopanic"),
        "retry": (lambda: Retry(bus=BUS), lambda: nopanic.retry(budget=nopanic.RetryBudget()), "nopanic"),
        "bulkhead of 10": (lambda: Bulkhead(10, bus=BUS), lambda: nopanic.bulkhead(10), "nopanic"),
        "timeout": (lambda: Timeout(5.0, bus=BUS), lambda: nopanic.timeout(5.0), "nopanic"),
        "pipeline of the four": (four, lambda: their_stack(timeout=True)(quick), "nopanic"),
        "rate limit": (lambda: RateLimit(10, bus=BUS), lambda: nopanic.rate_limit(10), "nopanic"),
    }
    return [
        {"what": name, "against": peer, "ours": size(ours), "theirs": size(theirs)}
        for name, (ours, theirs, peer) in makers.items()
    ]


def size(make):
    kept = [make() for _ in range(10)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept += [make() for _ in range(500)]
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return used / 500


IMPORTS = (
    "import outlast",
    "import outlast.policies",
    "from outlast.policies import Bulkhead",
    "from outlast.policies import Pipeline",
    "import asyncio",
    "import nopanic",
    "import circuitbreaker",
)


def import_time(statement, rounds):
    """Return the best time in milliseconds that a fresh interpreter takes for an import."""
    command = f"import time; began = time.process_time(); {statement}; print(time.process_time() - began)"
    best = min(
        float(subprocess.run((sys.executable, "-c", command), capture_output=True, check=True).stdout)
        for _ in range(rounds)
    )
    return best * 1000


def table(results):
    """Return the rows as Markdown."""
    lines = ["| what | against | ours, ns | theirs, ns | ratio (median) | at most | |", "|---|---|---|---|---|---|---|"]
    for each in results:
        bar = "" if each["bar"] is None else f"{each['bar']:.2f}"
        met = "" if each["bar"] is None else ("met" if each["ratio"] <= each["bar"] else "**not met**")
        lost = "" if not each["lost"] else f" **{each['lost']} calls were not counted**"
        lines.append(
            f"| {each['what']} | {each['against']} | {each['ours']:,.0f} | {each['theirs']:,.0f} | "
            f"{each['ratio']:.2f} ({each['median_ratio']:.2f}) | {bar} | {met}{lost} |"
        )
    return "\n".join(lines)


def uvloop_runner():
    try:
        import uvloop
    except ImportError:
        return None
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def main(arguments):
    parser = argparse.ArgumentParser(prog="policies")
    parser.add_argument("--quick", action="store_true", help="3 rounds: shows that it runs, not how fast")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/reference/policies/speed.md")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    chosen = parser.parse_args(arguments)
    rounds, calls = (3, 2000) if chosen.quick else (60, 3000)
    wanted = [row for row in rows() if chosen.only in row.name]
    with asyncio.Runner() as runner:
        results = [measure(row, rounds, calls, runner) for row in wanted]
    on_uvloop = []
    if (runner := uvloop_runner()) is not None:
        with runner:
            on_uvloop = [measure(row, rounds, calls, runner) for row in wanted if row.how in LOOPS]
    import peers

    told = {
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": peers.versions(),
        "rounds": rounds,
        "calls": calls,
        "asyncio": results,
        "uvloop": on_uvloop,
        "memory": memory(),
        "import_ms": {statement: import_time(statement, min(rounds, 9)) for statement in IMPORTS},
    }
    text = page(told)
    print(json.dumps(told, indent=1) if chosen.json else text)
    if chosen.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- measured -->\n")
        _, _, after = rest.partition("<!-- end of measured -->")
        marked = f"{before}<!-- measured -->\n{text}\n<!-- end of measured -->{after}"
        PAGE.write_text(marked, encoding="utf-8")
    lost = [each for each in results + on_uvloop if each["lost"]]
    return 1 if lost else 0


def page(told):
    """Return all that was measured as Markdown."""
    versions = ", ".join(
        f"{name} {told['versions'].get(name, '?')}" for name in ("nopanic", "circuitbreaker", "uvloop")
    )
    sizes = "\n".join(
        f"| {each['what']} | {each['against']} | {each['ours']:,.0f} | {each['theirs']:,.0f} |"
        for each in told["memory"]
    )
    imports = ", ".join(f"`{name}` {each:.0f} ms" for name, each in told["import_ms"].items())
    return "\n".join(
        [
            f"{told['machine']}; {versions}. Best of {told['rounds']} interleaved rounds of {told['calls']:,} calls.",
            "",
            "### On asyncio's loop, and without one",
            "",
            table(told["asyncio"]),
            "",
            "### On uvloop",
            "",
            table(told["uvloop"]) if told["uvloop"] else "uvloop is not installed.",
            "",
            "### Memory, bytes of one policy",
            "",
            "| policy | against | ours | theirs |",
            "|---|---|---|---|",
            sizes,
            "",
            f"Import in a fresh interpreter: {imports}.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
