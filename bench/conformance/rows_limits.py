"""The rows of timeout, bulkhead, rate limit, hedge, fallback and single-flight."""

import asyncio
import contextlib
import pickle
import threading
import time

from stage import Body, Broken, Held, Interrupt, Slow, check, row, until


@row("timeout/cuts", "A call that takes too long ends in time, with a `TimeoutError` or a documented error of its own.")
async def cuts(stage, kit):
    call = stage.start(kit.timeout(stage, 0.1).wrap(stage.target), Slow(3.0))
    check(await until(lambda: call.done, 1.5), "it still runs after 1.5 s, the limit is 0.1 s")
    outcome = await call.outcome()
    check(outcome.error is not None, "it returned as if nothing had happened")


@row("timeout/own-is-a-timeout-error", "Its error can be caught as `TimeoutError`.")
async def own(stage, kit):
    outcome = await stage.run(kit.timeout(stage, 0.05).wrap(stage.target), Slow(0.5))
    check(isinstance(outcome.error, TimeoutError), f"it {outcome}")


@row("timeout/users-timeout-error", "A `TimeoutError` that the call raises itself passes as it is.")
async def users(stage, kit):
    mine = TimeoutError("the database said so")
    outcome = await stage.run(kit.timeout(stage, 2.0).wrap(stage.target), Body(mine))
    check(outcome.error is mine, f"the call {outcome} {outcome.error}")


@row("timeout/not-early", "No call is cut before its time.")
async def early(stage, kit):
    fn = kit.timeout(stage, 0.1).wrap(stage.target)
    for _ in range(3):
        began = time.monotonic()
        await stage.run(fn, Slow(1.0))
        took = time.monotonic() - began
        check(took >= 0.0999, f"it was cut after {took * 1000:.1f} ms, the limit is 100 ms")


@row("timeout/each-its-own-time", "Calls that begin one after the other are each cut at their own time.", ("async",))
async def each(stage, kit):
    fn = kit.timeout(stage, 0.2).wrap(stage.target)
    took = []

    async def one():
        began = time.monotonic()
        await stage.run(fn, Slow(2.0))
        took.append(time.monotonic() - began)

    tasks = []
    for _ in range(5):
        tasks.append(asyncio.ensure_future(one()))
        await asyncio.sleep(0.05)
    await asyncio.wait(tasks)
    check(all(0.199 <= each < 0.32 for each in took), f"they took {[round(each, 2) for each in took]}")


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


@row(
    "timeout/sync-is-not-silently-endless",
    "Around a sync function it either cuts the wait or refuses to pretend.",
    ("sync",),
)
async def sync_refused(stage, kit):
    guarded = kit.bare_timeout(stage, 0.1)
    try:
        fn = guarded.wrap(stage.target)
    except Exception:
        return
    call = stage.start(fn, Slow(3.0))
    check(await until(lambda: call.done, 1.0), "the decorated sync call runs without a limit")


@row("timeout/items-of-a-stream", "Of an async generator each wait for an item is limited.", ("async",))
async def items(stage, kit):
    async def source():
        yield 1
        await asyncio.sleep(2.0)
        yield 2

    fn = kit.timeout(stage, 0.1).wrap_stream(source)
    began = time.monotonic()
    got, error = await stage.drain(fn)
    check(got == [1], f"the reader got {got}")
    check(error is not None and time.monotonic() - began < 1.0, "the stalled stream was not cut")


@row("timeout/lambda-returning-a-coroutine", "A plain function that returns a coroutine is limited.", ("async",))
async def coroutine(stage, kit):
    guarded = kit.timeout(stage, 0.1)
    try:
        fn = guarded.wrap(lambda *args: asyncio.sleep(2.0))
    except Exception:
        return
    began = time.monotonic()
    outcome = await stage.run(fn)
    check(time.monotonic() - began < 1.0, f"it ran for {time.monotonic() - began:.1f} s and {outcome}")


@row("timeout/counts-for-the-breaker", "A breaker around a timeout counts its expiries.")
async def counts(stage, kit):
    breaker = kit.breaker(stage)
    fn = breaker.wrap(kit.timeout(stage, 0.02).wrap(stage.target))
    for _ in range(3):
        await stage.run(fn, Slow(0.3))
    body = Body()
    await stage.run(fn, body)
    check(body.runs == 0, "3 expiries did not open the breaker")


