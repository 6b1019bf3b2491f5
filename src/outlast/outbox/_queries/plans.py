"""Queries that do not know whether their connection is awaited: a plan asks, and somebody else runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Ask(NamedTuple):
    """Hold a statement that a plan wants to have run.

    Args:
        statement: With `$name` for tables and `?` for values.
        bindings: The values.
    """

    statement: str
    bindings: Sequence[Any] = ()


Rows = Sequence[Sequence[Any]]
Plan = Generator[Ask, Rows, T]
"""Yields what it asks for, is sent the rows, and returns its result."""


Text = Callable[[str], str]
"""Puts the full names of tables into a statement."""


def run(plan: Plan[T], text: Text, execute: Callable[[str, Sequence[Any]], Rows]) -> T:
    """Run a plan on a blocking connection; what a statement raises is raised into the plan."""
    try:
        ask = next(plan)
        while True:
            try:
                rows = execute(text(ask.statement), ask.bindings)
            except BaseException as error:
                ask = plan.throw(error)
            else:
                ask = plan.send(rows)
    except StopIteration as end:
        result: T = end.value
        return result


async def arun(plan: Plan[T], text: Text, execute: Callable[[str, Sequence[Any]], Awaitable[Rows]]) -> T:
    """Run a plan on a connection that is awaited; what a statement raises is raised into the plan."""
    try:
        ask = next(plan)
        while True:
            try:
                rows = await execute(text(ask.statement), ask.bindings)
            except BaseException as error:
                ask = plan.throw(error)
            else:
                ask = plan.send(rows)
    except StopIteration as end:
        result: T = end.value
        return result
