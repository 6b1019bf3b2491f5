"""What a user sees of entities that were edited and not delivered yet.

The visible value is the shadow, which is what was last pulled, with the own ops replayed on it in the order of
their places. To roll one back is to take it out and replay the others; a copy made when it was queued would
also undo what came after it. A delivered op goes on being replayed until a pull has landed that contains its
version, or the value would jump back for a moment.

What nobody pulls is kept in one piece: behind a delivered op that says all of the entity, those in front of it that
were delivered too show nothing, and are forgotten.

A pull contains a delivered op if it shows the op's version, or the entity is known to come after it: by a pull
that began after the answer, by a higher number, by the op's key in the pulled event, or by the op's version in one
that landed before. A delete whose answer named no version is in every pull that finds nothing.

Source: the fork and master of RxDB and the rebase of Replicache, on one entity at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from outlast.engines.json_values import ABSENT, Absent
from outlast.engines.merge_patch import apply_patch
from outlast.engines.op import Verb

Version = str | int | None
"""The name of a version, whose order only numbers tell; None where the server names none."""


@dataclass(frozen=True, slots=True)
class LocalOp:
    """Hold an own op that the shadow does not contain.

    Args:
        seq: Its place.
        entity: The id of the entity.
        verb: What it does.
        body: Its JSON value, or None.
        delivered: Whether the server has confirmed it.
        version: The version that the server gave to the result, once delivered.
        settled_at: The moment at which that was learned, in the overlay's own count.
    """

    seq: int
    entity: str
    verb: Verb
    body: Any = None
    delivered: bool = False
    version: Version = None
    settled_at: int = 0


Effect = Callable[[Any, LocalOp], Any]
"""Say what an op makes of a value, either of which may be ABSENT; pure.

