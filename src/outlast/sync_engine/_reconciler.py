"""Settle conflicts by the policy of their kind, or by a function of the user; what neither settles goes to the inbox.

All of it happens between the reading of what the server holds and the commit of what is decided, outside of every
transaction. A process that dies in between leaves the op as it was, and the next one asks anew.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

from outlast.engines.json_values import ABSENT, UNKNOWN, Nothing, decode, encode
from outlast.engines.merge_patch import apply_patch
from outlast.engines.merge_report import Merged
from outlast.engines.op import Conflict as Inbox
from outlast.engines.op import Deliver, Found, Missing, Renew, Step, Verb
from outlast.engines.reconcile import after_answer, after_reading
from outlast.engines.reconcile_records import (
    Ask,
    ConflictPolicies,
    ConflictPolicy,
    Discard,
    Dispute,
    Fetch,
    Keep,
    MergeAndResend,
    Next,
    Recreate,
    Resolution,
    Theirs,
)
from outlast.outbox import Disputed, Op, OutboxCore
from outlast.sync_engine._conflict import Conflict, Decision, Resend, Resolver


class Reconciler:
    """Settle conflicts.

    Args:
        core: The outbox, for what the server is known to have held.
        policies: What each kind wants.
        resolvers: Functions of the user by kind; they are asked instead of the policy.
    """

    def __init__(self, core: OutboxCore, policies: ConflictPolicies, resolvers: Mapping[str, Resolver]) -> None:
        self._core = core
        self._policies = policies
        self._resolvers = resolvers

    async def __call__(self, disputed: Disputed) -> Step:
        """Return what is to be done about a conflict; by default its step, which is the inbox."""
        op = disputed.op
        if self._core.upcasters.show(op) is not op:
            return disputed.step  # it was sent in an older shape than theirs; a replay leads it on
        try:
            ours = UNKNOWN if op.body is None else decode(op.body)
        except ValueError:
            return disputed.step  # nothing that is not JSON can be merged
        base = await self._base(op)
        theirs = _theirs(disputed)
        dispute = Dispute(op.verb, None if op.verb is Verb.DELETE else ours, disputed.answer, base, op.rounds)
        policy = disputed.policy or self._policies.of(op.kind)
        resolver = self._resolvers.get(op.kind) if op.verb is not Verb.POST else None
        try:
            if resolver is not None:
                return await _asked(resolver, disputed, dispute, theirs, limit=policy.max_rounds)
            return _merged(policy, disputed, dispute, theirs)
        except Exception as error:
            # Of a rule or a resolver, of what they made, or of JSON too deep to be merged: it must not stop the others.
            who = "the merge" if resolver is None else "the resolver"
            reason = f"{disputed.step.reason}; {who} raised {type(error).__name__}: {error}"
            return _inbox(reason, base, theirs, None)

    async def _base(self, op: Op) -> Any:
        if op.verb is Verb.CREATE:
            return ABSENT
        kept = op.base
        if kept is None and op.if_match is not None:
            shadow = await self._core.result(self._core.shadow(op.kind, op.entity))
            # Only the very version that the write was based on is a base of it.
            kept = None if shadow is None or shadow.etag != op.if_match else shadow.body
        return _decoded(kept)


async def _asked(
    resolver: Resolver, disputed: Disputed, dispute: Dispute, theirs: Theirs | None, *, limit: int
) -> Step:
    conflict = _shown(disputed, dispute, theirs)
    if dispute.rounds >= limit:
        reason = f"{disputed.step.reason}; {dispute.rounds} writes of the resolver were refused before it"
        return _inbox(reason, dispute.base, theirs, None)
    answer = resolver(conflict)
    decision = await answer if inspect.isawaitable(answer) else answer
    return _decided(decision, conflict, disputed, theirs)


def _merged(policy: ConflictPolicy, disputed: Disputed, dispute: Dispute, theirs: Theirs | None) -> Step:
    if theirs is None:
        following = after_answer(policy, dispute, disputed.step)
    else:
        following = after_reading(policy, dispute, theirs, disputed.step)
    return _step(following, disputed, dispute.base, theirs)


def _decided(decision: Decision, conflict: Conflict, disputed: Disputed, theirs: Theirs | None) -> Step:
    report = decision if isinstance(decision, Merged) else None
    match decision:
        case Resolution.DONE:
            return Deliver(conflict.etag, "dropped")
        case Resolution.RETRY:
            return _resent(conflict, disputed.op.verb, disputed.op.body, theirs)
        case Resend(body=body):
            return _whole(conflict, body, theirs)
        case Merged(nothing_to_send=True):
            return Deliver(conflict.etag, "equal")
        case Merged(settled=True, value=value):
            return _whole(conflict, value, theirs)
        case _:
            return _inbox(disputed.step.reason, conflict.base, theirs, report)


def _whole(conflict: Conflict, value: Any, theirs: Theirs | None) -> Step:
    if value is ABSENT:
        return _resent(conflict, Verb.DELETE, None, theirs)
    return _resent(conflict, Verb.PUT, encode(value), theirs)


def _resent(conflict: Conflict, verb: Verb, body: bytes | None, theirs: Theirs | None) -> Step:
    if conflict.theirs is ABSENT and verb is Verb.PUT:
        verb = Verb.CREATE  # what is gone can only be made
    elif conflict.theirs is not ABSENT and verb is Verb.CREATE:
        verb = Verb.PUT  # and what is there only be replaced
    return Renew(verb, body, _strong(conflict.etag), _held(theirs), "decided by the resolver")


def _shown(disputed: Disputed, dispute: Dispute, theirs: Theirs | None) -> Conflict:
    found = disputed.found
    held: Any = ABSENT if theirs is None or isinstance(found, Missing) else theirs.content
    ours: Any = ABSENT if dispute.verb is Verb.DELETE else dispute.body
    if dispute.verb is Verb.PATCH:
        ours = UNKNOWN if isinstance(dispute.base, Nothing) else apply_patch(dispute.base, dispute.body)
    etag = found.etag if isinstance(found, Found) else None
    return Conflict(disputed.op, dispute.base, ours, held, etag, disputed.answer)


def _theirs(disputed: Disputed) -> Theirs | None:
    if disputed.found is None:
        return None
    body = disputed.found.body if isinstance(disputed.found, Found) else None
    return Theirs(disputed.found, _decoded(body))


def _decoded(body: bytes | None) -> Any:
    if body is None:
        return UNKNOWN
    try:
        return decode(body)
    except ValueError:
        return UNKNOWN


def _step(following: Next, disputed: Disputed, base: Any, theirs: Theirs | None) -> Step:
    match following:
        case Keep(step=step):
            return step
        case Fetch():
            return disputed.step
        case MergeAndResend(verb=verb, body=body, if_match=if_match, report=report):
            return Renew(
                verb, None if verb is Verb.DELETE else encode(body), if_match, _held(theirs), f"merged: {_said(report)}"
            )
        case Recreate(body=body, reason=reason):
            return Renew(Verb.CREATE, encode(body), None, None, reason)
        case Discard(etag=etag, report=None):
            return Deliver(etag, "dropped")
        case Discard(etag=etag):
            return Deliver(etag, "equal")
        case Ask(reason=reason, report=report):
            return _inbox(reason, base, theirs, report)


def _said(report: Merged) -> str:
    return "; ".join(f"{field.path or 'the whole'} {field.source.value}" for field in report.fields)


def _held(theirs: Theirs | None) -> bytes | None:
    return theirs.found.body if theirs is not None and isinstance(theirs.found, Found) else None


def _inbox(reason: str, base: Any, theirs: Theirs | None, report: Merged | None) -> Inbox:
    shown: dict[str, Any] = {"found": isinstance(theirs.found, Found) if theirs is not None else False}
    if theirs is not None and isinstance(theirs.found, Found):
        shown["etag"] = theirs.found.etag
        shown |= {} if theirs.content is UNKNOWN else {"body": theirs.content}
    if report is not None:
        shown["report"] = report.to_data()
    return Inbox(reason, None if isinstance(base, Nothing) else encode(base), json.dumps(shown).encode())


def _strong(etag: str | None) -> str | None:
    return None if etag is None or etag.startswith("W/") else etag
