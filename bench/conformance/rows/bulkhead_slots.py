"""The bulkhead's slots: never too many out, each given back, one cap for all."""

import asyncio
import pickle
import threading

from demand import Broken, check, row
from stage import Body, Slow, until


async def crowd(stage, fn, calls, seconds=0.005):
    """Run many calls at once and return the most that ran at the same time."""
    lock, state = threading.Lock(), {"now": 0, "peak": 0}

    class Counted(Slow):
        def _begin(self):
            super()._begin()
            with lock:
                state["now"] += 1
                state["peak"] = max(state["peak"], state["now"])

        def _next(self):
            with lock:
                state["now"] -= 1
            return super()._next()

    for call in [stage.start(fn, Counted(seconds)) for _ in range(calls)]:
        await call.outcome()
    return state["peak"]


@row("bulkhead/no-overshoot", "Of 40 calls at once never more than 5 run.")
async def overshoot(stage, kit):
    peak = await crowd(stage, kit.bulkhead(stage, 5).wrap(stage.target), 40)
    check(peak == 5, f"{peak} ran at once")


@row("bulkhead/failures-return-the-slot", "Calls that fail or are cancelled give their slots back.")
async def failures(stage, kit):
    fn = kit.bulkhead(stage, 1).wrap(stage.target)
    await stage.run(fn, Body(ConnectionError("down")))
    call = await stage.hold(fn)
    check(call.body.runs, "a failed call kept its slot")
    call.cancel()
    await call.outcome()
    call = await stage.hold(fn)
    check(call.body.runs, "a cancelled call kept its slot")
    call.body.finish()


@row("bulkhead/stream-holds-the-slot", "A stream holds its slot until it ends or is closed, and then gives it back.")
async def stream(stage, kit):
    bulkhead = kit.bulkhead(stage, 1, max_wait=0.0)
    fn, plain = bulkhead.wrap_stream(stage.stream_fn([1, 2])), bulkhead.wrap(stage.target)
    reader = stage.open(fn)
    await reader.next()
    outcome = await stage.run(plain, Body())
    check(isinstance(outcome.error, kit.refused), "while a stream was open a second call got in")
    await reader.close()
    outcome = await stage.run(plain, Body())
    check(outcome.error is None, f"after the stream was closed a call {outcome}")


@row(
    "bulkhead/lambda-returning-a-coroutine",
    "A plain function that returns a coroutine holds the slot while that is awaited.",
    ("async",),
)
async def coroutine_holds(stage, kit):
    bulkhead = kit.bulkhead(stage, 1)
    peak = await crowd(stage, bulkhead.wrap(lambda body: body.arun()), 6)
    check(peak == 1, f"{peak} ran at once")


@row("bulkhead/one-cap-over-loops", "One cap holds over event loops in several threads.", ("async",))
async def loops(stage, kit):
    fn = kit.bulkhead(stage, 1, max_wait=0.05).wrap(stage.target)
    running = await stage.hold(fn)
    seen = []

    def work():
        async def main():
            seen.append(await stage.run(fn, Body()))

        asyncio.run(main())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    check(await until(lambda: not thread.is_alive()), "the call in the other loop never ended")
    running.body.finish()
    await running.outcome()
    check(isinstance(seen[0].error, kit.refused), f"with the only slot taken, a call in another loop {seen[0]}")


@row("bulkhead/one-cap-over-colours", "One cap holds over sync and async functions.", ("async",))
async def colours(stage, kit):
    bulkhead = kit.bulkhead(stage, 1, max_wait=0.05)
    fn, plain = bulkhead.wrap(stage.target), bulkhead.wrap_any(lambda: "in")
    running = await stage.hold(fn)
    seen = []

    def work():
        try:
            seen.append(plain())
        except Exception as error:
            seen.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    await until(lambda: not thread.is_alive())
    running.body.finish()
    await running.outcome()
    check(isinstance(seen[0], kit.refused), f"with the only slot taken by a task, a thread got {seen[0]!r}")


@row("bulkhead/refusal-can-be-pickled", "The refusal survives a process boundary.")
async def full_pickled(stage, kit):
    fn = kit.bulkhead(stage, 1, max_wait=0.01).wrap(stage.target)
    running = await stage.hold(fn)
    error = (await stage.run(fn, Body())).error
    running.body.finish()
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    except Exception as broken:
        raise Broken(f"pickling it raised {broken!r}"[:120]) from broken
    check(str(copy) == str(error), f"it came back saying {str(copy)!r}")
