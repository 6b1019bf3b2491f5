"""The retry's waits: cap, hints of the server, limits of time, cancellation."""

import asyncio
import itertools
import time

from demand import NotApplicable, check, row
from stage import Body, Held, Interrupt, always, until


@row("retry/cancellation-is-not-retried", "A cancelled (sync: interrupted) call ends, whatever the rule says.")
async def cancelled(stage, kit):
    rule = kit.retry(stage, rule=lambda error: not isinstance(error, LookupError))
    body = Held()
    call = await stage.hold(rule.wrap(stage.target), body)
    body.begun.clear()
    call.cancel()
    await until(lambda: call.done or body.begun.is_set(), 0.5)
    check(call.done, "after a cancellation the call was started again")
    outcome = await call.outcome()
    check(isinstance(outcome.error, (asyncio.CancelledError, Interrupt)), f"the cancelled call {outcome}")
    check(body.runs == 1, f"it ran {body.runs} times")


@row("retry/cancel-during-the-wait", "A cancellation ends the wait between two attempts at once.", ("async",))
async def cancel_wait(stage, kit):
    body = always()
    call = await stage.hold(kit.retry(stage, wait=5.0, attempts=3).wrap(stage.target), body)
    await asyncio.sleep(0.02)
    call.cancel()
    check(await until(lambda: call.done, 1.0), "the call still waits a second after it was cancelled")
    check(body.runs == 1, "it was tried again after the cancellation")


@row("retry/cap-after-jitter", "No wait is longer than the cap, jitter included.")
async def cap(stage, kit):
    fn = kit.retry(stage, attempts=7, wait=0.1, cap=0.1, jitter=True).wrap(stage.target)
    waits = []
    for _ in range(4):
        moments = []

        class Timed(Body):
            def _begin(self, moments=moments):
                moments.append(time.monotonic())
                super()._begin()

        await stage.run(fn, Timed(ConnectionError("down")))
        waits += [later - sooner for sooner, later in itertools.pairwise(moments)]
    # A busy machine makes some of the waits longer, a jitter of half the cap makes a third of them longer than this.
    long = sorted(waits)[len(waits) * 4 // 5]
    check(long < 0.12, f"a fifth of the waits took {long * 1000:.0f} ms and more, the cap is 100 ms")


@row("retry/hint-is-a-floor", "A `retry_after` on the exception is the least that is waited.")
async def hint(stage, kit):
    fn = kit.retry(stage, attempts=2, wait=0.0, max_retry_after=10.0).wrap(stage.target)
    began = time.monotonic()
    await stage.run(fn, Body(kit.asks(stage, 0.2), "fine"))
    took = time.monotonic() - began
    check(took >= 0.199, f"asked to wait 0.2 s, it waited {took:.3f} s")


@row("retry/hint-above-the-cap", "A hint above the cap is not slept through, and no attempt is made before its time.")
async def hint_cap(stage, kit):
    fn = kit.retry(stage, attempts=2, wait=0.0, max_retry_after=0.2).wrap(stage.target)
    body = Body(kit.asks(stage, 30.0), "fine")
    call = stage.start(fn, body)
    check(await until(lambda: call.done, 1.5), "it sleeps through a hint of 30 s, the cap is 0.2 s")
    check(body.runs == 1, "it asked again 30 s too early")


@row("retry/hint-as-a-date", "Retry-After as an HTTP date is read against the answer's own Date.")
async def hint_date(stage, kit):
    if kit.name != "outlast":
        raise NotApplicable("does not read headers")
    from outlast.errors import parse_retry_after

    headers = {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT", "Date": "Fri, 31 Dec 1999 23:59:54 GMT"}
    check(parse_retry_after(headers, wall=time.time()) == 5.0, f"it reads {parse_retry_after(headers, wall=0.0)}")


@row(
    "retry/hint-in-other-forms", "Retry-After in decimals, in milliseconds, in the past and as nonsense is understood."
)
async def hint_forms(stage, kit):
    if kit.name != "outlast":
        raise NotApplicable("does not read headers")
    from outlast.errors import parse_retry_after

    cases = [
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After-Ms": "250"}, 0.25),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "inf"}, None),
        ({}, None),
    ]
    for headers, expected in cases:
        got = parse_retry_after(headers, wall=0.0)
        check(got == expected, f"{headers} is read as {got}, not {expected}")


@row("retry/total-time", "No attempt starts after the limit of time, and no wait is begun that would end after it.")
async def total_time(stage, kit):
    fn = kit.retry(stage, attempts=10, wait=0.3, total=0.5).wrap(stage.target)
    body, began = always(), time.monotonic()
    await stage.run(fn, body)
    took = time.monotonic() - began
    check(body.runs == 2, f"it ran {body.runs} times")
    check(took < 0.45, f"it took {took:.2f} s: the last wait led to nothing")


@row("retry/deadline", "A wait that does not fit into the deadline in force is not begun.")
async def fits(stage, kit):
    limit = kit.deadline(stage, 1.0)
    if not hasattr(limit, "__enter__"):
        fn = limit(kit.retry(stage, wait=5.0).wrap(stage.target))
    else:
        inner = kit.retry(stage, wait=5.0).wrap(stage.target)
        if stage.is_async:

            async def fn(body):
                async with kit.deadline(stage, 1.0):
                    return await inner(body)
        else:

            def fn(body):
                with kit.deadline(stage, 1.0):
                    return inner(body)

    began = time.monotonic()
    outcome = await stage.run(fn, always())
    check(time.monotonic() - began < 0.5, "it began to wait 5 s under a deadline of 1 s")
    check(type(outcome.error) is ConnectionError, f"it {outcome}")
