"""What becomes of writes that the server refused because it holds something else."""

import asyncio
import json

import pytest

from delivering import SOON, deliver, opened, put, runner, until
from outlast.engines.json_values import ABSENT, UNKNOWN
from outlast.errors import LeaseLostError
from outlast.events import OpResolved
from outlast.outbox import Applied, Counts, Found, Gone, InDoubt, Missing, OpState, Rejected, Stale, Verb, Write
from outlast.sync_engine import (
    CallableTransport,
    ConflictPolicy,
    MergeRules,
    OnDeleted,
    OnDuplicate,
    Resend,
    Resolution,
    Rule,
    merge,
)
from outlast.testing import Recorder


class Notes:
    """Hold JSON notes with versions, check preconditions, and keep each write with its key."""

    def __init__(self, **notes):
        self.notes = {name: (1, body) for name, body in notes.items()}
        self.log = []
        self.before = {}

    def edit(self, name, **fields):
        """Change a note as somebody else would."""
        version, body = self.notes.get(name, (0, {}))
        self.notes[name] = (version + 1, {**body, **fields})

    async def act(self, op):
        """Apply an op, or refuse it."""
        self.before.pop(len(self.log), lambda: None)()
        self.log.append((op.key, op.verb.value, op.if_match, None if op.body is None else json.loads(op.body)))
        held = self.notes.get(op.entity)
        if op.verb is Verb.CREATE and held is not None:
            return Stale("412")
        if held is None and op.verb in {Verb.PATCH, Verb.PUT, Verb.DELETE}:
            return Gone("404")
        if op.if_match is not None and op.if_match != f'"{held[0]}"':
            return Stale("412")
        if op.verb is Verb.DELETE:
            del self.notes[op.entity]
            return Applied()
        body = json.loads(op.body)
        whole = {**held[1], **body} if op.verb is Verb.PATCH else body
        version = 1 if held is None else held[0] + 1
        self.notes[op.entity] = (version, whole)
        return Applied(f'"{version}"')

    async def read_back(self, op):
        """Return what a note holds."""
        held = self.notes.get(op.entity)
        if held is None:
            return Missing()
        version, body = held
        wanted = None if op.body is None else json.loads(op.body)
        equal = wanted is not None and all(body.get(name) == value for name, value in wanted.items())
        return Found(equal, f'"{version}"', json.dumps(body).encode())

    @property
    def transport(self):
        """Make a transport of it."""
        return CallableTransport(self.act, read_back=self.read_back)

    def body(self, name="a"):
        """Return what a note holds, None for nothing."""
        return self.notes[name][1] if name in self.notes else None


def write(verb, body=None, **options):
    """Make a write of note a."""
    raw = None if body is None else json.dumps(body).encode()
    if "base" in options:
        options["base"] = json.dumps(options["base"]).encode()
    return Write(verb=verb, kind="note", entity="a", body=raw, **options)


BASE = {"title": "t", "done": False}


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


@pytest.mark.parametrize(
    ("decide", "expected", "state"),
    [
        pytest.param(lambda c: Resolution.DONE, {"title": "theirs", "done": True}, OpState.DELIVERED, id="done"),
        pytest.param(lambda c: Resolution.FAIL, {"title": "theirs", "done": True}, OpState.CONFLICT, id="fail"),
        pytest.param(lambda c: Resolution.RETRY, {"title": "mine", "done": False}, OpState.DELIVERED, id="retry"),
        pytest.param(lambda c: Resend({"title": "new"}), {"title": "new"}, OpState.DELIVERED, id="resend"),
        pytest.param(
            lambda c: merge(c.base, c.ours, c.theirs, MergeRules({"title": lambda f: f"{f.ours}+{f.theirs}"})),
            {"title": "mine+theirs", "done": True},
            OpState.DELIVERED,
            id="merge",
        ),
        pytest.param(
            lambda c: merge(c.base, c.ours, c.theirs),
            {"title": "theirs", "done": True},
            OpState.CONFLICT,
            id="open-merge",
        ),
        pytest.param(
            lambda c: merge(c.base, c.theirs, c.theirs),
            {"title": "theirs", "done": True},
            OpState.DELIVERED,
            id="equal",
        ),
        pytest.param(lambda c: merge(c.theirs, ABSENT, c.theirs), None, OpState.DELIVERED, id="delete"),
        pytest.param(lambda c: 1 / 0, {"title": "theirs", "done": True}, OpState.CONFLICT, id="raises"),
        pytest.param(lambda c: "nonsense", {"title": "theirs", "done": True}, OpState.CONFLICT, id="nonsense"),
    ],
)
async def test_a_function_of_the_user_decides(place, decide, expected, state):
    """It sees base, ours, theirs and the cause; what it raises is no reason to lose anything."""
    notes, seen = Notes(a=BASE), []
    notes.edit("a", title="theirs", done=True)
    async with opened(place) as box:
        await box.enqueue(write(Verb.PUT, {"title": "mine", "done": False}, if_match='"1"', base=BASE))
        async with runner(box, notes.transport) as run, asyncio.timeout(60):

            @run.resolver("note")
            async def resolve(conflict):
                seen.append(conflict)
                return decide(conflict)

            await run.run_until_idle()
        (conflict,) = seen

        assert (conflict.base, conflict.ours["title"], conflict.theirs["title"]) == (BASE, "mine", "theirs")
        assert (conflict.etag, conflict.verb, conflict.cause) == ('"2"', Verb.PUT, Stale("412"))
        assert (notes.body(), (await box.ticket(1).status()).state) == (expected, state)


