"""What a write is merged on: what its author saw, whoever wrote meanwhile and whatever was decided."""

import json

import pytest

from delivering import deliver, opened
from outlast.outbox import Counts, InDoubt, OpState, Rejected, Verb
from outlast.sync_engine import CallableTransport, ConflictPolicy, OnDuplicate
from reconciling import BASE, MINE, Notes, write


async def test_the_base_may_be_what_our_own_last_write_left(place):
    """Whoever gives no base but names the version that our own write made is merged on that write."""
    notes = Notes()
    async with opened(place) as box:
        await box.enqueue(write(Verb.CREATE, BASE))
        await deliver(box, notes.transport)
        notes.edit("a", done=True)
        await box.enqueue(write(Verb.PUT, {"title": "mine", "done": False}, if_match='"1"'))
        await deliver(box, notes.transport)

        assert (notes.body(), await box.counts()) == ({"title": "mine", "done": True}, Counts(delivered=2))


async def test_the_shadow_follows_patches_and_forgets_what_is_unknown(place):
    """A patch of a known version is known; one of an unknown version, a delete or an answer without version is not."""
    notes = Notes()
    async with opened(place) as box:
        await box.enqueue(write(Verb.CREATE, BASE), write(Verb.PATCH, {"done": True}))
        await deliver(box, notes.transport)
        known = await box.core.result(box.core.shadow("note", "a"))
        await box.enqueue(write(Verb.PATCH, {"done": False}))
        await deliver(box, notes.transport)
        unknown = await box.core.result(box.core.shadow("note", "a"))
        await box.enqueue(write(Verb.DELETE))
        await deliver(box, notes.transport)

        assert (known.etag, json.loads(known.body)) == ('"2"', {"title": "t", "done": True})
        assert (unknown.etag, unknown.body) == ('"3"', None)
        assert await box.core.result(box.core.shadow("note", "a")) is None


@pytest.mark.parametrize("late", [False, True], ids=["before-it-is-sent", "while-it-is-on-the-wire"])
@pytest.mark.parametrize(
    ("body", "base", "key"),
    [
        # Both began with the same version: the one behind is merged on what its author saw, and undoes nothing.
        pytest.param({"title": "t", "done": True}, {"base": BASE}, ":1", id="has-not-seen-ours"),
        # It gets the version that ours makes, whether its author says what that is or not.
        pytest.param({**MINE, "done": True}, {}, ":0", id="has-seen-ours"),
        pytest.param({**MINE, "done": True}, {"base": MINE}, ":0", id="has-seen-ours-and-says-so"),
    ],
)
async def test_a_write_of_another_process_is_put_on_top_of_ours(place, late, body, base, key):
    """It is sent once, on the version that ours makes; a merge, where its author had not seen ours, gets a new key."""
    notes = Notes(a=BASE)
    async with opened(place) as box, opened(place) as other:
        await box.enqueue(write(Verb.PUT, MINE, if_match='"1"', base=BASE))
        theirs = write(Verb.PUT, body, if_match='"1"', **base)
        if late:
            notes.before[0] = lambda: other.core.store([theirs])
        else:
            await other.enqueue(theirs)
        await deliver(box, notes.transport)

        assert notes.body() == {"title": "mine", "done": True}
        assert await box.counts() == Counts(delivered=2)
        assert [(entry[0][-2:], entry[2]) for entry in notes.log] == [(":0", '"1"'), (key, '"2"')]


async def test_a_patch_is_based_on_the_patch_before_it(place):
    """What a patch leaves is known from what its author saw, so the next one needs no merge."""
    notes = Notes(a=BASE)
    async with opened(place) as box:
        await box.enqueue(
            write(Verb.PATCH, {"title": "mine"}, if_match='"1"', base=BASE),
            write(Verb.PATCH, {"done": True}, if_match='"1"', base=MINE),
        )
        await deliver(box, notes.transport)

        assert [entry[2] for entry in notes.log] == ['"1"', '"2"']
        assert notes.body() == {"title": "mine", "done": True}


async def test_what_others_did_after_a_success_that_nobody_heard_of_is_not_undone(place):
    """Our write is found in what the server holds, with an edit of somebody else: the next write keeps that."""
    notes, lost = Notes(a=BASE), [1]

    async def act(op):
        answer = await notes.act(op)
        if lost:
            lost.pop()
            notes.edit("a", more="theirs")
            return InDoubt("cut")
        return answer

    async with opened(place) as box:
        await box.enqueue(
            write(Verb.PUT, MINE, if_match='"1"', base=BASE),
            write(Verb.PUT, {**MINE, "done": True}, base=MINE),
        )
        await deliver(box, CallableTransport(act, read_back=notes.read_back))

        assert notes.body() == {"title": "mine", "done": True, "more": "theirs"}
        assert await box.counts() == Counts(delivered=2)


