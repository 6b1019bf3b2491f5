import dataclasses
import json
from itertools import product

import pytest

from outlast.engines.coalesce import OpCoalescer
from outlast.engines.coalesce_records import Annihilate, Append, NoOp, OpView, Reject, Replace
from outlast.engines.op import Verb

CREATE, PUT, PATCH, DELETE, POST = Verb.CREATE, Verb.PUT, Verb.PATCH, Verb.DELETE, Verb.POST
OLD, NEW = {"a": 1, "b": 2}, {"b": None, "c": 3}


def op(verb, body=None, seq=0, **fields):
    """Return a write; a body that is not bytes is JSON."""
    raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    return OpView(verb=verb, kind="note", entity="n1", seq=seq, body=raw, **fields)


def queued(verb, **fields):
    """Return the queued op of most tests."""
    return op(
        verb, None if verb is DELETE else OLD, seq=7, if_match=None if verb is CREATE else "v1", base="b1", **fields
    )


def new(verb, **fields):
    """Return the new write of most tests."""
    return op(verb, None if verb is DELETE else NEW, base="b2", **fields)


def become(verb, body):
    """Return the queued op as it would be with another verb and body, at its place, on its base."""
    raw = None if body is None else json.dumps(body, separators=(",", ":")).encode()
    kept = None if verb is CREATE else "v1"
    return Replace(op(verb, raw, seq=7, if_match=kept, base="b1"))


def gist(decision):
    """Return a decision with its JSON body in one spelling and without its reason."""
    match decision:
        case Replace(op=found, removed=removed) if found.body is not None:
            body = json.dumps(json.loads(found.body), separators=(",", ":")).encode()
            return Replace(dataclasses.replace(found, body=body), removed)
        case Append() | Reject():
            return type(decision)
        case _:
            return decision


TABLE = {
    (CREATE, CREATE): Reject,
    (CREATE, PATCH): become(CREATE, {"a": 1, "c": 3}),
    (CREATE, PUT): become(CREATE, NEW),
    (CREATE, DELETE): Annihilate((7,)),
    (PATCH, CREATE): Reject,
    (PATCH, PATCH): become(PATCH, {"a": 1, "b": None, "c": 3}),
    (PATCH, PUT): become(PUT, NEW),
    (PATCH, DELETE): become(DELETE, None),
    (PUT, CREATE): Reject,
    (PUT, PATCH): become(PUT, {"a": 1, "c": 3}),
    (PUT, PUT): become(PUT, NEW),
    (PUT, DELETE): become(DELETE, None),
    (DELETE, CREATE): Append,
    (DELETE, PATCH): Reject,
    (DELETE, PUT): Reject,
    (DELETE, DELETE): NoOp(7),
    **{(verb, POST): Append for verb in Verb},
    **{(POST, verb): Append for verb in Verb},
}


@pytest.mark.parametrize(("before", "after"), list(product(Verb, Verb)))
def test_the_table(before, after):
    """Every pair of verbs has one meaning while the queued op was never sent."""
    assert gist(OpCoalescer().coalesce([queued(before)], new(after))) == TABLE[before, after]


@pytest.mark.parametrize(("before", "after"), list(product(Verb, Verb)))
def test_what_may_have_been_sent_is_never_touched(before, after):
    """Behind a sealed op everything is appended, whatever it is."""
    coalescer = OpCoalescer({"note": lambda a, b: b})

    assert gist(coalescer.coalesce([queued(before, sealed=True)], new(after))) is Append


@pytest.mark.parametrize("verb", Verb)
def test_nothing_queued(verb):
    """The first write of an entity is queued."""
    assert gist(OpCoalescer().coalesce([], new(verb))) is Append


FOLDING = [pair for pair, decision in TABLE.items() if not isinstance(decision, type) or decision is Append]


