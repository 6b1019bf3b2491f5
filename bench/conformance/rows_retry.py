"""The retry's rows: attempts, waits, hints, cancellation, streams, budgets, nesting."""

import asyncio
import itertools
import time

from stage import Body, Broken, Held, Interrupt, NotApplicable, check, row, until


def always():
    return Body(ConnectionError("down"))


@row("retry/attempts-in-total", "`attempts=3` runs the call three times, the first included.")
async def total(stage, kit):
    body = always()
    await stage.run(kit.retry(stage, attempts=3).wrap(stage.target), body)
    check(body.runs == 3, f"it ran {body.runs} times")


@row("retry/stops-at-success", "It stops at the first success and returns its result.")
async def stops(stage, kit):
    body = Body(ConnectionError("once"), "fine")
    outcome = await stage.run(kit.retry(stage, attempts=5).wrap(stage.target), body)
    check((outcome.value, body.runs) == ("fine", 2), f"it ran {body.runs} times and {outcome}")


@row("retry/last-exception-as-raised", "The last exception is raised as it was, not wrapped.")
async def last(stage, kit):
    errors = [ConnectionError("first"), ConnectionError("second"), ConnectionError("third")]
    outcome = await stage.run(kit.retry(stage, attempts=3).wrap(stage.target), Body(*errors))
    check(outcome.error is errors[-1], f"it {outcome}: {outcome.error}")


@row("retry/note-of-attempts", "The exception carries a note that says how many attempts there were.")
async def noted(stage, kit):
    if kit.name != "outlast":
        raise NotApplicable("does not promise a note")
    outcome = await stage.run(kit.retry(stage, attempts=3).wrap(stage.target), always())
    notes = " ".join(getattr(outcome.error, "__notes__", []))
    check("3 attempts" in notes, f"its notes are {notes!r}")


@row("retry/other-exceptions-pass", "An exception that `on` does not name is raised at once.")
async def others(stage, kit):
    body = Body(LookupError("wrong call"))
    await stage.run(kit.retry(stage, on=ConnectionError).wrap(stage.target), body)
    check(body.runs == 1, f"it ran {body.runs} times")


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


@row("retry/calls-share-nothing", "Calls at the same time each have all their attempts.")
async def share_nothing(stage, kit):
    fn = kit.retry(stage, attempts=3, wait=0.01).wrap(stage.target)
    bodies = [always() for _ in range(10)]
    for call in [stage.start(fn, body) for body in bodies]:
        await call.outcome()
    runs = sorted({body.runs for body in bodies})
    check(len(runs) == 1 and runs[0] >= 3, f"of 10 calls at once some ran {runs} times")


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


def response_error(headers, status=503):
    """Make an error like those of HTTP libraries: it carries its response."""
    import types

    error = ConnectionError("503")
    error.response = types.SimpleNamespace(headers=headers, status_code=status)
    return error


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


@row("retry/opening-of-a-stream", "A stream that fails before its first item is opened again.")
async def opening(stage, kit):  # noqa: C901 - the same source in two colours
    opened = []

    def items():
        opened.append(True)
        return [ConnectionError("no")] if len(opened) < 3 else [1, 2]

    if stage.is_async:

        async def source():
            for item in items():
                if isinstance(item, BaseException):
                    raise item
                yield item
    else:

        def source():
            for item in items():
                if isinstance(item, BaseException):
                    raise item
                yield item

    got, error = await stage.drain(kit.retry(stage).wrap_stream(source))
    check((got, error) == ([1, 2], None), f"the reader got {got} and {error!r}")


@row("retry/no-item-twice", "A stream that fails after an item is not opened again: no item comes twice.")
async def no_item_twice(stage, kit):
    fn = kit.retry(stage).wrap_stream(stage.stream_fn([1, ConnectionError("broke off")]))
    got, error = await stage.drain(fn)
    check(got == [1], f"the reader got {got}")
    check(isinstance(error, ConnectionError), f"the stream ended with {error!r}")


@row("retry/lambda-returning-a-coroutine", "A plain function that returns a coroutine is tried again.", ("async",))
async def coroutine(stage, kit):
    body = Body(ConnectionError("once"), "fine")
    outcome = await stage.run(kit.retry(stage).wrap(lambda *args: body.arun()))
    check(outcome.value == "fine", f"it {outcome}")


