"""Single-flight: one execution for many callers."""

import asyncio

from demand import check, row
from stage import Held, Interrupt, Slow, until


@row("single-flight/one-execution", "Ten equal calls at once are one execution, and all get its result.")
async def one_execution(stage, kit):
    fn, body = kit.single_flight(stage).wrap(stage.target), Slow(0.1, "fine")
    outcomes = [await call.outcome() for call in [stage.start(fn, body) for _ in range(10)]]
    check(body.runs == 1, f"it ran {body.runs} times")
    check(all(outcome.value == "fine" for outcome in outcomes), "not all got the result")


@row("single-flight/cancelled-leader", "Cancelling the first caller does not cost the others their answer.", ("async",))
async def cancelled_leader(stage, kit):
    fn, body = kit.single_flight(stage).wrap(stage.target), Slow(0.1, "fine")
    leader = await stage.hold(fn, body)
    followers = [stage.start(fn, body) for _ in range(3)]
    await asyncio.sleep(0.02)
    leader.cancel()
    for call in followers:
        check(await until(lambda call=call: call.done, 1.5), "a follower waits for ever after the leader was cancelled")
        outcome = await call.outcome()
        check(outcome.value == "fine", f"a follower {outcome}")


@row("single-flight/failure-is-shared", "All get the exception of a failed execution, and the next call runs anew.")
async def failure_shared(stage, kit):
    fn, body = kit.single_flight(stage).wrap(stage.target), Slow(0.05, ConnectionError("down"), "fine")
    outcomes = [await call.outcome() for call in [stage.start(fn, body) for _ in range(3)]]
    check(all(isinstance(outcome.error, ConnectionError) for outcome in outcomes), f"they {outcomes}")
    check((await stage.run(fn, body)).value == "fine", "the failure was kept")


@row(
    "single-flight/interrupted-leader",
    "An interrupt of the first caller does not leave the others waiting for ever.",
    ("sync",),
)
async def interrupted_leader(stage, kit):
    body = Held()

    class Next(Held):
        def run(self):
            self._begin()
            return "fine" if self.runs > 1 else body.run()

    work = Next()
    fn = kit.single_flight(stage).wrap(stage.target)
    leader = await stage.hold(fn, work)
    follower = stage.start(fn, work)
    await asyncio.sleep(0.05)
    body.fail(Interrupt())
    await leader.outcome()
    check(await until(lambda: follower.done, 1.5), "the follower waits for ever after the leader was interrupted")
