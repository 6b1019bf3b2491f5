"""The circuit breaker's rows: eras, probes, cancellation, verdicts, clocks, threads, loops."""

import asyncio
import contextlib
import pickle
import threading
import time

from stage import Body, Broken, Held, Interrupt, NotApplicable, Slow, check, row, step_wall_clock, until

OPEN_FOR = 0.15
RECOVERED = 0.2


async def fails(stage, fn, times=3):
    for _ in range(times):
        await stage.run(fn, Body(ConnectionError("down")))


async def admits(stage, kit, fn):
    """Tell whether a call runs; it succeeds."""
    body = Body()
    outcome = await stage.run(fn, body)
    check(bool(body.runs) != isinstance(outcome.error, kit.refused), f"a call ran {body.runs} times and {outcome}")
    return bool(body.runs)


async def must_be_open(stage, kit, fn, when="after 3 failures"):
    check(not await admits(stage, kit, fn), f"a call ran {when}")


async def half_open(stage, kit, **options):
    """Return a breaker whose open time is over, around the target."""
    fn = kit.breaker(stage, **options).wrap(stage.target)
    await fails(stage, fn)
    await must_be_open(stage, kit, fn)
    await asyncio.sleep(RECOVERED)
    return fn


@row("breaker/threshold", "It opens at the threshold, not one failure earlier.")
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
    breaker = (
        kit.breaker(stage, failures=3, consecutive=True) if kit.name in {"nopanic", "interlock"} else kit.breaker(stage)
    )
    fn = breaker.wrap(stage.target)
    await fails(stage, fn, 2)
    await stage.run(fn, Body())
    await fails(stage, fn, 2)
    check(await admits(stage, kit, fn), "2 failures, a success and 2 failures opened it")


@row("breaker/refusal-runs-nothing", "A refused call does not run at all.")
async def refusal_runs_nothing(stage, kit):
    fn = kit.breaker(stage).wrap(stage.target)
    await fails(stage, fn)
    body = Body()
    outcome = await stage.run(fn, body)
    check(isinstance(outcome.error, kit.refused), f"the call was not refused: it {outcome}")
    check(body.runs == 0, "the refused function ran")


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
    await stage.hold(fn)
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


async def cancelled(stage, fn):
    call = await stage.hold(fn)
    check(call.body.runs, "the call that was to be cancelled did not run")
    call.cancel()
    outcome = await call.outcome()
    check(isinstance(outcome.error, (asyncio.CancelledError, Interrupt)), f"a cancelled call {outcome}")


@row("breaker/cancel-while-closed", "Cancelled (sync: interrupted) calls are no failures.")
async def cancel_closed(stage, kit):
    fn = kit.breaker(stage).wrap(stage.target)
    for _ in range(4):
        call = await stage.hold(fn)
        call.cancel()
        await call.outcome()
    check(await admits(stage, kit, fn), "4 cancelled calls opened it")


@row("breaker/cancel-is-no-success", "Cancelled calls do not break a row of failures.")
async def cancel_no_success(stage, kit):
    fn = kit.breaker(stage, failures=3).wrap(stage.target)
    await fails(stage, fn, 2)
    await cancelled(stage, fn)
    await fails(stage, fn, 1)
    await must_be_open(stage, kit, fn, "after 2 failures, a cancelled call and a failure")


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
    "breaker/cancel-while-open",
    "Cancelling a call of the closed era while the circuit is open changes nothing.",
    overlap=True,
)
async def cancel_open(stage, kit):
    fn = kit.breaker(stage, open_for=0.3).wrap(stage.target)
    old = await stage.hold(fn)
    await fails(stage, fn)
    await asyncio.sleep(0.1)
    old.cancel()
    await old.outcome()
    await must_be_open(stage, kit, fn, "after a cancellation in the open state")
    await asyncio.sleep(0.25)
    check(await admits(stage, kit, fn), "the cancellation prolonged the open time")


class Unimportant(Exception):
    """Ignored by setting."""