@row("retry/object-with-async-call", "An object whose `__call__` is async is tried again.", ("async",))
async def callable_object(stage, kit):
    body = Body(ConnectionError("once"), "fine")

    class Client:
        async def __call__(self, *args):
            return await body.arun()

    try:
        fn = kit.retry(stage).wrap(Client())
    except AttributeError as error:
        raise Broken(f"decorating it raised {error!r}") from error
    outcome = await stage.run(fn)
    check(outcome.value == "fine", f"it {outcome}")


@row("retry/failed-results", "Results that a rule calls failures are tried again.")
async def results(stage, kit):
    body = Body("bad", "fine")
    outcome = await stage.run(kit.retry(stage, on_result=lambda result: result == "bad").wrap(stage.target), body)
    check((outcome.value, body.runs) == ("fine", 2), f"it ran {body.runs} times and {outcome}")


@row("retry/loop-form", "The loop form makes as many attempts, and the last exception leaves the loop.")
async def loop_form(stage, kit):
    runs = []
    attempts = kit.attempts(stage, attempts=3)
    error = None
    try:
        if stage.is_async:
            async for attempt in attempts:
                with attempt:
                    runs.append(1)
                    raise ConnectionError("down")
        else:
            for attempt in attempts:
                with attempt:
                    runs.append(1)
                    raise ConnectionError("down")
    except Exception as raised:
        error = raised
    check(len(runs) == 3, f"the body ran {len(runs)} times")
    check(isinstance(error, ConnectionError), f"the loop ended with {error!r}")


@row("retry/budget", "When everything fails, a budget of 10 allows 10 retries, not 200.")
async def budget(stage, kit):
    fn = kit.retry(stage, attempts=3, budget=kit.budget(stage, 10)).wrap(stage.target)
    bodies = [always() for _ in range(100)]
    for body in bodies:
        await stage.run(fn, body)
    retries = sum(body.runs for body in bodies) - 100
    check(retries <= 13, f"there were {retries} retries")
    check(retries >= 8, f"there were only {retries} retries")


@row("retry/budget-through-the-wait", "Retries that wait are counted already: 50 failures at once do not all get in.")
async def budget_wait(stage, kit):
    fn = kit.retry(stage, attempts=2, wait=0.2, budget=kit.budget(stage, 10)).wrap(stage.target)
    bodies = [always() for _ in range(50)]
    for call in [stage.start(fn, body) for body in bodies]:
        await call.outcome()
    retries = sum(body.runs for body in bodies) - 50
    check(retries <= 12, f"there were {retries} retries")


@row("retry/nested-retries", "A retry in a retry does not multiply: 3 x 3 attempts are fewer than 9 calls.")
async def nested(stage, kit):
    body = always()
    inner = kit.retry(stage, attempts=3).wrap(stage.target)
    await stage.run(kit.retry(stage, attempts=3).wrap(inner), body)
    check(body.runs <= 5, f"the call ran {body.runs} times")


@row("retry/open-circuit-is-not-hammered", "A retry around an open circuit does not wait for it by itself.")
async def open_circuit(stage, kit):
    breaker = kit.breaker(stage, open_for=30.0)
    fn = kit.retry(stage, attempts=5, wait=0.0, on="default").wrap(breaker.wrap(stage.target))
    plain = breaker.wrap(stage.target)
    for _ in range(3):
        await stage.run(plain, always())
    call = stage.start(fn, Body())
    check(await until(lambda: call.done, 1.0), "it waits for an open circuit of 30 s")
    check(isinstance((await call.outcome()).error, kit.refused), "the refusal was not passed on")


@row("retry/unknown-errors", "Without a rule, an error of which nothing is known is not tried again.")
async def unknown(stage, kit):
    body = Body(ValueError("a bug"))
    await stage.run(kit.retry(stage, on="default").wrap(stage.target), body)
    check(body.runs == 1, f"a ValueError was tried {body.runs} times")


@row("retry/effects-in-doubt", "A call whose effect is in doubt is not sent again where the author forbids it.")
async def in_doubt(stage, kit):
    fn = kit.retry(stage, on="default", in_doubt=True).wrap(stage.target)
    body = Body(TimeoutError("no answer"))
    await stage.run(fn, body)
    check(body.runs == 1, f"it was sent {body.runs} times")
