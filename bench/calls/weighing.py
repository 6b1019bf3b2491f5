"""How much memory a policy takes, and how long importing it."""

import subprocess
import sys
import tracemalloc

import circuitbreaker
import nopanic
from calls.wrapping import BUS, RATE, four, quick, their_stack

from outlast.policies import (
    Bulkhead,
    CircuitBreaker,
    RateLimit,
    Retry,
    Timeout,
)


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