@row("timeout/threads-left-behind", "Sync calls that were left behind are bounded in number.", ("sync",))
async def left_behind(stage, kit):
    fn = kit.timeout(stage, 0.02, most=2).wrap(stage.target)
    bodies = [Held() for _ in range(4)]
    for body in bodies:
        await stage.run(fn, body)
    ran = sum(body.runs for body in bodies)
    for body in bodies:
        body.finish()
    check(ran == 2, f"with 2 allowed, {ran} calls were left running")


@row("timeout/error-can-be-pickled", "Its error survives a process boundary.")
async def pickled(stage, kit):
    outcome = await stage.run(kit.timeout(stage, 0.05).wrap(stage.target), Slow(0.4))
    check(outcome.error is not None, "nothing was cut")
    try:
        copy = pickle.loads(pickle.dumps(outcome.error))  # noqa: S301
    except Exception as error:
        raise Broken(f"pickling it raised {error!r}"[:120]) from error
    check(type(copy) is type(outcome.error) and str(copy) == str(outcome.error), f"it came back as {copy!r}")


async def crowd(stage, fn, calls, seconds=0.005):
    """Run many calls at once and return the most that ran at the same time."""
    lock, state = threading.Lock(), {"now": 0, "peak": 0}

    class Counted(Slow):
        def _begin(self):
            super()._begin()
            with lock:
                state["now"] += 1
                state["peak"] = max(state["peak"], state["now"])

        def _next(self):
            with lock:
                state["now"] -= 1
            return super()._next()

    for call in [stage.start(fn, Counted(seconds)) for _ in range(calls)]:
        await call.outcome()
    return state["peak"]


@row("bulkhead/no-overshoot", "Of 40 calls at once never more than 5 run.")
async def overshoot(stage, kit):
    peak = await crowd(stage, kit.bulkhead(stage, 5).wrap(stage.target), 40)
    check(peak == 5, f"{peak} ran at once")


@row("bulkhead/failures-return-the-slot", "Calls that fail or are cancelled give their slots back.")
async def failures(stage, kit):
    fn = kit.bulkhead(stage, 1).wrap(stage.target)
    await stage.run(fn, Body(ConnectionError("down")))
    call = await stage.hold(fn)
    check(call.body.runs, "a failed call kept its slot")
    call.cancel()
    await call.outcome()
    call = await stage.hold(fn)
    check(call.body.runs, "a cancelled call kept its slot")
    call.body.finish()


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


@row("bulkhead/stream-holds-the-slot", "A stream holds its slot until it ends or is closed, and then gives it back.")
async def stream(stage, kit):
    bulkhead = kit.bulkhead(stage, 1, max_wait=0.0)
    fn, plain = bulkhead.wrap_stream(stage.stream_fn([1, 2])), bulkhead.wrap(stage.target)
    reader = stage.open(fn)
    await reader.next()
    outcome = await stage.run(plain, Body())
    check(isinstance(outcome.error, kit.refused), "while a stream was open a second call got in")
    await reader.close()
    outcome = await stage.run(plain, Body())
    check(outcome.error is None, f"after the stream was closed a call {outcome}")


@row(
    "bulkhead/lambda-returning-a-coroutine",
    "A plain function that returns a coroutine holds the slot while that is awaited.",
    ("async",),
)
async def coroutine_holds(stage, kit):
    bulkhead = kit.bulkhead(stage, 1)
    peak = await crowd(stage, bulkhead.wrap(lambda body: body.arun()), 6)
    check(peak == 1, f"{peak} ran at once")


@row("bulkhead/one-cap-over-loops", "One cap holds over event loops in several threads.", ("async",))
async def loops(stage, kit):
    fn = kit.bulkhead(stage, 1, max_wait=0.05).wrap(stage.target)
    running = await stage.hold(fn)
    seen = []

    def work():
        async def main():
            seen.append(await stage.run(fn, Body()))

        asyncio.run(main())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    check(await until(lambda: not thread.is_alive()), "the call in the other loop never ended")
    running.body.finish()
    await running.outcome()
    check(isinstance(seen[0].error, kit.refused), f"with the only slot taken, a call in another loop {seen[0]}")


@row("bulkhead/one-cap-over-colours", "One cap holds over sync and async functions.", ("async",))
async def colours(stage, kit):
    bulkhead = kit.bulkhead(stage, 1, max_wait=0.05)
    fn, plain = bulkhead.wrap(stage.target), bulkhead.wrap_any(lambda: "in")
    running = await stage.hold(fn)
    seen = []

    def work():
        try:
            seen.append(plain())
        except Exception as error:
            seen.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    await until(lambda: not thread.is_alive())
    running.body.finish()
    await running.outcome()
    check(isinstance(seen[0], kit.refused), f"with the only slot taken by a task, a thread got {seen[0]!r}")


