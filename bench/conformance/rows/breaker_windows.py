"""The circuit breaker's windows: failure rates and slow calls."""

import asyncio

from demand import check, row
from moves import admits, fails, must_be_open
from stage import Body, Slow


@row("breaker/rate-needs-calls", "A failure rate is not judged before the least number of calls is reached.")
async def rate_needs_calls(stage, kit):
    fn = kit.breaker(stage, rate=0.5, failures=6).wrap(stage.target)
    await fails(stage, fn, 5)
    check(await admits(stage, kit, fn), "5 failures opened it, of which 6 calls were to be seen first")


@row("breaker/rate-counts-successes", "A failure rate below the threshold leaves it closed, however many fail.")
async def rate_counts(stage, kit):
    fn = kit.breaker(stage, rate=0.5, failures=4).wrap(stage.target)
    for _ in range(5):
        await stage.run(fn, Body())
        await stage.run(fn, Body())
        await fails(stage, fn, 1)
    check(await admits(stage, kit, fn), "a failure rate of a third opened it at a threshold of a half")


@row("breaker/rate-forgets", "Failures older than the window do not count.")
async def rate_forgets(stage, kit):
    fn = kit.breaker(stage, rate=0.5, failures=4, window=1.0).wrap(stage.target)
    await fails(stage, fn, 3)
    await asyncio.sleep(2.1)
    await fails(stage, fn, 1)
    check(await admits(stage, kit, fn), "3 failures older than the window and 1 new one opened it")


@row("breaker/slow-calls", "Successes that take too long open it, where a rule says so.")
async def slow_calls(stage, kit):
    fn = kit.breaker(stage, slow=0.03).wrap(stage.target)
    for _ in range(4):
        await stage.run(fn, Slow(0.05))
    await must_be_open(stage, kit, fn, "after 4 slow calls")


@row("breaker/quick-calls-are-not-slow", "Quick calls do not open it under that rule.")
async def quick_calls(stage, kit):
    fn = kit.breaker(stage, slow=0.25).wrap(stage.target)
    for _ in range(6):
        await stage.run(fn, Slow(0.01))
    check(await admits(stage, kit, fn), "6 quick calls opened it")
