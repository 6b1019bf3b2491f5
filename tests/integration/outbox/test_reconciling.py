"""What becomes of writes that the server refused because it holds something else."""

import json

import pytest

from delivering import SOON, deliver, opened, put
from outlast.events import OpResolved
from outlast.outbox import Counts, Found, InDoubt, OpState, Stale, Verb
from outlast.sync_engine import CallableTransport, ConflictPolicy, MergeRules, OnDeleted, OnDuplicate, Rule
from outlast.testing import Recorder
from reconciling import BASE, Notes, write


@pytest.mark.parametrize(
    ("verb", "body", "sent"),
    [
        pytest.param(Verb.PUT, {"title": "mine", "done": False}, {"title": "mine", "done": True}, id="put"),
        pytest.param(Verb.PATCH, {"title": "mine"}, {"title": "mine"}, id="patch"),
    ],
)
async def test_what_only_one_side_changed_is_merged_and_sent_under_a_new_key(place, verb, body, sent):
    """Base, ours and theirs give one result; it is based on their version, and nobody's edit is lost."""
    notes = Notes(a=BASE)
    notes.edit("a", done=True)
    async with opened(place) as box:
        with Recorder(box.core.bus, OpResolved) as seen:
            await box.enqueue(write(verb, body, if_match='"1"', base=BASE))
            await deliver(box, notes.transport)

        assert notes.body() == {"title": "mine", "done": True}
        first, second = notes.log
        assert (first[2], second[2], second[3]) == ('"1"', '"2"', sent)
        assert (first[0][-2:], second[0][-2:]) == (":0", ":1")
        assert await box.counts() == Counts(delivered=1)
        assert [event.resolution for event in seen.events] == ["merged: title ours; done theirs"]


async def test_a_result_that_the_server_holds_already_is_not_sent(place):
    """Both sides made the same of it: delivered without another request."""
    notes = Notes(a=BASE)
    notes.edit("a", done=True, more="x")
    async with opened(place) as box:
        await box.enqueue(write(Verb.PUT, {"title": "t", "done": True}, if_match='"1"', base=BASE))
        await deliver(box, notes.transport)
        outcome = [tuple(row) for row in place.execute("SELECT outcome, etag FROM $receipt")]

        assert (len(notes.log), notes.body()["more"], await box.counts()) == (1, "x", Counts(delivered=1))
        assert outcome in ([("delivered", '"2"')], [("delivered:equal", '"2"')])


async def test_what_both_changed_waits_in_the_inbox_with_all_three_sides(place):
    """The report says of each field where it came from, and what is open."""
    notes = Notes(a=BASE)
    notes.edit("a", title="theirs", done=True)
    async with opened(place) as box:
        await box.enqueue(write(Verb.PUT, {"title": "mine", "done": False}, if_match='"1"', base=BASE))
        await deliver(box, notes.transport)
        parked = await box.conflict(1)

        assert (parked.state, parked.reason) == (OpState.CONFLICT, "412; the server holds other content: title")
        assert (json.loads(parked.base), parked.found, parked.etag) == (BASE, True, '"2"')
        assert json.loads(parked.ours) == {"title": "mine", "done": False}
        assert json.loads(parked.theirs) == {"title": "theirs", "done": True}
        assert {field["path"]: field["source"] for field in parked.report["fields"]} == {
            "title": "open",
            "done": "theirs",
        }
        await box.replay(1, {"title": "both", "done": True}, if_match=parked.etag)
        await deliver(box, notes.transport)
        assert notes.body() == {"title": "both", "done": True}
        assert await box.conflicts() == []


@pytest.mark.parametrize(
    ("policy", "write_", "expected", "state"),
    [
        pytest.param(
            ConflictPolicy(merge=MergeRules({"title": Rule.OURS})),
            write(Verb.PUT, {"title": "mine", "done": False}, if_match='"1"', base=BASE),
            {"title": "mine", "done": True},
            OpState.DELIVERED,
            id="ours",
        ),
        pytest.param(
            ConflictPolicy(merge=None),
            write(Verb.PUT, {"title": "t", "done": False}, if_match='"1"', base=BASE),
            {"title": "theirs", "done": True},
            OpState.CONFLICT,
            id="never-merge",
        ),
        pytest.param(
            ConflictPolicy(on_duplicate=OnDuplicate.DISCARD),
            write(Verb.CREATE, {"title": "mine"}),
            {"title": "theirs", "done": True},
            OpState.DELIVERED,
            id="keep-what-is-there",
        ),
        pytest.param(
            ConflictPolicy(on_duplicate=OnDuplicate.MERGE),
            write(Verb.CREATE, {"more": 1}),
            {"title": "theirs", "done": True, "more": 1},
            OpState.DELIVERED,
            id="merge-two-creates",
        ),
        pytest.param(
            ConflictPolicy(),
            write(Verb.DELETE, if_match='"1"', base=BASE),
            {"title": "theirs", "done": True},
            OpState.CONFLICT,
            id="delete-of-what-was-edited",
        ),
        pytest.param(
            ConflictPolicy(merge=MergeRules(deleted=Rule.OURS)),
            write(Verb.DELETE, if_match='"1"', base=BASE),
            None,
            OpState.DELIVERED,
            id="delete-all-the-same",
        ),
    ],
)
async def test_each_kind_has_its_policy(place, policy, write_, expected, state):
    """Rules of fields, duplicates and deleted-versus-edited are cases of their own."""
    notes = Notes(a=BASE)
    notes.edit("a", title="theirs", done=True)
    async with opened(place) as box:
        await box.enqueue(write_)
        await deliver(box, notes.transport, conflicts={"note": policy})

        assert (notes.body(), (await box.ticket(1).status()).state) == (expected, state)