@row("bulkhead/refusal-can-be-pickled", "The refusal survives a process boundary.")
async def full_pickled(stage, kit):
    fn = kit.bulkhead(stage, 1, max_wait=0.01).wrap(stage.target)
    running = await stage.hold(fn)
    error = (await stage.run(fn, Body())).error
    running.body.finish()
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    except Exception as broken:
        raise Broken(f"pickling it raised {broken!r}"[:120]) from broken
    check(str(copy) == str(error), f"it came back saying {str(copy)!r}")


@row("rate-limit/burst", "After a pause the burst passes at once, and not one more.")
async def burst(stage, kit):
    fn = kit.rate_limit(stage, 5, 60.0, burst=5).wrap(stage.target)
    outcomes = [await stage.run(fn, Body()) for _ in range(6)]
    passed = sum(outcome.error is None for outcome in outcomes)
    check(passed == 5, f"{passed} of 6 passed, the burst is 5")


@row("rate-limit/pace", "Calls that wait pass at the pace, none earlier.")
async def pace(stage, kit):
    fn = kit.rate_limit(stage, 20, 1.0, burst=1, max_wait=5.0).wrap(stage.target)
    began = time.monotonic()
    calls = [stage.start(fn, Body()) for _ in range(7)]
    outcomes = [await call.outcome() for call in calls]
    took = time.monotonic() - began
    check(all(outcome.error is None for outcome in outcomes), "a call that could wait was refused")
    check(took >= 0.299, f"7 calls at 20 a second passed in {took:.3f} s")
    check(took < 0.6, f"7 calls at 20 a second took {took:.3f} s")


@row("rate-limit/says-when", "The refusal says when a call could pass.")
async def says_when(stage, kit):
    fn = kit.rate_limit(stage, 2, 1.0, burst=1).wrap(stage.target)
    await stage.run(fn, Body())
    outcome = await stage.run(fn, Body())
    left = kit.retry_after(outcome.error)
    check(0.3 < left <= 0.5, f"with one call each 0.5 s it says {left:.2f} s")


@row("rate-limit/cancelled-waiter", "One who waits and is cancelled gives its turn back.", ("async",))
async def turn_back(stage, kit):
    fn = kit.rate_limit(stage, 5, 1.0, burst=1, max_wait=5.0).wrap(stage.target)
    await stage.run(fn, Body())
    waiters = [stage.start(fn, Body()) for _ in range(10)]
    await asyncio.sleep(0.02)
    for call in waiters:
        call.cancel()
        await call.outcome()
    began = time.monotonic()
    await stage.run(fn, Body())
    took = time.monotonic() - began
    check(took < 0.6, f"after 10 waiters were cancelled the next call waited {took:.2f} s instead of 0.2 s")


@row("rate-limit/behind-a-cancelled-one", "Those behind one that was cancelled move up.", ("async",))
async def move_up(stage, kit):
    fn = kit.rate_limit(stage, 4, 1.0, burst=1, max_wait=5.0).wrap(stage.target)
    await stage.run(fn, Body())
    began = time.monotonic()
    calls = [stage.start(fn, Body()) for _ in range(4)]
    await asyncio.sleep(0.02)
    for call in calls[:3]:
        call.cancel()
    await calls[3].outcome()
    took = time.monotonic() - began
    check(took < 0.6, f"the fourth in the queue waited {took:.2f} s though the three before it had left")


@row("rate-limit/impossible-wait", "A wait longer than allowed is refused at once, not after the wait.")
async def impossible(stage, kit):
    fn = kit.rate_limit(stage, 1, 10.0, burst=1, max_wait=0.5).wrap(stage.target)
    await stage.run(fn, Body())
    began = time.monotonic()
    outcome = await stage.run(fn, Body())
    check(isinstance(outcome.error, kit.refused), f"it {outcome}")
    check(time.monotonic() - began < 0.3, "it waited before it was refused")


@row("rate-limit/refused-takes-nothing", "Refused calls use nothing up.")
async def takes_nothing(stage, kit):
    fn = kit.rate_limit(stage, 5, 1.0, burst=1, max_wait=0.0).wrap(stage.target)
    await stage.run(fn, Body())
    for _ in range(20):
        await stage.run(fn, Body())
    await asyncio.sleep(0.25)
    outcome = await stage.run(fn, Body())
    check(outcome.error is None, f"after the pause of one call, and 20 refused ones in between, a call {outcome}")


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
