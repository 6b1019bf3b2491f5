"""Fold a new write into one that was never sent, so that replaying the shorter queue ends in the same state.

The queued op keeps its place, its base and its precondition. Nothing is folded into an op that may have been
sent, into one of a transaction group, into one that others wait for, into one behind which its lane holds
something else, when preconditions differ, or when the new write is to be given up before the queued one: that would
take the older wish along. A POST says what to do and not what to be: two of them become
one only by a function of the kind that says how, and so do patches that are no merge patches.

Source: RFC 7396 for patches; the rule to touch only what was never sent answers a lost update in a known
sync engine, whose mark for what is on the wire was never written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import Enum, auto
from typing import Any, Final

from outlast.engines.coalesce_records import Annihilate, Append, Decision, NoOp, OpView, Reject, Replace
from outlast.engines.json_values import decode, encode
from outlast.engines.merge_patch import Expressed, Inexpressible, apply_patch, compose_patches
from outlast.engines.op import Verb

Fold = Callable[[Any, Any], Any]
"""Make one JSON body of an older and a newer one; associative, such as adding two increments."""

MERGE_PATCHES: Final = frozenset({"application/json", "application/merge-patch+json"})
"""The media types under which a PATCH is a JSON merge patch."""


class _Do(Enum):
    APPEND = auto()
    PATCH_BODY = auto()
    TAKE_BODY = auto()
    BECOME = auto()
    COMPOSE = auto()
    FOLD = auto()
    ANNIHILATE = auto()
    NOTHING = auto()
    DUPLICATE = auto()
    DELETED = auto()


_VERBS: Final = (Verb.CREATE, Verb.PATCH, Verb.PUT, Verb.DELETE, Verb.POST)
_TABLE: Final = {
    # queued, never sent | new: CREATE, PATCH, PUT, DELETE, POST
    Verb.CREATE: (_Do.DUPLICATE, _Do.PATCH_BODY, _Do.TAKE_BODY, _Do.ANNIHILATE, _Do.APPEND),
    Verb.PATCH: (_Do.DUPLICATE, _Do.COMPOSE, _Do.BECOME, _Do.BECOME, _Do.APPEND),
    Verb.PUT: (_Do.DUPLICATE, _Do.PATCH_BODY, _Do.TAKE_BODY, _Do.BECOME, _Do.APPEND),
    Verb.DELETE: (_Do.APPEND, _Do.DELETED, _Do.DELETED, _Do.NOTHING, _Do.APPEND),
    Verb.POST: (_Do.APPEND, _Do.APPEND, _Do.APPEND, _Do.APPEND, _Do.FOLD),
}


class OpCoalescer:
    """Decide what becomes of new writes, in the transaction that would queue them.

    Args:
        folds: By kind, how to make one body of two, for POST and for patches that are no merge patches.
        max_body: The size in bytes that no folded body may exceed, or None.

    >>> create = OpView(seq=7, verb=Verb.CREATE, kind="note", entity="n1", body=b'{"text":"a"}')
    >>> patch = OpView(verb=Verb.PATCH, kind="note", entity="n1", body=b'{"done":true}')
    >>> OpCoalescer().coalesce([create], patch).op.body
    b'{"text":"a","done":true}'
    >>> OpCoalescer().coalesce([create], OpView(verb=Verb.DELETE, kind="note", entity="n1"))
    Annihilate(removed=(7,))
    """

    def __init__(self, folds: Mapping[str, Fold] | None = None, *, max_body: int | None = None) -> None:
        self._folds = folds or {}
        self._max_body = max_body

    def coalesce(self, queued: Sequence[OpView], new: OpView) -> Decision:
        """Decide what becomes of a new write.

        Args:
            queued: The ops of the same entity that are not settled, oldest first; those before the last one
                that was sent may be left out.
            new: The new write.
        """
        rest = list(queued)
        decision = self.decide(rest.pop() if rest else None, new)
        while rest and isinstance(decision, Replace):
            # What the op has become may reach further back: a DELETE speaks for every change before it.
            gone = (decision.op.seq, *decision.removed)
            match self.decide(rest.pop(), decision.op):
                case Replace(op=op):
                    decision = Replace(op, gone)
                case Annihilate(removed=removed):
                    decision = Annihilate((*removed, *gone))
                case Append() | Reject() | NoOp():
                    break
        return decision

    def decide(self, queued: OpView | None, new: OpView) -> Decision:
        """Decide by the last queued op of the entity alone.

        Args:
            queued: That op, or None.
            new: The new write.
        """
        if queued is None:
            return Append("nothing else of this entity is queued")
        if queued.sealed:
            return Append("the queued op may have been sent")
        do = _TABLE[queued.verb][_VERBS.index(new.verb)]
        if do is _Do.DUPLICATE:
            return Reject(f"{_name(new)} is queued already; change it by put or patch instead of a second create")
        if do is _Do.DELETED:
            return Reject(f"{_name(new)} is queued to be deleted; create it again instead of changing it")
        boundary = _boundary(queued, new)
        return Append(boundary) if boundary else self._fold(do, replace(queued, expires=new.expires), new)

    def try_coalesce(self, queued: Sequence[OpView], new: OpView) -> Replace | None:
        """Return what a queued op becomes if it takes up the new write, else None."""
        decision = self.coalesce(queued, new)
        return decision if isinstance(decision, Replace) else None

    def remove_superseded(self, queued: Sequence[OpView], new: OpView) -> tuple[int, ...]:
        """Return the places of the queued ops that need not be sent any more because of the new write."""
        match self.coalesce(queued, new):
            case Replace(removed=removed) | Annihilate(removed=removed):
                return removed
            case Append() | Reject() | NoOp():
                return ()

    def _fold(self, do: _Do, queued: OpView, new: OpView) -> Decision:
        match do:
            case _Do.ANNIHILATE:
                return Annihilate((queued.seq,))
            case _Do.NOTHING:
                return NoOp(queued.seq, queued.expires)
            case _Do.TAKE_BODY:
                return self._fitting(replace(queued, body=new.body, content_type=new.content_type))
            case _Do.BECOME:
                return self._fitting(replace(queued, verb=new.verb, body=new.body, content_type=new.content_type))
            case _Do.PATCH_BODY | _Do.COMPOSE | _Do.FOLD:
                return self._merged(do, queued, new)
            case _Do.APPEND | _Do.DUPLICATE | _Do.DELETED:
                return Append(f"a {new.verb.value} is never folded into a {queued.verb.value}")

    def _merged(self, do: _Do, queued: OpView, new: OpView) -> Decision:
        """Make one body of two, both of which must be JSON."""
        try:
            older, newer = decode(queued.body or b""), decode(new.body or b"")
            if new.verb is Verb.PATCH and new.content_type in MERGE_PATCHES:
                match _patched(do, queued, older, newer):
                    case Inexpressible(path=path, reason=reason):
                        return Append(f"{reason}, and {'.'.join(path) or 'the whole'} would be one")
                    case Expressed(patch=body):
                        return self._fitting(replace(queued, body=encode(body)))
            fold = self._folds.get(new.kind)
            if fold is None or do is _Do.PATCH_BODY or queued.content_type != new.content_type:
                return Append(f"nothing says how a {new.verb.value} of this kind is folded into another")
            return self._fitting(replace(queued, body=encode(fold(older, newer))))
        except ValueError as error:
            return Append(f"the bodies cannot be made one: {error}")

    def _fitting(self, op: OpView) -> Append | Replace:
        size = len(op.body or b"")
        if self._max_body is not None and size > self._max_body:
            return Append(f"the folded body would have {size} bytes")
        return Replace(op)


def _patched(do: _Do, queued: OpView, older: Any, patch: Any) -> Expressed | Inexpressible:
    if do is _Do.PATCH_BODY:
        return Expressed(apply_patch(older, patch))
    if queued.content_type not in MERGE_PATCHES:
        return Inexpressible((), f"a merge patch cannot continue one of the type {queued.content_type}")
    return compose_patches(older, patch)


def _boundary(queued: OpView, new: OpView) -> str:
    """Return what forbids to fold the one into the other, empty if nothing does."""
    reasons = {
        "one of them belongs to a transaction": queued.group is not None or new.group is not None,
        "another op waits for the queued one": queued.awaited,
        "its lane holds another entity's op behind the queued one": queued.followed,
        "the new one waits for an op that the queued one does not wait for": new.after
        not in {None, queued.seq, queued.after},
        "the new one is to be given up earlier": (new.expires or math.inf) < (queued.expires or math.inf),
        "their preconditions differ": new.if_match not in {None, queued.if_match},
        "they go to different places": (queued.kind, queued.entity, queued.route) != (new.kind, new.entity, new.route),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _name(op: OpView) -> str:
    return f"{op.kind} {op.entity!r}"