@pytest.mark.parametrize(
    ("policy", "verb", "expected", "state"),
    [
        pytest.param(OnDeleted.ASK, Verb.PUT, None, OpState.CONFLICT, id="ask"),
        pytest.param(OnDeleted.DISCARD, Verb.PUT, None, OpState.DELIVERED, id="discard"),
        pytest.param(OnDeleted.RECREATE, Verb.PUT, {"title": "mine"}, OpState.DELIVERED, id="recreate"),
        pytest.param(
            OnDeleted.RECREATE, Verb.PATCH, {"title": "mine", "done": False}, OpState.DELIVERED, id="recreate-by-patch"
        ),
    ],
)
async def test_an_edit_of_what_was_deleted(place, policy, verb, expected, state):
    """It is asked about, dropped, or made again, as its kind wants."""
    notes = Notes()
    async with opened(place) as box:
        await box.enqueue(write(verb, {"title": "mine"}, if_match='"1"', base=BASE))
        await deliver(box, notes.transport, conflicts=ConflictPolicy(on_deleted=policy))

        assert (notes.body(), (await box.ticket(1).status()).state) == (expected, state)


async def test_rounds_are_bounded_and_then_a_person_is_asked(place):
    """A server on which somebody is always faster gets five merged writes, each under a new key, and no more."""
    notes = Notes(a=BASE)
    for number in range(20):
        notes.before[number] = lambda number=number: notes.edit("a", count=number)
    async with opened(place) as box:
        await box.enqueue(write(Verb.PUT, {"title": "mine", "done": False}, if_match='"1"', base=BASE))
        await deliver(box, notes.transport)
        status = await box.ticket(1).status()

        assert (len(notes.log), len({key for key, *_ in notes.log}), status.state) == (6, 6, OpState.CONFLICT)
        assert status.reason.endswith("5 merged writes were refused before it")


async def test_the_next_write_is_merged_too_and_overwrites_nothing(place):
    """A whole write that was made before the merge of the one before it does not undo what that has taken in."""
    notes = Notes(a=BASE)
    notes.edit("a", done=True)
    async with opened(place) as box:
        await box.enqueue(
            write(Verb.PUT, {"title": "mine", "done": False}, if_match='"1"', base=BASE),
            write(Verb.PUT, {"title": "mine too", "done": False}),
            write(Verb.PATCH, {"tag": 1}),
        )
        await deliver(box, notes.transport)

        assert notes.body() == {"title": "mine too", "done": True, "tag": 1}
        assert await box.counts() == Counts(delivered=3)


async def test_a_body_never_changes_while_its_outcome_is_in_doubt(place):
    """After a lost answer the same bytes go under the same key, until the server has refused them."""
    notes, lost = Notes(a=BASE), [1, 1, 1]

    async def act(op):
        if lost:
            lost.pop()
            notes.log.append((op.key, op.verb.value, op.if_match, json.loads(op.body)))
            return InDoubt("cut")
        return await notes.act(op)

    notes.edit("a", done=True)
    async with opened(place) as box:
        await box.enqueue(write(Verb.PUT, {"title": "mine", "done": False}, if_match='"1"', base=BASE))
        await deliver(box, CallableTransport(act, read_back=notes.read_back))

        assert len({json.dumps(entry) for entry in notes.log[:4]}) == 1
        assert (len(notes.log), notes.log[4][0][-2:], notes.body()["done"]) == (5, ":1", True)


async def test_what_is_no_json_is_left_to_a_person(place):
    """Nothing is guessed about bytes that cannot be read as fields."""
    notes = Notes(a=BASE)

    async def act(op):
        return Stale("412")

    async def read_back(op):
        return Found(False, '"2"', b"\xff\xfe")

    async with opened(place) as box:
        await box.enqueue(put("a", b"\x00bytes"), put("b", b"{}"))
        await deliver(box, CallableTransport(act, read_back=read_back), policy=SOON)

        assert (await box.counts()).conflict == 2
        assert notes.log == []


def nested(levels, value):
    """Return a value in so many objects, one in the other."""
    for _ in range(levels):
        value = {"in": value}
    return value


def breaks(conflict):
    """Be a rule with a mistake."""
    raise LookupError(conflict.path)


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)  # what is recorded of it has tests on both stores
@pytest.mark.parametrize(
    ("rule", "theirs", "said"),
    [
        pytest.param(breaks, "theirs", "the merge raised LookupError: title", id="raises"),
        pytest.param(lambda c: {1, 2}, "theirs", "the merge raised ValueError: it cannot be written as JSON", id="set"),
        pytest.param(Rule.OURS, nested(700, 1), "the merge raised RecursionError", id="nested"),
    ],
)
async def test_a_merge_that_fails_stops_nobody_else(place, rule, theirs, said):
    """A rule with a mistake, or content too deep to be merged, is one write in the inbox; the others are delivered."""
    notes = Notes(a=BASE)
    notes.edit("a", title=theirs)
    async with opened(place) as box:
        mine = nested(700, 2) if rule is Rule.OURS else "mine"
        base = {"title": nested(700, 0)} if rule is Rule.OURS else BASE
        await box.enqueue(write(Verb.PUT, {"title": mine}, if_match='"1"', base=base))
        await box.create("note", "b", {"title": "another"})
        policy = ConflictPolicy(merge=MergeRules({"title": rule}))
        await deliver(box, notes.transport, conflicts={"note": policy})

        assert await box.counts() == Counts(delivered=1, conflict=1)
        assert said in (await box.conflict(1)).reason
        assert notes.body()["title"] == theirs
