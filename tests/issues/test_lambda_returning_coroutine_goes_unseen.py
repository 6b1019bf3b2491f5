"""A plain function that returns a coroutine was a success before the coroutine had run (tenacity #132, #430)."""

import asyncio

import pytest

from outlast.policies import CircuitBreaker, CircuitState
from outlast.testing import run_virtual


async def work():
    """Fail."""
    raise ConnectionError


def begin():
    """Return a coroutine, without being a coroutine function."""
    return work()


def test_async_result_is_judged():
    """Called with `acall`, `call` or as a decorator, the coroutine's own end is what counts."""

    async def main():
        breaker = CircuitBreaker(failure_threshold=3)
        for call in (
            lambda: breaker.acall(begin),
            lambda: breaker.call(begin),
            breaker(begin),
        ):
            with pytest.raises(ConnectionError):
                await call()
        return breaker.state

    assert run_virtual(main()) is CircuitState.OPEN


def test_made_in_a_thread_without_a_loop():
    """The coroutine may be made where no loop runs, and awaited elsewhere."""
    breaker = CircuitBreaker(failure_threshold=1)
    pending = breaker.call(begin)
    assert breaker.snapshot().calls == 0

    with pytest.raises(ConnectionError):
        run_virtual(pending)

    assert breaker.state is CircuitState.OPEN


def test_object_with_async_call():
    """An object whose `__call__` is async was taken for a sync function."""

    class Client:
        async def __call__(self):
            await asyncio.sleep(0)
            raise ConnectionError

    breaker = CircuitBreaker(failure_threshold=1)
    with pytest.raises(ConnectionError):
        run_virtual(breaker(Client())())

    assert breaker.state is CircuitState.OPEN
