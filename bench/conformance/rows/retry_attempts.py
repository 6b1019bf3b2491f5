"""The retry's attempts: how many, after what, and what is raised in the end."""

from demand import NotApplicable, check, row
from stage import Body, always


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


@row("retry/unknown-errors", "Without a rule, an error of which nothing is known is not tried again.")
async def unknown(stage, kit):
    body = Body(ValueError("a bug"))
    await stage.run(kit.retry(stage, unlisted=True).wrap(stage.target), body)
    check(body.runs == 1, f"a ValueError was tried {body.runs} times")


@row("retry/effects-in-doubt", "A call whose effect is in doubt is not sent again where the author forbids it.")
async def in_doubt(stage, kit):
    fn = kit.retry(stage, unlisted=True, in_doubt=True).wrap(stage.target)
    body = Body(TimeoutError("no answer"))
    await stage.run(fn, body)
    check(body.runs == 1, f"it was sent {body.runs} times")


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


@row("retry/calls-share-nothing", "Calls at the same time each have all their attempts.")
async def share_nothing(stage, kit):
    fn = kit.retry(stage, attempts=3, wait=0.01).wrap(stage.target)
    bodies = [always() for _ in range(10)]
    for call in [stage.start(fn, body) for body in bodies]:
        await call.outcome()
    runs = sorted({body.runs for body in bodies})
    check(len(runs) == 1 and runs[0] >= 3, f"of 10 calls at once some ran {runs} times")
