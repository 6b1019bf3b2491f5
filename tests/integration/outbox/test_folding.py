"""Writes that wait take up later ones of the same entity, and the tickets follow."""

import pytest

from outlast.errors import ConfigError
from outlast.events import OpEnqueued, OpFolded
from outlast.outbox import Coalescing, Counts, OpState, Verb


@pytest.fixture
def box(face, place):
    """Open an outbox that folds."""
    return face.open(place, coalescing=Coalescing())


def waiting(box):
    """Return what waits, as (place, verb, body)."""
    return [(op.seq, op.verb, op.body) for op in box.core.pending("notes").result(30)]


def seal(box, seq):
    """Mark an op as one that may have been sent."""
    statement = (
        "INSERT INTO $seal (seq, attempts, fence, delay, first_sent, reason, method, url, headers, body_hash)"
        " VALUES (?, 1, 0, 0, 0, '', 'PUT', 'http://x/', '[]', ?)"
    )
    text = box.core.database.dialect.text(statement)
    box.core.database.write(lambda db: db.execute(text, (seq, b""))).result(30)


def test_edits_become_one(face, box):
    """A create and two patches are one create with all that they say, at the first one's place."""
    first = face.do(box.create("notes", "a", {"text": "one"}))
    face.do(box.put("notes", "b", {"text": "other"}))
    edits = [face.do(box.patch("notes", "a", patch)) for patch in ({"text": "two"}, {"done": True})]

    assert waiting(box)[0] == (1, Verb.CREATE, b'{"text":"two","done":true}')
    assert [ticket.seq for ticket in edits] == [first.seq] * 2
    assert face.do(box.counts()) == Counts(ready=2)
    assert [(type(event), event.seq) for event in face.seen.events if isinstance(event, OpEnqueued | OpFolded)] == [
        (OpEnqueued, 1),
        (OpEnqueued, 2),
        (OpFolded, 1),
        (OpFolded, 1),
    ]


def test_many_in_one_commit_become_one(face, box):
    """Writes that are queued together are folded as well."""
    from outlast.outbox import Write

    body = {"verb": Verb.PUT, "kind": "notes", "entity": "a"}
    tickets = face.do(box.enqueue(*[Write(**body, body=b'{"n":%d}' % number) for number in range(5)]))

    assert waiting(box) == [(1, Verb.PUT, b'{"n":4}')]
    assert {ticket.seq for ticket in tickets} == {1}


def test_what_was_never_there_needs_no_request(face, box):
    """A create that is deleted before it was sent leaves nothing to send, and both callers are told."""
    made = face.do(box.create("notes", "a", {"text": "one"}))
    gone = face.do(box.delete("notes", "a"))

    assert waiting(box) == []
    assert {face.do(ticket.settled(timeout=30)).state for ticket in (made, gone)} == {OpState.ANNIHILATED}
    assert face.do(box.counts()) == Counts(folded=1)


def test_what_may_have_been_sent_is_left_alone(face, box):
    """Behind an op that was claimed a new one is queued, however often it was tried."""
    face.do(box.put("notes", "a", {"n": 1}))
    seal(box, 1)
    face.do(box.patch("notes", "a", {"n": 2}))
    face.do(box.patch("notes", "a", {"n": 3}))

    assert waiting(box) == [(1, Verb.PUT, b'{"n":1}'), (2, Verb.PATCH, b'{"n":3}')]


def test_a_ticket_follows_its_write(face, box):
    """A write that another has taken up has the state of that one."""
    face.do(box.patch("notes", "a", [1]))
    second = face.do(box.post("notes", "a", {"n": 1}))
    third = face.do(box.put("notes", "a", {"n": 2}))
    last = face.do(box.delete("notes", "a"))

    assert last.seq == third.seq
    assert face.do(last.status()).state is OpState.READY
    assert face.do(second.status()).state is OpState.READY


@pytest.mark.parametrize(
    ("base", "folded"),
    [
        pytest.param({"n": 1, "m": 2}, True, id="seen"),
        pytest.param({"n": 0, "m": 2}, False, id="not-seen"),
        pytest.param(b"no json", False, id="no-json"),
    ],
)
@pytest.mark.parametrize("verb", ["put", "patch"])
def test_a_write_is_folded_into_what_its_author_saw(face, box, verb, base, folded):
    """One whose author saw something else waits behind it, to be merged: folding would undo what it did not see."""
    first = {"put": {"n": 1, "m": 2}, "patch": {"n": 1}}[verb]
    face.do(getattr(box, verb)("notes", "a", first, base={"n": 0, "m": 2}))
    face.do(box.put("notes", "a", {"n": 5, "m": 2}, base=base))

    assert [(seq, how) for seq, how, _ in waiting(box)] == (
        [(1, Verb.PUT)] if folded else [(1, Verb(verb)), (2, Verb.PUT)]
    )


