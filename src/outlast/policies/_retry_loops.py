"""Run a call again and again, in each colour: the first attempt in a straight line, the further ones in a loop.

Nearly every call succeeds at once, so what only failing calls need stays out of the first attempt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import GeneratorType
from typing import Any, Protocol

from outlast.policies._retry_run import RetryParts, RetryRun
from outlast.policies._shape import AnyFunction, is_awaitable
from outlast.policies._stand_down import MARKS

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class Retries(Protocol):
    """Be a policy that tries again."""

    @property
    def parts(self) -> RetryParts:
        """Return the present settings."""
        ...


def sync_loop(policy: Retries, attempt: AnyFunction, later: AnyFunction, *, judged: bool) -> AnyFunction:
    """Return a function that calls `attempt` until it succeeds or must not be called again.

    Args:
        policy: Its settings.
        attempt: What to call.
        later: Takes over when `attempt` gives an awaitable: called with it and the arguments of the call.
        judged: Whether results are asked about.
    """
    rest = sync_rest(attempt, later, judged=judged)
    marks, meter = MARKS, policy.parts.meter
    usual: type[object] = type(
        None
    )  # what it gave last and cannot be awaited; a look-up in PLAIN costs a tenth of a call

    def watched(*args: Any, **kwargs: Any) -> Any:
        meter.calls += 1  # no lock: see BudgetEngine
        return rest(RetryRun(policy.parts, marks.latest, policy.parts.clock.now()), None, (args, kwargs))

    def retried(*args: Any, **kwargs: Any) -> Any:
        nonlocal usual
        meter.calls += 1
        begun = marks.latest
        try:
            result = attempt(*args, **kwargs)
        except Exception as error:
            run = RetryRun(policy.parts, begun)
            wait = run.failed(error)
            if wait is None:
                raise
        else:
            if type(result) is not usual:
                if is_awaitable(result):
                    return later(result, args, kwargs)
                usual = _kind(result)
            return result
        return rest(run, wait, (args, kwargs))

    return watched if policy.parts.watched else retried


def sync_rest(
    attempt: AnyFunction, later: AnyFunction, *, judged: bool = True
) -> Callable[[RetryRun, float | None, Arguments], Any]:
    """Return what makes the attempts after the first, beginning with the wait; see `sync_loop`."""
    answered = _answered if judged else _not_asked

    def rest(run: RetryRun, wait: float | None, arguments: Arguments) -> Any:
        args, kwargs = arguments
        while True:
            _sleep(run, wait)
            try:
                result = attempt(*args, **kwargs)
            except Exception as error:
                wait = run.failed(error)
                if wait is None:
                    raise
            else:
                if is_awaitable(result):
                    return later(result, args, kwargs)
                wait = answered(run, result)
                if wait is None:
                    return result

    return rest


def _sleep(run: RetryRun, wait: float | None) -> None:
    if wait is not None:
        run.clock.sleep(wait)


def _kind(result: object) -> type[object]:
    # Of generators some can be awaited, so that the type alone does not say it.
    return type(None) if isinstance(result, GeneratorType) else type(result)


def _answered(run: RetryRun, result: Any) -> float | None:
    return run.answered(result)


def _not_asked(run: RetryRun, result: Any) -> None:
    del run, result


def async_loop(policy: Retries, attempt: AnyFunction, *, judged: bool) -> AnyFunction:
    """Return a coroutine function that awaits `attempt` until it succeeds or must not be called again.

    Args:
        policy: Its settings.
        attempt: What to call and await.
        judged: Whether results are asked about.
    """
    rest = async_rest(attempt, judged=judged)
    marks, meter = MARKS, policy.parts.meter

    async def watched(*args: Any, **kwargs: Any) -> Any:
        meter.calls += 1  # no lock: see BudgetEngine
        return await rest(RetryRun(policy.parts, marks.latest, policy.parts.clock.now()), None, (args, kwargs))

    async def retried(*args: Any, **kwargs: Any) -> Any:
        meter.calls += 1
        begun = marks.latest
        try:
            return await attempt(*args, **kwargs)
        except Exception as error:
            run = RetryRun(policy.parts, begun)
            wait = run.failed(error)
            if wait is None:
                raise
        return await rest(run, wait, (args, kwargs))

    return watched if policy.parts.watched else retried


def async_rest(
    attempt: AnyFunction, *, judged: bool = True
) -> Callable[[RetryRun, float | None, Arguments], Awaitable[Any]]:
    """Return what makes the attempts after the first, beginning with the wait; see `async_loop`."""
    answered = _answered if judged else _not_asked

    async def rest(run: RetryRun, wait: float | None, arguments: Arguments) -> Any:
        args, kwargs = arguments
        while True:
            if wait is not None:
                await run.clock.asleep(wait)
            try:
                result = await attempt(*args, **kwargs)
            except Exception as error:
                wait = run.failed(error)
                if wait is None:
                    raise
            else:
                wait = answered(run, result)
                if wait is None:
                    return result

    return rest
