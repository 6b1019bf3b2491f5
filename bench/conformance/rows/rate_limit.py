"""The rate limit: burst, pace, and those who wait."""

import asyncio
import time

from demand import check, row
from stage import Body


@row("rate-limit/burst", "After a pause the burst passes at once, and not one more.")
async def burst(stage, kit):
    fn = kit.rate_limit(stage, 5, 60.0, burst=5).wrap(stage.target)
    outcomes = [await stage.run(fn, Body()) for _ in range(6)]
    passed = sum(outcome.error is None for outcome in outcomes)
    check(passed == 5, f"{passed} of 6 passed, the burst is 5")


@row("rate-limit/pace", "Calls that wait pass at the pace, none earlier.")
async def pace(stage, kit):
    fn = kit.rate_limit(stage, 20, 1.0, burst=1, max_wait=5.0).wrap(stage.target)
    began = time.monotonic()
    calls = [stage.start(fn, Body()) for _ in range(7)]
    outcomes = [await call.outcome() for call in calls]
    took = time.monotonic() - began
    check(all(outcome.error is None for outcome in outcomes), "a call that could wait was refused")
    check(took >= 0.299, f"7 calls at 20 a second passed in {took:.3f} s")
    check(took < 0.6, f"7 calls at 20 a second took {took:.3f} s")


@row("rate-limit/says-when", "The refusal says when a call could pass.")
async def says_when(stage, kit):
    fn = kit.rate_limit(stage, 2, 1.0, burst=1).wrap(stage.target)
    await stage.run(fn, Body())
    outcome = await stage.run(fn, Body())
    left = kit.retry_after(outcome.error)
    check(0.3 < left <= 0.5, f"with one call each 0.5 s it says {left:.2f} s")


@row("rate-limit/cancelled-waiter", "One who waits and is cancelled gives its turn back.", ("async",))
async def turn_back(stage, kit):
    fn = kit.rate_limit(stage, 5, 1.0, burst=1, max_wait=5.0).wrap(stage.target)
    await stage.run(fn, Body())
    waiters = [stage.start(fn, Body()) for _ in range(10)]
    await asyncio.sleep(0.02)
    for call in waiters:
        call.cancel()
        await call.outcome()
    began = time.monotonic()
    await stage.run(fn, Body())
    took = time.monotonic() - began
    check(took < 0.6, f"after 10 waiters were cancelled the next call waited {took:.2f} s instead of 0.2 s")


@row("rate-limit/behind-a-cancelled-one", "Those behind one that was cancelled move up.", ("async",))
async def move_up(stage, kit):
    fn = kit.rate_limit(stage, 4, 1.0, burst=1, max_wait=5.0).wrap(stage.target)
    await stage.run(fn, Body())
    began = time.monotonic()
    calls = [stage.start(fn, Body()) for _ in range(4)]
    await asyncio.sleep(0.02)
    for call in calls[:3]:
        call.cancel()
    await calls[3].outcome()
    took = time.monotonic() - began
    check(took < 0.6, f"the fourth in the queue waited {took:.2f} s though the three before it had left")


@row("rate-limit/impossible-wait", "A wait longer than allowed is refused at once, not after the wait.")
async def impossible(stage, kit):
    fn = kit.rate_limit(stage, 1, 10.0, burst=1, max_wait=0.5).wrap(stage.target)
    await stage.run(fn, Body())
    began = time.monotonic()
    outcome = await stage.run(fn, Body())
    check(isinstance(outcome.error, kit.refused), f"it {outcome}")
    check(time.monotonic() - began < 0.3, "it waited before it was refused")


@row("rate-limit/refused-takes-nothing", "Refused calls use nothing up.")
async def takes_nothing(stage, kit):
    fn = kit.rate_limit(stage, 5, 1.0, burst=1, max_wait=0.0).wrap(stage.target)
    await stage.run(fn, Body())
    for _ in range(20):
        await stage.run(fn, Body())
    await asyncio.sleep(0.25)
    outcome = await stage.run(fn, Body())
    check(outcome.error is None, f"after the pause of one call, and 20 refused ones in between, a call {outcome}")
