"""Let the retries and hedges of one pipeline draw on one budget."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from outlast.policies._hedge import Hedge
from outlast.policies._policy import Policy
from outlast.policies._retry import Retry


def share_one_budget(policies: Iterable[Policy]) -> None:
    """Give the budget of the outermost retry to the other retries and to the hedges that have none of their own.

    What the user has given a policy, or refused it with False, stays. Each call pays in once, at the
    outermost retry.

    Args:
        policies: Of one pipeline, outermost first.
    """
    budget = None
    for policy in _drawing(policies):
        if budget is not None:
            policy.share_budget(budget, pays_in=False)
        elif isinstance(policy, Retry):
            budget = policy.budget


def _drawing(policies: Iterable[Policy]) -> Iterator[Retry | Hedge]:
    for policy in policies:
        if isinstance(policy, (Retry, Hedge)):
            yield policy
        else:
            yield from _drawing(getattr(policy, "policies", ()))
