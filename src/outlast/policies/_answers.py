"""Take what a user's function gives in place of a call: as it is in sync code, awaited if need be in async code."""

from __future__ import annotations

from typing import Any

from outlast.errors import ConfigError
from outlast.policies._shape import PLAIN, is_awaitable


def plain(answer: Any) -> Any:
    """Return an answer that sync code can use.

    Raises:
        ConfigError: It must be awaited.
    """
    if type(answer) not in PLAIN and is_awaitable(answer):
        if hasattr(answer, "close"):
            answer.close()  # else Python warns that nobody awaited it
        raise ConfigError("a function that a policy called around a sync call returned something to await")
    return answer


async def awaited(answer: Any) -> Any:
    """Return an answer, awaited if it can be.

    Cancel: goes on to what is awaited.
    """
    return await answer if type(answer) not in PLAIN and is_awaitable(answer) else answer
