"""The timeout's limits: its time, its error, what it is around."""

import asyncio
import pickle
import time

from demand import Broken, check, row
from stage import Body, Held, Slow, until


@row("timeout/cuts", "A call that takes too long ends in time, with a `TimeoutError` or a documented error of its own.")
async def cuts(stage, kit):
    call = stage.start(kit.timeout(stage, 0.1).wrap(stage.target), Slow(3.0))
    check(await until(lambda: call.done, 1.5), "it still runs after 1.5 s, the limit is 0.1 s")
    outcome = await call.outcome()
    check(outcome.error is not None, "it returned as if nothing had happened")


@row("timeout/own-is-a-timeout-error", "Its error can be caught as `TimeoutError`.")
async def own(stage, kit):
    outcome = await stage.run(kit.timeout(stage, 0.05).wrap(stage.target), Slow(0.5))
    check(isinstance(outcome.error, TimeoutError), f"it {outcome}")


@row("timeout/users-timeout-error", "A `TimeoutError` that the call raises itself passes as it is.")
async def users(stage, kit):
    mine = TimeoutError("the database said so")
    outcome = await stage.run(kit.timeout(stage, 2.0).wrap(stage.target), Body(mine))
    check(outcome.error is mine, f"the call {outcome} {outcome.error}")


@row("timeout/not-early", "No call is cut before its time.")
async def early(stage, kit):
    fn = kit.timeout(stage, 0.1).wrap(stage.target)
    for _ in range(3):
        began = time.monotonic()
        await stage.run(fn, Slow(1.0))
        took = time.monotonic() - began
        check(took >= 0.0999, f"it was cut after {took * 1000:.1f} ms, the limit is 100 ms")


@row("timeout/each-its-own-time", "Calls that begin one after the other are each cut at their own time.", ("async",))
async def each(stage, kit):
    fn = kit.timeout(stage, 0.2).wrap(stage.target)
    took = []

    async def one():
        began = time.monotonic()
        await stage.run(fn, Slow(2.0))
        took.append(time.monotonic() - began)

    tasks = []
    for _ in range(5):
        tasks.append(asyncio.ensure_future(one()))
        await asyncio.sleep(0.05)
    await asyncio.wait(tasks)
    check(all(0.199 <= each < 0.32 for each in took), f"they took {[round(each, 2) for each in took]}")


@row(
    "timeout/sync-is-not-silently-endless",
    "Around a sync function it either cuts the wait or refuses to pretend.",
    ("sync",),
)
async def sync_refused(stage, kit):
    guarded = kit.bare_timeout(stage, 0.1)
    try:
        fn = guarded.wrap(stage.target)
    except Exception:
        return
    call = stage.start(fn, Slow(3.0))
    check(await until(lambda: call.done, 1.0), "the decorated sync call runs without a limit")


@row("timeout/items-of-a-stream", "Of an async generator each wait for an item is limited.", ("async",))
async def items(stage, kit):
    async def source():
        yield 1
        await asyncio.sleep(2.0)
        yield 2

    fn = kit.timeout(stage, 0.1).wrap_stream(source)
    began = time.monotonic()
    got, error = await stage.drain(fn)
    check(got == [1], f"the reader got {got}")
    check(error is not None and time.monotonic() - began < 1.0, "the stalled stream was not cut")


@row("timeout/lambda-returning-a-coroutine", "A plain function that returns a coroutine is limited.", ("async",))
async def coroutine(stage, kit):
    guarded = kit.timeout(stage, 0.1)
    try:
        fn = guarded.wrap(lambda *args: asyncio.sleep(2.0))
    except Exception:
        return
    began = time.monotonic()
    outcome = await stage.run(fn)
    check(time.monotonic() - began < 1.0, f"it ran for {time.monotonic() - began:.1f} s and {outcome}")


@row("timeout/counts-for-the-breaker", "A breaker around a timeout counts its expiries.")
async def counts(stage, kit):
    breaker = kit.breaker(stage)
    fn = breaker.wrap(kit.timeout(stage, 0.02).wrap(stage.target))
    for _ in range(3):
        await stage.run(fn, Slow(0.3))
    body = Body()
    await stage.run(fn, body)
    check(body.runs == 0, "3 expiries did not open the breaker")


@row("timeout/threads-left-behind", "Sync calls that were left behind are bounded in number.", ("sync",))
async def left_behind(stage, kit):
    fn = kit.timeout(stage, 0.02, most=2).wrap(stage.target)
    bodies = [Held() for _ in range(4)]
    for body in bodies:
        await stage.run(fn, body)
    ran = sum(body.runs for body in bodies)
    for body in bodies:
        body.finish()
    check(ran == 2, f"with 2 allowed, {ran} calls were left running")


@row("timeout/error-can-be-pickled", "Its error survives a process boundary.")
async def pickled(stage, kit):
    outcome = await stage.run(kit.timeout(stage, 0.05).wrap(stage.target), Slow(0.4))
    check(outcome.error is not None, "nothing was cut")
    try:
        copy = pickle.loads(pickle.dumps(outcome.error))  # noqa: S301
    except Exception as error:
        raise Broken(f"pickling it raised {error!r}"[:120]) from error
    check(type(copy) is type(outcome.error) and str(copy) == str(outcome.error), f"it came back as {copy!r}")
