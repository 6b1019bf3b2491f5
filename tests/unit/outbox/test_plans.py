import asyncio

import pytest

from outlast.outbox._queries.plans import Ask, arun, run


def plan():
    """Ask twice and add up."""
    first = yield Ask("one", (1,))
    second = yield Ask("two")
    return [first, second]


def execute(statement, bindings):
    """Tell what was asked for."""
    return [(statement, tuple(bindings))]


ANSWER = [[("ONE", (1,))], [("TWO", ())]]


def test_a_plan_is_sent_what_it_asks_for():
    """Statements get their full names, and the result is what the plan returns."""
    assert run(plan(), str.upper, execute) == ANSWER


async def test_an_awaited_plan_is_the_same():
    """The one difference is that each answer is awaited."""

    async def aexecute(statement, bindings):
        await asyncio.sleep(0)
        return execute(statement, bindings)

    assert await arun(plan(), str.upper, aexecute) == ANSWER


def test_what_the_connection_raises_ends_the_plan():
    """The error passes through, as it is the caller's transaction that has failed."""

    def broken(statement, bindings):
        raise KeyError(statement)

    with pytest.raises(KeyError, match="ONE"):
        run(plan(), str.upper, broken)