A create, a put and a delete say all that the entity will be: what is made of them must not depend on the value.
"""

WHOLE: Final = frozenset({Verb.CREATE, Verb.PUT, Verb.DELETE})


@dataclass(frozen=True, slots=True)
class Seen:
    """Hold what a user sees of an entity.

    Args:
        value: The value, or ABSENT.
        local: The places of the own ops that were replayed for it; empty if this is what was pulled.
    """

    value: Any
    local: tuple[int, ...] = ()


def effect_of(value: Any, op: LocalOp) -> Any:
    """Return what an op makes of a value; a message shows nothing, nor does a change of what is not there.

    >>> effect_of({"n": 1}, LocalOp(7, "n1", Verb.PATCH, {"m": 2}))
    {'n': 1, 'm': 2}
    """
    match op.verb:
        case Verb.CREATE | Verb.PUT:
            return op.body
        case Verb.PATCH:
            return ABSENT if value is ABSENT else apply_patch(value, op.body)
        case Verb.DELETE:
            return ABSENT
        case Verb.POST:
            return value


class OverlayEngine:
    """Know the own ops that the shadow does not contain yet. Everything is called under the face's lock.

    Args:
        effect: What an op makes of a value.

    >>> engine = OverlayEngine()
    >>> engine.queue(LocalOp(1, "n1", Verb.PUT, {"t": "mine"}))
    >>> engine.view("n1", {"t": "old"}).value
    {'t': 'mine'}
    >>> engine.acknowledge(1, "v2")  # delivered, but what was pulled does not show it yet
    >>> engine.view("n1", {"t": "old"}).value, engine.land("n1", version="v2")
    ({'t': 'mine'}, True)
    >>> engine.view("n1", {"t": "mine"}).local
    ()
    """

    def __init__(self, effect: Effect = effect_of) -> None:
        self._effect = effect
        self._ops: dict[str, dict[int, LocalOp]] = {}
        self._entity_of: dict[int, str] = {}
        self._echoed: set[int] = set()
        self._moment = 0
        self._landed: dict[str, tuple[Version, int]] = {}
        # What has landed while own ops wait: the answer to one may name a version that is gone by already.
        self._passed: dict[str, set[Version | Absent]] = {}

    def queue(self, op: LocalOp) -> None:
        """Add an op, or let one of that place be this from now on."""
        self._forget(op.seq)
        self._ops.setdefault(op.entity, {})[op.seq] = op
        self._entity_of[op.seq] = op.entity

    def remove(self, seq: int) -> LocalOp | None:
        """Roll one op back: the others are replayed without it. Returns it, None if there was none."""
        return self._forget(seq)

    def acknowledge(self, seq: int, version: Version) -> None:
        """Note that an op was delivered; it stays visible until a pull contains it."""
        op = self.op(seq)
        if op is None or op.delivered:
            return
        self._moment += 1
        self._ops[op.entity][seq] = replace(op, delivered=True, version=version, settled_at=self._moment)
        known, _ = self._landed.get(op.entity, (None, 0))
        name = ABSENT if version is None and op.verb is Verb.DELETE else version
        passed = name is not None and name in self._passed.get(op.entity, ())
        if seq in self._echoed or passed or _contains(known, version):
            self._drop(op.entity, seq)
        elif op.verb in WHOLE:
            self._drop(op.entity, seq - 1)

    def start_pull(self) -> int:
        """Return the mark of a pull that begins now."""
        self._moment += 1
        return self._moment

    def land(
        self,
        entity: str,
        *,
        version: Version = None,
        mark: int | None = None,
        includes: int | None = None,
        gone: bool = False,
    ) -> bool:
        """Note that a pull of an entity has landed; False says that it is older than one before and must be dropped.

        Args:
            entity: Its id.
            version: The version that was pulled, if the server names one.
            mark: What `start_pull` gave when the pull began; None for an event that was pushed, which must not be
                older than what has landed: a feed with a cursor sees to that.
            includes: The place of an own op that the event is known to contain, by its key. It need not have
                been answered yet.
            gone: Whether it shows that the entity does not exist. Answers to a delete seldom name a version.
        """
        known, marked = self._landed.get(entity, (None, 0))
        # Only numbers tell their order; else what began before the last that landed may be older, and is asked anew.
        at = self.start_pull() if mark is None else mark
        older = version < known if isinstance(version, int) and isinstance(known, int) else at < marked
        if older:
            return False
        self._landed[entity] = version, max(marked, at)
        ops = self._ops.get(entity, {}).values()
        if ops:
            self._passed.setdefault(entity, set()).update((version, ABSENT) if gone else (version,))
        self._echoed.update(op.seq for op in ops if includes is not None and op.seq <= includes)
        unnamed = {op.seq for op in ops if gone and op.version is None and op.verb is Verb.DELETE}
        contained = [op.seq for op in ops if op.delivered and (op.seq in unnamed or self._is_in(op, version, mark))]
        if contained:
            self._drop(entity, max(contained))
        return True

    def _is_in(self, op: LocalOp, version: Version, mark: int | None) -> bool:
        answered_before = mark is not None and op.settled_at < mark
        return op.seq in self._echoed or answered_before or _contains(version, op.version)

    def _drop(self, entity: str, last: int) -> None:
        # The ops of an entity are delivered in order, so a version contains all delivered ones before it.
        for op in tuple(self._ops[entity].values()):
            if op.delivered and op.seq <= last:
                self._forget(op.seq)

    def _forget(self, seq: int) -> LocalOp | None:
        self._echoed.discard(seq)
        entity = self._entity_of.pop(seq, None)
        if entity is None:
            return None
        ops = self._ops[entity]
        op = ops.pop(seq)
        if not ops:
            del self._ops[entity]
            self._passed.pop(entity, None)
        return op

    def op(self, seq: int) -> LocalOp | None:
        """Return the op of a place, None if there is none."""
        entity = self._entity_of.get(seq)
        return None if entity is None else self._ops[entity][seq]

    def view(self, entity: str, shadow: Any) -> Seen:
        """Return what a user sees.

        Args:
            entity: The id.
            shadow: What was last pulled of it, or ABSENT.
        """
        ops = sorted((op for op in self._ops.get(entity, {}).values() if op.seq not in self._echoed), key=_place)
        value = shadow
        for op in ops:
            value = self._effect(value, op)
        return Seen(value, tuple(op.seq for op in ops))

    @property
    def waiting(self) -> dict[int, str]:
        """Return the places of the ops that are not delivered, each with its entity."""
        return {op.seq: op.entity for ops in self._ops.values() for op in ops.values() if not op.delivered}

    @property
    def entities(self) -> set[str]:
        """Return the ids of the entities that have own ops."""
        return set(self._ops)


def _place(op: LocalOp) -> int:
    return op.seq


def _contains(pulled: Version, own: Version) -> bool:
    if pulled is None or own is None:
        return False
    return pulled >= own if isinstance(pulled, int) and isinstance(own, int) else pulled == own
