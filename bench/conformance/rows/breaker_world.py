"""The circuit breaker and the world around it: clocks, threads, loops, listeners, processes."""

import asyncio
import contextlib
import pickle
import threading

from demand import Broken, check, row
from moves import RECOVERED, admits, fails, must_be_open
from stage import Body, until
from wall_clock import step_wall_clock


@row("breaker/clock-step-forward", "A step of the wall clock by an hour forward does not end the open time.")
async def clock_forward(stage, kit):
    fn = kit.breaker(stage, open_for=5.0).wrap(stage.target)
    await fails(stage, fn)
    step_wall_clock(3600)
    await must_be_open(stage, kit, fn, "after a step of the wall clock")


@row("breaker/clock-step-back", "A step of the wall clock back by an hour does not prolong the open time.")
async def clock_back(stage, kit):
    fn = kit.breaker(stage).wrap(stage.target)
    await fails(stage, fn)
    step_wall_clock(-3600)
    await asyncio.sleep(RECOVERED)
    check(await admits(stage, kit, fn), "after a step of the wall clock it stayed open")


@row("breaker/calls-run-side-by-side", "Calls are not serialised: five calls of 0.1 s run at the same time.")
async def side_by_side(stage, kit):
    fn = kit.breaker(stage).wrap(stage.target)
    held = [await stage.hold(fn) for _ in range(5)]
    ran = sum(call.body.runs for call in held)
    for call in held:
        call.body.finish()
    check(ran == 5, f"{ran} of 5 calls ran at once: the others waited for a lock")


@row("breaker/threads-lose-nothing", "8 threads that fail 400 times each are 3,200 failures, not fewer.", ("sync",))
async def threads(stage, kit):
    import sys

    fn = kit.breaker(stage, failures=3200, open_for=5.0).wrap(stage.target)
    before, together = sys.getswitchinterval(), threading.Barrier(8)
    sys.setswitchinterval(1e-6)

    def work():
        together.wait()
        for _ in range(400):
            with contextlib.suppress(Exception):
                fn(Body(ConnectionError("down")))

    crowd = [threading.Thread(target=work, daemon=True) for _ in range(8)]
    for thread in crowd:
        thread.start()
    check(await until(lambda: not any(thread.is_alive() for thread in crowd), 8.0), "3,200 calls took over 8 s")
    sys.setswitchinterval(before)
    await must_be_open(stage, kit, fn, "after 3,200 failures, at a threshold of 3,200")


@row(
    "breaker/many-loops",
    "One breaker serves event loops in several threads; what one learns the others know.",
    ("async",),
)
async def many_loops(stage, kit):
    fn, seen = kit.breaker(stage, open_for=5.0).wrap(stage.target), []

    def work():
        async def main():
            for _ in range(3):
                outcome = await stage.run(fn, Body(ConnectionError("down")))
                seen.append(type(outcome.error).__name__)

        asyncio.run(main())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    check(await until(lambda: not thread.is_alive()), "a call in the other loop never ended")
    check(seen[:2] == ["ConnectionError"] * 2, f"in the other loop the calls raised {seen}")
    await must_be_open(stage, kit, fn, "in the first loop, after 3 failures in a second one")


@row("breaker/listener-may-call-back", "A listener may use the breaker that it listens to; nothing runs under a lock.")
async def listener_calls_back(stage, kit):
    box, called = [], []

    def listener():
        if box and not called:
            called.append(True)
            call = box[0](Body(ConnectionError("from the listener")))
            if stage.is_async:
                call.send(None)

    fn = kit.breaker(stage, listener=listener).wrap(stage.target)
    box.append(fn)
    await fails(stage, fn, 2)
    call = stage.start(fn, Body(ConnectionError("down")))
    check(await until(lambda: call.done), "the call that opened it hangs: its listener waits for the breaker's lock")


@row("breaker/listener-that-raises", "A listener that raises does not change how a call ends, nor the breaker.")
async def listener_raises(stage, kit):
    def listener():
        raise RuntimeError("the listener is broken")

    fn = kit.breaker(stage, listener=listener).wrap(stage.target)
    await fails(stage, fn, 2)
    outcome = await stage.run(fn, Body(ConnectionError("down")))
    check(isinstance(outcome.error, ConnectionError), f"the call that opened it {outcome}")
    await must_be_open(stage, kit, fn)


@row("breaker/refusal-can-be-pickled", "The refusal survives a process boundary with its fields.")
async def pickled(stage, kit):
    fn = kit.breaker(stage, open_for=5.0).wrap(stage.target)
    await fails(stage, fn)
    error = (await stage.run(fn, Body())).error
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    except Exception as broken:
        raise Broken(f"pickling it raised {broken!r}"[:120]) from broken
    check(isinstance(copy, kit.refused), f"it came back as {type(copy).__name__}")
    check(str(copy) == str(error), f"it came back saying {str(copy)!r}")
