"""What the circuit breaker counts as a failure, as a success, and as neither."""

import asyncio

from demand import check, row
from moves import Unimportant, admits, cancelled, fails, must_be_open
from stage import Body


@row("breaker/cancel-while-closed", "Cancelled (sync: interrupted) calls are no failures.")
async def cancel_closed(stage, kit):
    fn = kit.breaker(stage).wrap(stage.target)
    for _ in range(4):
        call = await stage.hold(fn)
        call.cancel()
        await call.outcome()
    check(await admits(stage, kit, fn), "4 cancelled calls opened it")


@row("breaker/cancel-is-no-success", "Cancelled calls do not break a row of failures.")
async def cancel_no_success(stage, kit):
    fn = kit.breaker(stage, failures=3).wrap(stage.target)
    await fails(stage, fn, 2)
    await cancelled(stage, fn)
    await fails(stage, fn, 1)
    await must_be_open(stage, kit, fn, "after 2 failures, a cancelled call and a failure")


@row(
    "breaker/cancel-while-open",
    "Cancelling a call of the closed era while the circuit is open changes nothing.",
    overlap=True,
)
async def cancel_open(stage, kit):
    fn = kit.breaker(stage, open_for=0.3).wrap(stage.target)
    old = await stage.hold(fn)
    await fails(stage, fn)
    await asyncio.sleep(0.1)
    old.cancel()
    await old.outcome()
    await must_be_open(stage, kit, fn, "after a cancellation in the open state")
    await asyncio.sleep(0.25)
    check(await admits(stage, kit, fn), "the cancellation prolonged the open time")


@row("breaker/ignored-is-no-success", "An ignored exception is a third outcome: it does not break a row of failures.")
async def ignored_no_success(stage, kit):
    fn = kit.breaker(stage, ignore=Unimportant).wrap(stage.target)
    await fails(stage, fn, 2)
    await stage.run(fn, Body(Unimportant()))
    await fails(stage, fn, 1)
    await must_be_open(stage, kit, fn, "after 2 failures, an ignored exception and a failure")


@row("breaker/ignored-is-no-failure", "Ignored exceptions do not open it.")
async def ignored_no_failure(stage, kit):
    fn = kit.breaker(stage, ignore=Unimportant).wrap(stage.target)
    for _ in range(6):
        await stage.run(fn, Body(Unimportant()))
    check(await admits(stage, kit, fn), "6 ignored exceptions opened it")


@row("breaker/rule-of-the-user", "A rule of the user decides which exceptions are failures.")
async def users_rule(stage, kit):
    fn = kit.breaker(stage, failure_if=lambda error: isinstance(error, ConnectionError)).wrap(stage.target)
    for _ in range(4):
        await stage.run(fn, Body(LookupError("not there: an answer")))
    check(await admits(stage, kit, fn), "exceptions that the rule calls harmless opened it")
    await fails(stage, fn)
    await stage.run(fn, Body())


@row("breaker/failed-results", "Results that a rule calls failures open it, though nothing was raised.")
async def failed_results(stage, kit):
    fn = kit.breaker(stage, failed_result=lambda result: result == "bad").wrap(stage.target)
    for _ in range(3):
        await stage.run(fn, Body("bad"))
    await must_be_open(stage, kit, fn, "after 3 failed results")


@row("breaker/error-passes-unchanged", "The caller gets the very exception that was raised, not a copy or a wrapper.")
async def error_unchanged(stage, kit):
    error = ConnectionError("mine")
    fn = kit.breaker(stage, failures=1).wrap(stage.target)
    outcome = await stage.run(fn, Body(error))
    check(outcome.error is error, f"the call {outcome}")
    check(error.__cause__ is None, "a cause was added to it")


@row(
    "breaker/refusals-of-policies-inside",
    "A bulkhead that is full inside the breaker says nothing about the dependency.",
)
async def refusals_inside(stage, kit):
    breaker = kit.breaker(stage)
    fn = breaker.wrap(kit.bulkhead(stage, 1, max_wait=0.0).wrap(stage.target))
    running = await stage.hold(fn)
    for _ in range(4):
        await stage.run(fn, Body())
    running.body.finish()
    await running.outcome()
    body = Body()
    outcome = await stage.run(fn, body)
    check(body.runs, f"4 refusals by its own bulkhead opened it: the next call {outcome}")
