"""The timeout and cancellation: its own, the caller's, and both at once."""

import asyncio
import contextlib
import time

from demand import check, row
from stage import Slow


@row("timeout/outer-cancel", "A cancellation from outside stays one, also shortly before the limit.", ("async",))
async def outer(stage, kit):
    fn = kit.timeout(stage, 0.1).wrap(stage.target)
    for lead in (0.05, 0.002):
        call = await stage.hold(fn, Slow(2.0))
        await asyncio.sleep(0.1 - lead - 0.01)
        if call.done:
            continue
        call.cancel()
        outcome = await call.outcome()
        check(isinstance(outcome.error, asyncio.CancelledError), f"the cancelled call {outcome}")


@row(
    "timeout/cancel-wins-over-the-limit",
    "When both a cancellation and the limit fall due, the cancellation is not lost.",
    ("async",),
)
async def both(stage, kit):
    fn, loop = kit.timeout(stage, 0.05).wrap(stage.target), asyncio.get_running_loop()
    for cancelled_after in (0.03, 0.07):
        began = loop.time()
        call = await stage.hold(fn, Slow(2.0))
        loop.call_at(began + cancelled_after, call.cancel)
        time.sleep(0.1)  # noqa: ASYNC251 - the loop stands still, so both fall due in the same round
        outcome = await call.outcome()
        order = "after" if cancelled_after > 0.05 else "before"
        check(isinstance(outcome.error, asyncio.CancelledError), f"cancelled {order} its limit the call {outcome}")


@row(
    "timeout/inner-expiry-leaves-the-task-alone",
    "After its expiry was caught the task can go on: no cancellation is left.",
    ("async",),
)
async def task_alone(stage, kit):
    fn = kit.timeout(stage, 0.05).wrap(stage.target)
    left = []

    async def work():
        with contextlib.suppress(Exception):
            await fn(Slow(2.0))
        left.append(asyncio.current_task().cancelling())
        await asyncio.sleep(0.01)

    await asyncio.wait([asyncio.ensure_future(work())])
    check(left == [0], f"cancelling() is {left} afterwards")


@row(
    "timeout/late-return", "A call that swallows the cancellation and returns leaves the task uncancelled.", ("async",)
)
async def late(stage, kit):
    async def stubborn():
        try:
            await asyncio.sleep(2.0)
        except asyncio.CancelledError:
            return "rescued"

    fn, left = kit.timeout(stage, 0.05).wrap(stubborn), []

    async def work():
        with contextlib.suppress(Exception):
            await fn()
        left.append(asyncio.current_task().cancelling())

    await asyncio.wait([asyncio.ensure_future(work())])
    check(left == [0], f"cancelling() is {left} afterwards")


@row("timeout/nested", "Of two limits the shorter holds, from outside or inside.", ("async",))
async def nested(stage, kit):
    for outside, inside in ((0.1, 2.0), (2.0, 0.1)):
        fn = kit.timeout(stage, outside).wrap(kit.timeout(stage, inside).wrap(stage.target))
        began = time.monotonic()
        outcome = await stage.run(fn, Slow(3.0))
        took = time.monotonic() - began
        check(outcome.error is not None, "nothing was cut")
        check(took < 0.6, f"limits of {outside} and {inside} s cut after {took:.2f} s")


@row("timeout/cleanup-is-awaited", "The call's clean-up has ended when the error is raised.", ("async",))
async def cleanup(stage, kit):
    done = []

    async def work():
        try:
            await asyncio.sleep(2.0)
        finally:
            await asyncio.sleep(0.05)
            done.append(True)

    await stage.run(kit.timeout(stage, 0.05).wrap(work))
    check(done, "the error was raised while the clean-up was still running")
