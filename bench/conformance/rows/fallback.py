"""The fallback: what it stands in for."""

import asyncio

from demand import check, row
from stage import Body, Interrupt


@row("fallback/cancellation", "A cancelled (sync: interrupted) call is not answered by the fallback.")
async def fallback_cancel(stage, kit):
    call = await stage.hold(kit.fallback(stage, "instead").wrap(stage.target))
    call.cancel()
    outcome = await call.outcome()
    check(isinstance(outcome.error, (asyncio.CancelledError, Interrupt)), f"the cancelled call {outcome}")


@row("fallback/answers", "A failed call is answered by the value, a good one by itself.")
async def fallback_answers(stage, kit):
    fn = kit.fallback(stage, "instead").wrap(stage.target)
    check((await stage.run(fn, Body(ConnectionError("down")))).value == "instead", "it did not stand in")
    check((await stage.run(fn, Body("fine"))).value == "fine", "it stood in for a good answer")


@row("fallback/other-exceptions-pass", "An exception that it is not for passes.")
async def fallback_passes(stage, kit):
    fn = kit.fallback(stage, "instead", on=ConnectionError).wrap(stage.target)
    outcome = await stage.run(fn, Body(LookupError("a bug")))
    check(isinstance(outcome.error, LookupError), f"the call {outcome}")


@row("fallback/refusals", "It stands in for a call that an open circuit refused.")
async def fallback_refusals(stage, kit):
    breaker = kit.breaker(stage)
    plain = breaker.wrap(stage.target)
    fn = kit.fallback(stage, "instead").wrap(plain)
    for _ in range(3):
        await stage.run(plain, Body(ConnectionError("down")))
    outcome = await stage.run(fn, Body())
    check(outcome.value == "instead", f"the call {outcome}")