@row("breaker/ignored-is-no-success", "An ignored exception is a third outcome: it does not break a row of failures.")
async def ignored_no_success(stage, kit):
    fn = kit.breaker(stage, ignore=Unimportant).wrap(stage.target)
    await fails(stage, fn, 2)
    await stage.run(fn, Body(Unimportant()))
    await fails(stage, fn, 1)
    await must_be_open(stage, kit, fn, "after 2 failures, an ignored exception and a failure")


@row("breaker/ignored-is-no-failure", "Ignored exceptions do not open it.")
async def ignored_no_failure(stage, kit):
    fn = kit.breaker(stage, ignore=Unimportant).wrap(stage.target)
    for _ in range(6):
        await stage.run(fn, Body(Unimportant()))
    check(await admits(stage, kit, fn), "6 ignored exceptions opened it")


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


@row("breaker/rule-of-the-user", "A rule of the user decides which exceptions are failures.")
async def users_rule(stage, kit):
    fn = kit.breaker(stage, failure_if=lambda error: isinstance(error, ConnectionError)).wrap(stage.target)
    for _ in range(4):
        await stage.run(fn, Body(LookupError("not there: an answer")))
    check(await admits(stage, kit, fn), "exceptions that the rule calls harmless opened it")
    await fails(stage, fn)
    await stage.run(fn, Body())


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


@row("breaker/failed-results", "Results that a rule calls failures open it, though nothing was raised.")
async def failed_results(stage, kit):
    fn = kit.breaker(stage, failed_result=lambda result: result == "bad").wrap(stage.target)
    for _ in range(3):
        await stage.run(fn, Body("bad"))
    await must_be_open(stage, kit, fn, "after 3 failed results")


@row("breaker/error-passes-unchanged", "The caller gets the very exception that was raised, not a copy or a wrapper.")
async def error_unchanged(stage, kit):
    error = ConnectionError("mine")
    fn = kit.breaker(stage, failures=1).wrap(stage.target)
    outcome = await stage.run(fn, Body(error))
    check(outcome.error is error, f"the call {outcome}")
    check(error.__cause__ is None, "a cause was added to it")


@row("breaker/stream-that-breaks-off", "A (sync or async) generator that raises after its first item is a failure.")
async def stream_breaks(stage, kit):
    breaker = kit.breaker(stage)
    fn = breaker.wrap_stream(stage.stream_fn([1, ConnectionError("broke off")]))
    plain = breaker.wrap(stage.target)
    for _ in range(3):
        items, error = await stage.drain(fn)
        check(items == [1] and isinstance(error, ConnectionError), f"the reader got {items} and {error!r}")
    await must_be_open(stage, kit, plain, "after 3 streams that broke off")


@row("breaker/stream-closed-early", "A reader that stops early is no failure of the source.")
async def stream_closed(stage, kit):
    breaker = kit.breaker(stage)
    fn, plain = breaker.wrap_stream(stage.stream_fn([1, 2, 3])), breaker.wrap(stage.target)
    for _ in range(4):
        reader = stage.open(fn)
        check(await reader.next() == 1, "the first item is wrong")
        await reader.close()
    check(await admits(stage, kit, plain), "4 streams that were closed early opened it")


@row("breaker/stream-probe-closed-early", "A probe stream that its reader closes gives its slot back.")
async def stream_probe(stage, kit):
    breaker = kit.breaker(stage, successes=1)
    fn, plain = breaker.wrap_stream(stage.stream_fn([1, 2, 3])), breaker.wrap(stage.target)
    await fails(stage, plain)
    await must_be_open(stage, kit, plain)
    await asyncio.sleep(RECOVERED)
    reader = stage.open(fn)
    check(await reader.next() == 1, "the probe stream was not admitted")
    await reader.close()
    check(await admits(stage, kit, plain), "the closed stream kept the probe's slot")


@row("breaker/stream-is-closed-behind", "Closing the decorated stream closes the user's generator at once.")
async def stream_behind(stage, kit):
    ended = []

    if stage.is_async:

        async def source():
            try:
                yield 1
                yield 2
            finally:
                ended.append(True)
    else:

        def source():
            try:
                yield 1
                yield 2
            finally:
                ended.append(True)

    reader = stage.open(kit.breaker(stage).wrap_stream(source))
    await reader.next()
    await reader.close()
    check(ended, "the user's generator was still suspended after the stream was closed")