@pytest.mark.parametrize(("before", "after"), FOLDING)
@pytest.mark.parametrize(
    ("old", "fresh"),
    [
        pytest.param({"group": "t1"}, {}, id="queued-in-a-transaction"),
        pytest.param({}, {"group": "t1"}, id="new-in-a-transaction"),
        pytest.param({"group": "t1"}, {"group": "t1"}, id="both-in-one"),
        pytest.param({"awaited": True}, {}, id="something-depends-on-it"),
        pytest.param({"followed": True}, {}, id="something-stands-behind-it"),
        pytest.param({}, {"after": 8}, id="the-new-one-waits"),
        pytest.param({"after": 5}, {"after": 6}, id="they-wait-for-different-ops"),
        pytest.param({}, {"if_match": "v2"}, id="preconditions"),
        pytest.param({"route": ("/x",)}, {"route": ("/y",)}, id="places"),
        pytest.param({}, {"expires": 9.0}, id="the-new-one-alone-is-given-up"),
        pytest.param({"expires": 9.0}, {"expires": 8.0}, id="the-new-one-is-given-up-earlier"),
    ],
)
def test_boundaries(before, after, old, fresh):
    """Across a boundary nothing is folded, annihilated or dropped."""
    assert gist(OpCoalescer().coalesce([queued(before, **old)], new(after, **fresh))) is Append


@pytest.mark.parametrize(
    ("old", "fresh"),
    [
        pytest.param({}, {"if_match": "v1"}, id="the-same-precondition"),
        pytest.param({}, {"after": 7}, id="it-waits-for-the-queued-one"),
        pytest.param({"after": 5}, {"after": 5}, id="both-wait-for-one"),
        pytest.param({"after": 5}, {}, id="only-the-queued-one-waits"),
    ],
)
def test_no_boundary(old, fresh):
    """What does not part them does not keep them apart, and the queued op goes on waiting for what it waited for."""
    decision = OpCoalescer().coalesce([queued(PATCH, **old)], new(PATCH, **fresh))

    assert isinstance(decision, Replace)
    assert decision.op.after == old.get("after")


@pytest.mark.parametrize("expires", [None, 8.0, 9.0])
def test_what_is_folded_is_wanted_for_as_long_as_the_new_one(expires):
    """Whoever wants it for longer has it kept for longer, a second delete too."""
    edit = OpCoalescer().coalesce([queued(PATCH, expires=8.0)], new(PATCH, expires=expires))
    gone = OpCoalescer().coalesce([queued(DELETE, expires=8.0)], new(DELETE, expires=expires))

    assert isinstance(edit, Replace)
    assert (edit.op.expires, gone) == (expires, NoOp(7, expires))


def test_mistakes_are_told_with_what_to_do():
    """A second create and an edit after a delete are refused in words."""
    second = OpCoalescer().coalesce([queued(PUT)], new(CREATE))
    edit = OpCoalescer().coalesce([queued(DELETE)], new(PATCH))

    assert second == Reject("note 'n1' is queued already; change it by put or patch instead of a second create")
    assert edit == Reject("note 'n1' is queued to be deleted; create it again instead of changing it")


@pytest.mark.parametrize(
    ("old", "fresh", "why"),
    [
        (op(PATCH, {"a": 1}), op(PATCH, {"a": {"b": 1}}), "a merge patch cannot replace a member by an object, and a"),
        (op(PATCH, 5), op(PATCH, {"b": 1}), "a merge patch cannot replace a member by an object, and the whole"),
        (op(PUT, b"\x00"), op(PATCH, {}), "the bodies cannot be made one: "),
        (op(PUT, b"[0.12345678901234567]"), op(PATCH, {}), "the bodies cannot be made one: the number"),
        (op(PUT, {}), op(PATCH, [], content_type="application/json-patch+json"), "nothing says how a patch"),
        (op(PATCH, [], content_type="text/x"), op(PATCH, {}), "a merge patch cannot continue one of the type text/x"),
        (op(POST, {}), op(POST, {}), "nothing says how a post"),
        (op(DELETE), op(CREATE, {}), "a create is never folded into a delete"),
        (op(CREATE, {"a": "x" * 90}), op(PATCH, {"b": "y" * 90}), "the folded body would have 195 bytes"),
        (op(CREATE, {}), op(PUT, {"b": "y" * 190}), "the folded body would have 199 bytes"),
        (op(PATCH, {}), op(PUT, {"b": "y" * 190}), "the folded body would have 199 bytes"),
    ],
)
def test_what_cannot_be_folded_says_why(old, fresh, why):
    """Bodies that cannot be made one stay two, with the reason."""
    decision = OpCoalescer(max_body=150).coalesce([old], fresh)

    assert isinstance(decision, Append)
    assert decision.reason.startswith(why)


