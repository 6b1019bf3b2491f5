"""The circuit breaker and results that come too late: from before the trip, the round, the reset."""

import asyncio

from demand import NotApplicable, check, row
from moves import RECOVERED, admits, fails, half_open, must_be_open


@row(
    "breaker/stale-failures-after-recovery",
    "Failures of calls that began before the trip do not open a recovered circuit.",
    overlap=True,
)
async def stale_failures(stage, kit):
    fn = kit.breaker(stage).wrap(stage.target)
    old = [await stage.hold(fn) for _ in range(3)]
    await fails(stage, fn)
    await asyncio.sleep(RECOVERED)
    check(await admits(stage, kit, fn), "no probe was admitted")
    for call in old:
        call.body.fail(ConnectionError("late"))
        await call.outcome()
    check(await admits(stage, kit, fn), "3 late failures of an earlier era opened it again")


@row(
    "breaker/stale-success-while-half-open",
    "A success of a call that began before the trip does not close it while it probes.",
    overlap=True,
)
async def stale_success(stage, kit):
    fn = kit.breaker(stage).wrap(stage.target)
    old = await stage.hold(fn)
    await fails(stage, fn)
    await asyncio.sleep(RECOVERED)
    probe = await stage.hold(fn)
    check(probe.body.runs, "no probe was admitted")
    old.body.finish()
    await old.outcome()
    probe.body.fail(ConnectionError("down"))
    await probe.outcome()
    await must_be_open(stage, kit, fn, "after the probe failed: a late success had closed it")


@row(
    "breaker/stale-failure-while-half-open",
    "A failure of a call that began before the trip does not fail the probe.",
    overlap=True,
)
async def stale_failure_half_open(stage, kit):
    fn = kit.breaker(stage).wrap(stage.target)
    old = await stage.hold(fn)
    await fails(stage, fn)
    await asyncio.sleep(RECOVERED)
    probe = await stage.hold(fn)
    check(probe.body.runs, "no probe was admitted")
    old.body.fail(ConnectionError("late"))
    await old.outcome()
    probe.body.finish()
    await probe.outcome()
    check(await admits(stage, kit, fn), "a late failure opened it although the probe succeeded")


@row(
    "breaker/stale-success-while-open",
    "A success of a call that began before the trip does not close an open circuit.",
    overlap=True,
)
async def stale_success_open(stage, kit):
    fn = kit.breaker(stage).wrap(stage.target)
    old = await stage.hold(fn)
    await fails(stage, fn)
    old.body.finish()
    await old.outcome()
    await must_be_open(stage, kit, fn, "after a late success, in the middle of the open time")


@row(
    "breaker/stale-failure-while-open",
    "A failure of a call that began before the trip does not prolong the open time.",
    overlap=True,
)
async def stale_failure_open(stage, kit):
    fn = kit.breaker(stage, open_for=0.3).wrap(stage.target)
    old = await stage.hold(fn)
    await fails(stage, fn)
    await asyncio.sleep(0.2)
    old.body.fail(ConnectionError("late"))
    await old.outcome()
    await asyncio.sleep(0.15)
    check(await admits(stage, kit, fn), "a late failure began the open time anew")


@row(
    "breaker/stale-probe-of-an-earlier-round",
    "A probe left over from one half-open round is no result of the next.",
    overlap=True,
)
async def stale_probe(stage, kit):
    fn = await half_open(stage, kit, probes=2, successes=2)
    first = await stage.hold(fn)
    check(first.body.runs, "no probe was admitted")
    await fails(stage, fn, 1)
    await asyncio.sleep(RECOVERED)
    second = await stage.hold(fn)
    if not second.body.runs:
        raise NotApplicable("never ends a round while a probe hangs, see breaker/hung-probe")
    third = await stage.hold(fn)
    fourth = await stage.hold(fn)
    if fourth.body.runs:
        raise NotApplicable("does not limit its probes, see breaker/flood")
    third.cancel()
    await third.outcome()
    third = await stage.hold(fn)
    first.body.finish()
    await first.outcome()
    others = [await stage.hold(fn) for _ in range(2)]
    ran = 1 + third.body.runs + sum(call.body.runs for call in others)
    for call in (second, third, *others):
        call.body.finish()
    check(ran <= 2, f"with 2 probes allowed at once, {ran} ran: the old probe gave back a slot that was not its own")


@row(
    "breaker/stale-probe-after-closing",
    "A probe left over from a half-open round does not count in the closed circuit after it.",
    overlap=True,
)
async def stale_probe_closed(stage, kit):
    fn = await half_open(stage, kit, probes=2, successes=2, failures=3)
    left = await stage.hold(fn)
    check(left.body.runs, "no probe was admitted")
    for _ in range(2):
        if not await admits(stage, kit, fn):
            raise NotApplicable("never closes while a probe hangs, see breaker/hung-probe")
    await fails(stage, fn, 2)
    left.body.fail(ConnectionError("late"))
    await left.outcome()
    check(await admits(stage, kit, fn), "2 failures and one of an old probe opened it, at a threshold of 3")


@row(
    "breaker/stale-results-after-reset",
    "Results of calls that began before a reset by hand do not count after it.",
    overlap=True,
)
async def stale_after_reset(stage, kit):
    breaker = kit.breaker(stage)
    fn = breaker.wrap(stage.target)
    old = [await stage.hold(fn) for _ in range(3)]
    kit.reset(stage, breaker)
    for call in old:
        call.body.fail(ConnectionError("late"))
        await call.outcome()
    check(await admits(stage, kit, fn), "failures that began before the reset opened it")
