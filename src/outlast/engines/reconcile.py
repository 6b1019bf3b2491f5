"""Decide what to do about a write that the server refused because it holds something else (409, 412, 404, 410).

The statuses are judged elsewhere: `op.settle` and `op.compare` say what an answer and a reading back mean, and
what they settle stays so. Only where they end in a conflict does a policy of the kind go on: merge on the stored
base and send again under a new generation, make the entity again, drop the write, or ask a person. Each
merge that is sent counts as a round, and after a few rounds a person is asked whatever the policy says.

Source: RFC 9110 section 13.1.1, by which a refused precondition may come from an own success; the outcomes
DONE, RETRY and FAIL answer a known sync engine whose single yes or no sent a finished create again for ever.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from outlast.engines.json_values import ABSENT, UNKNOWN, Nothing, is_object
from outlast.engines.merge import MergeRules, merge, path_of
from outlast.engines.merge_patch import Expressed, Inexpressible, apply_patch, diff_patch
from outlast.engines.merge_report import Merged
from outlast.engines.op import Compare, Conflict, Found, Gone, Missing, Step, Verb
from outlast.engines.reconcile_records import (
    Ask,
    ConflictPolicy,
    Discard,
    Dispute,
    Fetch,
    Keep,
    MergeAndResend,
    Next,
    OnDeleted,
    OnDuplicate,
    Recreate,
    Theirs,
)


def after_answer(policy: ConflictPolicy, dispute: Dispute, step: Step) -> Next:
    """Say how to go on after the server refused a write.

    Args:
        policy: What its kind wants.
        dispute: The write.
        step: What `op.settle` said to the answer.
    """
    match step:
        case Compare(reason=reason):
            return Fetch(reason)
        case Conflict() if isinstance(dispute.answer, Gone):
            return _deleted(policy, dispute, step)
        case _:
            return Keep(step)


def after_reading(policy: ConflictPolicy, dispute: Dispute, theirs: Theirs, step: Step) -> Next:
    """Say how to go on with what the server holds.

    Args:
        policy: What its kind wants.
        dispute: The write.
        theirs: What reading back gave.
        step: What `op.compare` said to it. What was delivered, or is to be read again, stays so.
    """
    if not isinstance(step, Conflict):
        return Keep(step)
    match theirs.found:
        case Missing() if dispute.verb in {Verb.PUT, Verb.PATCH}:
            return _deleted(policy, dispute, step)
        case Found(etag=etag) if theirs.content is not UNKNOWN:
            return _differing(policy, dispute, theirs.content, etag, step)
        case _:
            return Ask(step.reason)


def _deleted(policy: ConflictPolicy, dispute: Dispute, step: Conflict) -> Next:
    if dispute.rounds >= policy.max_rounds:
        return _spent(dispute, step)
    match policy.on_deleted:
        case OnDeleted.DISCARD:
            return Discard(None, f"{step.reason}; the policy is to drop the edit")
        case OnDeleted.RECREATE:
            whole = _without(_whole(dispute), policy.server_fields)
            if whole is UNKNOWN:
                return Ask(f"{step.reason}; it cannot be made again, because only a patch of it is known")
            return Recreate(whole, f"{step.reason}; the policy is to make it again")
        case OnDeleted.ASK:
            return Ask(step.reason)


def _whole(dispute: Dispute) -> Any:
    """Return all of what we wanted the entity to be, or UNKNOWN."""
    if dispute.verb is not Verb.PATCH:
        return dispute.body
    return UNKNOWN if isinstance(dispute.base, Nothing) else apply_patch(dispute.base, dispute.body)


def _differing(policy: ConflictPolicy, dispute: Dispute, theirs: Any, etag: str | None, step: Conflict) -> Next:
    rules = policy.merge
    if dispute.verb is Verb.CREATE:
        if policy.on_duplicate is OnDuplicate.DISCARD:
            return Discard(etag, f"{step.reason}; the policy is to keep what is there")
        if policy.on_duplicate is OnDuplicate.ASK:
            rules = None
    hidden = policy.server_fields
    ours = replace(dispute, body=_without(dispute.body, hidden))
    merged = _merge(ours, _without(dispute.base, hidden), _without(theirs, hidden), rules or MergeRules())
    if rules is None:
        return Ask(step.reason, merged)
    if merged.nothing_to_send:
        return Discard(etag, "the server holds the merged result already", merged)
    if not merged.settled:
        return Ask(f"{step.reason}: {', '.join(path or 'the whole' for path in merged.open_paths)}", merged)
    if dispute.rounds >= policy.max_rounds:
        return _spent(dispute, step, merged)
    return _resend(policy, dispute, merged, theirs, etag)


def _without(value: Any, paths: frozenset[str], names: tuple[str, ...] = ()) -> Any:
    if not paths or not is_object(value):
        return value
    return {
        name: _without(member, paths, (*names, name))
        for name, member in value.items()
        if path_of((*names, name)) not in paths
    }


def _merge(dispute: Dispute, base: Any, theirs: Any, rules: MergeRules) -> Merged:
    match dispute.verb:
        case Verb.DELETE:
            return merge(base, ABSENT, theirs, rules)
        case Verb.CREATE:
            return merge(ABSENT, dispute.body, theirs, rules)
        case Verb.PATCH:
            # Without a base a patch still tells what its author touched: all else is theirs.
            start = theirs if isinstance(base, Nothing) else base
            return merge(base, apply_patch(start, dispute.body), theirs, rules)
        case Verb.PUT | Verb.POST:
            return merge(base, dispute.body, theirs, rules)


def _resend(policy: ConflictPolicy, dispute: Dispute, merged: Merged, theirs: Any, etag: str | None) -> Next:
    version = None if etag is None or etag.startswith("W/") else etag
    if version is None and not policy.unguarded:
        return Ask("the server names no version that the merged write could be based on", merged)
    verb, body = _request(dispute.verb, merged)
    return MergeAndResend(verb, body, version, theirs, merged)


def _request(verb: Verb, merged: Merged) -> tuple[Verb, Any]:
    """Return the smallest request of the same sort that makes the merged result."""
    if merged.value is ABSENT:
        return Verb.DELETE, None
    if verb is Verb.PATCH:
        match diff_patch(merged.theirs, merged.value):
            case Expressed(patch=patch):
                return Verb.PATCH, patch
            case Inexpressible():
                pass
    return Verb.PUT, merged.value


def _spent(dispute: Dispute, step: Conflict, report: Merged | None = None) -> Ask:
    return Ask(f"{step.reason}; {dispute.rounds} merged writes were refused before it", report)
