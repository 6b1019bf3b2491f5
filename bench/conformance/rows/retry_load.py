"""The retry and the load that it makes: budgets, nesting, open circuits."""

from demand import check, row
from stage import Body, always, until


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
    fn = kit.retry(stage, attempts=5, wait=0.0, unlisted=True).wrap(breaker.wrap(stage.target))
    plain = breaker.wrap(stage.target)
    for _ in range(3):
        await stage.run(plain, always())
    call = stage.start(fn, Body())
    check(await until(lambda: call.done, 1.0), "it waits for an open circuit of 30 s")
    check(isinstance((await call.outcome()).error, kit.refused), "the refusal was not passed on")