def test_a_write_reaches_no_further_back_than_what_was_seen(face, box):
    """Two writes of which the later author has not seen the earlier one are not folded by a third one either."""
    face.do(box.put("notes", "a", {"n": 1}, base={"n": 0}))
    face.do(box.put("notes", "a", {"n": 0, "m": 1}, base={"n": 0}))
    face.do(box.put("notes", "a", {"n": 0, "m": 2}, base={"n": 0, "m": 1}))

    assert [(seq, body) for seq, _, body in waiting(box)] == [(1, b'{"n":1}'), (2, b'{"n":0,"m":2}')]


def test_two_creates_are_a_mistake(face, box):
    """A second create is refused with what to do instead, and nothing of its call is queued."""
    from outlast.outbox import Write

    face.do(box.create("notes", "a", {"n": 1}))
    writes = [Write(verb=Verb.CREATE, kind="notes", entity=entity, body=b"{}") for entity in ("b", "a")]

    with pytest.raises(ConfigError, match="put or patch instead of a second create"):
        face.do(box.enqueue(*writes))
    assert len(waiting(box)) == 1


def test_only_the_named_kinds_are_folded(face, place):
    """Other kinds are queued one behind the other."""
    box = face.open(place, coalescing=Coalescing(["drafts"]))
    for kind in ("notes", "drafts"):
        for number in range(2):
            face.do(box.put(kind, "a", {"n": number}))

    assert [op.seq for op in box.core.pending("notes").result(30)] == [1, 2]
    assert [op.seq for op in box.core.pending("drafts").result(30)] == [3]


def test_messages_are_folded_by_a_rule(face, place):
    """Where a rule says how, two messages become one."""
    box = face.open(place, coalescing=Coalescing(folds={"notes": lambda old, new: {"add": old["add"] + new["add"]}}))
    for amount in (1, 2, 3):
        face.do(box.post("notes", "a", {"add": amount}))

    assert waiting(box) == [(1, Verb.POST, b'{"add":6}')]


def test_what_is_replayed_is_left_alone(face, box):
    """A write that was sent, given up and replayed keeps its bytes, which the server may know under its key."""
    face.do(box.put("notes", "a", {"n": 1}))
    statement = (
        "INSERT INTO $parked (seq, state, reason, parked, attempts, lane, verb, kind, entity, generation, content_type,"
        " created, body)"
        " SELECT seq, 'dead', '', 0, 1, lane, verb, kind, entity, 0, content_type, created, body FROM $op"
    )
    text = box.core.database.dialect.text
    box.core.database.write(lambda db: (db.execute(text(statement)), db.execute(text("DELETE FROM $op")))).result(30)

    face.do(box.replay(1))
    face.do(box.patch("notes", "a", {"n": 2}))

    assert waiting(box) == [(1, Verb.PUT, b'{"n":1}'), (2, Verb.PATCH, b'{"n":2}')]


def test_what_comes_after_a_folded_write_comes_after_the_one_that_took_it_up(face, box):
    """A ticket whose write was folded into an older one still says what must be delivered first."""
    face.do(box.patch("notes", "a", {"tags": 5}))
    folded = face.do(box.patch("notes", "a", {"tags": {"z": 1}}))  # no patch says that a number becomes an object
    face.do(box.put("notes", "a", {"n": 1}))
    face.do(box.put("notes", "b", {}, after=folded))

    assert folded.seq == 2
    assert [(op.seq, op.after) for op in box.core.pending("notes").result(30)] == [(1, None), (3, 1)]


def test_a_write_is_not_given_up_with_a_later_one_that_expires(face, box):
    """What is to be given up before the one that waits stays apart; what is wanted for longer keeps that one alive."""
    face.do(box.create("notes", "a", {"n": 1}))
    face.do(box.patch("notes", "a", {"n": 2}, expires=60.0))
    for expires in ({"expires": 60.0}, {}):
        face.do(box.delete("notes", "b", **expires))
    for expires in ({"expires": 60.0}, {"expires": 90.0}, {}):
        face.do(box.put("notes", "c", {}, **expires))

    assert [(op.entity, op.verb, op.expires_at is None) for op in box.core.pending("notes").result(30)] == [
        ("a", Verb.CREATE, True),
        ("a", Verb.PATCH, False),
        ("b", Verb.DELETE, True),
        ("c", Verb.PUT, True),
    ]


def test_what_must_not_be_passed_is_not_folded_into_what_may(face, box):
    """Else those behind it would overtake the write while that waits, which its author has ruled out."""
    for order in ("mutex", "strict", "strict", "mutex"):
        face.do(box.put("notes", "a", {"order": order}, order=order))

    assert [body for _, _, body in waiting(box)] == [b'{"order":"%s"}' % one for one in (b"mutex", b"strict", b"mutex")]
