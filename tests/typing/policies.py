"""What type checkers make of decorated functions: the signature stays. Read by mypy and pyright, never run."""

import functools
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Generic, TypeVar, assert_type

from outlast import CircuitBreaker, Hedge, Pipeline, Retry, Timeout
from outlast.policies import BreakerPermit, deadline

T = TypeVar("T")
breaker = CircuitBreaker()
pipeline = Pipeline("typed", Retry(3), breaker, Timeout(3))


@breaker
def plain(a: int, /, b: str = "", *, c: float) -> list[int]:
    """Do nothing."""
    return [a, len(b), int(c)]


@pipeline
async def coroutine(a: int, *rest: str, **more: bytes) -> dict[str, int]:
    """Do nothing."""
    return {"a": a, **dict.fromkeys(rest, 0), **dict.fromkeys(more, 0)}


@pipeline
def stream(n: int) -> Generator[int, str, bool]:
    """Yield."""
    return (yield n) == ""


@pipeline
async def astream(n: int) -> AsyncGenerator[int, str]:
    """Yield."""
    yield n


@breaker
def generic(x: T, y: list[T]) -> T:
    """Return the first."""
    return y[0] if y else x


class Client(Generic[T]):
    """Have methods of each kind."""

    def __init__(self, value: T) -> None:
        self.value = value

    @breaker
    def method(self, times: int) -> list[T]:
        """Repeat."""
        return [self.value] * times

    @pipeline
    async def amethod(self, times: int) -> list[T]:
        """Repeat."""
        return [self.value] * times

    @classmethod
    @breaker
    def of_class(cls, x: int) -> str:
        """Show."""
        return f"{cls}{x}"

    @staticmethod
    @breaker
    def of_nobody(x: int) -> str:
        """Show."""
        return str(x)

    @property
    @breaker
    def shown(self) -> str:
        """Show."""
        return str(self.value)


def by_number(a: int) -> int:
    """Return the key."""
    return a


async def calls() -> None:
    """Call everything."""
    assert_type(plain(1, "x", c=2.0), list[int])
    assert_type(await coroutine(1, "a", k=b""), dict[str, int])
    assert_type(stream(1), Generator[int, str, bool])
    assert_type(astream(1), AsyncGenerator[int, str])
    assert_type(generic(1, [2]), int)
    assert_type(breaker.call(plain, 1, c=2.0), list[int])
    assert_type(await pipeline.acall(coroutine, 1, "x"), dict[str, int])
    assert_type(breaker(functools.partial(plain, 1))(c=2.0), list[int])
    assert_type(await Hedge(idempotent=True)(coroutine)(1), dict[str, int])
    assert_type(await pipeline.keyed(by_number)(coroutine)(1), dict[str, int])


async def methods(client: Client[str]) -> None:
    """Call methods."""
    assert_type(client.method(1), list[str])
    assert_type(await client.amethod(1), list[str])
    assert_type(client.of_class(1), str)
    assert_type(Client.of_class(1), str)
    assert_type(client.of_nobody(1), str)
    assert_type(client.shown, str)


async def blocks(decorate: Callable[[Callable[[int], str]], Callable[[int], str]] = breaker) -> None:
    """Use the forms for blocks, and a policy where any decorator may stand."""
    assert_type(decorate(str), Callable[[int], str])
    async with breaker.guard() as permit, deadline(2.0):
        assert_type(permit, BreakerPermit)
    for attempt in Retry(3).attempts():
        with attempt:
            assert_type(attempt.number, int)
    async for attempt in Retry(3).attempts():
        async with attempt as same:
            assert_type(same.number, int)