def test_a_new_body_brings_its_type():
    """A replaced body is of the type of the new one."""
    decision = OpCoalescer().coalesce([queued(CREATE)], op(PUT, b"<x/>", content_type="text/xml"))

    assert (decision.op.verb, decision.op.body, decision.op.content_type) == (CREATE, b"<x/>", "text/xml")


@pytest.mark.parametrize("verb", [POST, PATCH])
def test_a_kind_that_says_how_folds_its_intents(verb):
    """Two increments become one, when the kind says how, and only then, and only of one type."""
    coalescer = OpCoalescer({"note": lambda older, newer: {"add": older["add"] + newer["add"]}})
    first, second = (op(verb, {"add": n}, seq=s, content_type="application/x-add") for n, s in ((2, 3), (5, 0)))

    assert coalescer.coalesce([first], second).op.body == b'{"add":7}'
    assert isinstance(OpCoalescer().coalesce([first], second), Append)
    other = dataclasses.replace(second, content_type="application/x-other")
    assert isinstance(coalescer.coalesce([first], other), Append)


def test_a_delete_reaches_back_over_all_that_was_never_sent():
    """Two patches that could not be made one are both superseded; the oldest keeps its place and its base."""
    first, second = op(PATCH, {"a": 1}, seq=3, if_match="v1"), op(PATCH, {"a": {"b": 1}}, seq=5)

    decision = OpCoalescer().coalesce([first, second], new(DELETE))

    assert decision == Replace(op(DELETE, seq=3, if_match="v1"), (5,))


def test_reaching_back_stops_at_what_was_sent():
    """A sealed op stays, and what lies before it."""
    sent = op(PUT, {"a": 1}, seq=3, sealed=True)
    ops = [op(PATCH, {"a": 0}, seq=2), sent, op(PATCH, {"a": 1}, seq=5), op(PATCH, {"a": {"b": 1}}, seq=6)]

    assert OpCoalescer().coalesce(ops, new(PUT)) == Replace(op(PUT, NEW, seq=5), (6,))


def test_reaching_back_to_a_create_annihilates_all():
    """A create, a change that could not be folded into it, and a delete: nothing is left to send."""
    ops = [op(CREATE, b"<x/>", seq=3), op(PATCH, {"a": 1}, seq=5)]

    assert OpCoalescer().coalesce(ops, op(DELETE)) == Annihilate((3, 5))


def test_reaching_back_stops_at_a_delete():
    """The delete of a former entity of that id and the create of a new one are an ordered pair."""
    ops = [op(DELETE, seq=3), op(CREATE, {"a": 1}, seq=5)]
    coalescer = OpCoalescer()

    assert coalescer.coalesce(ops, op(PUT, {"b": 1})) == Replace(op(CREATE, {"b": 1}, seq=5))
    assert coalescer.coalesce(ops, op(DELETE)) == Annihilate((5,))


def test_a_long_queue_is_reached_back_over():
    """Thousands of changes that could not be folded are superseded by one delete."""
    ops = [op(PATCH, b"<x/>", seq=seq) for seq in range(1, 3001)]

    decision = OpCoalescer().coalesce(ops, op(DELETE))

    assert (decision.op.seq, len(decision.removed)) == (1, 2999)


def test_the_names_of_the_seed():
    """`try_coalesce` gives the merged op or nothing; `remove_superseded` gives what need not be sent."""
    coalescer = OpCoalescer()
    update = op(PATCH, {"a": 1}, seq=3)

    assert coalescer.try_coalesce([update], op(PATCH, {"b": 2})).op.body == b'{"a":1,"b":2}'
    assert coalescer.try_coalesce([update], op(POST, {})) is None
    assert coalescer.remove_superseded([op(CREATE, {}, seq=2)], op(DELETE)) == (2,)
    assert coalescer.remove_superseded([update, op(PATCH, b"x", seq=4)], op(DELETE)) == (4,)
    assert coalescer.remove_superseded([update], op(POST, {})) == ()
