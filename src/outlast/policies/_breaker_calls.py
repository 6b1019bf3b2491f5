"""A call through a circuit breaker, sync and async: the success path, which takes no lock, and everything else.

While the circuit is closed a call takes a reference to the present era and its success lands on that. What
a success needs beyond a bump of the era's counter, the era says itself, so that a function that is wrapped
already follows when the settings change.
"""

from __future__ import annotations

from typing import Any

from outlast.engines import Permit
from outlast.policies._breaker_gate import UNTIMED, BreakerGate
from outlast.policies._permit import BreakerPermit, judged, judged_later
from outlast.policies._shape import PLAIN, AnyFunction, is_awaitable


def sync_call(gate: BreakerGate, fn: AnyFunction) -> AnyFunction:
    """Wrap a function that returns a value, or an awaitable whose result is then what is judged."""
    engine, now, refuse, failed, landed = gate.engine, gate.now, gate.refuse, gate.failed, gate.landed

    def guarded(*args: Any, **kwargs: Any) -> Any:
        era = engine.closed
        if era is None:
            refuse()
            return _call_admitted(gate, fn, args, kwargs)
        began = now() if era.timed else UNTIMED
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            failed(era, began, error)
            raise
        if type(result) not in PLAIN and is_awaitable(result):
            return judged_later(BreakerPermit(gate, Permit(era, 0, began)), result)
        if era.dated:
            at = now()
            if at >= era.edge or (era.timed and at - began > era.limit):
                landed(era, began, result)
                return result
        era.ok += 1  # no lock: see BreakerCore
        return result

    return guarded


def _call_admitted(gate: BreakerGate, fn: AnyFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    permit = BreakerPermit(gate, gate.admit())
    try:
        result = fn(*args, **kwargs)
    except BaseException as error:
        permit.judge(error)
        raise
    if is_awaitable(result):
        return judged_later(permit, result)
    permit.judge_result(result)
    return result


def async_call(gate: BreakerGate, fn: AnyFunction) -> AnyFunction:
    """Wrap a function that returns an awaitable.

    Cancel: nothing is judged, and a probe's slot comes back.
    """
    engine, now, refuse, failed, landed = gate.engine, gate.now, gate.refuse, gate.failed, gate.landed

    async def guarded(*args: Any, **kwargs: Any) -> Any:
        era = engine.closed
        if era is None:
            refuse()
            return await judged(BreakerPermit(gate, gate.admit()), fn, args, kwargs)
        began = now() if era.timed else UNTIMED
        try:
            result = await fn(*args, **kwargs)
        except BaseException as error:
            failed(era, began, error)
            raise
        if era.dated:
            at = now()
            if at >= era.edge or (era.timed and at - began > era.limit):
                landed(era, began, result)
                return result
        era.ok += 1  # no lock: see BreakerCore
        return result

    return guarded