@pytest.mark.parametrize("named", [False, True], ids=["no-base", "with-base"])
async def test_the_write_behind_a_discarded_conflict_does_not_overwrite(place, named):
    """It holds what the discarded one said too; only what its own author changed is sent."""
    notes, options = Notes(a=BASE), {"base": MINE} if named else {}
    notes.edit("a", title="theirs")
    async with opened(place) as box:
        await box.enqueue(
            write(Verb.PUT, MINE, if_match='"1"', base=BASE), write(Verb.PUT, {**MINE, "done": True}, **options)
        )
        await deliver(box, notes.transport)
        await box.discard(1)
        await deliver(box, notes.transport)

        assert notes.body() == {"title": "theirs", "done": True}
        assert await box.counts() == Counts(delivered=1)


async def test_the_write_behind_a_dead_one_that_is_discarded_is_merged_if_it_names_its_base(place):
    """What the server has refused does not come to it by the next write."""
    notes = Notes(a=BASE)

    async def act(op):
        return Rejected("422") if op.seq == 1 else await notes.act(op)

    async with opened(place) as box:
        await box.enqueue(
            write(Verb.PUT, MINE, if_match='"1"', base=BASE),
            write(Verb.PATCH, {"done": True}, base=MINE),
        )
        await deliver(box, CallableTransport(act, read_back=notes.read_back))
        await box.discard(1)
        await deliver(box, CallableTransport(act, read_back=notes.read_back))

        assert notes.body() == {"title": "t", "done": True}


async def test_the_write_behind_one_that_is_replayed_otherwise_keeps_what_was_decided(place):
    """Somebody settled the conflict in a way that the author of the next write has not seen."""
    notes = Notes(a=BASE)
    notes.edit("a", title="theirs")
    async with opened(place) as box:
        await box.enqueue(write(Verb.PUT, MINE, if_match='"1"', base=BASE), write(Verb.PUT, {**MINE, "done": True}))
        await deliver(box, notes.transport)
        await box.replay(1, {"title": "both", "done": False}, if_match='"2"')
        await deliver(box, notes.transport)

        assert notes.body() == {"title": "both", "done": True}
        assert await box.counts() == Counts(delivered=2)


async def test_a_patch_behind_one_that_the_server_held_already_is_merged(place):
    """What it was based on was never sent, so it must not pass over what others did."""
    notes = Notes(a=BASE)
    notes.edit("a", title="mine", more=1)
    async with opened(place) as box:
        await box.enqueue(
            write(Verb.CREATE, {"title": "mine"}),
            write(Verb.PATCH, {"more": 2}, base={"title": "mine"}),
        )
        await deliver(box, notes.transport, conflicts=ConflictPolicy(on_duplicate=OnDuplicate.MERGE))

        assert notes.body()["more"] == 1
        assert (await box.ticket(2).status()).state is OpState.CONFLICT


@pytest.mark.parametrize(
    ("again", "etag", "title", "state"),
    [
        # Whoever settles a conflict has seen the server's side, and on that the write is merged from then on.
        pytest.param({}, '"2"', "t", OpState.DELIVERED, id="that-was-shown"),
        # What lies between the base and that version is not known, so it is not merged by guess.
        pytest.param({"title": "theirs again"}, '"3"', "theirs again", OpState.CONFLICT, id="that-nobody-was-shown"),
    ],
)
async def test_a_decision_about_a_version(place, again, etag, title, state):
    """It is not undone by a later merge where its version was shown; else it is asked about again."""
    notes = Notes(a=BASE)
    notes.edit("a", title="theirs")
    async with opened(place) as box:
        await box.enqueue(write(Verb.PUT, MINE, if_match='"1"', base=BASE))
        await deliver(box, notes.transport)
        if again:
            notes.edit("a", **again)
        await box.replay(1, BASE, if_match=etag)  # neither's title, but what it was before
        notes.edit("a", more="theirs")
        await deliver(box, notes.transport)

        assert notes.body() == {**BASE, "title": title, "more": "theirs"}
        assert (await box.ticket(1).status()).state is state