@row("breaker/stream-throw-and-send", "What is sent and thrown into a decorated stream reaches the user's generator.")
async def stream_throw(stage, kit):
    got = []

    if stage.is_async:

        async def source():
            try:
                got.append((yield 1))
                yield 2
            except LookupError:
                yield "caught"
    else:

        def source():
            try:
                got.append((yield 1))
                yield 2
            except LookupError:
                yield "caught"

    reader = stage.open(kit.breaker(stage).wrap_stream(source))
    await reader.next()
    await reader.send("hello")
    check(got == ["hello"], f"send('hello') arrived as {got}")
    try:
        answer = await reader.throw(LookupError("thrown in"))
    except (LookupError, StopAsyncIteration, StopIteration, RuntimeError) as error:
        raise Broken("the generator did not get what was thrown in") from error
    check(answer == "caught", f"throw() gave {answer!r}")


@row("breaker/open-refuses-streams", "An open circuit refuses a stream before the user's generator begins.")
async def open_refuses_streams(stage, kit):
    breaker, begun = kit.breaker(stage), []

    if stage.is_async:

        async def source():
            begun.append(True)
            yield 1
    else:

        def source():
            begun.append(True)
            yield 1

    fn, plain = breaker.wrap_stream(source), breaker.wrap(stage.target)
    await fails(stage, plain)
    _, error = await stage.drain(fn)
    check(isinstance(error, kit.refused), f"the stream ended with {error!r}")
    check(not begun, "the refused generator began")


async def down():
    raise ConnectionError("down")


@row(
    "breaker/lambda-returning-a-coroutine",
    "A plain function that returns a coroutine is judged by what awaiting it gives.",
    ("async",),
)
async def lambda_coroutine(stage, kit):
    breaker = kit.breaker(stage)
    fn, plain = breaker.wrap(lambda *args: down()), breaker.wrap(stage.target)
    for _ in range(3):
        await stage.run(fn)
    await must_be_open(stage, kit, plain, "after 3 coroutines that failed")


@row(
    "breaker/function-returning-a-future",
    "A plain function that returns a future is judged when that is done.",
    ("async",),
)
async def returns_future(stage, kit):
    breaker = kit.breaker(stage)

    def future(*args):
        return asyncio.ensure_future(down())

    fn, plain = breaker.wrap(future), breaker.wrap(stage.target)
    for _ in range(3):
        await stage.run(fn)
        await asyncio.sleep(0)
    await must_be_open(stage, kit, plain, "after 3 futures that failed")


@row(
    "breaker/future-that-nobody-awaits",
    "A future that is handed out is counted though its caller never awaits it.",
    ("async",),
)
async def future_unawaited(stage, kit):
    breaker = kit.breaker(stage)
    futures = []

    def future(*args):
        futures.append(asyncio.ensure_future(down()))
        return futures[-1]

    fn, plain = breaker.wrap_any(future), breaker.wrap(stage.target)
    for _ in range(3):
        fn()
    await asyncio.sleep(0.05)
    for each in futures:
        each.exception()
    await must_be_open(stage, kit, plain, "after 3 futures that failed unwatched")


@row(
    "breaker/partial-of-a-coroutine-function",
    "A functools.partial of a coroutine function is guarded as async.",
    ("async",),
)
async def partial(stage, kit):
    import functools

    async def work(number, *args):
        numbers.append(number)
        raise ConnectionError("down")

    breaker, numbers = kit.breaker(stage), []
    try:
        fn = breaker.wrap(functools.partial(work, 1))
    except AttributeError as error:
        raise Broken(f"decorating it raised {error!r}") from error
    plain = breaker.wrap(stage.target)
    for _ in range(3):
        await stage.run(fn)
    check(numbers == [1, 1, 1], f"the function got {numbers} as its bound argument")
    await must_be_open(stage, kit, plain, "after 3 failures of a partial")


