"""The usual three in one function: a retry around a circuit breaker around a bulkhead.

A function that a policy puts around another costs more than most of what it does. So where these three stand in a row,
one function goes the straight way for all of them: the circuit is closed, a slot is free, nobody waits. It is the text
of the three, put into one another. What is not straight goes the long way, through the policies' own functions, and
so does every attempt after the first; a property test holds the two ways equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from outlast.engines import Permit
from outlast.policies._breaker_gate import UNTIMED
from outlast.policies._bulkhead import Bulkhead
from outlast.policies._circuit_breaker import CircuitBreaker
from outlast.policies._permit import BreakerPermit, judged_later
from outlast.policies._policy import Policy
from outlast.policies._retry import Retry
from outlast.policies._retry_loops import async_rest, sync_rest
from outlast.policies._retry_run import RetryRun
from outlast.policies._shape import PLAIN, AnyFunction, is_awaitable
from outlast.policies._stand_down import MARKS

Three = tuple[Retry, CircuitBreaker, Bulkhead]


def in_a_row(policies: Sequence[Policy]) -> list[Policy | Three]:
    """Return the policies, each three that can go the straight way taken together."""
    found: list[Policy | Three] = []
    for policy in policies:
        found.append(policy)
        match found[-3:]:
            # Their very types: a subclass may do something else.
            case [Retry() as retry, CircuitBreaker() as breaker, Bulkhead() as bulkhead] if (
                type(retry) is Retry and type(breaker) is CircuitBreaker and type(bulkhead) is Bulkhead
            ) and retry.is_simple:
                found[-3:] = [(retry, breaker, bulkhead)]
            case _:
                pass
    return found


def wrap_sync(policies: Sequence[Policy], fn: AnyFunction) -> AnyFunction:
    """Put policies around a function that returns a value, the first outermost."""
    for each in reversed(in_a_row(policies)):
        fn = sync_straight(each, fn) if isinstance(each, tuple) else each.wrap_sync(fn)
    return fn


def wrap_async(policies: Sequence[Policy], fn: AnyFunction) -> AnyFunction:
    """Put policies around a function that returns an awaitable, the first outermost."""
    for each in reversed(in_a_row(policies)):
        fn = async_straight(each, fn) if isinstance(each, tuple) else each.wrap_async(fn)
    return fn


def sync_straight(three: Three, fn: AnyFunction) -> AnyFunction:  # noqa: C901 - see above
    """Return a function that does what the three around `fn` do.

    Args:
        three: The policies, outermost first.
        fn: A function that returns a value, or an awaitable.
    """
    retry, breaker, bulkhead = three
    gate, slots_gate, meter, marks = breaker.gate, bulkhead.gate, retry.parts.meter, MARKS
    engine, now, failed, landed = gate.engine, gate.now, gate.failed, gate.landed
    slots = slots_gate.engine
    take, give = slots.free.pop, slots.free.append
    in_turn: list[AnyFunction] = []  # see Bulkhead.later
    ways: list[AnyFunction] = []  # the long way, made when it is first needed

    def attempt() -> AnyFunction:
        return breaker.wrap_sync(bulkhead.holding(fn, in_turn))

    def long_way() -> AnyFunction:
        if not ways:
            ways.append(retry.wrap_sync(attempt()))
        return ways[0]

    def straight(*args: Any, **kwargs: Any) -> Any:  # noqa: C901 - see above
        era = None if slots.crowded > 0 or in_turn else engine.closed
        if era is not None:
            try:
                take()
            except IndexError:
                era = None
        if era is None:
            return long_way()(*args, **kwargs)
        meter.calls += 1
        begun, began = marks.latest, now() if era.timed else UNTIMED
        try:
            try:
                try:
                    result = fn(*args, **kwargs)
                except BaseException:
                    slots_gate.give()
                    raise
                if type(result) not in PLAIN and is_awaitable(result):
                    permit = BreakerPermit(gate, Permit(era, 0, began))
                    result = judged_later(permit, bulkhead.later(result, fn, args, kwargs, in_turn))
                    return retry.later(attempt(), result, args, kwargs)
                give(None)
                if slots.crowded:
                    slots_gate.hand_on()
            except BaseException as error:
                failed(era, began, error)
                raise
            if era.dated:
                at = now()
                if at >= era.edge or (era.timed and at - began > era.limit):
                    landed(era, began, result)
                    return result
            era.ok += 1
            return result
        except Exception as error:
            run = RetryRun(retry.parts, begun)
            wait = run.failed(error)
            if wait is None:
                raise
        return sync_rest(attempt(), partial(retry.later, attempt()))(run, wait, (args, kwargs))

    return straight


def async_straight(three: Three, fn: AnyFunction) -> AnyFunction:  # noqa: C901 - see above
    """Return a coroutine function that does what the three around `fn` do.

    Args:
        three: The policies, outermost first.
        fn: A function that returns an awaitable.
    """
    retry, breaker, bulkhead = three
    gate, slots_gate, meter, marks = breaker.gate, bulkhead.gate, retry.parts.meter, MARKS
    engine, now, failed, landed = gate.engine, gate.now, gate.failed, gate.landed
    slots = slots_gate.engine
    take, give = slots.free.pop, slots.free.append
    ways: list[AnyFunction] = []  # the long way, made when it is first needed

    def attempt() -> AnyFunction:
        return breaker.wrap_async(bulkhead.wrap_async(fn))

    def long_way() -> AnyFunction:
        if not ways:
            ways.append(retry.wrap_async(attempt()))
        return ways[0]

    async def straight(*args: Any, **kwargs: Any) -> Any:  # noqa: C901 - see above
        era = None if slots.crowded > 0 else engine.closed
        if era is not None:
            try:
                take()
            except IndexError:
                era = None
        if era is None:
            return await long_way()(*args, **kwargs)
        meter.calls += 1
        begun, began = marks.latest, now() if era.timed else UNTIMED
        try:
            try:
                try:
                    result = await fn(*args, **kwargs)
                finally:
                    give(None)
                    if slots.crowded:
                        slots_gate.hand_on()
            except BaseException as error:
                failed(era, began, error)
                raise
            if era.dated:
                at = now()
                if at >= era.edge or (era.timed and at - began > era.limit):
                    landed(era, began, result)
                    return result
            era.ok += 1
            return result
        except Exception as error:
            run = RetryRun(retry.parts, begun)
            wait = run.failed(error)
            if wait is None:
                raise
        return await async_rest(attempt())(run, wait, (args, kwargs))

    return straight
