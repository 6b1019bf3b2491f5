"""The bulkhead's queue: order, limits, and those who leave it."""

import asyncio

from demand import Broken, check, row
from stage import Body, Held, Slow, until


@row("bulkhead/fifo", "Those who wait get their slots in the order in which they came.")
async def fifo(stage, kit):
    fn, order = kit.bulkhead(stage, 1).wrap(stage.target), []
    running = await stage.hold(fn)
    calls = []
    for number in range(6):

        class Numbered(Body):
            def _begin(self, number=number):
                order.append(number)
                super()._begin()

        calls.append(stage.start(fn, Numbered()))
        await asyncio.sleep(0.02)
    running.body.finish()
    for call in calls:
        await call.outcome()
    check(order == list(range(6)), f"they ran in the order {order}")


@row(
    "bulkhead/no-overtaking",
    "A newcomer does not overtake one who waits, in the moment when a slot comes free.",
    ("async",),
)
async def overtaking(stage, kit):
    order = []

    async def work(name, gate=None):
        order.append(name)
        if gate is not None:
            await gate.wait()

    fn = kit.bulkhead(stage, 1).wrap(work)
    gate = asyncio.Event()

    async def first():
        await fn("first", gate)
        await fn("newcomer")

    running = asyncio.ensure_future(first())
    await asyncio.sleep(0.02)
    waiter = asyncio.ensure_future(fn("waiter"))
    await asyncio.sleep(0.02)
    gate.set()
    await asyncio.wait([running, waiter])
    check(order == ["first", "waiter", "newcomer"], f"they ran in the order {order}")


@row(
    "bulkhead/cancelled-waiter", "One who waits and is cancelled leaves the queue and takes no slot along.", ("async",)
)
async def cancelled_waiter(stage, kit):
    fn = kit.bulkhead(stage, 1).wrap(stage.target)
    running = await stage.hold(fn)
    waiter = stage.start(fn, Held())
    await asyncio.sleep(0.02)
    waiter.cancel()
    await waiter.outcome()
    running.body.finish()
    await running.outcome()
    call = await stage.hold(fn)
    check(call.body.runs, "the slot was lost to a waiter that had been cancelled")
    call.body.finish()


@row(
    "bulkhead/cancelled-in-the-moment-of-the-grant",
    "A slot granted to a waiter in the moment of its cancellation goes on.",
    ("async",),
)
async def cancelled_grant(stage, kit):
    fn = kit.bulkhead(stage, 1).wrap(stage.target)
    running = await stage.hold(fn)
    waiter = stage.start(fn, Held())
    behind = stage.start(fn, Body())
    await asyncio.sleep(0.02)
    running.future.add_done_callback(lambda _: waiter.cancel())
    running.body.finish()
    check(await until(lambda: waiter.done, 1.0), "the cancellation was lost: the waiter runs on")
    check(await until(lambda: behind.done, 1.0), "the slot was lost: the next in the queue waits for ever")


@row("bulkhead/wait-that-runs-out", "One whose time to wait is over is refused, and leaves no slot taken.")
async def runs_out(stage, kit):
    fn = kit.bulkhead(stage, 1, max_wait=0.05).wrap(stage.target)
    running = await stage.hold(fn)
    body = Body()
    call = stage.start(fn, body)
    check(await until(lambda: call.done, 1.5), "it waits for longer than max_wait")
    outcome = await call.outcome()
    check(isinstance(outcome.error, kit.refused), f"it {outcome}")
    running.body.finish()
    await running.outcome()
    after = await stage.run(fn, Body())
    check(after.error is None, f"after that, with nobody inside, a call {after}")


@row("bulkhead/wait-storm", "Waits that run out while slots come free lose no slot.")
async def wait_storm(stage, kit):
    fn = kit.bulkhead(stage, 2, max_wait=0.01).wrap(stage.target)
    for _ in range(5):
        for call in [stage.start(fn, Slow(0.009)) for _ in range(12)]:
            await call.outcome()
    calls = [await stage.hold(fn) for _ in range(2)]
    ran = sum(call.body.runs for call in calls)
    for call in calls:
        call.body.finish()
    check(ran == 2, f"afterwards {ran} of 2 slots are free")


@row("bulkhead/cancel-storm", "A storm of cancellations loses no slot and overshoots nothing.", ("async",))
async def cancel_storm(stage, kit):
    fn = kit.bulkhead(stage, 3).wrap(stage.target)
    for lag in range(20):
        calls = [stage.start(fn, Slow(0.002)) for _ in range(12)]
        for _ in range(lag):
            await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        for call in calls:
            if not await until(lambda call=call: call.done, 1.0):
                raise Broken("a call waits for ever: slots were lost")
    calls = [await stage.hold(fn) for _ in range(3)]
    fourth = stage.start(fn, Held())
    await asyncio.sleep(0.02)
    ran, more = sum(call.body.runs for call in calls), fourth.body.runs
    for call in (*calls, fourth):
        call.body.finish()
    check(ran == 3, f"afterwards {ran} of 3 slots are free")
    check(not more, "afterwards a fourth call got in beside three")


@row("bulkhead/queue-limit", "More callers than may wait are refused at once.")
async def queue_limit(stage, kit):
    fn = kit.bulkhead(stage, 1, waiting=1).wrap(stage.target)
    running = await stage.hold(fn)
    waiter = stage.start(fn, Body())
    await asyncio.sleep(0.05)
    third = stage.start(fn, Body())
    refused = await until(lambda: third.done, 0.5)
    running.body.finish()
    await waiter.outcome()
    check(refused, "a third caller waits although only one may")
    check(isinstance((await third.outcome()).error, kit.refused), "it was not refused")
