"""The circuit breaker's states: when it opens, how long it stays open, how it closes."""

import asyncio
import time

from demand import check, row
from moves import admits, fails, half_open, must_be_open
from stage import Body, Held


@row("breaker/threshold", "It opens at the threshold, not one failure earlier, and then runs nothing.")
async def threshold(stage, kit):
    fn = kit.breaker(stage, failures=3).wrap(stage.target)
    await fails(stage, fn, 2)
    body = Held()
    call = await stage.hold(fn, body)
    check(body.runs, "it was open after 2 of 3 failures")
    body.fail(ConnectionError("down"))
    await call.outcome()
    await must_be_open(stage, kit, fn)
    touchy = kit.breaker(stage, failures=1).wrap(stage.target)
    await fails(stage, touchy, 1)
    await must_be_open(stage, kit, touchy, "after 1 failure, at a threshold of 1")


@row("breaker/success-breaks-the-row", "With a rule of failures in a row, a success in between starts the count anew.")
async def success_breaks_the_row(stage, kit):
    fn = kit.breaker(stage, failures=3, consecutive=True).wrap(stage.target)
    await fails(stage, fn, 2)
    await stage.run(fn, Body())
    await fails(stage, fn, 2)
    check(await admits(stage, kit, fn), "2 failures, a success and 2 failures opened it")


@row("breaker/retry-after-is-what-remains", "The refusal says how much of the open time is left, not how long it was.")
async def retry_after(stage, kit):
    fn = kit.breaker(stage, open_for=1.0).wrap(stage.target)
    await fails(stage, fn)
    await asyncio.sleep(0.4)
    outcome = await stage.run(fn, Body())
    left = kit.retry_after(outcome.error)
    check(0.2 <= left <= 0.65, f"0.4 s into an open time of 1 s it says {left:.2f} s")


@row("breaker/rejections-do-not-prolong", "Calls that are refused do not prolong the open time.")
async def rejections_do_not_prolong(stage, kit):
    fn = kit.breaker(stage, open_for=0.3).wrap(stage.target)
    await fails(stage, fn)
    end = time.monotonic() + 0.36
    while time.monotonic() < end:
        body = Body()
        await stage.run(fn, body)
        if body.runs:
            return
        await asyncio.sleep(0.02)
    check(await admits(stage, kit, fn), "a steady stream of refused calls kept it open for longer than 0.3 s")


@row("breaker/recovers", "After the open time a success closes it, and everything is admitted again.")
async def recovers(stage, kit):
    fn = await half_open(stage, kit)
    check(await admits(stage, kit, fn), "no probe was admitted after the open time")
    await fails(stage, fn, 1)
    for _ in range(5):
        check(await admits(stage, kit, fn), "after its recovery a single failure opened it")


@row("breaker/failed-probe-reopens", "A failed probe opens it again for the whole open time.")
async def failed_probe(stage, kit):
    fn = await half_open(stage, kit)
    await fails(stage, fn, 1)
    await must_be_open(stage, kit, fn, "right after a failed probe")
    await asyncio.sleep(0.07)
    await must_be_open(stage, kit, fn, "in the middle of the second open time")


@row("breaker/success-threshold", "Where two successes are asked for, one does not close it.")
async def success_threshold(stage, kit):
    fn = await half_open(stage, kit, successes=2)
    await stage.run(fn, Body())
    await fails(stage, fn, 1)
    await must_be_open(stage, kit, fn, "after 1 of 2 successes and a failure")


@row("breaker/open-time-grows", "Where growth is asked for, the second open time is longer than the first.")
async def open_time_grows(stage, kit):
    fn = await half_open(stage, kit, growth=4.0)
    await fails(stage, fn, 1)
    await asyncio.sleep(0.25)
    await must_be_open(stage, kit, fn, "0.25 s into a second open time of 0.6 s")
