"""What rows do to a circuit breaker: trip it, wait, ask whether it admits."""

import asyncio

from demand import check
from stage import Body, Interrupt

OPEN_FOR = 0.15
RECOVERED = 0.2


async def fails(stage, fn, times=3):
    for _ in range(times):
        await stage.run(fn, Body(ConnectionError("down")))


async def admits(stage, kit, fn):
    """Tell whether a call runs; it succeeds."""
    body = Body()
    outcome = await stage.run(fn, body)
    check(bool(body.runs) != isinstance(outcome.error, kit.refused), f"a call ran {body.runs} times and {outcome}")
    return bool(body.runs)


async def must_be_open(stage, kit, fn, when="after 3 failures"):
    check(not await admits(stage, kit, fn), f"a call ran {when}")


async def half_open(stage, kit, **options):
    """Return a breaker whose open time is over, around the target."""
    fn = kit.breaker(stage, **options).wrap(stage.target)
    await fails(stage, fn)
    await must_be_open(stage, kit, fn)
    await asyncio.sleep(RECOVERED)
    return fn


async def cancelled(stage, fn):
    call = await stage.hold(fn)
    check(call.body.runs, "the call that was to be cancelled did not run")
    call.cancel()
    outcome = await call.outcome()
    check(isinstance(outcome.error, (asyncio.CancelledError, Interrupt)), f"a cancelled call {outcome}")


class Unimportant(Exception):
    """Ignored by setting."""