async def test_a_resolver_sees_what_is_gone_and_what_is_not_known(place):
    """A patch of what was deleted: theirs is absent, ours is unknown without a base; ours sent again makes it anew."""
    notes, seen = Notes(), []

    def resolve(conflict):
        seen.append((conflict.base, conflict.ours, conflict.theirs))
        return Resend({"title": "again"})

    async with opened(place) as box:
        await box.enqueue(write(Verb.PATCH, {"title": "mine"}))
        await deliver(box, notes.transport, resolvers={"note": resolve})

        assert seen == [(UNKNOWN, UNKNOWN, ABSENT)]
        assert (notes.body(), notes.log[-1][1]) == ({"title": "again"}, "create")


async def test_a_resolver_has_rounds_as_well(place):
    """One that always wants to send again is stopped."""
    notes = Notes(a=BASE)
    for number in range(20):
        notes.before[number] = lambda number=number: notes.edit("a", count=number)
    async with opened(place) as box:
        await box.enqueue(write(Verb.PUT, {"title": "mine"}, if_match='"1"'))
        await deliver(box, notes.transport, resolvers={"note": lambda c: Resolution.RETRY})

        assert (len(notes.log), (await box.counts()).conflict) == (6, 1)


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


async def test_a_takeover_while_a_resolver_thinks_leaves_the_op_as_it_was(place):
    """What the old holder has decided meanwhile is refused; the new one asks anew, and the effect is one."""
    notes, thinking, asked = Notes(a=BASE), asyncio.Event(), []
    notes.edit("a", title="theirs")

    async def resolve(conflict):
        asked.append(conflict)
        if len(asked) == 1:
            await thinking.wait()
        return Resend({"title": "decided"})

    async with opened(place) as box, opened(place) as other:
        await box.enqueue(write(Verb.PUT, {"title": "mine"}, if_match='"1"'))
        async with runner(box, notes.transport, resolvers={"note": resolve}) as run:
            running = asyncio.create_task(run.run_forever())
            await until(lambda: asked)
            place.execute("UPDATE $lease SET holder = 'other', fence = fence + 1")
            thinking.set()
            with pytest.raises(LeaseLostError):
                await running
        place.execute("UPDATE $lease SET holder = ''")
        await deliver(other, notes.transport, resolvers={"note": resolve})

        assert (len(asked), notes.body(), await box.counts()) == (2, {"title": "decided"}, Counts(delivered=1))


MINE = {"title": "mine", "done": False}


@pytest.mark.parametrize("late", [False, True], ids=["before-it-is-sent", "while-it-is-on-the-wire"])
async def test_a_write_of_another_process_that_has_not_seen_ours_is_merged_with_it(place, late):
    """Both began with the same version: the one behind is merged on what its author saw, and undoes nothing."""
    notes = Notes(a=BASE)
    async with opened(place) as box, opened(place) as other:
        await box.enqueue(write(Verb.PUT, MINE, if_match='"1"', base=BASE))
        theirs = write(Verb.PUT, {"title": "t", "done": True}, if_match='"1"', base=BASE)
        if late:
            notes.before[0] = lambda: other.core.enqueue([theirs]).result(30)
        else:
            await other.enqueue(theirs)
        await deliver(box, notes.transport)

        assert notes.body() == {"title": "mine", "done": True}
        assert await box.counts() == Counts(delivered=2)
        assert [entry[2] for entry in notes.log] == ['"1"', '"2"']


@pytest.mark.parametrize("late", [False, True], ids=["before-it-is-sent", "while-it-is-on-the-wire"])
@pytest.mark.parametrize("named", [False, True], ids=["no-base", "with-base"])
async def test_a_write_of_another_process_that_has_seen_ours_is_based_on_it(place, late, named):
    """It gets the version that ours makes, and is sent once, whichever process delivers and whenever it was queued."""
    notes, options = Notes(a=BASE), {"base": MINE} if named else {}
    async with opened(place) as box, opened(place) as other:
        await box.enqueue(write(Verb.PUT, MINE, if_match='"1"', base=BASE))
        theirs = write(Verb.PUT, {**MINE, "done": True}, if_match='"1"', **options)
        if late:
            notes.before[0] = lambda: other.core.enqueue([theirs]).result(30)
        else:
            await other.enqueue(theirs)
        await deliver(box, notes.transport)

        assert notes.body() == {"title": "mine", "done": True}
        assert [entry[2] for entry in notes.log] == ['"1"', '"2"']
        assert [entry[0][-2:] for entry in notes.log] == [":0", ":0"]


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


async def test_what_was_decided_is_not_undone_by_a_later_merge(place):
    """Whoever settles a conflict has seen the server's side, and on that the write is merged from then on."""
    notes = Notes(a=BASE)
    notes.edit("a", title="theirs")
    async with opened(place) as box:
        await box.enqueue(write(Verb.PUT, MINE, if_match='"1"', base=BASE))
        await deliver(box, notes.transport)
        await box.replay(1, BASE, if_match='"2"')  # neither's title, but what it was before
        notes.edit("a", more="theirs")
        await deliver(box, notes.transport)

        assert notes.body() == {**BASE, "more": "theirs"}
        assert await box.counts() == Counts(delivered=1)


async def test_a_decision_about_a_version_that_nobody_was_shown_is_asked_about_again(place):
    """What lies between the base and that version is not known, so it is not merged by guess."""
    notes = Notes(a=BASE)
    notes.edit("a", title="theirs")
    async with opened(place) as box:
        await box.enqueue(write(Verb.PUT, MINE, if_match='"1"', base=BASE))
        await deliver(box, notes.transport)
        notes.edit("a", title="theirs again")
        await box.replay(1, BASE, if_match='"3"')
        notes.edit("a", more="theirs")
        await deliver(box, notes.transport)

        assert notes.body() == {"title": "theirs again", "done": False, "more": "theirs"}
        assert (await box.ticket(1).status()).state is OpState.CONFLICT
