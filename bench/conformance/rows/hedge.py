"""The hedge: who wins, who is reaped."""

import asyncio

from demand import check, row
from stage import Body, Slow, until


@row("hedge/first-answer-wins", "The second attempt's answer is returned while the first still hangs.")
async def first_wins(stage, kit):
    bodies = [Slow(3.0, "slow"), Body("quick")]
    turn = iter(bodies)

    if stage.is_async:

        async def work():
            return await next(turn).arun()
    else:

        def work():
            return next(turn).run()

    call = stage.start(kit.hedge(stage, 0.05).wrap(work))
    check(await until(lambda: call.done, 1.5), "it waits for the attempt that hangs")
    outcome = await call.outcome()
    check(outcome.value == "quick", f"it {outcome}")


@row("hedge/losers-are-reaped", "When the answer is returned, no other attempt runs any more.", ("async",))
async def reaped(stage, kit):
    running = []

    numbers = iter(range(10))

    async def work():
        mine = next(numbers)
        running.append(mine)
        try:
            await asyncio.sleep(3.0 if mine == 0 else 0.01)
            return mine
        finally:
            await asyncio.sleep(0.01)
            running.remove(mine)

    fn = kit.hedge(stage, 0.03).wrap(work)
    outcome = await stage.run(fn)
    check(outcome.value == 1, f"it {outcome}")
    check(not running, "the loser was still running when the answer was returned")


@row("hedge/cancelled-caller", "Cancelling the caller leaves no attempt running.", ("async",))
async def cancelled_caller(stage, kit):
    running = []

    async def work():
        running.append(1)
        try:
            await asyncio.sleep(3.0)
        finally:
            running.pop()

    call = stage.start(kit.hedge(stage, 0.02).wrap(work))
    await until(lambda: len(running) == 2, 1.0)
    call.cancel()
    await call.outcome()
    await asyncio.sleep(0.02)
    check(not running, f"{len(running)} attempts run on after their caller was cancelled")


@row("hedge/failure-does-not-win", "An attempt that fails does not end the call while another may still answer.")
async def failure_no_win(stage, kit):
    bodies = iter([Slow(0.25, "slow but fine"), Body(ConnectionError("quick but down"))])

    if stage.is_async:

        async def work():
            return await next(bodies).arun()
    else:

        def work():
            return next(bodies).run()

    outcome = await stage.run(kit.hedge(stage, 0.05).wrap(work))
    check(outcome.value == "slow but fine", f"it {outcome}")


@row("hedge/not-more-than-asked", "No more attempts are started than asked for.")
async def not_more(stage, kit):
    body = Slow(0.3, "fine")
    await stage.run(kit.hedge(stage, 0.03).wrap(stage.target), body)
    check(body.runs == 2, f"{body.runs} attempts ran, 1 and 1 hedge were asked for")
