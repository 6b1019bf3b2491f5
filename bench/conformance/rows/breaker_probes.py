"""The circuit breaker's probes: how many, and what becomes of one that hangs."""

import asyncio

from demand import NotApplicable, check, row
from moves import OPEN_FOR, Unimportant, admits, cancelled, fails, half_open, must_be_open
from stage import Body, Held


@row("breaker/flood", "Of 50 callers at the end of the open time only the allowed one probes.")
async def flood(stage, kit):
    fn = await half_open(stage, kit)
    bodies = [Held() for _ in range(50)]
    calls = [stage.start(fn, body) for body in bodies]
    await asyncio.sleep(0.1)
    ran = sum(body.runs for body in bodies)
    for body in bodies:
        body.finish()
    for call in calls:
        await call.outcome()
    check(ran == 1, f"{ran} callers ran at once")


@row("breaker/hung-probe", "A probe that never returns does not keep the circuit shut for ever.")
async def hung_probe(stage, kit):
    fn = await half_open(stage, kit)
    probe = await stage.hold(fn)
    check(probe.body.runs, "no probe was admitted")
    await asyncio.sleep(6 * OPEN_FOR)
    check(await admits(stage, kit, fn), "six open times after a probe began to hang, calls are still refused")


@row(
    "breaker/hung-probe-comes-back-late",
    "The late result of a probe whose slot went to another one counts for nothing.",
    overlap=True,
)
async def late_probe(stage, kit):
    fn = await half_open(stage, kit)
    hung = await stage.hold(fn)
    await asyncio.sleep(6 * OPEN_FOR)
    second = await stage.hold(fn)
    if not second.body.runs:
        raise NotApplicable("never replaces a hung probe, see breaker/hung-probe")
    hung.body.finish()
    await hung.outcome()
    second.body.fail(ConnectionError("down"))
    await second.outcome()
    await must_be_open(stage, kit, fn, "after the probe failed: the late success of the hung one had closed it")


@row("breaker/cancelled-probe-returns-the-slot", "Cancelling the only probe lets the next one in at once.")
async def cancelled_probe(stage, kit):
    fn = await half_open(stage, kit)
    await cancelled(stage, fn)
    check(await admits(stage, kit, fn), "after its only probe was cancelled it refused the next call")


@row("breaker/cancelled-probe-does-not-close", "A cancelled probe is no proof of health.")
async def cancelled_probe_no_close(stage, kit):
    fn = await half_open(stage, kit)
    await cancelled(stage, fn)
    await fails(stage, fn, 1)
    await must_be_open(stage, kit, fn, "after the next probe failed: the cancelled one had closed it")


@row(
    "breaker/ignored-probe-returns-the-slot",
    "A probe that ends in an ignored exception gives its slot back and closes nothing.",
)
async def ignored_probe(stage, kit):
    fn = await half_open(stage, kit, ignore=Unimportant)
    await stage.run(fn, Body(Unimportant()))
    body = Body(ConnectionError("down"))
    await stage.run(fn, body)
    check(body.runs, "the ignored probe kept its slot")
    await must_be_open(stage, kit, fn, "after the next probe failed: the ignored one had closed it")


@row("breaker/rule-that-raises", "A user's rule that raises while a probe is judged does not cost the slot.")
async def rule_raises(stage, kit):
    def rule(error):
        if isinstance(error, LookupError):
            raise RuntimeError("the rule is broken")  # noqa: TRY004 - it is about a rule, not a type
        return True

    fn = await half_open(stage, kit, failure_if=rule)
    await stage.run(fn, Body(LookupError("a")))
    await asyncio.sleep(0.02)
    check(await admits(stage, kit, fn), "the slot of the probe was lost")