@row("breaker/object-with-async-call", "An object whose `__call__` is async is guarded as async.", ("async",))
async def callable_object(stage, kit):
    class Client:
        async def __call__(self, *args):
            raise ConnectionError("down")

    breaker = kit.breaker(stage)
    try:
        fn = breaker.wrap(Client())
    except AttributeError as error:
        raise Broken(f"decorating it raised {error!r}") from error
    plain = breaker.wrap(stage.target)
    for _ in range(3):
        await stage.run(fn)
    await must_be_open(stage, kit, plain, "after 3 failures of the object")


@row(
    "breaker/decorated-stays-what-it-was", "A decorated function keeps its name and stays a coroutine function or none."
)
async def stays(stage, kit):
    import inspect

    guarded = kit.breaker(stage)
    fn = guarded.wrap_any(stage.target)
    check(fn.__name__ == "target", f"its name is {fn.__name__!r}")
    check(inspect.iscoroutinefunction(fn) == stage.is_async, "it became async, or ceased to be")


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


@row("breaker/rate-needs-calls", "A failure rate is not judged before the least number of calls is reached.")
async def rate_needs_calls(stage, kit):
    fn = kit.breaker(stage, rate=0.5, failures=6).wrap(stage.target)
    await fails(stage, fn, 5)
    check(await admits(stage, kit, fn), "5 failures opened it, of which 6 calls were to be seen first")


@row("breaker/rate-counts-successes", "A failure rate below the threshold leaves it closed, however many fail.")
async def rate_counts(stage, kit):
    fn = kit.breaker(stage, rate=0.5, failures=4).wrap(stage.target)
    for _ in range(5):
        await stage.run(fn, Body())
        await stage.run(fn, Body())
        await fails(stage, fn, 1)
    check(await admits(stage, kit, fn), "a failure rate of a third opened it at a threshold of a half")


@row("breaker/rate-forgets", "Failures older than the window do not count.")
async def rate_forgets(stage, kit):
    fn = kit.breaker(stage, rate=0.5, failures=4, window=1.0).wrap(stage.target)
    await fails(stage, fn, 3)
    await asyncio.sleep(2.1)
    await fails(stage, fn, 1)
    check(await admits(stage, kit, fn), "3 failures older than the window and 1 new one opened it")


@row("breaker/slow-calls", "Successes that take too long open it, where a rule says so.")
async def slow_calls(stage, kit):
    fn = kit.breaker(stage, slow=0.03).wrap(stage.target)
    for _ in range(4):
        await stage.run(fn, Slow(0.05))
    await must_be_open(stage, kit, fn, "after 4 slow calls")


@row("breaker/quick-calls-are-not-slow", "Quick calls do not open it under that rule.")
async def quick_calls(stage, kit):
    fn = kit.breaker(stage, slow=0.25).wrap(stage.target)
    for _ in range(6):
        await stage.run(fn, Slow(0.01))
    check(await admits(stage, kit, fn), "6 quick calls opened it")


@row("breaker/open-time-grows", "Where growth is asked for, the second open time is longer than the first.")
async def open_time_grows(stage, kit):
    fn = await half_open(stage, kit, growth=4.0)
    await fails(stage, fn, 1)
    await asyncio.sleep(0.25)
    await must_be_open(stage, kit, fn, "0.25 s into a second open time of 0.6 s")


@row(
    "breaker/refusals-of-policies-inside",
    "A bulkhead that is full inside the breaker says nothing about the dependency.",
)
async def refusals_inside(stage, kit):
    breaker = kit.breaker(stage)
    fn = breaker.wrap(kit.bulkhead(stage, 1, max_wait=0.0).wrap(stage.target))
    running = await stage.hold(fn)
    for _ in range(4):
        await stage.run(fn, Body())
    running.body.finish()
    await running.outcome()
    body = Body()
    outcome = await stage.run(fn, body)
    check(body.runs, f"4 refusals by its own bulkhead opened it: the next call {outcome}")
