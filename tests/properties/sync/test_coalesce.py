"""Replaying the coalesced queue ends where replaying every single write ends."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

import hypothesis.strategies as st
from hypothesis import event, example, given, settings
from json_strategies import NAMES, SCALARS

from outlast.engines.coalesce import OpCoalescer
from outlast.engines.coalesce_records import Annihilate, Append, NoOp, OpView, Reject, Replace
from outlast.engines.json_values import same
from outlast.engines.merge_patch import apply_patch
from outlast.engines.op import Verb

CREATE, PUT, PATCH, DELETE, POST = Verb.CREATE, Verb.PUT, Verb.PATCH, Verb.DELETE, Verb.POST
BODIES = st.dictionaries(NAMES, st.one_of(SCALARS, st.dictionaries(NAMES, SCALARS, max_size=2)), max_size=2)
ENTITIES = "wxyz"
LANES = {"w": "w", "x": "x", "y": "both", "z": "both"}


@dataclass
class Server:
    """What one server makes of writes, one after the other."""

    values: dict[str, Any] = field(default_factory=lambda: {"w": {"a": 0}, "y": {"b": {"c": 1}}})
    versions: dict[str, int] = field(default_factory=lambda: {"w": 1, "y": 1})
    counters: dict[str, int] = field(default_factory=dict)
    seen: list[Any] = field(default_factory=list)

    def apply(self, op):
        """Take one write; it must be one that this state allows."""
        body, name = None if op.body is None else json.loads(op.body), op.entity
        if op.verb is POST and "look" in body:
            self.seen.append(json.dumps(self.values.get(body["look"]), sort_keys=True))
            return
        if op.verb is POST:
            self.counters[name] = self.counters.get(name, 0) + body["add"]
            return
        assert op.verb is not CREATE or name not in self.values
        assert op.verb is not PATCH or name in self.values
        if op.verb is DELETE:
            self.values.pop(name, None)
            return
        self.values[name] = apply_patch(self.values[name], body) if op.verb is PATCH else body
        self.versions[name] = self.versions.get(name, 0) + 1


@dataclass
class Queue:
    """A tiny outbox: one list in order of places, all of it checked at every step."""

    coalescer: OpCoalescer
    server: Server
    ops: list[OpView] = field(default_factory=list)
    frozen: dict[int, OpView] = field(default_factory=dict)
    last: int = 0

    def of(self, entity):
        """Return the ops of one entity as the coalescer sees them."""
        return [self.flagged(op) for op in self.ops if op.entity == entity]

    def flagged(self, op):
        """Return an op with what its neighbours mean for it."""
        behind = [other for other in self.ops if other.seq > op.seq and other.entity != op.entity]
        return replace(
            op,
            awaited=any(other.after == op.seq for other in self.ops),
            followed=any(LANES[other.entity] == LANES[op.entity] for other in behind),
        )

    def write(self, new):
        """Queue a write as the coalescer decides; returns whether it was taken."""
        decision = self.coalescer.coalesce(self.of(new.entity), new)
        event(type(decision).__name__)
        match decision:
            case Append():
                self.last += 1
                self.ops.append(replace(new, seq=self.last))
            case Replace(op=op, removed=removed):
                old = self.take(op.seq)
                for seq in removed:
                    self.take(seq)
                assert (op.base, op.if_match, op.after) == (old.base, old.if_match, old.after)
                self.ops.append(replace(op, awaited=False, followed=False))
                self.ops.sort(key=lambda found: found.seq)
            case Annihilate(removed=removed):
                for seq in removed:
                    self.take(seq)
            case NoOp(seq=seq):
                assert seq in [op.seq for op in self.ops]
            case Reject():
                return False
        return True

    def take(self, seq):
        """Take an op out that was never sent, is in no transaction, and that nobody waits for."""
        (found,) = (op for op in self.ops if op.seq == seq)
        assert not found.sealed
        assert found.group is None
        assert all(other.after != seq for other in self.ops)
        self.ops.remove(found)
        return found

    def claim(self):
        """Seal the oldest op that is not."""
        for place, op in enumerate(self.ops):
            if not op.sealed:
                self.ops[place] = self.frozen[op.seq] = replace(op, sealed=True)
                return

    def deliver(self):
        """Send the oldest op, as it was sealed, on the version that it is based on."""
        if not self.ops:
            return
        if not self.ops[0].sealed:
            self.claim()
        op = self.ops.pop(0)
        sealed = self.frozen[op.seq]
        assert (op.verb, op.body, op.base, op.group) == (sealed.verb, sealed.body, sealed.base, sealed.group)
        name = op.entity
        if op.verb in {PUT, PATCH, DELETE} and name in self.server.values:
            assert op.if_match == str(self.server.versions[name])
        self.server.apply(op)
        for place, other in enumerate(self.ops):
            if other.entity == name and other.verb in {PUT, PATCH, DELETE}:
                self.ops[place] = replace(other, if_match=str(self.server.versions.get(name, 0)))
                break


WRITES = st.builds(
    dict,
    entity=st.sampled_from(ENTITIES),
    verb=st.sampled_from([CREATE, CREATE, PUT, PATCH, PATCH, PATCH, DELETE, DELETE]),
    body=BODIES,
    group=st.sampled_from([None] * 6 + ["t1"]),
)
LOOKS = st.builds(dict, entity=st.sampled_from(ENTITIES), verb=st.just("look"), at=st.sampled_from(ENTITIES))
ADDS = st.builds(dict, entity=st.sampled_from(ENTITIES), verb=st.just("add"), n=st.integers(1, 9))
STEPS = st.lists(
    st.one_of(WRITES, WRITES, WRITES, WRITES, ADDS, LOOKS, st.sampled_from(["claim", "deliver"])),
    min_size=6,
    max_size=30,
)


def build(step, queue, number):
    """Return the write of a step as its author would make it."""
    entity, verb = step["entity"], step["verb"]
    if verb == "add":
        return OpView(verb=POST, kind="note", entity=entity, body=json.dumps({"add": step["n"]}).encode(), base=number)
    if verb == "look":
        waits_for = [op.seq for op in queue.ops if op.entity == step["at"]]
        body = json.dumps({"look": step["at"]}).encode()
        after = waits_for[-1] if waits_for else None
        return OpView(verb=POST, kind="note", entity=entity, body=body, after=after, base=number)
    # Behind something that is queued nobody knows a version yet.
    known = entity in queue.server.values and not queue.of(entity) and verb is not CREATE
    return OpView(
        verb=verb,
        kind="note",
        entity=entity,
        body=None if verb is DELETE else json.dumps(step["body"]).encode(),
        if_match=str(queue.server.versions[entity]) if known else None,
        group=step["group"],
        base=number,
    )


def fold(older, newer):
    """Add two increments; a look is no increment."""
    if "add" in older and "add" in newer:
        return {"add": older["add"] + newer["add"]}
    raise ValueError("a look is folded into nothing")


def write(entity, verb, body=None, group=None):
    """Return a step of the examples."""
    return {"entity": entity, "verb": verb, "body": body or {}, "group": group}


@settings(max_examples=300)
@given(steps=STEPS)
@example([write("x", CREATE, {"a": 1}), "claim", write("x", PATCH, {"b": 2}), write("x", DELETE)])
@example([write("w", PATCH, {"a": None}), write("w", PATCH, {"a": {"b": 1}}), write("w", DELETE)])
@example([write("w", PATCH, {"a": 1}), {"entity": "x", "verb": "look", "at": "w"}, write("w", PATCH, {"a": 2})])
@example([write("x", CREATE), {"entity": "w", "verb": "look", "at": "x"}, write("x", DELETE)])
@example([write("w", DELETE), write("w", CREATE, {"b": 1}), write("w", DELETE), write("w", CREATE, {"c": 1})])
@example([write("w", PATCH, {"a": 1}, "t1"), write("x", CREATE, {}, "t1"), write("w", PATCH, {"a": 2})])
@example([write("w", PATCH, {"b": 1}), write("w", PATCH, {"a": None}), write("w", PATCH, {"b": 2}), "deliver"])
def test_the_shorter_queue_ends_in_the_same_state(steps):
    """Whatever is written, sealed and sent in between: the same values, the same counters, the same views."""
    raw, queue = Server(), Queue(OpCoalescer({"note": fold}), Server())
    for number, step in enumerate(steps):
        if isinstance(step, str):
            getattr(queue, step)()
            continue
        new = build(step, queue, number)
        exists = new.entity in raw.values
        mistaken = (new.verb is CREATE and exists) or (new.verb is PATCH and not exists)
        if mistaken:
            decision = queue.coalescer.coalesce(queue.of(new.entity), new)
            assert isinstance(decision, Reject | Append)
            continue
        if queue.write(new):
            raw.apply(new)
        else:
            assert new.verb is PUT
            assert not exists
    while queue.ops:
        queue.deliver()

    assert same(queue.server.values, raw.values)
    assert queue.server.counters == raw.counters
    assert queue.server.seen == raw.seen


@given(bodies=st.lists(BODIES, min_size=1, max_size=10))
def test_a_burst_of_edits_of_a_new_entity_is_one_op(bodies):
    """The queue does get shorter: however often a new entity is edited, its create is all that is sent."""
    queue = Queue(OpCoalescer(), Server())
    queue.write(OpView(verb=CREATE, kind="note", entity="x", body=b"{}"))
    for body in bodies:
        queue.write(OpView(verb=PATCH, kind="note", entity="x", body=json.dumps(body).encode()))

    assert [op.verb for op in queue.ops] == [CREATE]
