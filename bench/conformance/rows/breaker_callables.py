"""The circuit breaker around what is no plain function: partials, objects, functions that return awaitables."""

import asyncio

from demand import Broken, check, row
from moves import must_be_open


async def down():
    raise ConnectionError("down")


@row(
    "breaker/lambda-returning-a-coroutine",
    "A plain function that returns a coroutine is judged by what awaiting it gives.",
    ("async",),
)
async def lambda_coroutine(stage, kit):
    breaker = kit.breaker(stage)
    fn, plain = breaker.wrap(lambda *args: down()), breaker.wrap(stage.target)
    for _ in range(3):
        await stage.run(fn)
    await must_be_open(stage, kit, plain, "after 3 coroutines that failed")


@row(
    "breaker/function-returning-a-future",
    "A plain function that returns a future is judged when that is done.",
    ("async",),
)
async def returns_future(stage, kit):
    breaker = kit.breaker(stage)

    def future(*args):
        return asyncio.ensure_future(down())

    fn, plain = breaker.wrap(future), breaker.wrap(stage.target)
    for _ in range(3):
        await stage.run(fn)
        await asyncio.sleep(0)
    await must_be_open(stage, kit, plain, "after 3 futures that failed")


@row(
    "breaker/future-that-nobody-awaits",
    "A future that is handed out is counted though its caller never awaits it.",
    ("async",),
)
async def future_unawaited(stage, kit):
    breaker = kit.breaker(stage)
    futures = []

    def future(*args):
        futures.append(asyncio.ensure_future(down()))
        return futures[-1]

    fn, plain = breaker.wrap_any(future), breaker.wrap(stage.target)
    for _ in range(3):
        fn()
    await asyncio.sleep(0.05)
    for each in futures:
        each.exception()
    await must_be_open(stage, kit, plain, "after 3 futures that failed unwatched")


@row(
    "breaker/partial-of-a-coroutine-function",
    "A functools.partial of a coroutine function is guarded as async.",
    ("async",),
)
async def partial(stage, kit):
    import functools

    async def work(number, *args):
        numbers.append(number)
        raise ConnectionError("down")

    breaker, numbers = kit.breaker(stage), []
    try:
        fn = breaker.wrap(functools.partial(work, 1))
    except AttributeError as error:
        raise Broken(f"decorating it raised {error!r}") from error
    plain = breaker.wrap(stage.target)
    for _ in range(3):
        await stage.run(fn)
    check(numbers == [1, 1, 1], f"the function got {numbers} as its bound argument")
    await must_be_open(stage, kit, plain, "after 3 failures of a partial")


@row("breaker/object-with-async-call", "An object whose `__call__` is async is guarded as async.", ("async",))
async def callable_object(stage, kit):
    class Client:
        async def __call__(self, *args):
            raise ConnectionError("down")

    breaker = kit.breaker(stage)
    try:
        fn = breaker.wrap(Client())
    except AttributeError as error:
        raise Broken(f"decorating it raised {error!r}") from error
    plain = breaker.wrap(stage.target)
    for _ in range(3):
        await stage.run(fn)
    await must_be_open(stage, kit, plain, "after 3 failures of the object")


@row(
    "breaker/decorated-stays-what-it-was", "A decorated function keeps its name and stays a coroutine function or none."
)
async def stays(stage, kit):
    import inspect

    guarded = kit.breaker(stage)
    fn = guarded.wrap_any(stage.target)
    check(fn.__name__ == "target", f"its name is {fn.__name__!r}")
    check(inspect.iscoroutinefunction(fn) == stage.is_async, "it became async, or ceased to be")
