"""The usual three in one function: retry around circuit breaker around bulkhead, while nothing is out of the ordinary.

Each function that a policy puts around another costs more than most of what it does. So where these three stand in a
row, one function goes their straight way: a closed circuit, a free slot, nobody waiting, an attempt that succeeds. It
is the text of the three, put into one another. Whatever is not straight goes the long way, through the three functions
of the policies themselves; a property test holds both ways equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from outlast.policies._breaker_gate import UNTIMED
from outlast.policies._bulkhead import Bulkhead
from outlast.policies._circuit_breaker import CircuitBreaker
from outlast.policies._policy import Policy
from outlast.policies._retry import Retry
from outlast.policies._retry_run import RetryRun
from outlast.policies._shape import PLAIN, AnyFunction, is_awaitable
from outlast.policies._stand_down import MARKS

Three = tuple[Retry, CircuitBreaker, Bulkhead]


def in_a_row(policies: Sequence[Policy]) -> list[Policy | Three]:
    """Return the policies, with each three that can go straight taken together."""
    found: list[Policy | Three] = []
    for policy in policies:
        found.append(policy)
        match found[-3:]:
            case [Retry() as retry, CircuitBreaker() as breaker, Bulkhead() as bulkhead] if retry.straight:
                found[-3:] = [(retry, breaker, bulkhead)]
            case _:
                pass
    return found


def wrap_sync(policies: Sequence[Policy], fn: AnyFunction) -> AnyFunction:
    """Put policies around a function that returns a value, the first outermost."""
    for each in reversed(in_a_row(policies)):
        fn = _straight(each, fn) if isinstance(each, tuple) else each.wrap_sync(fn)
    return fn


def wrap_async(policies: Sequence[Policy], fn: AnyFunction) -> AnyFunction:
    """Put policies around a function that returns an awaitable, the first outermost."""
    for each in reversed(in_a_row(policies)):
        fn = _astraight(each, fn) if isinstance(each, tuple) else each.wrap_async(fn)
    return fn
