"""What to do with an op before it is sent, by what is known of its earlier attempts.

`op.settle` judges one answer; here the history counts: how often its process died while it was on the wire, how often
it was refused, whether it expired, whether the server works on it, and whether its key is still remembered. An op that
may have taken effect is never given up unseen: it is read back first, or put before a person.

Source: draft-ietf-httpapi-idempotency-key-header-07 (servers forget keys); Sidekiq's three recoveries.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from outlast.engines.failure_budgets import Exhausted, Failure, FailureBudgets, Spent, spend
from outlast.engines.op import (
    Accepted,
    Answer,
    Applied,
    AskCredentials,
    AuthNeeded,
    Await,
    Busy,
    Compare,
    Conflict,
    Deliver,
    DeliveryPolicy,
    Die,
    Found,
    Gone,
    InDoubt,
    Missing,
    NotApplied,
    Postpone,
    ReadBack,
    Rejected,
    Stale,
    Step,
    Unreadable,
    Verb,
    settle,
)


class Course(StrEnum):
    """Name what is to be done with an op whose turn has come."""

    SEND = "send"
    """Send it."""
    ASK = "ask"
    """Ask the server that has accepted it."""
    FORGOTTEN = "forgotten"
    """Read it back before it is sent again: its key may be forgotten."""
    EXPIRED = "expired"
    """Read it back, and give it up if it did not take effect."""
    OVERDUE = "overdue"
    """Read it back: the server has accepted it long ago and never said that it was done."""
    MERGE = "merge"
    """Take it as refused without sending it: what it is based on never came to be."""


@dataclass(frozen=True, slots=True)
class History:
    """Hold what is known of the earlier attempts of an op.

    Args:
        sent: Whether there were any.
        doubt: Whether one of them may have taken effect.
        first_sent: Unix seconds of the first.
        accepted: Unix seconds at which the server accepted it, or None.
        unreported: Claims in a row that were never reported on: their process died.
        refused: Refusals that were forgiven.
        expires: Unix seconds at which it is given up, or None.
        rebased: Whether what it is based on never came to be, because the write before it became something else.
    """

    sent: bool = False
    doubt: bool = False
    first_sent: float = 0.0
    accepted: float | None = None
    unreported: int = 0
    refused: int = 0
    expires: float | None = None
    rebased: bool = False


def course(policy: DeliveryPolicy, history: History, wall: float) -> Course | Die:
    """Say what is to be done with an op whose turn has come.

    Args:
        policy: The numbers.
        history: What is known of it.
        wall: Unix seconds now.

    >>> course(DeliveryPolicy(), History(expires=10.0), wall=20.0)
    Die(reason='it expired before it was delivered')
    >>> course(DeliveryPolicy(), History(sent=True, doubt=True, expires=10.0), wall=20.0).value
    'expired'
    """
    if (poison := _poison(policy, history, wall)) is not None:
        return poison
    if history.expires is not None and wall >= history.expires:
        unseen = history.doubt or history.accepted is not None
        return Course.EXPIRED if unseen else Die("it expired before it was delivered")
    if history.accepted is not None:
        return Course.OVERDUE if wall - history.accepted > policy.accepted_for else Course.ASK
    if history.doubt and wall - history.first_sent > policy.key_ttl:
        return Course.FORGOTTEN
    return Course.MERGE if history.rebased else Course.SEND


def _poison(policy: DeliveryPolicy, history: History, wall: float) -> Die | None:
    if not history.unreported:
        return None
    before = Spent(killed=history.unreported - 1)
    match spend(_budgets(policy), before, Failure.KILLED, wall=wall):
        case Exhausted(reason=reason):
            return Die(f"poison: {reason}; it may have taken effect")
        case _:
            return None


def _budgets(policy: DeliveryPolicy) -> FailureBudgets:
    return FailureBudgets(rejected=policy.max_refusals, killed=policy.max_deaths)


def after_look(
    policy: DeliveryPolicy, way: Course, verb: Verb, attempt: int, found: ReadBack, *, chance: float
) -> Step | None:
    """Say what reading back before a sending means; None says that it is to be sent.

    Args:
        policy: The numbers.
        way: Why it was read back.
        verb: What the op does.
        attempt: The number of this attempt, from 1.
        found: What reading back gave.
        chance: A random number from [0, 1) for the jitter.
    """
    match found:
        case Found(equal=True, etag=etag, body=body):
            return Deliver(etag, held=body)
        case Missing() if verb is Verb.DELETE:
            return Deliver()
        case Unreadable(reason=why, permanent=True):
            return Conflict(f"{_CAUSES[way]}; it may have taken effect, and cannot be read back: {why}")
        case Unreadable(reason=why):
            return Postpone(policy.backoff.wait(attempt, chance), f"{_CAUSES[way]}; reading back failed: {why}")
        case Found() | Missing():
            return _unapplied(way)


_CAUSES = {
    Course.FORGOTTEN: "the server may have forgotten its key",
    Course.EXPIRED: "it expired",
    Course.OVERDUE: "the server accepted it and never said that it was done",
}


def _unapplied(way: Course) -> Step | None:
    match way:
        case Course.EXPIRED:
            return Die("it expired, and the server does not hold it")
        case Course.OVERDUE:
            return Conflict(f"{_CAUSES[way]}; it does not hold it")
        case Course.SEND | Course.ASK | Course.FORGOTTEN | Course.MERGE:
            return None


def after_sending(
    policy: DeliveryPolicy, verb: Verb, attempt: int, answer: Answer, history: History, *, wall: float, chance: float
) -> Step:
    """Say what the answer to a sending means, the budgets counted in.

    Args:
        policy: The numbers.
        verb: What the op does.
        attempt: The number of this attempt, from 1.
        answer: What came back.
        history: What was known before.
        wall: Unix seconds now.
        chance: A random number from [0, 1) for the jitter.
    """
    step = settle(policy, verb, attempt, answer, chance)
    if isinstance(step, Die) and isinstance(answer, Rejected):
        spent = spend(_budgets(policy), Spent(rejected=history.refused), Failure.REJECTED, wall=wall)
        if not isinstance(spent, Exhausted):
            step = Postpone(policy.backoff.wait(attempt, chance), step.reason)
    if isinstance(step, Postpone) and not step.pause_origin and history.expires is not None:
        # What expires meanwhile is looked at then, and not when the server would have liked it to come back; but while
        # the whole origin rests, nothing of it is looked at, and the rest is as long for all.
        step = replace(step, wait=min(step.wait, max(0.0, history.expires - wall)))
    return step


def after_asking(policy: DeliveryPolicy, verb: Verb, attempt: int, answer: Answer, chance: float) -> Step:
    """Say what the answer of a server means that was asked about an op which it had accepted.

    Args:
        policy: The numbers.
        verb: What the op does.
        attempt: The number of this attempt, from 1.
        answer: What it said: applied, still at it, failed, or no longer known there.
        chance: A random number from [0, 1) for the jitter.
    """
    match answer:
        case Applied() | Accepted():
            return settle(policy, verb, attempt, answer, chance)
        case NotApplied() | InDoubt():
            return Await(None, policy.backoff.wait(attempt, chance))
        case Busy(retry_after=after, whole_origin=whole):
            wait = max(min(policy.max_retry_after, after or 0.0), policy.backoff.wait(attempt, chance))
            return Await(None, wait, pause_origin=whole)
        case Stale(reason=reason) | Gone(reason=reason):
            return Compare(f"the server had accepted it, and then: {reason}")
        case Rejected(reason=reason):
            return Die(f"the server had accepted it, and then: {reason}")
        case AuthNeeded(reason=reason):
            return AskCredentials(reason)


def may_be_applied(answer: Answer, *, doubt: bool) -> bool:
    """Tell whether an op may have taken effect after an answer.

    Args:
        answer: What came back.
        doubt: Whether it may have before: only reading back ends a doubt, whatever later attempts say.
    """
    match answer:
        case Applied() | Accepted() | InDoubt() | Busy(in_doubt=True):
            return True
        case NotApplied() | Busy() | Stale() | Gone() | Rejected() | AuthNeeded():
            return doubt
