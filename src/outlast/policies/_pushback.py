"""Decide what the end of a call says about the load of what was called."""

from __future__ import annotations

from outlast.engines.breaker_records import Verdict
from outlast.errors import classify
from outlast.policies._judge import Judge

_TOO_MANY = 429


def load_verdict(judge: Judge, error: BaseException) -> Verdict:
    """Judge as a circuit breaker does, but for 429: a service that asks for fewer calls has too many.

    Args:
        judge: The rules of the policy.
        error: How the call ended.
    """
    verdict = judge.verdict(error)
    if verdict is not Verdict.IGNORED or not isinstance(error, Exception) or isinstance(error, judge.ignore):
        return verdict
    return Verdict.FAILURE if classify(error).status_code == _TOO_MANY else Verdict.IGNORED
